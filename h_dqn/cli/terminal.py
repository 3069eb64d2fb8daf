"""Text that prints on any terminal: what its encoding lacks is written in ASCII instead of ending the command."""

from __future__ import annotations

import codecs
import sys
from unicodedata import normalize

_PLAIN = {"±": "+-", "…": "...", "≥": ">=", "≤": "<=", "λ": "lambda", "→": "->", "×": "x", "–": "-", "—": "-", "▀": '"'}  # noqa: RUF001
_BOXES = {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|"}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


def plain(character: str) -> str:
    """``character`` in ASCII: lines and corners of boxes as - | +, letters without their accents, else a question mark."""
    if character in _PLAIN or character in _BOXES:
        return _PLAIN.get(character) or _BOXES[character]
    if "\u2500" <= character <= "\u257f":
        return "+"
    return normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


def print_anywhere() -> None:
    """Let standard output and error write whatever their encoding lacks in ASCII."""
    codecs.register_error("in_ascii", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="in_ascii")
