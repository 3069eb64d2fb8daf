"""What is measured can be measured again: the rooms of the benchmark, and the command that runs the experiments of a file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import eliminated, gridworld, reproduce, rooms, tables
from benchmarks.tables import iqm_ci
from envs.oracle import Oracle
from envs.task_file import load_task, task_names
from envs.voxel.vector import VoxelVectorEnv

ROOT = Path(__file__).parents[1]
ROOMS = sorted((ROOT / "benchmarks" / "rooms").glob("*.toml"))


def test_each_task_has_rooms_that_nothing_is_trained_on() -> None:
    changes = ("size", "layout", "texture")
    assert {path.stem for path in ROOMS} == {f"{task}-{change}" for task in task_names(everywhere=True) for change in changes}


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_such_a_room_differs_from_its_task_and_can_be_solved(path: Path) -> None:
    task, trained = load_task(path), load_task(path.stem.rpartition("-")[0])
    assert (task.actions, task.goal) == (trained.actions, trained.goal)
    changed = task.textures != trained.textures if path.stem.endswith("texture") else task.rows != trained.rows
    assert changed
    envs = VoxelVectorEnv(30, task, size=8)
    assert None not in Oracle(envs.worlds).play(envs, seed=5)


@pytest.mark.parametrize("name", rooms.SKILLS)
def test_rooms_that_are_alike_are_those_of_the_task_otherwise(name: str) -> None:
    task, alike = load_task(name), load_task(ROOT / "benchmarks" / "rooms" / "alike" / f"{name}.toml")
    assert (alike.rows, alike.goal, alike.actions, alike.step_limit) == (task.rows, task.goal, task.actions, task.step_limit)
    assert task.tint > 0 == alike.tint


@pytest.mark.parametrize("name", ["paper", "ablations", "costs", "distillation", "workshop", "luanti", "preset_paper"])
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
    written = tmp_path / "benchmarks" / "results" / "tiny.json"
    for seed in ("1", "2"):  # the second run keeps what the first found
        monkeypatch.setattr(sys, "argv", ["reproduce", "tiny", "--first", seed, "--seeds", seed, "--episodes", "4"])
        reproduce.main()
    summary = json.loads(written.read_text())
    assert set(summary) == {"skills", "two_rooms", "rooms"}
    assert set(summary["rooms"]) == {"navigation1", "two_rooms"}
    arm = summary["two_rooms"]["h-drln"]
    assert arm["command"] == "h-dqn train controller two_rooms --preset smoke --skills navigation1"
    assert set(arm["per_seed"]) == {"1", "2"}
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


def test_tables_of_what_has_just_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of results is written after each command, so it may lack all the others."""
    begun = {
        "paper": {"skills": {"break": {"per_seed": {"1": 0.75}}}},
        "costs": {"three_rooms": {}},
        "workshop": {"workshop": {"with": {"runs": {"1": {"success_rate": 0.75, "env_steps_to_95": None, "env_steps": 8}}}}},
        "eliminated": {"1": {"effective": 4, "effective_eliminated": 0, "futile": 4, "futile_eliminated": 2}},
    }
    monkeypatch.setattr(tables, "figures", lambda name: begun.get(name, {}))
    assert "| break | 75.0% (one seed) |" in tables.skills()
    assert "| pickup |  |" in tables.skills()
    for table in (tables.controllers, tables.preset_paper, tables.ablations, tables.costs, tables.rooms):
        assert table().startswith("|")
    assert "| with elimination | 75.0% (75.0% to 75.0%) | 75.0% | never in 8 |" in tables.workshop()


def test_steps_of_seeds_that_never_got_there_count_to_their_end() -> None:
    def arm(*reached: int | None) -> dict[str, dict[int, dict[str, int | None]]]:
        return {"runs": {seed: {"env_steps_to_95": steps, "env_steps": 800} for seed, steps in enumerate(reached)}}

    assert tables.steps_to_95(arm(None, None)) == "never in 800"
    assert tables.steps_to_95(arm(400)) == "400 (one seed)"
    assert tables.steps_to_95(arm(400, 400)) == "400 (400 to 400)"
    assert tables.steps_to_95(arm(400, None)) == "more than 600 (400 to 800); 1 of 2 seeds never"
    assert tables.steps_to_95(arm(400, 400, 400, None)) == "400 (400 to 800); 1 of 4 seeds never"  # beyond the middle half


def test_the_middle_of_the_seeds() -> None:
    """Of 1..8, the middle half is 3..6; an outlier in the outer half changes nothing."""
    assert iqm_ci([float(n) for n in range(1, 9)])[0] == 4.5
    assert iqm_ci([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8e9])[0] == 4.5
    middle, low, high = iqm_ci([3.0, 4.0, 5.0, 4.0, 3.0, 5.0, 4.0, 4.0])
    assert 3 <= low < middle < high <= 5


def test_elimination_in_the_grid_world() -> None:
    """Never a useful move, never more tries of a useless one than the theory's bound and the steps between two fits allow."""
    found = gridworld.run(kinds=2, seed=99, eliminate=True, most=20_000)
    assert found["right_moves_eliminated"] == 0
    assert 0 < found["most_wrong_tries"] <= found["bound"] + gridworld.REFIT
    assert gridworld.run(kinds=2, seed=99, eliminate=False, most=20_000)["most_wrong_tries"] > 2 * found["most_wrong_tries"]


def test_what_is_eliminated_is_counted_against_the_truth() -> None:
    """Before anything can be known nothing is eliminated; a world offers a handful of verbs of 253 that do something."""
    found = eliminated.counts(seed=1, steps=1, every=1)
    assert found["effective"] + found["futile"] == 128 * 253
    assert 0 < found["effective"] < 20 * 128
    assert found["effective_eliminated"] == found["futile_eliminated"] == 0
