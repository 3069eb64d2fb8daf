"""What the command line prints: tables, results, progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track
from rich.table import Table

from h_dqn.experiment.watch import Moment, Watcher

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
EVERY_S = 10  # seconds between two lines of progress where there is no terminal


def emit(result: dict[str, Any], as_json: bool) -> None:
    """The result for people, or as one JSON object on the last line of standard output."""
    if as_json:
        print(json.dumps(result))
        return
    table = Table(show_header=False)
    for key, value in result.items():
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    out.print(table)


def hint(text: str) -> None:
    """What to type next, on standard error: never part of a result."""
    print(text, file=sys.stderr)


def tracked(rounds: Iterator[Any], total: int) -> Iterable[Any]:
    """The same rounds, with a bar that shows how many are done."""
    return track(rounds, "distilling", total=total, console=err, disable=not err.is_terminal)


class ProgressBar(Watcher):
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[speed]:,.0f}/s  success {task.fields[success]}  left"),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._lines: dict[str, Any] = {}
        self._told = time.perf_counter()

    def progress(self, moment: Moment) -> None:
        shown = min(moment.total, moment.env_steps)
        if moment.what not in self._lines:
            fields = {"speed": 0.0, "success": "-"}
            self._lines[moment.what] = self._bar.add_task(moment.what, total=moment.total, completed=shown, **fields)  # type: ignore[arg-type]
        line, now = self._lines[moment.what], time.perf_counter()
        success = "-" if moment.success is None else f"{moment.success:.0%}"
        self._bar.update(line, completed=shown, speed=moment.steps_per_second, success=success)
        if not err.is_terminal and now - self._told > EVERY_S:
            self._told = now
            print(f"{moment.what}: {moment.env_steps:,} of {moment.total:,} steps, {moment.steps_per_second:,.0f}/s, success "
                  f"{success}", file=sys.stderr, flush=True)  # fmt: skip

    def evaluated(self, episodes: int) -> None:
        if time.perf_counter() - self._told > EVERY_S:
            self._told = time.perf_counter()
            self.say(f"evaluating: {episodes} episodes are over")

    def say(self, text: str) -> None:
        err.print(text, markup=False, soft_wrap=True)

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[ProgressBar]:
        """One that is on the screen within this."""
        bar = cls()
        with bar._bar:
            yield bar
