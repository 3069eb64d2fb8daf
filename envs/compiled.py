"""Numba, set up to compile this package's functions wherever it runs: modules take ``njit`` and ``prange`` from here.

Threads
    They soon fall asleep while they wait: by default those of OpenMP spin for milliseconds, which takes the cores of whatever runs
    beside them (and not at all costs a run alone two fifths of its speed, as they wake up late). A child that was forked,
    as those of ``gymnasium.vector.AsyncVectorEnv`` are, must not use the threads that its parent had: Numba ends it. There the
    worlds are stepped by one thread, see :func:`alone`.

Cache
    Compiled functions are kept beside the modules or in the user's cache folder. Where neither can be written, they are kept in a
    new folder that this process alone can enter, as do its children, and that is removed at its end. (What is kept is executed
    when it is read, so that a folder which others could make first would be a hole.)
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from typing import Any

import numba
from numba import njit, prange

from envs.errors import WorldError

__all__ = ["PARALLEL", "alone", "config", "njit", "prange"]

config: Any = numba.config  # has no types

os.environ.setdefault("GOMP_SPINCOUNT", "4000")  # before anything of OpenMP is loaded
_forked = threading.Event()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked.set)
# Where there is no OpenMP, two threads of Python must not be in a parallel function at once.
PARALLEL = threading.RLock()


def alone(num_envs: int) -> bool:
    """Whether so many worlds are stepped in the calling thread: one is, as are all in a process that was forked."""
    return num_envs == 1 or _forked.is_set()


def _anything() -> None:
    """To ask Numba for a place to keep it."""


def _can_be_kept() -> bool:
    home, here = os.path.expanduser("~"), os.path.dirname(__file__)
    if not (os.path.isabs(home) or os.access(here, os.W_OK)):
        return False  # Numba would make a folder of the name ~
    try:
        njit(cache=True)(_anything)
    except RuntimeError:
        return False
    return True


def _keep_privately() -> None:
    try:
        folder = tempfile.mkdtemp(prefix="h-dqn-compiled-")
    except OSError as error:
        raise WorldError("no folder can be written to keep compiled functions in; let TMPDIR name one") from error
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # and in no child that was forked
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    os.environ["NUMBA_CACHE_DIR"] = folder  # so that children find it
    config.reload_config()


if not _can_be_kept():
    _keep_privately()
