"""Errors for people: each says in one line what was wrong, where, and what to do."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from envs.errors import OneLineError
from h_dqn.files import Locked
from h_dqn.reading import Unreadable
from h_dqn.settings import ConfigError
from skills_library.manifest import SkillError

if TYPE_CHECKING:
    FOR_PEOPLE: tuple[type[Exception], ...]

DISK = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


class UserError(Exception):
    """Something the user can mend."""


_QUICK = (UserError, OneLineError, ConfigError, Locked, SkillError, Unreadable)


def __getattr__(name: str) -> Any:
    """``FOR_PEOPLE``: errors that say themselves what is wrong. Some come with torch, so that they are imported when asked for."""
    if name != "FOR_PEOPLE":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from h_dqn.state import CheckpointError
    from h_dqn.train import Diverged

    return (*_QUICK, CheckpointError, Diverged)


def explanation(error: Exception) -> str | None:
    """What went wrong in one line, where a person can mend it; None for a mistake of this program's own."""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in DISK):
        return f"{error.filename or 'the disk'}: {error.strerror}"
    if out_of_memory(error):
        return f"not enough memory ({str(error)[:200]}); try fewer --num-envs, or a smaller --size or --capacity"
    if not isinstance(error, _QUICK) and not isinstance(error, __getattr__("FOR_PEOPLE")):
        return None
    return " ".join(str(error).split())


def out_of_memory(error: Exception) -> bool:
    """Whether this is Python's, NumPy's or torch's way to say so; torch has no class for it on a CPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "out of memory" in str(error))
    )
