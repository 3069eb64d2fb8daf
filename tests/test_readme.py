"""The README says what was measured: its tables are those that the committed result files give."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

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


def test_interval_by_hand() -> None:
    # Values 1..5: standard deviation sqrt(2.5), t = 2.776, so half the interval is 2.776 * sqrt(2.5 / 5).
    assert tables().mean_ci([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3.0, 1.9629), abs=1e-4)  # type: ignore[attr-defined]
