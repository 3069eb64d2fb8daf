"""TOML files that may come from anybody: read within bounds, or refused in one line, before anything looks at what they say."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

from envs.errors import short
from envs.task import TaskError

LARGEST = 512 << 10  # bytes of a file; the largest map takes a tenth
DEEPEST, PARTS = 16, 8  # lists and tables inside each other, and parts of a key with dots: more takes the parser very long
MOST = 2**53  # a number, so that it is the same in every language that reads it
# Texts and comments, in which dots and brackets are no key's and no list's. What is not ended ends with the file or line, so that
# nothing is looked at twice.
_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?'
    r"|'''(?:[^']|'(?!''))*+(?:''')?"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{PARTS}}}")


def read_toml(path: Path) -> dict[str, Any]:
    """The document of a file; raises :class:`TaskError` in one line."""
    try:
        return parse_toml(read_text(path))
    except TaskError as error:
        raise TaskError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error


def read_text(path: Path) -> str:
    """A file's text; a byte order mark, as some editors write, is no part of it. Raises :class:`TaskError` in one line."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # asked before it is opened: to open a device may do something
            raise TaskError(f"{path}: cannot be read: it is no regular file")
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as opened:
            data = opened.read(LARGEST + 1) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else b""
        if len(data) > LARGEST:
            raise TaskError(f"{path}: cannot be read: it is larger than {LARGEST:,} bytes")
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error


def parse_toml(text: str) -> dict[str, Any]:
    """The document of a text; raises :class:`TaskError` in one line."""
    if len(text) > LARGEST:
        raise TaskError(f"is longer than {LARGEST:,} letters")
    left = _TEXT.sub("x", text)
    if _DOTTED.search(left):
        raise TaskError(f"has a key of more than {PARTS} parts")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", left):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise TaskError("is nested too deep")
    try:
        doc = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also for a number of thousands of digits
        raise TaskError(short(str(error), 200)) from error
    check_values(doc)
    return doc


def check_values(value: Any, depth: int = 0) -> None:
    """Raises :class:`TaskError` unless all of a document is text, numbers that are not too large, true, false, lists and tables."""
    if depth > DEEPEST:
        raise TaskError("is nested too deep")
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            check_values(part, depth + 1)
    elif not isinstance(value, (str, int, float)):
        raise TaskError(f"{short(str(value))}: is neither text nor a number")
    elif isinstance(value, int) and abs(value) > MOST:
        raise TaskError(f"has a number that is too large (of {value.bit_length()} bits)")
    elif isinstance(value, float) and MOST < abs(value) < inf:  # of others that are not finite the key is told where it is read
        raise TaskError(f"has a number that is too large ({value:g})")


def toml_text(doc: Mapping[str, Any]) -> str:
    """A document as the text of a file that :func:`parse_toml` reads again."""
    return "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in doc.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        # TOML's basic strings are JSON's but for DEL, which must not stand for itself, and halves of surrogate pairs.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
