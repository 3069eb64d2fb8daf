"""The README says what was measured: its tables are those that the committed result files give."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from h_dqn.options import primitives
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer
from tests.conftest import Corridor

ROOT = Path(__file__).parents[1]


def tables() -> object:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_result_files() -> None:
    text = (ROOT / "README.md").read_text()
    assert tables().render(text) == text  # type: ignore[attr-defined]


def test_a_changed_figure_would_show() -> None:
    text = (ROOT / "README.md").read_text()
    assert tables().render(text.replace("%", "%%")) != text.replace("%", "%%")  # type: ignore[attr-defined]


def test_every_logged_metric_is_explained(tmp_path: Path) -> None:
    config = replace(PRESETS["smoke"], stack=1, eliminate=True, tune_discount=True, tune_trace=True)
    trainer = Trainer(lambda n: Corridor(n, size=32), primitives(["left", "right"]), config, 1)
    logged = {name.split("/")[0] for row in trainer.run() for name in {**row, **trainer.tally.row()}}
    rows = (ROOT / "h_dqn" / "README.md").read_text().split("## What a run logs")[1].splitlines()
    assert {row.split("`")[1].split("/")[0] for row in rows if row.startswith("| `")} == logged


@pytest.mark.parametrize("row", [row for row in (ROOT / "h_dqn" / "README.md").read_text().splitlines() if row.endswith("` |")])
def test_every_equation_has_its_function(row: str) -> None:
    module, *names = row.split("`")[-2].split(".")
    found: object = importlib.import_module(f"h_dqn.{module}")
    for name in names:
        found = getattr(found, name)


def test_interval_by_hand() -> None:
    # Values 1..5: standard deviation sqrt(2.5), t = 2.776, so half the interval is 2.776 * sqrt(2.5 / 5).
    assert tables().mean_ci([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3.0, 1.9629), abs=1e-4)  # type: ignore[attr-defined]
