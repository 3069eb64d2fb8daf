"""Lines of ``h-dqn`` that people can copy into a shell, whatever names and paths are among them."""

from __future__ import annotations

import shlex


def shell(*parts: object) -> str:
    """Words that can be copied into a shell."""
    return shlex.join(map(str, parts))


def command(*parts: object) -> str:
    """A line of ``h-dqn`` that can be copied into a shell."""
    return f"h-dqn {shell(*parts)}"


def path_word(path: object) -> str:
    """A path as a word of a command; one that begins with a dash would be taken for a flag."""
    return f"./{path}" if str(path).startswith("-") else str(path)
