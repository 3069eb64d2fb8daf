"""Tasks in stages: where a stage begins, which one is found and which learned, and the controller over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import h_dqn
from benchmarks.library import MANY, made_task
from envs.task import TaskError, TaskSpec
from envs.task_file import load_task, parse_task, read_task
from envs.toml_file import parse_toml, toml_text
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.experiment import stages
from h_dqn.experiment.add_plan import GateConfig
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.multi import MultiConfig
from h_dqn.experiment.runs import resume
from h_dqn.experiment.stages import stage_text
from h_dqn.experiment.watch import Watcher
from skills_library.library import Library
from tests.helpers import Capture, last_json
from tests.helpers import h_dqn as command

FILES = Path(__file__).parents[1] / "benchmarks" / "stages"
NAMES = ("key_gem_pad", "key_lock_gem", "crate_door_pad")

# --- where a stage begins --------------------------------------------------------------------------------------------


def begun(spec: TaskSpec, many: int = 40) -> Any:
    """Worlds whose episodes have just begun."""
    envs = VoxelVectorEnv(many, spec, size=8)
    envs.reset(seed=1)
    return envs


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_begins_where_those_before_it_are_done_and_is_over_with_its_own(name: str) -> None:
    task = load_task(FILES / f"{name}.toml")
    assert len(task.goal) == 3
    for number in range(3):
        stage = read_task(stage_text(task, number), "stage")
        assert (stage.goal, stage.begin) == (task.goal[: number + 1], number)
        worlds = begun(stage).worlds
        assert (worlds.subgoal == number).all()
        assert not worlds.steps.any()
        for part in task.goal[:number]:
            if part.kind == "hold":
                assert (worlds.inventory[:, stage.number(part.item)] > 0).all()
        assert stage.items == task.items  # so that all of it looks as in the whole task
        assert stage.hotbar == task.hotbar


def test_a_stage_that_would_be_over_at_once_begins_otherwise() -> None:
    """The gem lies on the pad in one of two places: who picks it up there stands on the pad already, or beside it."""
    doc: dict[str, Any] = {
        "map": "######\n#g..e#\n######", "legend": {"#": "stone", "e": {"floor": "pad"}, "g": {"item": "gem"}}, "step_limit": 30,
        "materials": {"gem": {"color": [40, 200, 90], "item": True}}, "start": ".e",
        "goal": {"all_of": [{"hold": "gem"}, {"reach": "e"}], "begin": 1},
    }  # fmt: skip
    worlds = begun(parse_task(doc, "toy")).worlds
    assert (worlds.subgoal == 1).all()
    assert not (worlds.pose[:, 0] == 4).any()
    doc["map"], doc["legend"] = (
        "#####\n#.ge#\n#####",
        {"#": "stone", "e": {"floor": "pad"}, ".": {"floor": "pad"}, "g": {"item": "gem"}},
    )
    doc["goal"] = {"all_of": [{"hold": "gem"}, {"reach": ".e"}], "begin": 1}  # the gem can be reached from the pad alone
    with pytest.raises(TaskError, match=r"goal\.begin: none of 100 episodes can begin there"):
        begun(parse_task({**doc, "legend": doc["legend"], "start": ".e"}, "toy"))


@pytest.mark.parametrize("begin", [-1, 2, 7])
def test_a_beginning_that_cannot_be_is_named(begin: int) -> None:
    doc = parse_toml((FILES / "key_gem_pad.toml").read_text())
    doc["goal"] = {"all_of": doc["goal"]["all_of"][:2], "begin": begin}
    with pytest.raises(TaskError, match=r"goal\.begin: must be from 0 to 1"):
        parse_task(doc, "toy")


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab."é\x7f', max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc #\n", max_size=4), VALUES, max_size=4))
def test_a_document_that_is_written_is_read_again(doc: dict[str, Any]) -> None:
    assert parse_toml(toml_text(doc)) == doc


def test_made_tasks_are_tasks_each_its_own() -> None:
    tasks = [read_task(made_task(number), f"made{number}") for number in range(MANY)]
    assert len({task.hash for task in tasks}) == MANY


# --- adding one ------------------------------------------------------------------------------------------------------

HOW: dict[str, Any] = {"preset": "smoke", "num_envs": 16, "env_steps": 512, "until": 0.01, "give_up": 1.0, "episodes": 8}
QUICK: dict[str, Any] = {
    "gate": GateConfig(bar=0.0), "multi": MultiConfig("own", distil_steps=64, head_episodes=4, may_lose=1.0),
}  # fmt: skip
SMALL = """
title = "Fetch the key, then stand on the pad"
step_limit = 20
actions = ["forward", "turn_left", "turn_right", "pick_up"]
map = '''
######
#k..p#
#....#
######
'''
[legend]
"#" = "stone"
"k" = { item = "key" }
"p" = { floor = "pad" }
[goal]
all_of = [{ hold = "key" }, { reach = "p" }]
"""


class Told(Watcher):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def room(in_tmp: Path, quick_rehearsal: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of two stages, of which none is said to be found by chance."""
    Path("room.toml").write_text(SMALL)
    for name, value in (("WHOLE", 2.0), ("REACHED", 2.0), ("TRIED", 10), ("MANY", 4)):
        monkeypatch.setattr(stages, name, value)
    return in_tmp


def test_stages_are_learned_then_found(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "FOUND", 2.0)
    library, told = Library(Path("skills"), shipped=Path("none")), Told()
    result = h_dqn.add_skill("room.toml", library, watcher=told, **HOW, **QUICK)
    assert [one["origin"] for one in result["stages"].values()] == ["learned", "learned"]
    assert [one["option"] for one in result["stages"].values()] == ["own/room-1", "own/room-2"]
    assert [one["about"] for one in result["stages"].values()] == ["carry the key", "go to the pad"]
    assert set(library.names()) == {"room-1", "room-2", "own"}
    assert (
        json.loads(Path("runs/add-room-s1/controller/run.json").read_text())["plan"]["config"]["learner"]["exploration"][
            "skill_share"
        ]
        == 0.5
    )
    assert any("stage 1 of 2, carry the key: nobody does it; it is learned" in line for line in told.lines)
    assert any("now the controller, which may choose own/room-1, own/room-2" in line for line in told.lines)
    own = library.skill("room-2")
    assert read_task(own.card["task"]["text"], "x").begin == 1  # it has kept where it begins
    # Once they are there, another task of the same stages finds them.
    monkeypatch.setattr(stages, "FOUND", -1.0)
    monkeypatch.setattr(stages, "survivors", lambda trials, most: [one for one in trials if one.name == "room-1"])
    Path("again.toml").write_text(SMALL)
    result = h_dqn.add_skill("again.toml", library, **HOW, **QUICK)
    assert [one["origin"] for one in result["stages"].values()] == ["library", "library"]
    assert set(library.names()) == {"room-1", "room-2", "own"}


def test_work_in_stages_goes_on_where_it_was(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "FOUND", 2.0)

    class Stops(Told):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("stage 2"):
                raise KeyboardInterrupt

    told = Stops()
    library = Library(Path("skills"), shipped=Path("none"))
    with pytest.raises(KeyboardInterrupt):
        h_dqn.add_skill("room.toml", library, watcher=told, **HOW, **QUICK)
    assert told.lines[-1] == "the addition goes on with: h-dqn resume runs/add-room-s1"
    Path("room.toml").unlink()
    first = library.current("room-1")
    result = resume(Path("runs/add-room-s1")).learn()
    assert list(result["stages"]) == ["room-1", "room-2"]
    assert library.current("room-1") == first


def test_a_stage_that_is_refused_ends_it_and_says_so_again(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "FOUND", 2.0)
    library, given = Library(Path("skills"), shipped=Path("none")), {**QUICK, "gate": GateConfig(bar=1.0)}
    with pytest.raises(UserError, match="'room-1' is refused"):
        h_dqn.add_skill("room.toml", library, **HOW, **given)
    assert not Path("skills").exists()
    with pytest.raises(UserError, match="'room-1' is refused"):
        resume(Path("runs/add-room-s1")).learn()


def test_what_chance_does_is_learned_as_one_skill(room: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(stages, "WHOLE", 0.0)
    line = "--preset smoke --num-envs 16 --env-steps 512 --until 0.01 --give-up 1 --bar 0 --episodes 8 --distil-steps 64"
    assert command(f"skills add room.toml {line} --head-episodes 4 --may-lose 1 --json") == 0
    assert set(last_json(capsys)) >= {"skill", "heads"}
    assert "room" in Library(Path("skills")).names()
