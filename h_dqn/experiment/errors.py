"""Errors for people: each says in one line what was wrong, where, and what to do."""

from __future__ import annotations

from envs.errors import OneLineError
from h_dqn.checkpoint import CheckpointError
from h_dqn.files import Locked
from h_dqn.settings import ConfigError
from h_dqn.train import Diverged
from skills_library.policy import SkillError


class UserError(Exception):
    """Something the user can mend."""


# These say themselves what is wrong.
FOR_PEOPLE = (UserError, OneLineError, CheckpointError, ConfigError, Diverged, Locked, SkillError)


def out_of_memory(error: Exception) -> bool:
    """Whether this is Python's, NumPy's or torch's way to say so; torch has no class for it on a CPU."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)
