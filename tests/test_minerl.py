"""The MineRL adapter through MineRL's real client, against the stand-in for Minecraft. Run with: make test-minerl."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.minerl.drawing import draw
from envs.minerl.folders import PREFIX
from envs.minerl.instance import GIVEN_UP
from envs.minerl.settings import MineRLError, Settings
from envs.minerl.vector import MineRLVectorEnv
from envs.oracle import Oracle
from envs.registry import WORLDS
from envs.task import TaskError, TaskSpec
from envs.task_file import load_task, parse_task, task_names
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.cli import run
from tests.minerl_standin import FAULTS, StandIn

if importlib.util.find_spec("minerl") is None:
    pytest.skip("minerl is not installed; make test-minerl installs its Python part", allow_module_level=True)

ROOT = Path(__file__).parents[1]
LIMITS: dict[str, Any] = {"launch_s": 30.0, "reset_s": 20.0, "step_s": 10.0, "restarts": 8}


@pytest.fixture(autouse=True)
def _private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders and processes of each test are its own, and none of them is left when it ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    assert not [path for path in tmp_path.glob(f"{PREFIX}*") if path.is_dir()]
    assert not processes(tmp_path)


def processes(folder: Path) -> list[int]:
    """Those whose working folder is below ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(entry.joinpath("cwd").readlink()).startswith(str(folder / PREFIX)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def attached(stands: list[StandIn], task: str | TaskSpec, **limits: Any) -> MineRLVectorEnv:
    places = tuple(("127.0.0.1", stand.port) for stand in stands)
    return MineRLVectorEnv(len(stands), task, 32, settings=Settings(addresses=places, **{**LIMITS, **limits}))


# --- missions --------------------------------------------------------------------------------------------------------


def validate(task: TaskSpec, seed: int) -> None:
    from lxml import etree

    from envs.minerl.launch import package
    from envs.minerl.mission import Room

    global _SCHEMA
    if _SCHEMA is None:
        _SCHEMA = etree.XMLSchema(etree.parse(str(package().parent / "Schemas" / "Mission.xsd")))
    room = Room(draw(task, task.sample(np.random.default_rng(seed)), (84, 84)))
    assert _SCHEMA.validate(etree.fromstring(room.to_xml().encode())), _SCHEMA.error_log


_SCHEMA: Any = None


@pytest.mark.parametrize("name", task_names(WORLDS["minerl"].refuses))
def test_every_task_is_a_valid_mission(name: str) -> None:
    for seed in range(5):
        validate(load_task(name), seed)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.integers(1, 6).flatmap(
        lambda width: st.lists(st.text("..#Dicbe", min_size=width, max_size=width), min_size=1, max_size=6)
    ),
    height=st.integers(2, 5),
    pitch=st.integers(-60, 30),
    crates=st.integers(0, 999),
    seed=st.integers(0, 99),
)
def test_generated_tasks_are_valid_missions(rows: list[str], height: int, pitch: int, crates: int, seed: int) -> None:
    legend = {
        "#": "slate", "D": ["door", "door"], "i": {"item": "crate"}, "c": ["crate"], "b": {"floor": "moss"},
        "e": {"column": ["veil", "veil"]},
    }  # fmt: skip
    own = {"moss": {"color": [60, 120, 50]}, "veil": {"color": [200, 40, 40], "solid": False}}
    doc = {"map": "\n".join([*rows, "." * len(rows[0])]), "legend": legend, "goal": {"hold": "crate"}, "step_limit": 50,
           "height": height, "pitch": pitch, "inventory": {"crate": crates}, "materials": own}  # fmt: skip
    try:
        task = parse_task(doc, "generated")
    except TaskError:
        return  # such as one whose goal cannot be reached
    validate(task, seed)


# --- episodes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", task_names(WORLDS["minerl"].refuses))
def test_the_oracle_solves_each_task(name: str) -> None:
    stand = StandIn(name)
    env = attached([stand], name)
    oracle = Oracle(env.worlds)
    for seed in range(3):
        assert oracle.play(env, seed) != [None]
    env.close()
    stand.close()


@pytest.mark.parametrize("name", ["navigation2", "three_rooms", "key_and_lock"])
def test_any_play_is_as_in_the_embedded_world(name: str) -> None:
    """The same seeds and actions: the same rewards, ends, inventories, poses and invalid actions."""
    stands = [StandIn(name, cheap=True) for _ in range(2)]
    env, embedded = attached(stands, name), VoxelVectorEnv(2, name, 8)
    rng, oracle = np.random.default_rng(4), Oracle(env.worlds)
    seen: tuple[Any, ...] = env.reset(seed=[3, 4])
    expected: tuple[Any, ...] = embedded.reset(seed=[3, 4])
    for _ in range(150):
        assert {item: count.tolist() for item, count in seen[0]["inventory"].items()} == {
            item: count.tolist() for item, count in expected[0]["inventory"].items()
        }
        assert seen[-1]["pose"].tolist() == expected[-1]["pose"].tolist()
        actions = np.where(rng.random(2) < 0.4, rng.integers(0, env.single_action_space.n, 2), oracle.act())  # type: ignore[attr-defined]
        seen, expected = env.step(actions), embedded.step(actions)
        for one, other in zip(seen[1:4], expected[1:4], strict=True):
            np.testing.assert_array_equal(one, other)
        assert seen[-1]["invalid_action"].tolist() == expected[-1]["invalid_action"].tolist()
        if (over := expected[2] | expected[3]).any():
            seen, expected = env.reset(options={"reset_mask": over}), embedded.reset(options={"reset_mask": over})
    assert not seen[-1]["lost"].any()
    env.close()
    for stand in stands:
        stand.close()


def test_check_env_is_clean() -> None:
    stand = StandIn("three_rooms")
    env = gym.make("envs:MineRL/ThreeRooms-v0", size=20, address=f"127.0.0.1:{stand.port}").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not passed through gym.make.*|.*render modes but.*|.*spec.*")
        check_env(env)
    env.close()
    stand.close()


def test_a_skill_is_trained_and_evaluated_there(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stands = [StandIn("navigation1") for _ in range(2)]
    there = ["--world", "minerl", "--minerl-address", *(f"127.0.0.1:{stand.port}" for stand in stands), "--episodes", "4"]
    assert (
        run(["train", "skill", "navigation1", "--preset", "smoke", "--env-steps", "64", "--validation-episodes", "4", *there]) == 0
    )
    assert run(["evaluate", "navigation1", "--task", "navigation1", *there]) == 0
    assert "success" in capsys.readouterr().out
    for stand in stands:
        stand.close()


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "name"), [(phase, name) for phase, names in FAULTS.items() for name in names])
def test_a_fault_loses_at_most_one_transition(phase: str, name: str) -> None:
    """It comes once; all that is whole agrees with an embedded embedded, and the ticks with the stand-in's log."""
    asked: dict[str, int] = {}

    def fault(where: str) -> str | None:
        asked[where] = asked.get(where, 0) + 1
        return name if where == phase and asked[where] == (2 if phase != "step" else 15) else None

    stand = StandIn("navigation1", fault)
    env, embedded = attached([stand], "navigation1", reset_s=5.0, step_s=2.0), VoxelVectorEnv(1, "navigation1", 8)
    oracle = Oracle(env.worlds)
    failed = 0
    for seed in range(3):
        env.reset(seed=[seed])
        embedded.reset(seed=[seed])
        over = False
        while not over:
            action = oracle.act()
            _, reward, terminated, truncated, info = env.step(action)
            over = bool(terminated[0] | truncated[0])
            if info["lost"][0]:
                failed += 1
                assert (reward[0], terminated[0], truncated[0]) == (0.0, False, True)
                assert info["reason"][0]
                break
            _, *expected, _ = embedded.step(action)
            assert [reward[0], terminated[0], truncated[0]] == [value[0] for value in expected]
    assert stand.faults == [(phase, name)]
    assert failed == (phase == "step")
    assert env.instances[0].ticks == sum(mission["answered"] for mission in stand.missions)
    env.close()
    stand.close()


def test_nobody_waits_for_a_dead_one() -> None:
    """One of two Minecrafts accepts and never answers again: the other plays on, and after it comes back both do."""
    silent = [False]
    stands = [StandIn("navigation1", cheap=True), StandIn("navigation1", lambda _: "hang" if silent[0] else None, cheap=True)]
    env = attached(stands, "navigation1", reset_s=4.0, step_s=2.0)
    env.reset(seed=1)
    silent[0] = True
    env.step(np.array([1, 1]))
    slow = 0.0
    for _ in range(20):
        began = time.monotonic()
        *_, terminated, truncated, info = env.step(np.array([1, 1]))
        assert info["lost"].tolist() == [False, True]
        env.reset(options={"reset_mask": terminated | truncated})
        slow = max(slow, time.monotonic() - began)
    assert slow < 2.0  # nobody waited for a deadline
    silent[0] = False
    end = time.monotonic() + 60
    while info["lost"].any() and time.monotonic() < end:
        *_, terminated, truncated, info = env.step(np.array([1, 1]))
        env.reset(options={"reset_mask": terminated | truncated})
    assert not info["lost"].any()
    env.close()
    for stand in stands:
        stand.close()


def test_where_nothing_answers_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    env = MineRLVectorEnv(1, "navigation1", address="127.0.0.1:1")
    with pytest.raises(MineRLError, match=r"127\.0\.0\.1:1: no Minecraft answers there"):
        env.reset(seed=1)
    env.close()


# --- processes -------------------------------------------------------------------------------------------------------


def started(monkeypatch: pytest.MonkeyPatch, how: str, count: int = 1, **limits: Any) -> MineRLVectorEnv:
    monkeypatch.setenv("STANDIN_PYTHON", sys.executable)
    monkeypatch.setenv("STANDIN_START", how)
    found = Settings(addresses=(), minecraft=str(ROOT / "tests" / "minerl_launcher"), **{**LIMITS, **limits})
    return MineRLVectorEnv(count, "navigation1", 32, settings=found)


def test_a_minecraft_started_here_is_replaced_when_it_dies_and_gone_when_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = started(monkeypatch, "well")
    env.reset(seed=1)
    env.step(np.array([1]))
    worker = env.instances[0]._process
    assert worker is not None
    minecraft = [pid for pid in processes(tmp_path) if pid != worker.pid]
    assert minecraft
    os.kill(minecraft[-1], signal.SIGKILL)
    *_, truncated, info = env.step(np.array([1]))
    assert info["lost"][0]
    assert truncated[0]
    env.reset(seed=1)
    *_, info = env.step(np.array([1]))
    assert not info["lost"][0]
    assert env.instances[0].starts == 2
    env.close()


@pytest.mark.parametrize(("how", "said"), [("silent", "did not start in time"), ("early", "no display")])
def test_a_launch_that_fails_is_given_up(monkeypatch: pytest.MonkeyPatch, how: str, said: str) -> None:
    env = started(monkeypatch, how, launch_s=2.0 if how == "silent" else 30.0, restarts=1)
    with pytest.raises(MineRLError, match=said):
        env.reset(seed=1)
    assert env.instances[0].state == GIVEN_UP
    env.close()


def test_it_is_started_anew_after_so_many_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    env = started(monkeypatch, "well", episodes=2)
    for seed in range(3):
        env.reset(seed=seed)
    assert env.instances[0].starts == 2
    env.close()


def test_nothing_outlives_a_killed_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import numpy as np, time\nfrom envs.minerl.vector import MineRLVectorEnv\nfrom envs.minerl.settings import Settings\n"
        f"env = MineRLVectorEnv(1, settings=Settings(addresses=(), minecraft={str(ROOT / 'tests' / 'minerl_launcher')!r}))\n"
        "env.reset(seed=1)\nprint('plays', flush=True)\ntime.sleep(600)\n"
    )
    environment = {**os.environ, "STANDIN_PYTHON": sys.executable, "STANDIN_START": "well"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "plays\n"
        assert len(processes(tmp_path)) >= 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    end = time.monotonic() + 60
    while (processes(tmp_path) or any(tmp_path.glob(f"{PREFIX}*"))) and time.monotonic() < end:
        time.sleep(0.02)
    assert time.monotonic() < end
