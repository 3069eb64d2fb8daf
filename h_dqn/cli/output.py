"""What the command line prints: results, hints, progress. For people it is rounded and in words; ``--json`` has every digit."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from h_dqn.cli.terminal import visible, visible_lines
from h_dqn.experiment.watch import Moment, Watcher

if TYPE_CHECKING:
    from rich.progress import Progress

out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)
EVERY_S = 10  # seconds between two lines of progress where there is no terminal
NARROW = 40  # columns of a terminal in which no table is drawn


# --- numbers ---


def percent(share: float | None) -> str:
    """0.97432 -> "97.4 %"."""
    return "not measured" if share is None else f"{share:.1%}".replace("%", " %")


def success(result: dict[str, Any]) -> str:
    """Success and its 95 % interval, in percent: "97.4 % [95.6, 98.5]"."""
    low, high = (f"{100 * end:.1f}" for end in result["ci95"])
    return f"{percent(result['success_rate'])} [{low}, {high}]"


def seconds(value: float) -> str:
    """3725.2 -> "1 h 2 min 5 s"; below ten seconds with a decimal."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{part} {unit}" for part, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if part)


def readable(value: Any) -> str:
    """Any value of a result: numbers to three digits, nothing as "-"."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{words(key)} {readable(one)}" for key, one in value.items())
    return ", ".join(map(readable, value)) if isinstance(value, list | tuple) else visible(str(value))


def words(key: str) -> str:
    """A key of a result as people read it."""
    return visible(key).replace("_", " ")


# What evaluations and runs say, in the order in which it is shown; of each, what it is called and how it is written.
_FACTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "task": ("task", visible),
    "mean_return": ("mean return", lambda value: f"{value:.2f}"),
    "episodes": ("unseen episodes", readable),
    "env_steps": ("environment steps", readable),
    "decisions": ("decisions", readable),
    "seconds": ("time to learn", seconds),
    "seconds_to_95": ("time to 95 %", lambda value: "not reached" if value is None else seconds(value)),
    "env_steps_to_95": ("steps to 95 %", lambda value: "not reached" if value is None else readable(value)),
    "seed": ("seed", str),
    "temperature": ("temperature", readable),
    "run": ("run", visible),
}


def facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, how much) of a result: success first, then what is known of :data:`_FACTS`, then the rest."""
    rows = [("success", success(result))] if {"success_rate", "ci95"} <= set(result) else []
    rows += [(name, write(result[key])) for key, (name, write) in _FACTS.items() if key in result]
    told = {"success_rate", "ci95", *_FACTS} if rows else set()
    return rows + [(words(key), readable(value)) for key, value in result.items() if key not in told]


# --- tables and lines ---


def emit(result: dict[str, Any], as_json: bool) -> None:
    """The result for people, or as one JSON object on the last line of standard output."""
    if as_json:
        emit_json(result)
    else:
        show((), facts(result))


def show(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table, of which nothing is cut off: with lines on a terminal, one under the other where that is narrow, else plain text."""
    rows = [tuple(map(visible, row)) for row in rows]
    if out.is_terminal and out.width >= NARROW:
        table = Table(*header, show_header=bool(header))
        for _ in rows[0] if rows and not header else ():
            table.add_column()
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            table.add_row(*row)
        out.print(table)
    elif out.is_terminal:
        for row in rows:
            print("\n".join(f"{name}: {cell}" for name, cell in zip(header, row, strict=True)) if header else ": ".join(row))
    else:
        lines = [tuple(header), *rows] if header else rows
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        for row in lines:
            padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
            print("  ".join(padded).rstrip())


def emit_json(result: Any) -> None:
    """The result with every digit, as one line on standard output."""
    print(json.dumps(result))


def hint(text: str) -> None:
    """What to type next, on standard error: never part of a result."""
    print(visible_lines(text), file=sys.stderr)


# --- progress ---


def live() -> bool:
    """Whether progress can be shown as a bar that moves."""
    return err.is_terminal and not err.is_dumb_terminal


class ProgressBar(Watcher):
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}  {task.fields[speed]:,.0f}/s  success {task.fields[success]}  left", markup=False),
            TimeRemainingColumn(),
            console=err,
            disable=not live(),
        )
        self._lines: dict[str, Any] = {}
        self._told = time.perf_counter()

    def progress(self, moment: Moment) -> None:
        shown, what = min(moment.total, moment.env_steps), visible(moment.what)
        if what not in self._lines:
            fields = {"speed": 0.0, "success": "-", "unit": moment.unit}
            self._lines[what] = self._bar.add_task(what, total=moment.total, completed=shown, **fields)  # type: ignore[arg-type]
        line, now = self._lines[what], time.perf_counter()
        success = "-" if moment.success is None else f"{moment.success:.0%}"
        self._bar.update(line, completed=shown, speed=moment.steps_per_second, success=success)
        if not live() and now - self._told > EVERY_S:
            self._told = now
            done = f"{moment.env_steps:,} of {moment.total:,} {moment.unit}, {moment.steps_per_second:,.0f}/s"
            print(f"{what}: {done}, success {success}", file=sys.stderr, flush=True)

    def evaluated(self, episodes: int) -> None:
        if time.perf_counter() - self._told > EVERY_S:
            self._told = time.perf_counter()
            self.say(f"evaluating: {episodes} episodes are over")

    def say(self, text: str) -> None:
        err.print(visible_lines(text), soft_wrap=True)

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[ProgressBar]:
        """One that is on the screen within this."""
        bar = cls()
        with bar._bar:
            yield bar
