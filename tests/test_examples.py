"""The scripts of examples/, as a person runs them, with tiny budgets; they learn nothing here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from envs.task_file import load_task

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder: Path, script: str, *arguments: str) -> str:
    """What the script prints, run in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_transfer_is_a_table(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        "evaluate_transfer.py",
        *["--skills", "navigation1", "--tasks", "navigation1", "nowhere", "pickup", "--episodes", "8"],
    ).splitlines()
    assert [line.split()[:2] for line in said] == [["navigation1", task] for task in ("navigation1", "nowhere", "pickup")]
    assert "%  (" in said[0]
    assert "unknown task 'nowhere'" in said[1]
    assert said[2].endswith("never learned pick_up")
    assert not list(tmp_path.iterdir())


def test_a_skill_is_added_distilled_and_used(tmp_path: Path) -> None:
    said = run(tmp_path, "add_a_skill.py", "--steps", "512", "--episodes", "2")
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "treasure", "both/navigation1", "both/treasure", "treasure_hunt, with both skills",
    ]  # fmt: skip
    folder = tmp_path / "treasure"
    assert {path.name for path in folder.iterdir()} == {"skills", "runs", "hunt.mp4"}
    assert {"treasure", "both"} <= {path.name for path in (folder / "skills").iterdir()}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_example_tasks_are_tasks(path: Path) -> None:
    assert load_task(path).name == path.stem
