"""What long work tells while it goes on, and how it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Moment(NamedTuple):
    """How far a run is."""

    what: str
    env_steps: int
    total: int
    steps_per_second: float
    success: float | None  # share of the newest episodes that reached the goal, exploration included; None before there are enough


class Watcher:
    """Is told how long work goes on; this one keeps quiet."""

    def progress(self, moment: Moment) -> None:
        """After each round of learning."""

    def evaluated(self, episodes: int) -> None:
        """After each step of an evaluation, with how many episodes are over."""

    def say(self, text: str) -> None:
        """A line about what happens now."""


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Within this, Ctrl-C (or SIGTERM) sets the event, so that work can stop where its state is whole; a second one ends it.

    Outside of the main thread, where Python allows no signal handlers, the event is never set.
    """
    stop = threading.Event()

    def handle(number: int, _: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)} if here else {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
