"""The table of worlds: every entry keeps what the table promises, and one more is added as the README says."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.errors import OneLineError, WorldError
from envs.luanti.programs import INSTALL, LuantiError, programs
from envs.minerl.settings import MineRLError
from envs.minerl.world import MineRLOptions
from envs.oracle import Oracle
from envs.registry import WORLDS, World, close_all
from envs.task import SHAPES, Layout, TaskError
from envs.task_file import load_task, parse_task, task_names
from envs.verdict import GOOD, LACKS, NOTE
from envs.world import NoOptions

ROOT = Path(__file__).parents[1]
EVERY = pytest.mark.parametrize("world", WORLDS.values(), ids=lambda world: world.name)

try:
    programs()
    LUANTI = True
except LuantiError:
    LUANTI = False

PLAYED_HERE = [world for world in WORLDS.values() if world.package == "envs.voxel" or (world.package == "envs.luanti" and LUANTI)]


@pytest.fixture(autouse=True)
def _nothing_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    close_all()


def room(**changes: Any) -> Any:
    doc: dict[str, Any] = {
        "map": "#####\n#..e#\n#####", "legend": {"#": "stone", "e": {"floor": "pad"}}, "goal": {"reach": "e"}, "step_limit": 20,
    }  # fmt: skip
    return parse_task({**doc, **changes}, "toy")


# --- every world -----------------------------------------------------------------------------------------------------


@EVERY
def test_an_entry_says_what_it_is(world: World) -> None:
    assert WORLDS[world.name] is world
    assert world.about
    assert "\n" not in world.about
    assert {f"{world.namespace}/{name}-v0" for name in ("Task", "TwoRooms")} <= set(gym.registry)
    assert (f"{world.namespace}/Workshop-v0" in gym.registry) == ("verbs" not in world.refuses)
    assert world.env_id == f"envs:{world.namespace}/Task-v0"
    spec = gym.registry[f"{world.namespace}/Task-v0"]
    for entry in (spec.entry_point, spec.vector_entry_point):
        module, _, name = str(entry).partition(":")
        assert hasattr(importlib.import_module(module), name)


@EVERY
def test_options_are_plain_data_with_help_for_each(world: World) -> None:
    assert world.options() == world.options()  # frozen, with a default for each
    for field in dataclasses.fields(world.options):
        source = inspect.getsource(world.options)
        assert re.search(rf'    {field.name}: .*\n    """.+"""\n', source), f"{field.name} has no docstring under it"
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(world.options(), field.name, None)


@EVERY
def test_options_of_another_world_are_refused(world: World) -> None:
    wrong = NoOptions() if world.options is not NoOptions else MineRLOptions()
    for call in (world.limit, lambda n, options: list(world.doctor(options))):
        with pytest.raises(TypeError, match=f"options of the world '{world.name}'"):
            call(1, wrong)


@EVERY
@pytest.mark.parametrize("name", task_names())
def test_a_world_plays_a_task_or_names_what_it_refuses(world: World, name: str) -> None:
    task = load_task(name)
    if refused := task.special & world.refuses:
        with pytest.raises(TaskError, match=rf"{name}: .*({'|'.join(refused)})"):
            world.check(task)
    else:
        world.check(task)


@EVERY
def test_no_more_worlds_than_were_asked_for(world: World) -> None:
    assert 1 <= world.limit(1) <= 1
    assert 1 <= world.limit(64) <= 64


@EVERY
@pytest.mark.parametrize("start", [False, True])
def test_a_doctor_speaks_in_single_lines(world: World, start: bool) -> None:
    for word, text in world.doctor(start=start):
        assert word in (GOOD, LACKS, NOTE)
        assert text
        assert "\n" not in text


@pytest.mark.parametrize("world", PLAYED_HERE, ids=lambda world: world.name)
def test_made_worlds_are_those_of_gymnasium(world: World) -> None:
    task = load_task("pickup")
    made, own = world.make(task, 2, 20), gym.make_vec(world.env_id, num_envs=2, task="pickup", size=20)
    one = world.make_single(task, 20, render_mode="rgb_array")
    single, _ = one.reset(seed=3)
    seen, expected = made.reset(seed=3)[0]["pov"], own.reset(seed=3)[0]["pov"]
    assert seen.shape == (2, 20, 20, 3)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(single["pov"], expected[0])
    np.testing.assert_array_equal(one.render(), single["pov"])
    for env in (made, own, one):
        env.close()


def test_importing_the_table_is_light() -> None:
    heavy = ("numba", "cv2", "minerl", "torch", "gym", "lxml", "envs.task", "envs.minerl.instance", "envs.luanti.engine")
    code = f"import sys, envs.registry; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True, env=environment).strip() == "[]"


def test_only_the_table_names_worlds() -> None:
    """No other module compares or looks up the name of a world."""
    for path in sorted((ROOT / "envs").rglob("*.py")):
        if path.name == "registry.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [*getattr(node, "comparators", ()), getattr(node, "left", None)] if isinstance(node, ast.Compare) else []
            assert not [name for name in names if isinstance(name, ast.Constant) and name.value in WORLDS], path


# --- each one's own --------------------------------------------------------------------------------------------------


def test_what_worlds_refuse() -> None:
    workshop, priced = load_task("workshop"), load_task("near_and_far")
    for name, task, said in (
        ("luanti", workshop, "workshop: verbs: Luanti"),
        ("minerl", workshop, "workshop: verbs: MineRL"),
        ("luanti", priced, r"near_and_far: legend\..: reward: Luanti"),
        ("luanti", room(height=15), "toy: height: Luanti plays rooms of at most 14 blocks, not 15"),
        (
            "luanti",
            room(map="\n".join(["." * 39 + "e"] * 3)),
            "toy: map: Luanti plays rooms of at most 32 by 32 cells, not 5 by 42",
        ),
        ("minerl", room(vary={"textures": {"door": ["wood"]}}), r"toy: vary\.textures\.door"),
    ):
        WORLDS["voxel"].check(task)
        with pytest.raises(TaskError, match=said):
            WORLDS[name].check(task)


def test_there_are_as_many_worlds_as_minecrafts(monkeypatch: pytest.MonkeyPatch) -> None:
    minerl = WORLDS["minerl"]
    monkeypatch.delenv("H_DQN_MINERL_ADDRESS", raising=False)
    assert minerl.limit(64) == 1
    assert minerl.limit(64, MineRLOptions(minerl_instances=3)) == 3
    assert minerl.limit(2, MineRLOptions(minerl_instances=3)) == 2
    assert minerl.limit(64, MineRLOptions(minerl_address=("a:1", "b:2"), minerl_instances=9)) == 2
    monkeypatch.setenv("H_DQN_MINERL_ADDRESS", "a:1,b:2,c:3")
    assert minerl.limit(64) == 3
    with pytest.raises(MineRLError, match="must be host:port"):
        minerl.limit(1, MineRLOptions(minerl_address=("nowhere",)))


def test_environments_with_equal_options_play_in_the_same_minecrafts() -> None:
    """Nothing is started before the first reset, so this needs no Minecraft."""
    minerl, task = WORLDS["minerl"], load_task("navigation1")

    def pool(address: str, n: int = 2) -> Any:
        envs: Any = minerl.make(task, n, 16, MineRLOptions(minerl_address=(address, "127.0.0.1:2")))
        assert envs.num_envs == n
        return envs.unwrapped.pool

    first = pool("127.0.0.1:1")
    assert pool("127.0.0.1:1", 1) is first
    assert pool("127.0.0.1:3") is not first
    single: Any = minerl.make_single(task, 16, MineRLOptions(minerl_address=("127.0.0.1:1", "127.0.0.1:2")))
    assert single.unwrapped.vector.pool is first
    assert single.spec.kwargs["pool"] is first  # a spec is a copy, the Minecrafts are not
    close_all()
    assert not first.usable
    assert pool("127.0.0.1:1") is not first


def test_minecrafts_that_were_all_given_up_are_tried_again_by_who_comes_next() -> None:
    minerl, options = WORLDS["minerl"], MineRLOptions(minerl_address=("127.0.0.1:1",))
    first: Any = minerl.make(load_task("navigation1"), 1, 16, options)
    for instance in first.unwrapped.pool.instances:
        instance.state = "given up"
    again: Any = minerl.make(load_task("navigation1"), 1, 16, options)
    assert again.unwrapped.pool is not first.unwrapped.pool


def test_the_doctor_asks_minecrafts_by_their_addresses() -> None:
    found = list(WORLDS["minerl"].doctor(MineRLOptions(minerl_address=("127.0.0.1:1",))))
    assert found[-1][0] == LACKS
    assert found[-1][1].startswith("127.0.0.1:1: no Minecraft answers there")


def test_the_doctor_calls_a_missing_engine_a_lack_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    for start, word in ((False, NOTE), (True, LACKS)):
        ((said, text),) = WORLDS["luanti"].doctor(start=start)
        assert said == word
        assert INSTALL in text


@pytest.mark.skipif(not LUANTI, reason="Luanti is not installed")
def test_what_worlds_started_is_ended() -> None:
    made: Any = WORLDS["luanti"].make(load_task("break"), 1, 16)
    made.reset(seed=1)
    (process, *_) = made.unwrapped.engines[0]._processes.values()
    close_all()
    assert process.poll() is not None
    made.reset(seed=1)  # which starts it anew
    made.close()


def test_a_runner_can_catch_every_failure_of_a_world() -> None:
    for kind in (MineRLError, LuantiError):
        assert issubclass(kind, WorldError)
        assert issubclass(kind, OneLineError)
    assert isinstance(LuantiError("x"), RuntimeError)


# --- what the README promises ----------------------------------------------------------------------------------------

README = (ROOT / "envs" / "README.md").read_text()


def blocks(section: str, language: str) -> list[str]:
    part = README.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", part, flags=re.DOTALL)


def test_the_python_of_the_page_on_worlds_runs() -> None:
    (code,) = blocks("Worlds", "python")
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["observation"]["pov"].shape == (8, 84, 84, 3)


def test_the_task_of_the_readme_can_be_solved(tmp_path: Path) -> None:
    (text,) = blocks("Add your own task", "toml")
    path = tmp_path / "my_room.toml"
    path.write_text(text)
    task = load_task(path)
    made: Any = WORLDS["voxel"].make(task, 50, 8)
    lengths = Oracle(made.unwrapped.worlds).play(made, seed=1)
    assert all(length is not None for length in lengths)


def test_the_rooms_of_the_readme_are_of_any_shape(tmp_path: Path) -> None:
    (text,) = blocks("Rooms of any shape", "toml")
    path = tmp_path / "any_room.toml"
    path.write_text(text)
    task, told = load_task(path), README.split("## Rooms of any shape\n")[1].split("\n## ")[0]
    assert task.layout == Layout()
    assert re.findall(r"^\| `(\w+)` \|", told, flags=re.MULTILINE) == list(SHAPES)
    for line in re.findall(r"`((?:layout|step_limit) = .*?)`", told):
        (key, value), *rest = tomllib.loads(line).items()
        assert not rest
        assert load_task(path, {"vary": {key: value}} if key == "layout" else {key: value}).hash != task.hash
    made: Any = WORLDS["voxel"].make(task, 50, 8)
    assert None not in Oracle(made.unwrapped.worlds).play(made, seed=1)


def test_the_format_of_the_readme_is_a_task(tmp_path: Path) -> None:
    text = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)[0]
    path = tmp_path / "all.toml"
    path.write_text(text)
    task = load_task(path)
    assert len(task.verbs) == 1 + 2 * len(task.items)


@pytest.fixture
def top_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world of the page "Add your own world", made of its code blocks."""
    vector, env = blocks("Add your own world", "python")
    (line,) = blocks("Add your own world", "text")
    folder = tmp_path / "topview"
    folder.mkdir()
    for name, text in (("__init__", ""), ("vector", vector), ("env", env)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(envs, "__path__", [*envs.__path__, str(tmp_path)])
    for name in [name for name in sys.modules if name.startswith("envs.topview")]:
        monkeypatch.delitem(sys.modules, name)
    (world,) = eval(f"({line.strip()})", {"World": World})
    for name in [name for name in gym.registry if name.startswith("TopView/")]:
        monkeypatch.delitem(gym.registry, name)
    world.register(["two_rooms"])
    yield world
    for name in ("TopView/Task-v0", "TopView/TwoRooms-v0"):
        del gym.registry[name]


def test_a_world_is_added_as_the_readme_says(top_view: World) -> None:
    check_env(gym.make("envs:TopView/TwoRooms-v0", size=20).unwrapped, skip_render_check=True)
    for name in ("pickup", "workshop"):
        task = load_task(name)
        top_view.check(task)
        made, embedded = top_view.make(task, 3, 40), WORLDS["voxel"].make(task, 3, 40)
        seen: tuple[Any, ...] = made.reset(seed=1)
        expected: tuple[Any, ...] = embedded.reset(seed=1)
        assert len(np.unique(seen[0]["pov"].reshape(-1, 3), axis=0)) > 2
        rng = np.random.default_rng(1)
        for _ in range(60):
            assert seen[0]["inventory"].keys() == expected[0]["inventory"].keys()
            np.testing.assert_array_equal(seen[-1]["pose"], expected[-1]["pose"])
            actions = rng.integers(len(task.all_actions), size=3)
            seen, expected = made.step(actions), embedded.step(actions)
            for one, other in zip(seen[1:4], expected[1:4], strict=True):
                np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(seen[-1]["invalid_action"], expected[-1]["invalid_action"])
            if (over := expected[2] | expected[3]).any():
                seen, expected = (each.reset(options={"reset_mask": over}) for each in (made, embedded))
