"""Ways to break a document or its bytes."""

from __future__ import annotations

import copy
import json
import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import places


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


# What no format expects somewhere or other.
NASTY: list[Any] = [
    None, True, False, "", "x", "x" * 5000, "\x1b[31mred", "two\nlines", "nul\x00", "../../outside/canary", "/dev/zero", "[bold]",
    "*", ".", "$x$", "\u202e", "\udcff", -1, 0, 1, 2, 2**31, 2**62,
    2**63, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308, math.nan, math.inf,
    -math.inf, [], {}, [[]], [None], {"": 1}, {"x": {}}, [1] * 300, ["x"] * 300, nested(40), [math.nan], list(range(20)),
]  # fmt: skip


# What every parser lets through.
SUBTLE: list[Any] = [one for one in NASTY if one == one and one not in (math.inf, -math.inf, "\udcff", 10**30, 10**400)]


def change_document(document: Any, rng: random.Random, times: int = 1) -> Any:
    """A copy with one value or several replaced, dropped, added, swapped or moved."""
    document = copy.deepcopy(document)
    for _ in range(times):
        ways = list(places(document))
        if not ways:
            break
        *path, key = rng.choice(ways)
        part = document
        for step in path:
            part = part[step]
        _change(part, key, rng, document, ways)
    return document


def _change(part: Any, key: Any, rng: random.Random, document: Any, ways: list[Any]) -> None:
    how = rng.randrange(8)
    value = part[key]
    if how == 0:
        del part[key]
    elif how == 1 and isinstance(part, dict):
        part[rng.choice(["odd", "", "\x1b[2J", "a.b", "__class__", "x" * 3000, key * 2 if isinstance(key, str) else "2"])] = value
    elif how == 2 and type(value) in (int, float):
        part[key] = rng.choice([-value, value + 0.5, value * 2**40, value + 1, str(value), [value]])
    elif how == 3:
        other: Any = document
        for step in rng.choice(ways):
            other = other[step]
        part[key] = copy.deepcopy(other)
    elif how == 4 and isinstance(value, str):
        part[key] = rng.choice([value.upper(), value + "\x07", value * 50, value[:-1], value[::-1], list(value)])
    elif how == 5 and isinstance(value, list):
        part[key] = rng.choice([value * 3, value[:-1], value[::-1], [*value, None], dict(enumerate(map(str, range(3))))])
    else:
        part[key] = copy.deepcopy(rng.choice(NASTY if rng.random() < 0.3 else SUBTLE))


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, flipped, doubled, nested or replaced."""
    at = rng.randrange(len(data) + 1)
    flipped = bytearray(data)
    for _ in range(rng.choice([1, 1, 8, 64])):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    ways: list[Callable[[], bytes]] = [
        lambda: data[:at],
        lambda: data[at:],
        lambda: bytes(flipped),
        lambda: bytes(flipped),
        lambda: data + data,
        lambda: data[:at] + rng.randbytes(16) + data[at:],
        lambda: b"",
        lambda: b"[" * 200_000,
        lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        lambda: b"\xff\xfe" + data,
        lambda: data + b"\0" * 100,
        lambda: b"9" * 100_000,
        lambda: b"[" + b"[]," * 2_000_000 + b"[]]",
    ]
    return rng.choice(ways)()


def replace_file(file: Path, rng: random.Random, outside: Path) -> None:
    """Something that is no file stands where one should, or a link to another."""
    how = rng.randrange(6)
    file.unlink()
    if how == 0:
        os.mkfifo(file)
    elif how == 1:
        file.mkdir()
    elif how == 2:
        file.symlink_to("/dev/zero")
    elif how == 3:
        file.symlink_to(outside / "canary")
    elif how == 4:
        file.symlink_to(file.name)  # to itself
    else:
        with file.open("wb") as opened:
            opened.truncate(1 << 40)


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def as_toml(document: Any) -> bytes:
    """A document whose root is a table, each of its keys on a line."""
    if not isinstance(document, dict):
        return str(document).encode(errors="replace")
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in document.items()).encode(errors="surrogatepass")


def _key(key: object) -> str:
    return json.dumps(str(key), ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "1979-05-27"  # what JSON lacks
    return _key(value) if isinstance(value, str) else repr(value)
