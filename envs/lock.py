"""Locks on open files, which the kernel lets go of when their process ends, however it ends."""

from __future__ import annotations

import contextlib
from typing import IO

from envs.errors import WorldError

with contextlib.suppress(ImportError):  # of Unix alone
    import fcntl


def check_system() -> None:
    """Raises :class:`WorldError` on a system that has no such locks."""
    if "fcntl" not in globals():
        raise WorldError("the worlds luanti and minerl start programs that are supervised as Linux allows; this system does not")


def lock(file: int | IO[str], wait: bool = True) -> bool:
    """Lock an open file, or its descriptor; returns whether it is ours now, which it is for sure where we ``wait``.

    Call :func:`check_system` before.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
