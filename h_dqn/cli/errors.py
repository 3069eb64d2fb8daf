"""Errors for people: the command line turns them into one line and exit code 2."""

from envs.errors import OneLineError
from envs.minerl.instance import MineRLError
from h_dqn.checkpoint import CheckpointError
from h_dqn.config import ConfigError
from skills_library.skill import SkillError


class UserError(Exception):
    """Something the user can mend; the message says what was wrong, where, and what to do."""


FOR_PEOPLE = (UserError, OneLineError, MineRLError, CheckpointError, ConfigError, SkillError)  # these say themselves what is wrong


def out_of_memory(error: Exception) -> bool:
    """Whether this is Python's, NumPy's or torch's way to say so; torch has no class for it on a CPU."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)
