"""Does a skill help elsewhere? Planted skills, worked numbers, and work that is stopped, killed, or shared out to processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import h_dqn
from envs.task_file import load_task
from h_dqn.experiment.agent import AGENT, SKILLS, Agent, agent_of
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.place import VOXEL
from h_dqn.experiment.runs import resume
from h_dqn.experiment.transfer import matrix, steps_saved
from h_dqn.experiment.transfer.matrix import Cell, Key
from h_dqn.experiment.transfer.plan import Inputs, TransferPlan
from h_dqn.experiment.transfer.reuse import reuse
from h_dqn.experiment.transfer.steps_saved import Training, harmful, saved
from h_dqn.experiment.transfer.summary import differences, helps, never
from h_dqn.experiment.watch import Moment, Watcher
from h_dqn.statistics import wilson
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, save_policy
from skills_library.skill import Skill
from tests.helpers import ACTIONS, ROOM, Capture, last_json, planted, refused, toml_of
from tests.helpers import h_dqn as command

CROSS = "#######\n###e###\n###.###\n#e.s.e#\n###.###\n###e###\n#######"  # who always goes forward arrives
SKILLS_OF_IT, TASKS_OF_IT = ["breaker", "corridor", "cross"], ["cross.toml", "corridor.toml", "steps.toml"]
CORRIDOR = "#" * 17 + "\n#e......s......e#\n" + "#" * 17  # the same half of the time


def write_task(name: str, rows: str, limit: int, before: str = "") -> str:
    legend = {**ROOM["legend"], "s": {"floor": "plaster"}}
    text = f'start = "s"\n{before}' + toml_of({**ROOM, "step_limit": limit, "map": rows, "legend": legend})
    Path(f"{name}.toml").write_text(text)
    return text


def add_skill(library: Library, name: str, prefer: int, actions: tuple[str, ...], text: str) -> None:
    """A planted skill, as if it had been trained on the task of its name."""
    skill = planted(name, prefer, actions)
    card = {"task": {"name": name, "text": text}, "measured": {}}
    library.add(replace(skill.policy, heads=(replace(skill.head, card=card),)))


@pytest.fixture
def planted_library(in_tmp: Path) -> Library:
    """A skill that solves its task, the cross, and half of the corridor; one that does nothing; one whose actions no task has."""
    library = Library(Path("skills"))
    cross, corridor = write_task("cross", CROSS, 4), write_task("corridor", CORRIDOR, 16)
    add_skill(library, "cross", 0, ACTIONS, cross)
    add_skill(library, "corridor", 1, ACTIONS, corridor)
    write_task("steps", CROSS, 4, 'actions = ["forward", "turn_left"]\n')
    add_skill(library, "breaker", 0, ("break", "place"), cross.replace("step_limit = 4", "step_limit = 5"))
    return library


def measured(**how: Any) -> dict[str, Any]:
    found: dict[str, Any] = h_dqn.transfer(**{"skills": SKILLS_OF_IT, "tasks": TASKS_OF_IT, "episodes": 40, **how})
    return found


def test_a_perfect_skill_a_useless_one_and_one_that_cannot(planted_library: Library) -> None:
    result = measured()
    rows = result["success"]["voxel"]["skills"]
    assert rows["cross"]["cross"]["success_rate"] == rows["cross"]["steps"]["success_rate"] == 1.0
    assert rows["cross"]["steps"]["masked"] == ["turn_right"]
    assert 0.2 < rows["cross"]["corridor"]["success_rate"] < 0.8
    assert {task: cell["successes"] for task, cell in rows["corridor"].items()} == {"cross": 0, "corridor": 0, "steps": 0}
    assert rows["corridor"]["cross"]["ci95"] == list(wilson(0, 40))
    assert rows["breaker"]["steps"] == {"cannot": "'breaker' has no action that task 'steps' allows (its own: break, place)"}
    assert "success_rate" in rows["breaker"]["cross"]  # which has them, for nothing
    assert result["skills"] == {"breaker": {"own": None}, "corridor": {"own": "corridor"}, "cross": {"own": "cross"}}
    assert result["helps"]["cross"]["zero_shot"] == ["corridor", "steps"]
    assert result["never"] == ["breaker", "corridor"]
    assert json.loads(Path(result["run"], "transfer.json").read_text()) == result
    assert Path(result["run"], "transfer.png").stat().st_size > 10_000


def test_a_cell_is_what_evaluate_says(planted_library: Library) -> None:
    row = measured(skills=["cross"], seed=7)["success"]["voxel"]["skills"]["cross"]
    for task, cell in row.items():
        outcome = h_dqn.evaluate("cross", f"{task}.toml", episodes=40, seed=7)
        assert (cell["success_rate"], cell["env_steps"]) == (outcome.success_rate, outcome.env_steps)


class Stops(Watcher):
    """Stops the work after so many cells."""

    def __init__(self, cells: int) -> None:
        self.left, self.lines = cells, list[str]()

    def progress(self, moment: Moment) -> None:
        assert (moment.what, moment.unit, moment.total) == ("transfer", "episodes", 12 * 40)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_what_was_stopped_goes_on_cell_by_cell(planted_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, told = measured(), Stops(5)
    with pytest.raises(KeyboardInterrupt):
        measured(watcher=told)
    assert told.lines[-1] == "it goes on with: h-dqn resume runs/transfer-2"
    cells = Path("runs/transfer-2/cells.json")
    assert len(json.loads(cells.read_text())) == 5
    played, real = list[Key](), matrix.play_cell

    def play(inputs: Inputs, key: Key, *rest: Any) -> Cell:
        played.append(key)
        return real(inputs, key, *rest)

    monkeypatch.setattr(matrix, "play_cell", play)
    planted_library.remove("cross")  # it has its own
    Path("cross.toml").unlink()
    kept = cells.read_text()
    for damaged in (kept[:-9], kept.replace('"successes": ', '"successes": -', 1), kept.replace("env_steps", "steps"), "3"):
        cells.write_text(damaged)
        with pytest.raises(UserError, match=r"cells\.json: .* remove it"):
            resume(Path("runs/transfer-2")).learn()
    assert not played
    cells.write_text(kept)
    result = resume(Path("runs/transfer-2")).learn()
    assert len(played) == 7
    assert {**result, "run": ""} == {**whole, "run": ""}
    with pytest.raises(UserError, match="is over"):
        resume(Path("runs/transfer-2")).learn()


def test_several_processes_find_the_same_also_after_a_kill_and_nobody_is_left(planted_library: Library) -> None:
    whole = measured(episodes=60)
    line = ["--skills", *SKILLS_OF_IT, "--tasks", *TASKS_OF_IT, "--episodes", "60", "--jobs", "2", "--name", "killed"]
    environ = {**os.environ, "PYTHONPATH": str(Path(h_dqn.__file__).parents[1])}
    work = subprocess.Popen([sys.executable, "-m", "h_dqn", "transfer", *line], env=environ, stderr=subprocess.DEVNULL)
    while not Path("runs/killed/cells.json").exists():
        assert work.poll() is None
        time.sleep(0.02)
    children = [int(one) for one in Path(f"/proc/{work.pid}/task/{work.pid}/children").read_text().split()]
    work.send_signal(signal.SIGKILL)
    work.wait()
    assert len(children) >= 2
    until = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < until, "a process plays on for nobody"
        time.sleep(0.05)
    result = resume(Path("runs/killed")).learn()
    assert {**result, "run": ""} == {**whole, "run": ""}


# --- what a start saves ---


def test_steps_saved_are_medians_with_bounds() -> None:
    assert saved([60_000], [147_000], 300_000) == {
        "with_skill": 60_000, "scratch": 147_000, "saved": pytest.approx(0.592, abs=1e-3), "ratio": 2.45, "bound": "="
    }  # fmt: skip
    three = saved([None, 50, 40], [100, 90, None], 200)  # medians 50 and 100, whatever the slowest would have taken
    assert (three["with_skill"], three["scratch"], three["saved"], three["ratio"], three["bound"]) == (50, 100, 0.5, 2.0, "=")
    least = saved([50], [None], 200)
    assert (least["scratch"], least["saved"], least["ratio"], least["bound"]) == (None, 0.75, 4.0, ">")
    most = saved([None], [50], 200)
    assert (most["with_skill"], most["saved"], most["ratio"], most["bound"]) == (None, -3.0, 0.25, "<")
    neither = saved([None], [None], 200)
    assert (neither["saved"], neither["ratio"]) == (None, None)
    assert saved([50, None], [100, 100], 200)["with_skill"] is None  # of two runs one did not get there


def test_harm_begins_at_five_percent() -> None:
    rows = [{"skill": name, "task": "t", **saved([steps], [1000], 9000)} for name, steps in (("a", 1040), ("b", 1060), ("c", 900))]
    assert harmful([*rows, {"skill": "d", "task": "t", "cannot": "why"}]) == [("b", "t")]


def test_who_solves_it_already_is_begun_from_and_trials_are_counted(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A perfect skill is there at the first validation; of a useless one only layers are taken over."""
    monkeypatch.setattr(steps_saved, "EVERY", 512)
    write_task("cross", CROSS, 2)
    agents = {name: agent_of(planted(name, prefer, size=24)) for name, prefer in (("ahead", 0), ("turns", 1))}
    inputs = Inputs(agents, {"cross": load_task("cross.toml")})
    Path("run/tasks").mkdir(parents=True)
    Path("cross.toml").rename("run/tasks/cross.toml")
    how = h_dqn.TrainingPlan("small", env_steps=2048, seeds=1, trials=0.1)
    ahead, turns = Training(Path("run"), inputs, how, VOXEL, Watcher()).measure([("ahead", "cross"), ("turns", "cross")])
    assert (ahead["starts"], turns["starts"]) == (["ahead"], ["layers"])
    assert ahead["by_seed"]["scratch"] == turns["by_seed"]["scratch"] == [ahead["scratch"]]
    tried = ahead["trial_steps"][0]
    assert 2 * 6 <= tried <= 0.1 * 2048
    assert ahead["with_skill"] == 512 + tried
    assert turns["trial_steps"][0] <= 2 * 6 * 2  # it never succeeds, and does not play on
    assert ahead["saved"] > 0 or ahead["scratch"] == 512


def test_training_from_a_skill_and_from_chance(in_tmp: Path, capsys: Capture) -> None:
    """A preset that learns nothing, in rooms that chance solves: who begins how, what is counted, and what goes on."""
    for name in ("one", "two"):
        Path(f"{name}.toml").write_text(toml_of({**ROOM, "step_limit": 8 if name == "one" else 10}))
    for name in ("one", "two"):
        assert command(f"train skill {name}.toml --preset smoke --episodes 4 --env-steps 256") == 0
    line = "transfer --skills one two navigation1 --train --seeds 2 --preset smoke --env-steps 2560 --episodes 8 --jobs 1"
    assert command(f"{line} --tasks two.toml --json") == 0
    result = last_json(capsys)
    rows = {(row["skill"], row["task"]): row for row in result["steps_saved"]}
    assert set(rows) == {("one", "two"), ("navigation1", "two")}
    assert rows["navigation1", "two"]["cannot"] == "'navigation1' has a network of another form than the preset 'smoke'"
    row = rows["one", "two"]
    assert len(row["starts"]) == len(row["by_seed"]["with_skill"]) == len(row["by_seed"]["scratch"]) == 2
    assert set(row["starts"]) <= {"one", "layers"}
    folders = {path.name for path in Path("runs/transfer/train/two").iterdir() if path.is_dir()}
    assert folders == {"scratch-s1", "scratch-s2", "from-one-s1", "from-one-s2"}
    for seed in (1, 2):
        run = Path(f"runs/transfer/train/two/from-one-s{seed}")
        began, reached = json.loads(Path(f"{run}.json").read_text()), json.loads((run / "result.json").read_text())
        steps = reached["env_steps_to_95"]
        assert row["by_seed"]["with_skill"][seed - 1] == (None if steps is None else steps + began["trial_steps"])
    again = dict(result)
    Path("runs/transfer/result.json").unlink()  # as if it had been killed just before the end: nothing is trained again
    before = {path: path.stat().st_mtime_ns for path in Path("runs/transfer/train").rglob("result.json")}
    assert command("resume runs/transfer --json") == 0
    assert last_json(capsys) == again
    assert {path: path.stat().st_mtime_ns for path in Path("runs/transfer/train").rglob("result.json")} == before


# --- whom controllers use ---


def controller(*skills: Skill, prefer: int) -> Agent:
    """One that always chooses the output of this number: the actions, then the skills."""
    outputs = (*ACTIONS, *(f"skill:{skill.name}" for skill in skills))
    policy = planted("ctl", prefer, outputs).policy
    return Agent(policy, policy.head, skills)


def test_reuse_is_counted_where_it_succeeds_and_masking_tells_the_worth(in_tmp: Path) -> None:
    write_task("corridor", CORRIDOR, 16)
    ahead, idle = planted("ahead", 0), planted("idle", 1)
    agent = controller(ahead, idle, prefer=3)
    envs = agent.envs("corridor.toml")
    found = reuse(agent, envs, 60, 1, Watcher())
    assert 0.2 < found["success_rate"] < 0.8
    used, unused = found["skills"]["ahead"], found["skills"]["idle"]
    assert (used["decisions"], used["frames"]) == (1.0, 1.0)
    assert used["worth"] == pytest.approx(found["success_rate"] - used["without"])
    assert used["without"] < found["success_rate"] / 2
    assert used["sure"]
    assert unused == {"decisions": 0.0, "frames": 0.0, "without": found["success_rate"], "worth": 0.0, "sure": False}


def test_controllers_are_found_and_told(planted_library: Library, capsys: Capture) -> None:
    write_task("corridor", CORRIDOR, 16)
    agent = controller(planted("cross", 0), prefer=3)
    card = {"task": {"name": "corridor", "text": Path("corridor.toml").read_text()}, "measured": {}}
    policy = replace(agent.saved, name="corridor", heads=(replace(agent.head, name="corridor", card=card),))
    save_policy(policy, Path("runs/ctl") / AGENT)
    save_policy(agent.skills[0].policy, Path("runs/ctl") / SKILLS / "cross")
    line = f"transfer --skills {' '.join(SKILLS_OF_IT)} --tasks corridor.toml cross.toml --episodes 40 --jobs 1"
    assert command(f"{line} --controllers runs/ctl --json") == 0
    result = last_json(capsys)
    assert result["reuse"]["runs/ctl"]["skills"]["cross"]["decisions"] == 1.0
    assert result["helps"]["cross"]["controllers"] == ["runs/ctl"]
    assert result["never"] == ["breaker", "corridor"]
    assert command(f"{line} --controllers runs/ctl") == 0
    said = capsys.readouterr().out
    assert "*100 [" in said
    assert "never helps, of what was looked at: breaker, corridor" in said
    assert "runs/ctl    cross" in said
    refused(capsys, f"{line} --controllers runs/none", "runs/none: no run is kept here")


def test_a_controller_that_was_trained_is_found_by_itself(in_tmp: Path, capsys: Capture) -> None:
    Path("room.toml").write_text(toml_of(ROOM))
    tiny = "--preset smoke --episodes 4 --env-steps 128"
    assert command(f"train skill room.toml {tiny}") == 0
    assert command(f"train controller room.toml --skills room {tiny} --name ctl") == 0
    assert command("transfer --skills room --episodes 10 --jobs 1 --json") == 0
    result = last_json(capsys)
    assert set(result["reuse"]["runs/ctl"]["skills"]) == {"room"}
    assert result["tasks"].keys() == {"room"}
    assert command("runs list") == 0
    assert "transfer room" in capsys.readouterr().out
    refused(capsys, "transfer --controllers runs/skill-room-s1 --skills room", "--controllers runs/skill-room-s1: has no skills")


# --- what is said of it ---


def test_where_a_skill_helps_is_what_the_rules_say(planted_library: Library) -> None:
    agents = {name: agent_of(planted(name, 0)) for name in ("near", "far", "used")}
    names = ("cross", "corridor")
    inputs = Inputs(agents, {name: load_task(f"{name}.toml") for name in names})
    rates = {None: (10, 40), "near": (15, 0), "far": (14, 44), "used": (0, 0)}
    cells = {("voxel", who, task): Cell("voxel", who, task, n, 100, 900)
             for who, counts in rates.items() for task, n in zip(names, counts, strict=True)}  # fmt: skip
    used = {"ctl": {"skills": {"multi/used": {"decisions": 0.001, "frames": 0.01}, "far": {"decisions": 0.009, "frames": 0.0}}}}
    rows = [{"skill": "far", "task": "cross", "saved": 0.0}, {"skill": "near", "task": "corridor", "saved": 0.01}]
    found = helps(cells, inputs, "voxel", rows, used)
    assert found == {
        "near": {"zero_shot": ["cross"], "steps_saved": ["corridor"], "controllers": []},
        "far": {"zero_shot": [], "steps_saved": [], "controllers": []},
        "used": {"zero_shot": [], "steps_saved": [], "controllers": ["ctl"]},
    }
    assert never(found) == ["far"]


def test_worlds_are_set_beside_each_other(planted_library: Library) -> None:
    inputs = Inputs({"walk": agent_of(planted("walk", 0))}, {"cross": load_task("cross.toml")})
    cells = {
        ("a", None, "cross"): Cell("a", None, "cross", 20, 100, 900),
        ("a", "walk", "cross"): Cell("a", "walk", "cross", 90, 100, 900),
        ("b", None, "cross"): Cell("b", None, "cross", 20, 100, 900),
        ("b", "walk", "cross"): Cell("b", "walk", "cross", 40, 100, 900),
    }
    rows = differences(cells, inputs, "b", "a")
    assert [(row["skill"], round(row["difference"], 9), row["sure"]) for row in rows] == [(None, 0.0, False), ("walk", -0.5, True)]
    cells["b", "walk", "cross"] = Cell("b", "walk", "cross", cannot="why")
    assert [row["skill"] for row in differences(cells, inputs, "b", "a")] == [None]


def test_two_tasks_of_one_name_have_names_of_their_own(planted_library: Library) -> None:
    Path("other").mkdir()
    Path("other/cross.toml").write_text(Path("cross.toml").read_text().replace("step_limit = 4", "step_limit = 1"))
    result = measured(skills=["cross"], tasks=["cross.toml", "other/cross.toml", "cross.toml"])
    assert list(result["tasks"]) == ["cross", "cross-2"]
    assert result["success"]["voxel"]["skills"]["cross"]["cross-2"]["successes"] == 0
    assert result["skills"]["cross"]["own"] == "cross"


def test_heads_are_left_out_unless_they_are_named(planted_library: Library) -> None:
    one = planted("both", 0, (*ACTIONS, *ACTIONS)).policy
    heads = tuple(
        PolicyHead(f"both/{name}", ACTIONS, 3 * n, card={"task": {"name": name}, "measured": {}}) for n, name in enumerate("xy")
    )
    planted_library.add(SavedPolicy("both", one.network, heads))
    found = set(measured(skills=[], episodes=4)["skills"])
    assert {*SKILLS_OF_IT, "navigation1"} < found  # which comes with the package, as does a network with many heads
    assert not [name for name in found if "/" in name]
    assert list(measured(skills=["both"], episodes=4)["skills"]) == ["both/x", "both/y"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--skills nobody", "unknown skill 'nobody'"),
        ("--tasks nowhere", "unknown task 'nowhere'"),
        ("--worlds moon", "unknown world 'moon'"),
        ("--worlds voxel voxel", "--worlds must name each world once"),
        ("--episodes 0", "--episodes must be from 1"),
        ("--jobs 0", "--jobs must be above 0"),
        ("--train --seeds 0", "--seeds must be above 0"),
        ("--train --preset fats", "unknown preset 'fats'"),
    ],
)
def test_mistakes_are_one_line(planted_library: Library, capsys: Capture, line: str, says: str) -> None:
    refused(capsys, f"transfer {line}", says)


def test_a_plan_comes_back_as_it_was() -> None:
    plan = TransferPlan(("a",), ("b",), ("voxel",), training=h_dqn.TrainingPlan(seeds=2), controllers=("c",))
    assert TransferPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    with pytest.raises(KeyError):
        TransferPlan.from_json({**plan.to_json(), "more": 1})
