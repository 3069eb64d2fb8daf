"""Processes that work for another one: how many threads they may use, and that they end with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process

import numba
import torch


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Within this, so many threads compute: what comes out depends on their number in its last digits."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, before[1]))
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


def end_with_parent() -> None:
    """Ends this process as soon as the one that began it is gone, however that ended; does nothing in one that nobody began.

    What it was at work on is left as after a kill.
    """
    if (parent := parent_process()) is not None:
        threading.Thread(target=_wait_for, args=(parent.sentinel,), daemon=True).start()


def _wait_for(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
