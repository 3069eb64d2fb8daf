"""Where a person sees a world and presses keys: a window, or the terminal. Both show a picture with lines of text under it."""

from __future__ import annotations

import os
import select
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from h_dqn.experiment.errors import UserError

END = ""  # the key that is read where there will be no more
ENTER, BACK, ESCAPE, TAB = "\r", "\b", "\x1b", "\t"
_SAME = {"\n": ENTER, "\x7f": BACK}
SHADES = " .:-=+*#%@"  # for a terminal without colours, from dark to bright
LINE = 18  # pixels of a line of text in a window
Picture = NDArray[np.uint8]


class Screen(Protocol):
    """Shows and reads."""

    side: int
    """height and width of the pictures that it shows best, in pixels"""

    def show(self, picture: Picture, lines: Sequence[str]) -> None:
        """Show ``picture`` (H, W, 3) RGB, and under it these lines, of which none is cut off."""

    def key(self) -> str:
        """Wait for a key: its character, or one of ENTER, BACK, ESCAPE, TAB and END."""


class Window:
    """A window of OpenCV. Where its display is dead it would end the process: ask :func:`envs.display.window_lacks` first."""

    side = 480

    def __init__(self, title: str) -> None:
        self._title = "".join(one if one.isprintable() else "?" for one in title)

    def show(self, picture: Picture, lines: Sequence[str]) -> None:
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.45
        most = picture.shape[1] // 8  # letters of a line
        rows = [part for line in lines for part in textwrap.wrap(line, most) or [""]]
        bar = np.zeros((LINE * (len(rows) + 1), picture.shape[1], 3), np.uint8)
        for number, row in enumerate(rows, 1):
            cv2.putText(bar, row, (8, LINE * number), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
        cv2.imshow(self._title, np.vstack([picture[..., ::-1], bar]))

    def key(self) -> str:
        while (code := cv2.waitKey(50)) < 0:
            if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
                return END
        return _SAME.get(chr(code & 255), chr(code & 255))


class Terminal:
    """Pictures out of half blocks in 24-bit colour, two pixels a character; out of letters where there is no colour."""

    side = 84

    def __init__(self, file_number: int) -> None:
        self._file, self._waiting = file_number, b""
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        self._colour = not os.environ.get("NO_COLOR") and "▀".encode(encoding, "ignore").decode(encoding) == "▀"

    def show(self, picture: Picture, lines: Sequence[str]) -> None:
        columns, height = shutil.get_terminal_size()
        text = [part for line in lines for part in textwrap.wrap(line, max(1, columns - 1)) or [""]]
        side = max(0, min(columns, 2 * (height - len(text) - 1))) // 2 * 2
        rows = self._rows(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)) if side >= 8 else []
        sys.stdout.write("\x1b[H\x1b[J" + "\r\n".join([*rows, *text]))
        sys.stdout.flush()

    def _rows(self, picture: NDArray[np.generic]) -> list[str]:
        """A line of characters for every two rows of pixels."""
        pairs = zip(picture[::2].tolist(), picture[1::2].tolist(), strict=True)
        if self._colour:
            return ["".join(f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m▀" for a, b in zip(*pair, strict=True))
                    + "\x1b[0m" for pair in pairs]  # fmt: skip
        bright = len(SHADES) / (6 * 256)
        return ["".join(SHADES[int(bright * (sum(a) + sum(b)))] for a, b in zip(*pair, strict=True)) for pair in pairs]

    def key(self) -> str:
        """Keys that send several characters, such as arrows, are passed over."""
        while True:
            if not self._waiting and not (read := self._read()):
                return END
            if not self._waiting:
                self._waiting = read
            if self._waiting[:1] == b"\x1b" and len(self._waiting) > 1:
                self._waiting = b""
                continue
            key, self._waiting = self._waiting[:1].decode("ascii", "ignore"), self._waiting[1:]
            if key in ("\x03", "\x04"):
                return END
            if key:
                return _SAME.get(key, key)

    def _read(self) -> bytes:
        while not select.select([self._file], [], [], 0.5)[0]:  # so that Ctrl-C is seen
            pass
        return os.read(self._file, 64)


@contextmanager
def window(title: str) -> Iterator[Screen]:
    """A window that is closed at the end."""
    screen = Window(title)
    try:
        cv2.namedWindow(screen._title)
    except cv2.error as error:
        raise UserError("no window can be opened; play in the terminal with --terminal") from error
    try:
        yield screen
    finally:
        cv2.destroyAllWindows()


@contextmanager
def terminal() -> Iterator[Screen]:
    """The terminal, as it was before at the end. Raises :class:`UserError` where there is none that could show a picture."""
    try:
        import termios
        import tty
    except ImportError as error:
        raise UserError("play reads keys from a terminal on Unix only; elsewhere it needs a display") from error
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise UserError("play needs a display, or a terminal to draw in and to read keys from")
    number = sys.stdin.fileno()
    saved = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        sys.stdout.write("\x1b[?1049h\x1b[?25l")  # a page of its own, so that nothing of before is wiped, and no cursor
        yield Terminal(number)
    finally:
        sys.stdout.write("\x1b[0m\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(number, termios.TCSADRAIN, saved)
