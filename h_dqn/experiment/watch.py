"""What long work tells while it goes on, and how it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Moment(NamedTuple):
    """How far a run is."""

    what: str
    env_steps: int
    total: int
    steps_per_second: float
    success: float | None  # share of the newest episodes that reached the goal, exploration included; None before there are enough
    unit: str = "steps"  # of what env_steps and total count, where it is no learning


class Watcher:
    """Is told how long work goes on; this one keeps quiet."""

    def progress(self, moment: Moment) -> None:
        """After each round of learning."""

    def evaluated(self, episodes: int) -> None:
        """After each step of an evaluation, with how many episodes are over."""

    def say(self, text: str) -> None:
        """A line about what happens now."""


class Stopped(KeyboardInterrupt):
    """A signal asked to stop, for the second time where ``at_once``: then the work was left wherever it was."""

    def __init__(self, number: int, at_once: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.at_once = number, at_once


class Stop:
    """Which signal asked to stop, 0: none did."""

    number = 0

    def check(self) -> None:
        """Raises :class:`Stopped` if one did."""
        if self.number:
            raise Stopped(self.number)

    def checking(self, told: Callable[[int], None]) -> Callable[[int], None]:
        """``told``, once :meth:`check` was made: for what is long, and begun anew when the work goes on."""

        def check_and_tell(number: int) -> None:
            self.check()
            told(number)

        return check_and_tell


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Within this, Ctrl-C, SIGTERM or SIGHUP is remembered, so that work can stop where its state is whole; a second one ends it.

    A signal that was ignored before (``nohup``) stays so. Outside of the main thread Python allows no signal handlers.
    """
    stop = Stop()

    def handle(number: int, _: Any) -> None:
        if stop.number:
            raise Stopped(number, at_once=True)
        stop.number = number

    here = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)] if here else []
    before = {number: signal.signal(number, handle) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
