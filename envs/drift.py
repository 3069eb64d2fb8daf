"""Drift: entries of a task that go from one value to another while it is played, in pieces of which none is announced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from envs.errors import short
from envs.task import TaskError
from envs.task_parts import whole

MOST_PIECES = 1000
TEXTURES = "vary.textures."


def unroll(drift: Mapping[str, Any], change: Mapping[str, Any], env_steps: int) -> list[tuple[dict[str, Any], int]]:
    """The pieces of a phase: what is changed in each, ``change`` included, and its environment steps.

    ``drift`` names entries of the task's file, with dots between the names of tables, and for each its first and its last value:

    - a number goes there evenly; between whole numbers it stays one;
    - of a texture (``vary.textures.MATERIAL``, from a name to a name) ever more episodes have the last one;
    - anything else is the first value in the first half of the pieces, and the last value in the others.

    Raises :class:`envs.task.TaskError` for what contradicts itself, or ``change``.
    """
    pieces: Any = drift.get("pieces")
    if not whole(pieces, 2, MOST_PIECES):
        raise TaskError(f"drift.pieces: must be a whole number from 2 to {MOST_PIECES:,}, not {short(pieces)}")
    if env_steps < pieces:
        raise TaskError(f"drift.pieces: {pieces} of {env_steps} environment steps leave some without any")
    ends = {key: _ends(key, value) for key, value in drift.items() if key != "pieces"}
    if not ends:
        raise TaskError("drift: names no entry that goes from one value to another")
    _check_apart(list(ends), list(_leaves(change)))
    found = []
    for piece in range(pieces):
        values = {key: _between(key, *pair, piece, pieces) for key, pair in ends.items()}
        steps = env_steps * (piece + 1) // pieces - env_steps * piece // pieces
        found.append((_with(change, values), steps))
    return found


def _ends(key: str, value: Any) -> tuple[Any, Any]:
    """The first and the last value of an entry."""
    where = f"drift.{short(key)}"
    if not isinstance(value, list) or len(value) != 2:
        raise TaskError(f"{where}: must be [first, last], not {short(value)}")
    first, last = value
    if _number(first) != _number(last) or (not _number(first) and type(first) is not type(last)):
        raise TaskError(f"{where}: goes from {short(first)} to {short(last)}, which is of another kind")
    if first == last:
        raise TaskError(f"{where}: goes from {short(first)} to {short(last)}, and so nowhere")
    if key.startswith(TEXTURES) and not isinstance(first, str):
        raise TaskError(f"{where}: must go from the name of a material to another, not from {short(first)}")
    return first, last


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_apart(keys: list[str], changed: list[str]) -> None:
    """Raises where an entry is said twice: as a whole and in part, or by ``change`` too."""
    for number, key in enumerate(keys):
        for other in keys[:number]:
            if _overlap(key, other):
                raise TaskError(f"drift.{short(key)}: contradicts drift.{short(other)}: one is a part of the other")
        for other in changed:
            if _overlap(key, other):
                raise TaskError(f"drift.{short(key)}: contradicts change, which says '{short(other)}'")


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _leaves(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """All entries of a table, with dots between the names."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _between(key: str, first: Any, last: Any, piece: int, pieces: int) -> Any:
    if key.startswith(TEXTURES):
        return _mixture(first, last, piece, pieces)
    if not _number(first):
        return last if 2 * piece >= pieces else first
    value = first + (last - first) * piece / (pieces - 1)
    return round(value) if isinstance(first, int) and isinstance(last, int) else value


def _mixture(first: str, last: str, piece: int, pieces: int, most: int = 8) -> list[str]:
    """Texture names to draw from: of ``most``, as many are the last one as the piece's share, at the ends none or all."""
    count = round(most * piece / (pieces - 1))
    return [first] * (most - count) + [last] * count if 0 < count < most else [last if count else first]


def _with(change: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``change`` in which these entries, named with dots, have these values."""
    made = _copy(change)
    for key, value in values.items():
        *tables, name = key.split(".")
        table = made
        for each in tables:
            table = table.setdefault(each, {})
        table[name] = value
    return made


def _copy(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in table.items()}
