"""What is measured can be measured again: the rooms of the benchmark, and the command that runs the experiments of a file."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import h_dqn.cli as cli
from benchmarks import eliminated, gridworld, reproduce, rooms
from benchmarks.explained import windows_that_help
from benchmarks.tables import results
from benchmarks.tables.cells import Arm, difference, middle, rate, steps_to_95
from benchmarks.tables.explained import alarms, models, planted, subgoals
from benchmarks.tables.methods import workshop
from benchmarks.tables.paper import ablations, controllers, costs, preset_paper, skills
from benchmarks.tables.paper import rooms as rooms_table
from benchmarks.tables.speed import peers
from benchmarks.tables.summary import best_peers
from benchmarks.tables.table import Table, markdown, row
from benchmarks.tables.table import cell as shown
from envs.oracle import Oracle
from envs.task_file import load_task
from envs.voxel.vector import VoxelVectorEnv
from h_dqn import checkpoint
from h_dqn.checkpoint import Checkpoints
from h_dqn.experiment import versions

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ["paper", "ablations", "costs", "distillation", "workshop", "luanti", "preset_paper"]
ROOMS = sorted((ROOT / "benchmarks" / "rooms").glob("*.toml"))


def test_each_measured_task_has_rooms_that_nothing_is_trained_on() -> None:
    changes = ("size", "layout", "texture")
    assert {path.stem for path in ROOMS} == {f"{task}-{change}" for task in rooms.MEASURED for change in changes}


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_such_a_room_differs_from_its_task_and_can_be_solved(path: Path) -> None:
    task, trained = load_task(path), load_task(rooms.base(path.stem.rpartition("-")[0]))
    assert (task.actions, task.goal) == (trained.actions, trained.goal)
    changed = task.textures != trained.textures if path.stem.endswith("texture") else task.maps != trained.maps
    assert changed
    envs = VoxelVectorEnv(30, task, size=8)
    assert None not in Oracle(envs.worlds).play(envs, seed=5)


@pytest.mark.parametrize("name", rooms.SKILLS)
def test_rooms_that_are_alike_are_those_of_the_task_otherwise(name: str) -> None:
    task, alike = load_task(rooms.base(name)), load_task(ROOT / "benchmarks" / "rooms" / "alike" / f"{name}.toml")
    assert (alike.maps, alike.goal, alike.actions, alike.step_limit) == (task.maps, task.goal, task.actions, task.step_limit)
    assert task.tint > 0 == alike.tint


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_can_be_typed(name: str) -> None:
    """Each command with flags that none before it has is parsed as the command line would."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for cell in reproduce.cells(name, 1):
        words = cell.line.split()
        kinds.setdefault((*words[:2], *(word for word in words if word.startswith("--"))), words)
    for words in kinds.values():
        cli.parse(words)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_wait_for_others_of_their_file(name: str) -> None:
    cells = reproduce.cells(name, 1)
    assert len(cells) > 1
    assert {other for cell in cells for other in cell.after} <= {part for cell in cells for part in (cell.experiment, cell.name)}
    assert not any(cell.waits_for(replace(cell, seed=2)) or cell.waits_for(cell) for cell in cells)


def test_a_file_of_experiments_is_run_once_and_summarised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "tiny.toml").write_text(
        """
        [run]
        "two_rooms.h-drln" = "train controller two_rooms --preset smoke --skills navigation1"
        "rooms.navigation1" = "evaluate navigation1 --task navigation1 two_rooms"
        "skills.navigation1" = "train skill navigation1 --preset smoke"
        [after]
        two_rooms = ["skills"]
        "rooms.navigation1" = ["skills.navigation1"]
        """
    )
    for name, value in (("ROOT", tmp_path), ("RUNS", tmp_path / "runs" / "reproduce")):
        monkeypatch.setattr(reproduce, name, value)
    real, one_at_a_time = subprocess.run, threading.Lock()  # commands are processes; here they are threads, in which none parses

    def h_dqn(arguments: list[Any], **how: Any) -> Any:
        """Instead of the command: its flags are parsed, and what it would report is made up."""
        if Path(arguments[0]).name != "h-dqn":
            return real(arguments, **how)
        words = arguments[1:]
        with one_at_a_time:
            cli.parse(words)
        one = {"success_rate": 0.5 + int(words[words.index("--seed") + 1]) / 10, "episodes": 4, "run": "a folder"}
        several = {"tasks": dict.fromkeys(("navigation1", "two_rooms"), one)}
        reported = several if words[0] == "evaluate" else {**one, "temperature": 0.03}
        return subprocess.CompletedProcess(words, 0, json.dumps(reported))

    monkeypatch.setattr(subprocess, "run", h_dqn)
    written = tmp_path / "benchmarks" / "results" / "tiny.json"
    for seed in ("1", "2"):  # the second run keeps what the first found
        monkeypatch.setattr(sys, "argv", ["reproduce", "tiny", "--first", seed, "--seeds", seed, "--episodes", "4"])
        reproduce.main()
    summary = json.loads(written.read_text())
    assert set(summary) == {"skills", "two_rooms", "rooms"}
    assert set(summary["rooms"]) == {"navigation1", "two_rooms"}
    arm = summary["two_rooms"]["h-drln"]
    assert set(arm["per_seed"]) == {"1", "2"}
    measured = arm["runs"]["2"]["measured"]
    assert measured["command"] == "h-dqn train controller two_rooms --preset smoke --skills navigation1 --seed 2"
    assert (measured["seed"], measured["temperature"]) == (2, 0.03)
    assert arm["runs"]["2"].keys() == {"success_rate", "episodes", "measured"}
    assert arm["runs"]["1"]["measured"]["date"] <= measured["date"]
    assert arm["mean"] == pytest.approx(sum(arm["per_seed"].values()) / 2)
    assert 0 <= arm["ci95"][0] <= arm["mean"] <= arm["ci95"][1] <= 1
    monkeypatch.setattr(sys, "argv", ["reproduce", "tiny", "--only", "two_rooms", "--seeds", "2", "--episodes", "4"])
    reproduce.main()
    assert json.loads(written.read_text()) == summary, "the others are kept"
    monkeypatch.setattr(sys, "argv", ["reproduce", "tiny", "--only", "three_rooms"])
    with pytest.raises(SystemExit):
        reproduce.main()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("run again")

    monkeypatch.setattr(subprocess, "run", refuse)
    for cell in reproduce.cells("tiny", 1):
        cell.run(4)
        assert replace(cell, command=f"{cell.command} --stack 3").result is None  # another command is another experiment
    skills = next(cell for cell in reproduce.cells("tiny", 1) if cell.experiment == "skills")
    (skills.folder / "reported.json").write_text(json.dumps({**skills.reported, "when": time.time()}))
    for cell in reproduce.cells("tiny", 1):
        if cell.waits_for(skills):
            with pytest.raises(AssertionError, match="run again"):
                cell.run(4, [skills])


class Killed(BaseException):
    """Instead of SIGKILL, of a command that runs in this process."""


def test_a_run_of_a_table_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its checkpoint, if the same command began it; a run that was over, but not reported, is not run again."""
    cell = reproduce.Cell("skills", "navigation1", "train skill navigation1 --preset smoke --env-steps 96", 1, runs=tmp_path)
    typed: list[list[str]] = []
    save, kills = Checkpoints.save, [2]
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(reproduce, "revision", lambda: "abc")

    def save_and_die(*arguments: Any) -> None:
        save(*arguments)
        kills[0] -= 1
        if not kills[0]:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", save_and_die)

    real = subprocess.run

    def h_dqn(arguments: list[str], **how: Any) -> Any:
        if Path(arguments[0]).name != "h-dqn":
            return real(arguments, **how)
        typed.append(arguments[1:])
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert cli.run(arguments[1:]) == 0
        return subprocess.CompletedProcess(arguments, 0, output.getvalue())

    monkeypatch.setattr(subprocess, "run", h_dqn)
    monkeypatch.setattr(reproduce, "measured", lambda *_, **__: {})
    with pytest.raises(Killed):
        cell.run(4)
    cell.run(4)
    assert [words[0] for words in typed] == ["train", "resume"]
    went_on = cell.result
    assert went_on is not None

    whole = replace(cell, runs=tmp_path / "whole")
    whole.run(4)
    assert whole.result is not None
    for name in ("success_rate", "env_steps", "decisions", "mean_return"):
        assert went_on[name] == whole.result[name]

    begun = f"{cell.line} --episodes 4 # abc 0.0\n"
    (cell.folder / "reported.json").unlink()
    cell.begun.write_text(begun)
    cell.run(4)
    assert len(typed) == 3, "its result is there"
    (cell.folder / "reported.json").unlink()
    cell.begun.write_text(begun.replace("abc", "another revision"))
    cell.run(4)
    assert typed[3][0] == "train"


def nobodys(part: Any, path: str) -> Iterator[str]:
    """Paths of figures below ``part`` beside or above which no entry says who measured them."""
    if isinstance(part, dict) and "measured" in part:
        assert {"revision", "date", "seed", "command"} <= part["measured"].keys(), path
    elif isinstance(part, dict | list):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from nobodys(value, f"{path}.{key}")
    else:
        yield path


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_every_cell_of_every_result_file_says_who_measured_it(path: Path) -> None:
    """What is left is a summary of cells (mean, ci95, gain), a seed's rate, which its run has too, or about the machine."""
    summary = re.compile(r"\.(mean|ci95\.\d|gain|per_seed\.\d+)$|^(luanti\.version|cuda\.(device|cores|threads|torch))$")
    assert [each for each in nobodys(json.loads(path.read_text()), path.stem) if not summary.search(each)] == []


def test_a_revision_that_is_not_what_is_committed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        me = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *me, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(versions, "ROOT", tmp_path)
    assert versions.revision() == "unknown"
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    for name in ("code.py", "README.md", "benchmarks/results/a.json"):
        (tmp_path / name).write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    commit = versions.revision()
    for name in ("README.md", "benchmarks/results/a.json"):  # which are no code
        (tmp_path / name).write_text("2")
        assert versions.revision() == commit
    (tmp_path / "code.py").write_text("2")
    assert versions.revision() == f"{commit}-dirty"


def who(revision: str, date: str, **more: Any) -> dict[str, Any]:
    return {"measured": {"revision": revision, "date": date, "seed": 1, "command": "x", **more}}


def test_a_table_marks_what_is_older_or_was_evaluated_otherwise() -> None:
    new, old = who("bbb", "2026-02-02T00:00", temperature=0.03), who("aaa", "2026-01-01T00:00", revision_from="history")
    greedy = who("bbb", "2026-02-02T00:00", temperature=0.0, notes=["smaller frames"])
    rows = [
        row("first", shown("1", new), shown("2", new)),
        row("second", shown("3", old), shown("4", old), "theirs"),
        row("third", shown("5", greedy), shown("6", new)),
        row("fourth", shown("7", [new, old])),
    ]
    text = markdown(Table("`make it`", ("", "a", "b"), rows))
    assert text.startswith("`make it`: revision bbb (2026-02-02), evaluated by a softmax of temperature 0.03.\n\n|")
    for line in ("| first | 1 | 2 |", "| second <sup>a</sup> | 3 | 4 | theirs |", "| third | 5 <sup>b</sup> | 6 |"):
        assert line in text
    assert "| fourth <sup>a</sup> | 7 |" in text
    assert "<sup>a</sup> revision aaa\\* (2026-01-01)<br>\n<sup>b</sup> revision bbb (2026-02-02), evaluated greedily, sm" in text


def test_tables_of_what_has_just_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of results is written after each command, so it may lack all the others."""
    new = who("bbb", "2026-02-02T00:00")
    run = {"success_rate": 0.75, "env_steps_to_95": None, "env_steps": 8, **new}
    begun = {
        "paper": {"skills": {"break": {"per_seed": {"1": 0.75}, "runs": {"1": run}}}},
        "costs": {"three_rooms": {}},
        "workshop": {"workshop": {"with": {"runs": {"1": run}}}},
        "eliminated": {"1": {"effective": 4, "effective_eliminated": 0, "futile": 4, "futile_eliminated": 2, **new}},
    }
    monkeypatch.setattr(results, "figures", lambda name: begun.get(name, {}))
    assert "| break | 75.0% (one seed) |" in markdown(skills())
    assert "| pickup |  |" in markdown(skills())
    for table in (controllers, preset_paper, ablations, costs, rooms_table):
        assert ": not measured.\n\n|" in markdown(table())
    assert "| with elimination | 75.0% (one seed) | 75.0% | never in 8 |" in markdown(workshop())


def test_steps_of_seeds_that_never_got_there_count_to_their_end() -> None:
    def arm(*reached: int | None) -> Arm:
        return {"runs": {seed: {"env_steps_to_95": steps, "env_steps": 800} for seed, steps in enumerate(reached)}}

    assert steps_to_95(arm(None, None)) == "never in 800"
    assert steps_to_95(arm(400)) == "400 (one seed)"
    assert steps_to_95(arm(400, 400)) == "400 (400 to 400)"
    assert steps_to_95(arm(400, None)) == "more than 600 (400 to 800); 1 of 2 seeds never"
    assert steps_to_95(arm(400, 400, 400, None)) == "400 (400 to 800); 1 of 4 seeds never"  # beyond the middle half


def test_how_figures_are_written() -> None:
    """An interval of no width would say that nothing can vary; a difference is paired by seed."""
    assert rate([0.5, 0.5, 0.5]) == "50.0% on each of 3 seeds"
    assert rate([0.96, 0.98, 1.0]) == "98.0% ± 5.0% (worst 96.0%)"
    assert middle([1.0, 1.0], ".1%") == "100.0% on each of 2 seeds"
    control = {"per_seed": {"1": 0.2, "2": 0.6, "3": 0.9}}
    arm = {"per_seed": {"3": 1.0, "1": 0.3, "2": 0.7}}
    assert difference(arm, control).text == "+10.0 (+10.0 to +10.0)"
    assert difference({"per_seed": {"2": 0.5}}, control).text == "-10.0 (one seed)"


def test_elimination_in_the_grid_world() -> None:
    """Never a useful move, never more tries of a useless one than the theory's bound and the steps between two fits allow."""
    found = gridworld.run(kinds=2, seed=99, eliminate=True, most=20_000)
    assert found["right_moves_eliminated"] == 0
    assert 0 < found["most_wrong_tries"] <= found["bound"] + gridworld.REFIT
    assert gridworld.run(kinds=2, seed=99, eliminate=False, most=20_000)["most_wrong_tries"] > 2 * found["most_wrong_tries"]


def test_what_is_eliminated_is_counted_against_the_truth() -> None:
    """After a round little can be known, and nothing of use is eliminated; a handful of 253 verbs does something."""
    found = eliminated.counts(seed=1, steps=1, every=1)
    assert found["effective"] + found["futile"] == 128 * 253
    assert 0 < found["effective"] < 20 * 128
    assert found["effective_eliminated"] == 0 < found["futile_eliminated"] < found["futile"] / 10


def test_the_best_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that gets there on the most seeds, then the one that needs the least processor time; ratios are of the same seed."""

    def race(**found: tuple[bool, float]) -> dict[str, Any]:
        ours = found["ours"][1]
        rows = [
            {
                "learner": name,
                "reached": got_there,
                "env_steps": 1000 * took,
                "seconds": took,
                "processor_seconds": took,
                "times_ours": took / ours,
            }
            for name, (got_there, took) in found.items()
        ]
        return {"task": "navigation1", "rows": rows, **who("bbb", "2026-02-02T00:00")}

    races = [
        race(ours=(True, 10.0), PPO=(True, 40.0), DQN=(True, 30.0)),
        race(ours=(True, 20.0), PPO=(True, 60.0), DQN=(False, 50.0)),
        race(ours=(True, 10.0), PPO=(True, 50.0), DQN=(True, 20.0)),
    ]
    monkeypatch.setattr(results, "by_seed", lambda name: races if name == "peers" else [])
    said = markdown(peers()).splitlines()
    assert said[-3:] == [
        "| navigation1, ours | 10,000 | 10 | 10 |  |",
        "| navigation1, PPO | 50,000 | 50 | 50 | 4.0 (3.0 to 5.0) |",
        "| navigation1, DQN (never on 1 of 3 seeds) | 30,000 | 30 | 30 | more than 2.5 (2.0 to 3.0) |",
    ]
    ((_, ours, beside),) = best_peers()
    assert (ours, beside) == ("10 s", "Stable-Baselines3's PPO, the best peer: 4.0 (3.0 to 5.0) times as much")
    monkeypatch.setattr(results, "by_seed", lambda name: [])
    assert ": not measured.\n\n|" in markdown(peers())
    assert best_peers() == []


def explained() -> dict[str, Any]:
    """What is kept of an agent, as ``benchmarks/explained.py`` has it."""
    one = {"k": 6, "window": 0, "vmse": 0.1, "correlation": 0.9, "entropy": 0.5, "likelihood": -0.5}
    criteria = [
        one,
        {**one, "window": 1, "entropy": 0.4, "likelihood": -0.4},
        {**one, "k": 8},
        {**one, "k": 8, "window": 2, "entropy": 0.3},
    ]
    cues = [("the exit is gone", True, 0.9), ("memory forgotten", False, 0.2), ("texture of stone", False, 0.1)]
    match = {"found": 4, "true": 5, "precision": 0.75, "recall": 0.6, "f1": 2 / 3}
    alarm = {
        "success": 0.9,
        "area": 0.99,
        "area_clock": 1.0,
        "area_half": None,
        "difference": -0.01,
        "interval": [-0.03, 0.01],
        "of_use": False,
    }
    return {
        "chosen": one, "criteria": criteria, "stability": [0.9, 1.0], "alarm": alarm, "success": [0.9, 0.8, 1.0],
        "causes": [{"cause": name, "matters": matters, "shift": shift} for name, matters, shift in cues],
        "subgoals": {"events": [{"event": "on the exit", "moves": 2, **match}], "together": match, "every_change": match},
        **who("abc", "2026-01-01T00:00"),
    }  # fmt: skip


def test_tables_of_what_explain_finds_out(monkeypatch: pytest.MonkeyPatch) -> None:
    one = explained()
    assert windows_that_help(one["criteria"]) == (1, 2)
    mute = {**explained(), "alarm": None, "subgoals": {"events": []}}
    monkeypatch.setattr(results, "figures", lambda name: {"walk": one, "sit": mute})
    said = "\n".join(markdown(table()) for table in (models, subgoals, alarms))
    assert "| walk | 6, 0 | 0.100 | 0.900 | 1 of 2 | 0.90, 1.00 | memory forgotten 20.0%; texture of stone 10.0% | 2 |" in said
    assert "| walk: on the exit | 2 | 5 | 0.75 | 0.60 | 0.67 |\n| walk: all of these |  | 5 | 0.75 | 0.60 | 0.67 |" in said
    assert "| walk | 90.0% | 0.990 | 1.000 | no failure | -1.0 (-3.0 to +1.0), of no use |" in said
    assert "sit: " not in said
    seed = {"success": 1.0, "success_elsewhere": 0.5, "causes": one["causes"], **who("abc", "2026-01-01T00:00")}
    monkeypatch.setattr(results, "figures", lambda name: {"1": seed})
    assert "| 1 | 100.0% | 50.0% (43.1% to 56.9%) | memory forgotten, 20.0% | texture of stone, 10.0% |" in markdown(planted())
