"""What a stranger's machine, terminal and tasks ask for."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from envs import TASKS
from envs.task_file import load_task
from h_dqn.cli.terminal import plain
from skills_library.library import Library
from tests.helpers import Capture, h_dqn, last_json

ROOT = Path(__file__).parents[1]
SMOKE = "--preset smoke --episodes 4"


@pytest.fixture
def own_task(in_tmp: Path) -> Path:
    """One's own task, under the name of none that is shipped."""
    path = in_tmp / "tasks" / "mine.toml"
    path.parent.mkdir()
    path.write_text((TASKS / "navigation1.toml").read_text().replace("step_limit = 60", "step_limit = 25"))
    return path


def test_a_skill_carries_its_task(own_task: Path, capsys: Capture) -> None:
    assert h_dqn(f"train skill {own_task} {SMOKE} --json") == 0
    own_task.unlink()
    for line in ("evaluate mine --episodes 4 --json", "evaluate mine --task mine --episodes 4 --json"):
        assert h_dqn(line) == 0
        result = last_json(capsys)
        assert result["task"] == "mine"
        assert result["env_steps"] <= 4 * 25
    assert h_dqn(f"train skill break {SMOKE}") == 0
    tiny = "--env-steps 512 --num-envs 8 --memory 500 --updates 2 --episodes 4"
    assert h_dqn(f"distill --skills mine break --name both {tiny}") == 0
    assert h_dqn("evaluate both/mine --episodes 4 --json") == 0
    assert last_json(capsys)["task"] == "mine"
    assert h_dqn(f"train controller two_rooms --skills both {SMOKE} --env-steps 64 --name ctl") == 0
    assert h_dqn("evaluate runs/ctl --task mine two_rooms --episodes 4 --json") == 0  # its skill knows the task
    assert last_json(capsys)["tasks"]["mine"]["env_steps"] <= 4 * 25


def test_ones_own_task_is_not_taken_for_the_shipped_one_of_its_name(own_task: Path, capsys: Capture) -> None:
    own = own_task.rename(own_task.with_name("navigation1.toml"))
    assert h_dqn(f"train skill {own} {SMOKE} --name run") == 0
    assert h_dqn("evaluate runs/run --episodes 8 --json") == 0
    assert last_json(capsys)["env_steps"] <= 8 * 25
    assert h_dqn("evaluate runs/run --task navigation1 --episodes 8 --json") == 0
    assert last_json(capsys)["env_steps"] > 8 * 25


def test_two_files_of_one_name_are_two_results(own_task: Path, capsys: Capture) -> None:
    shipped = TASKS / "navigation1.toml"
    own = own_task.rename(own_task.with_name("navigation1.toml"))
    assert h_dqn(f"evaluate navigation1 --task {shipped} {own} --episodes 2 --json") == 0
    assert set(last_json(capsys)["tasks"]) == {"navigation1", str(own)}


def test_a_byte_order_mark_is_no_part_of_a_task(own_task: Path) -> None:
    own_task.write_bytes(b"\xef\xbb\xbf" + own_task.read_bytes())
    assert load_task(own_task).step_limit == 25


def test_learning_that_goes_wrong_is_said_and_kept_out(in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn(f"train skill navigation1 {SMOKE} --learning-rate 1e30 --name wrong") == 2
    assert "learning went wrong after" in capsys.readouterr().err
    assert not Library(Path("skills")).index()
    for line in Path("runs/wrong/metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"a bare {word}"))


def test_a_run_that_never_succeeds_says_so(in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn(f"train flat three_rooms {SMOKE}") == 0
    assert "it reached the goal in none of 4 episodes" in capsys.readouterr().err


def test_skills_can_be_read_by_others(in_tmp: Path) -> None:
    assert h_dqn(f"train skill navigation1 {SMOKE}") == 0
    files = list(Path("skills/navigation1").iterdir())
    assert len(files) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in files)


@pytest.mark.parametrize(("character", "ascii"), [("│", "|"), ("┏", "+"), ("─", "-"), ("é", "e"), ("±", "+-"), ("漢", "?")])
def test_what_a_terminal_lacks_is_written_in_ascii(character: str, ascii: str) -> None:
    assert plain(character) == ascii


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("line", ["--help", "train skill --help", "tasks show three_rooms --picture p.png", "skills list"])
def test_every_text_prints_in_every_encoding(line: str, encoding: str, in_tmp: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "h_dqn", *line.split()], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.decode(encoding)


def test_the_version_is_told(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        h_dqn("--version")
    assert capsys.readouterr().out.startswith("h-dqn ")


def test_a_wheel_holds_every_file_that_is_read() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    named = {
        path for package, patterns in setup["package-data"].items() for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern) if path.is_file()
    }  # fmt: skip
    tracked = subprocess.check_output(["git", "ls-files", "envs", "h_dqn", "skills_library"], cwd=ROOT, text=True).split()
    files = {ROOT / path for path in tracked}
    modules = {path for path in files if path.suffix == ".py"}
    assert {path.parent for path in modules} == {ROOT / package.replace(".", "/") for package in setup["packages"]}
    assert not {path for path in files - modules if path.name not in ("README.md", "USING.md")} - named
