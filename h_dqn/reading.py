"""Files that may come from anybody: read within bounds, or refused. The limits of each format stand beside its reader."""

from __future__ import annotations

import json
import os
import stat
from math import isfinite
from pathlib import Path
from typing import Any

DEEPEST = 32  # lists and objects inside each other
LARGEST = 2**63 - 1  # whole number
DIGITS = 40  # of a whole number in a state: those of random generators have 39


class Unreadable(ValueError):
    """A file, or what it says, is refused; the message goes on from the file's name."""


def read_bytes(file: Path, most: int) -> bytes:
    """All of a regular file. Raises OSError, or :class:`Unreadable` for a device, pipe or folder, or more than ``most`` bytes."""
    if not stat.S_ISREG(file.stat().st_mode):  # asked before it is opened: to open a device may do something
        raise Unreadable("is no regular file")
    with open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise Unreadable("is no regular file")
        data = opened.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"is larger than {most:,} bytes")
    return data


def read_json(file: Path, most: int) -> Any:
    """A value from a file. Raises OSError, and :class:`Unreadable` as :func:`read_bytes` and :func:`parse_json`."""
    return parse_json(read_bytes(file, most))


def parse_json(data: bytes | str, digits: int = 19) -> Any:
    """A value that is nested at most :data:`DEEPEST` deep, and holds finite numbers and whole text alone.

    ``digits``: most of a whole number; with the usual 19, it fits 64 bits. Raises :class:`Unreadable`.
    """

    def whole(text: str) -> int:
        if len(text) > digits + 1 or (digits < DIGITS and abs(int(text)) > LARGEST):
            raise Unreadable(f"has a whole number of {len(text)} digits")
        return int(text)

    def number(text: str) -> float:
        if not isfinite(value := float(text)):
            raise Unreadable("has a number that is not finite")
        return value

    try:
        text = data if isinstance(data, str) else data.decode()
        value = json.loads(text, parse_int=whole, parse_float=number, parse_constant=lambda word: number(word))
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("is nested too deep") from None
    except ValueError as error:
        raise Unreadable("is not JSON" if isinstance(error, json.JSONDecodeError) else "is not UTF-8 text") from None
    _check(value)
    return value


def _check(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise Unreadable("is nested too deep")
        below = []
        for one in level:
            if isinstance(one, dict):
                below += [*one, *one.values()]
            elif isinstance(one, list):
                below += one
            elif isinstance(one, str) and any("\ud800" <= each <= "\udfff" for each in ([] if one.isascii() else one)):
                raise Unreadable("has half a character")
        level, depth = below, depth + 1


def short(value: object, most: int = 80) -> str:
    """``value`` as a message shows it: of a long one the beginning."""
    text = str(value[: 2 * most]) if isinstance(value, str) else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
