"""Numba, set up to compile this package's functions wherever it runs: modules take ``njit`` and ``prange`` from here.

Threads
    Numba's usual choice, GNU's OpenMP, ends every child that is forked after its threads have run once, as those of
    ``gymnasium.vector.AsyncVectorEnv`` are; and its threads spin while they wait, which takes the cores of whatever runs beside
    them. A layer that can be forked sleeps instead. ``NUMBA_THREADING_LAYER`` overrules this choice. Such a layer ends the process
    where two threads of Python call it at once, so whoever calls a parallel function holds :data:`PARALLEL`.

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

__all__ = ["PARALLEL", "config", "njit", "prange"]

config: Any = numba.config  # has no types

PARALLEL = threading.Lock()
if hasattr(os, "register_at_fork"):  # no child begins in the middle of a parallel function
    os.register_at_fork(before=PARALLEL.acquire, after_in_parent=PARALLEL.release, after_in_child=PARALLEL.release)


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
    os.environ.update(NUMBA_CACHE_DIR=folder, NUMBA_THREADING_LAYER=config.THREADING_LAYER)  # so that children find it
    config.reload_config()


if config.THREADING_LAYER == "default":
    config.THREADING_LAYER = "forksafe"
if not _can_be_kept():
    _keep_privately()
