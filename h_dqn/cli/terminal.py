"""Standard output and error that never fail: whoever reads them may go away, the disk behind them may be full, their encoding may
lack a character, and they may not be there at all. The work goes on to its end all the same.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unicodedata import normalize

_PLAIN = {"±": "+-", "…": "...", "≥": ">=", "≤": "<=", "λ": "lambda", "→": "->", "×": "x", "–": "-", "—": "-", "▀": '"'}  # noqa: RUF001
_BOXES = {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|", "•": "*"}


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


def visible(text: str) -> str:
    """``text`` with what is no printable character (a line's end, a terminal's command, half a character) written out."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def visible_lines(text: str) -> str:
    """``text`` of several lines, each of them :func:`visible`."""
    return "\n".join(map(visible, text.split("\n")))


class Steady:
    """A stream that drops what it cannot write any more; all else is that of the stream it stands before.

    ``failure`` is why it drops, or None. That nobody reads any more (``| head``) is no failure but a wish.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream or open(os.devnull, "w")  # noqa: SIM115
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        self._do(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._do(self._stream.flush)

    def _do(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            if isinstance(error, OSError) and error.errno != errno.EPIPE:
                self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            with suppress(OSError, ValueError):  # what waits in its buffer is written at the end
                os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream = open(os.devnull, "w")  # noqa: SIM115

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printing() -> Iterator[Steady]:
    """Within this, printing raises nothing, whatever is printed; yields standard output."""
    for size in ("COLUMNS", "LINES"):
        if os.environ.get(size) == "0":  # as terminals say that do not know it
            del os.environ[size]
    for number in range(3):  # else the next file that is opened would be taken for a closed one of these
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error("in_ascii", _in_ascii)
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="in_ascii")
    out, err = map(Steady, before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
