"""The pages say what was measured and what works: tables are those of the result files, and what is shown can be typed."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import h_dqn.cli as cli
from benchmarks.tables.__main__ import TABLES, render
from h_dqn.config import change
from h_dqn.options import primitives
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer
from tests.conftest import Corridor

ROOT = Path(__file__).parents[1]
ROOMS = (".", "envs", "envs/*", "skills_library", "h_dqn", "benchmarks")
PAGES = sorted(["envs/USING.md", *(str(path.relative_to(ROOT)) for room in ROOMS for path in ROOT.glob(f"{room}/README.md"))])
# What a test machine may lack, waits for a person, or needs the pack's frames, unlike the preset smoke, is only parsed.
ONLY_PARSED = re.compile(r"minerl|luanti|docker|\bplay\b|\bdoctor\b|\bbench\b|skills (push|pull)\b|--skills multi/")


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", TABLES)
def test_the_tables_are_those_of_the_result_files(page: str) -> None:
    """Written anew over tables in which the last digit was another, they are again what is committed."""
    text = changed = (ROOT / page).read_text()
    for name in TABLES[page]:
        table = text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
        wrong = re.sub(r"\d(?!.*\d)", lambda digit: str((int(digit[0]) + 1) % 10), table, count=1, flags=re.DOTALL)
        assert wrong != table, f"no figure in the table '{name}'"
        changed = changed.replace(table, wrong)
    assert render(page, changed) == text, "run: make results"


# --- links -----------------------------------------------------------------------------------------------------------


def test_the_front_page_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if not ((ROOT / page).parent / link.partition("#")[0]).exists()]
    assert not missing


# --- what is shown ---------------------------------------------------------------------------------------------------


def fenced(page: str) -> Iterator[tuple[str, str, str]]:
    """The fenced blocks of a page: the marker in a comment on the line above, the language, and the text."""
    for match in re.finditer(r"(?:<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE):
        yield match[1] or "", match[2], match[3]


def commands(page: str) -> Iterator[tuple[list[str], bool]]:
    """Words after ``h-dqn`` of each command that a page shows, and whether it is only to be parsed."""
    for _, language, text in fenced(page):
        if language not in ("", "sh", "bash", "console", "shell"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if found := re.match(r"(h-dqn|docker compose run (--\S+ )*learner) ", line):
                yield shlex.split(line[found.end() :], comments=True), bool(ONLY_PARSED.search(line))


def small(words: list[str], explained: str) -> list[str]:
    """The same command for a test: seconds, not minutes. ``explained`` is its --help."""
    flags = {"--preset": "smoke", "--episodes": "4", "--bar": "0", "--give-up": "1", "--may-lose": "1", "--head-episodes": "4"}
    flags["--distil-steps"] = "1024"
    if "--preset" not in explained:
        flags["--env-steps"] = "512"
    kept, skip = [], False
    for word in words:
        if not (skip or word in flags or word == "--env-steps"):
            kept.append(word)
        skip = word in flags or word == "--env-steps"
    return [*kept, *(part for flag, value in flags.items() if re.search(rf"{flag}\b", explained) for part in (flag, value))]


def write_files(page: str, folder: Path) -> None:
    """Files that the reader has: ``my_*.toml`` is a task, and blocks below ``<!-- file: NAME -->`` are what the page says."""
    for name in re.findall(r"\bmy_\w+\.toml", (ROOT / page).read_text()):
        (folder / name).write_text((ROOT / "envs" / "tasks" / "navigation1.toml").read_text())
    for marker, _, text in fenced(page):
        if marker.startswith("file: "):
            (folder / marker.removeprefix("file: ")).write_text(text)


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))])
def test_every_command_that_is_shown_works(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page, in one folder, so that each finds what those before it have made."""
    monkeypatch.chdir(tmp_path)
    write_files(page, tmp_path)
    for words, only_parsed in commands(page):
        if only_parsed:
            cli.parse(words)
            continue
        with pytest.raises(SystemExit):
            cli.run([*words, "--help"])
        assert cli.run(small(words, capsys.readouterr().out)) == 0, (words, capsys.readouterr().err)


@pytest.mark.parametrize("page", [page for page in PAGES if any(marker == "python" for marker, _, _ in fenced(page))])
def test_the_python_that_is_shown_works(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(page, tmp_path)
    for marker, _, text in fenced(page):
        if marker == "python":
            text = re.sub(r'preset="\w+"', 'preset="smoke"', text)
            exec(compile(re.sub(r"episodes=\d+", "episodes=4", text), page, "exec"), {})


# --- the learner's page ----------------------------------------------------------------------------------------------


def test_every_logged_metric_is_explained(tmp_path: Path) -> None:
    config = change(PRESETS["smoke"], stack=1, eliminate=True, tune_discount=True, tune_lambda=True, tuner="update_gradient")
    trainer = Trainer(lambda n: Corridor(n, size=32), primitives(["left", "right"]), config, 1)
    logged = {name.split("/")[0] for row in trainer.run() for name in {**row, **trainer.statistics.row()}}
    rows = (ROOT / "h_dqn" / "README.md").read_text().split("## What a run logs")[1].split("\n## ")[0].splitlines()
    assert {row.split("`")[1].split("/")[0] for row in rows if row.startswith("| `")} == logged


@pytest.mark.parametrize("row", [row for row in (ROOT / "h_dqn" / "README.md").read_text().splitlines() if row.endswith("` |")])
def test_every_equation_has_its_function(row: str) -> None:
    module, *names = row.split("`")[-2].split(".")
    found: object = importlib.import_module(f"h_dqn.{module}")
    for name in names:
        found = getattr(found, name)
