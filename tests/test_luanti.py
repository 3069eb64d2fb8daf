"""The Luanti world: the same play as in the embedded world, one exact frame a step, and nothing left behind whatever happens."""

from __future__ import annotations

import gc
import json
import os
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from benchmarks import luanti as bench
from envs.luanti.compile import SLOTS, Compiler, exact_yaw
from envs.luanti.programs import INSTALL, LuantiError, programs
from envs.luanti.vector import LuantiPlainVectorEnv, LuantiVectorEnv
from envs.registry import WORLDS
from envs.task import HEADINGS, TaskError
from envs.task_file import load_task, parse_task, task_names
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.experiment.worlds import Place, task_envs
from tests.helpers import DRAWN_ROOMS, TWO_MAPS, h_dqn, last_json, refused

try:
    programs()
    MISSING = ""
except LuantiError as error:
    MISSING = str(error)

needs_luanti = pytest.mark.skipif(bool(MISSING), reason=MISSING)
needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount the small disk that is to be full")


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Engines live in the test's own folder, and are gone at its end."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    gc.collect()
    assert (bench.running(), bench.folders()) == ([], [])


CHANGES = {"drawn": DRAWN_ROOMS, "two maps": TWO_MAPS}


@needs_luanti
@pytest.mark.parametrize("name", [*task_names(WORLDS["luanti"].refuses), "generated0", "generated12", "drawn", "two maps"])
def test_the_rules_are_those_of_the_embedded_world(name: str) -> None:
    """And so are the pictures, but for some pixels on the edges of texels."""
    seed = name.removeprefix("generated")
    if name in CHANGES:
        spec = load_task("pickup", CHANGES[name])
    else:
        spec = bench.generated_task(int(seed)) if seed != name else load_task(name)
    found = bench.conformance(spec, 150, seed=1, worlds=3)
    assert found["steps"] >= 150
    assert found["differences"] == 0
    assert found["most_pixels_unlike"] < 0.01


@needs_luanti
def test_curtains_side_by_side_hide_each_other_from_within() -> None:
    doc = {
        "map": "#######\n#.ee..#\n#.eeP.#\n#.p.P.#\n#######",
        "legend": {"#": "stone", "e": ["exit", "exit"], "P": "portal", "p": {"floor": "pad"}},
        "actions": ["forward", "turn_left", "turn_right"],
        "start": ".e",
        "step_limit": 40,
        "goal": {"reach": "p"},
    }
    found = bench.conformance(parse_task(doc, "curtains"), 200, seed=1)
    assert found["differences"] == 0
    assert found["most_pixels_unlike"] < 0.01


@needs_luanti
def test_keys_and_locks_keep_the_same_rule() -> None:
    doc = {
        "map": "########\n#..k.L.#\n#.....g#\n#.D....#\n###V####\n#.....e#\n########",
        "legend": {"#": "stone", "k": {"item": "key"}, "L": ["lock", "lock", "stone"], "g": {"item": "gem"}, "D": ["chest"],
                   "V": ["vault", "vault", "stone"], "e": {"floor": "pad"}},
        "materials": {
            "gem": {"color": [40, 200, 90], "item": True},
            "vault": {"color": [60, 20, 90], "breakable": True, "needs": "gem"},
            "chest": {"color": [160, 120, 40], "breakable": True, "drops": "key"},
        },
        "step_limit": 60,
        "goal": {"reach": "e"},
        "vary": {"tint": 0.1},
    }  # fmt: skip
    found = bench.conformance(parse_task(doc, "keys"), 300, seed=2, worlds=3)
    assert found["differences"] == 0
    assert found["goals"] > 0
    assert found["most_pixels_unlike"] < 0.01


@needs_luanti
def test_an_action_that_only_other_tasks_have_does_nothing() -> None:
    shared = {"actions": ["break", "forward", "fly", "turn_left", "turn_right"], "items": ["pearl", "crate"], "hotbar": False}
    found = bench.conformance(load_task("navigation1", {"shared": shared}), 150, seed=1, worlds=3)
    assert found["differences"] == 0


@needs_luanti
def test_whoever_is_sent_back_and_fills_pits_does_so_there_too() -> None:
    doc = {
        "map": "##########\n#s..P...M#\n#.c.P.M..#\n#.cMP.M.e#\n##########",
        "legend": {"#": "stone", "s": {}, "c": {"item": "crate"}, "P": {"floor": "chasm"}, "M": {"floor": "mire"},
                   "e": {"floor": "pad"}},
        "start": "s",
        "step_limit": 60,
        "goal": {"reach": "e"},
        "vary": {"tint": 0.1},
    }  # fmt: skip
    found = bench.conformance(parse_task(doc, "floors"), 400, seed=3, worlds=3)
    assert found["differences"] == 0
    assert found["goals"] > 0
    assert found["most_pixels_unlike"] < 0.01


@needs_luanti
def test_all_that_is_carried_is_seen_as_in_the_embedded_world() -> None:
    doc = {
        "map": "#####\n#.k.#\n#...#\n#####",
        "legend": {"#": "stone", "k": {"item": "key"}},
        "inventory": {"crate": 2},
        "step_limit": 30,
        "goal": {"hold": "key"},
    }
    spec = parse_task(doc, "carried")
    one, other = (task_envs(spec, (1, 72, 64), Place(world))(2) for world in ("luanti", "voxel"))
    seen, expected = one.reset(seed=1)[0], other.reset(seed=1)[0]
    for action in (0, 1, 4, 0, 4, 5):
        np.testing.assert_array_equal(seen[:, 0, -2:], expected[:, 0, -2:])
        assert seen[:, 0, -2:].any()
        seen, expected = (envs.step(np.full(2, action))[0] for envs in (one, other))
    one.close()
    other.close()


@needs_luanti
def test_without_shaders_the_rules_are_the_same_and_the_pictures_are_not() -> None:
    found = bench.conformance(load_task("three_rooms"), 150, seed=1, worlds=3, kind=LuantiPlainVectorEnv)
    assert found["differences"] == 0
    assert found["pixels_unlike"] > 0.1


@needs_luanti
def test_a_frame_is_that_of_its_step() -> None:
    with bench.busy(1):
        found = bench.settle(bench.crowded(), 60, seed=1)
    assert found["frames"] >= 60
    assert found["edits"] > 5
    assert found["wrong"] == 0


@needs_luanti
def test_the_same_seed_gives_the_same_run_bit_for_bit() -> None:
    one, other, another = (bench.digest(bench.crowded(), 80, seed) for seed in (1, 1, 2))
    assert one == other != another


@needs_luanti
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_mount if name == "disk full" else ()) for name in bench.FAULTS])
def test_a_fault_loses_no_step_and_leaves_nothing(name: str) -> None:
    found = bench.faults(2, seed=1, kinds=[name])
    assert found["faults"] == {name: 2}
    assert found["differences"] == found["orphans"] == found["leftovers"] == 0
    assert found["most_pixels_unlike"] < 0.01


@needs_luanti
def test_a_new_engine_shows_the_room_in_its_first_frame() -> None:
    assert bench.first_frames(load_task("three_rooms"), 5, seed=1) == {"starts": 5, "frames": 20, "wrong": 0}


@needs_luanti
def test_what_stands_on_a_new_screen_is_no_marker() -> None:
    envs = LuantiVectorEnv(1, "navigation1", 84)
    first, _ = envs.reset(seed=1)
    for number in (62, 63, 64):
        envs.engines[0].start()
        envs.engines[0]._id = number - 1
        again, _ = envs.reset(seed=1)
        np.testing.assert_array_equal(again["pov"], first["pov"])
    envs.close()


@needs_luanti
def test_check_env_is_clean() -> None:
    env = gym.make("envs:Luanti/Placement-v0").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not passed through gym.make.*|.*render modes but.*")
        check_env(env, skip_close_check=True)
    env.close()


@needs_luanti
def test_one_world_renders_and_closes() -> None:
    env: Any = gym.make("envs:Luanti/Break-v0", size=(40, 60), render_mode="rgb_array")
    obs, info = env.reset(seed=1)
    assert obs["pov"].shape == (40, 60, 3)
    np.testing.assert_array_equal(env.render(), obs["pov"])
    assert not info["invalid_action"]
    env.close()
    env.close()


@needs_luanti
def test_a_saved_world_goes_on() -> None:
    a, b = (LuantiVectorEnv(2, "three_rooms", 40) for _ in range(2))
    rng = np.random.default_rng(1)
    a.reset(seed=3), b.reset(seed=4)
    for _ in range(10):
        a.step(rng.integers(6, size=2))
    b.load_state_dict(a.state_dict())
    for _ in range(10):
        actions = rng.integers(6, size=2)
        one, other = a.step(actions), b.step(actions)
        np.testing.assert_array_equal(one[0]["pov"], other[0]["pov"])
        assert bench.differences(a, b, one, other) == 0
    a.close()
    b.close()


@needs_luanti
def test_masked_resets_and_seeds() -> None:
    real, embedded = LuantiVectorEnv(3, "pickup", 40), VoxelVectorEnv(3, "pickup", 40)
    for envs in (real, embedded):
        envs.reset(seed=[5, 6, 7])
    for _ in range(5):
        before, *_ = real.step(np.array([0, 1, 2]))
        embedded.step(np.array([0, 1, 2]))
    mask = np.array([False, True, False])
    for envs in (real, embedded):
        after, _ = envs.reset(seed=[None, 9, None], options={"reset_mask": mask})
        if envs is real:
            np.testing.assert_array_equal(after["pov"][~mask], before["pov"][~mask])
    assert bench.differences(real, embedded, (), ()) == 0
    assert real.worlds.steps.tolist() == [5, 0, 5]
    real.close()


@needs_luanti
def test_several_engines_play_as_one() -> None:
    one, two = LuantiVectorEnv(3, "break", 40, engines=1), LuantiVectorEnv(3, "break", 40, engines=2)
    assert (len(one.engines), len(two.engines)) == (1, 2)
    one.reset(seed=1), two.reset(seed=1)
    for action in range(8):
        actions = np.arange(3) * action % 4
        assert bench.differences(one, two, one.step(actions), two.step(actions)) == 0
    one.close()
    two.close()


@needs_luanti
def test_an_engine_that_nobody_holds_is_gone() -> None:
    envs = LuantiVectorEnv(1, "break", 40)
    assert len(bench.running()) == 2
    del envs
    gc.collect()
    assert bench.running() == []


@needs_luanti
def test_training_and_evaluation_in_luanti(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert h_dqn("train skill navigation1 --world luanti --preset smoke --env-steps 64 --episodes 4 --json") == 0
    assert last_json(capsys)["env_steps"] == 64
    assert json.loads(Path("skills/navigation1/policy.json").read_text())["heads"][0]["task"]["world"] == "luanti"
    assert h_dqn("evaluate navigation1 --world luanti --episodes 4 --json --video episode.mp4") == 0
    assert last_json(capsys)["episodes"] == 4
    assert Path("episode.mp4").stat().st_size > 1000


@needs_luanti
def test_transfer_is_measured_in_two_worlds(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same skill does the same in both; a task that Luanti does not play is no cell there."""
    line = "transfer --skills navigation1 --tasks navigation1 workshop --episodes 3 --jobs 1 --worlds voxel,luanti"
    assert h_dqn(f"{line} --json") == 0
    result = last_json(capsys)
    assert result["worlds"] == ["voxel", "luanti"]
    played = [(row["skill"], row["task"], row["difference"]) for row in result["differences"]["luanti"]]
    assert played == [(None, "navigation1", 0.0), ("navigation1", "navigation1", 0.0)]
    assert "Luanti does not play" in result["success"]["luanti"]["skills"]["navigation1"]["workshop"]["cannot"]
    assert "success_rate" in result["success"]["voxel"]["skills"]["navigation1"]["workshop"]


@needs_luanti
def test_tasks_are_shown_by_luanti_and_the_doctor_knows_it(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert h_dqn("tasks show placement --world luanti --picture p.png") == 0
    assert Path("p.png").stat().st_size > 10_000
    assert h_dqn("doctor --world luanti") == 0
    assert "on a virtual screen, started in" in capsys.readouterr().out


def test_without_luanti_one_line_says_what_to_install(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    refused(capsys, "train skill navigation1 --world luanti --preset smoke", "minetest and Xvfb and setpriv", INSTALL)
    assert h_dqn("doctor --world luanti") == 0
    assert "LACKS" in capsys.readouterr().out


def test_rooms_that_do_not_fit_are_refused() -> None:
    def room(rows: int, height: int) -> Any:
        return parse_task(
            {
                "map": "\n".join(["." * 40] * rows),
                "height": height,
                "step_limit": 9,
                "legend": {"p": {"floor": "pad"}},
                "goal": {"hold": "crate"},
                "inventory": {"crate": 1},
            },
            "wide",
        )

    with pytest.raises(TaskError, match="at most 14 blocks, not 15"):
        Compiler(room(3, 15), (84, 84), 70.0)
    embedded = VoxelVectorEnv(1, room(3, 3), 8)
    embedded.reset(seed=1)
    with pytest.raises(TaskError, match="at most 32 by 32 cells, not 5 by 42"):
        Compiler(embedded.spec_task, (84, 84), 70.0).world(embedded.worlds, 0)


@needs_luanti
def test_more_worlds_than_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="each holds 432"):
        LuantiVectorEnv(SLOTS + 1, "break", 8, engines=1)


@pytest.mark.parametrize("heading", range(HEADINGS))
def test_yaws_are_headings_counter_clockwise(heading: int) -> None:
    assert np.degrees(exact_yaw(heading)) == pytest.approx(-30 * heading % 360, abs=1e-4)
