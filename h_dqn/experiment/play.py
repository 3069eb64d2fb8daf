"""A person plays a task: in a window, or in the terminal where there is no display."""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.registry import WORLDS
from envs.task import TaskSpec
from envs.voxel.env import has_display
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import VOXEL, Place

KEYS = {"w": "forward", "a": "turn_left", "d": "turn_right", "b": "break", "e": "pick_up", "p": "place"}
QUIT, AGAIN = "q", "r"
Show = Callable[[NDArray[np.uint8], str], None]


def play(task: TaskSpec, seed: int = 1, terminal: bool = False, place: Place = VOXEL) -> None:
    """Let a person play ``task``.

    Args:
        task: what is played.
        seed: which episode comes first.
        terminal: play in the terminal even where there is a display.
        place: which world plays it.
    Raises :class:`UserError` where there is neither a display nor a terminal, and for tasks with more actions than keys.
    """
    if task.verbs:
        raise UserError(f"task '{task.name}' has {len(task.verbs)} verbs, and there is no key for them")
    windowed = not terminal and has_display()
    if not windowed and not sys.stdin.isatty():
        raise UserError("play needs a display or a terminal to read keys from")
    env = WORLDS[place.world].make_single(task, 480 if windowed else 84, place.options)
    print(f"{task.title}\n" + "  ".join(f"{key} {name}" for key, name in KEYS.items() if name in task.actions)
          + f"  {AGAIN} new episode  {QUIT} quit")  # fmt: skip
    with _window(task.name) if windowed else _terminal() as (show, read):
        _play(env, task.actions, seed, show, read)


def _play(env: gym.Env[Any, Any], actions: tuple[str, ...], seed: int, show: Show, read: Callable[[], str]) -> None:
    obs, _ = env.reset(seed=seed)
    note, total = "", 0.0
    while True:
        carried = ", ".join(f"{count} {item}" for item, count in obs["inventory"].items() if count)
        show(obs["pov"], f"return {total:g}   {'carrying ' + carried if carried else 'empty hands'}   {note}")
        key = read()
        if key == QUIT:
            return
        if key == AGAIN:
            obs, _ = env.reset()
            note, total = "", 0.0
        elif KEYS.get(key) in actions:
            obs, reward, terminated, truncated, info = env.step(np.int64(actions.index(KEYS[key])))
            total += float(reward)
            note = "that had no effect" if info["invalid_action"] else ""
            if terminated or truncated:
                end = f"lost: {info['reason']}" if info.get("lost") else "goal reached" if terminated else "time is up"
                show(obs["pov"], f"{end}, return {total:g}; {AGAIN} new episode, {QUIT} quit")
                while (key := read()) not in (AGAIN, QUIT):
                    pass
                if key == QUIT:
                    return
                obs, _ = env.reset()
                note, total = "", 0.0


@contextmanager
def _window(title: str) -> Iterator[tuple[Show, Callable[[], str]]]:
    def show(picture: NDArray[np.uint8], text: str) -> None:
        bar = np.zeros((30, picture.shape[1], 3), np.uint8)
        cv2.putText(bar, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        cv2.imshow(title, np.vstack([picture[..., ::-1], bar]))

    def read() -> str:
        while (code := cv2.waitKey(50)) < 0:
            if cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
                return QUIT
        return chr(code & 255)

    try:
        cv2.namedWindow(title)
    except cv2.error as error:
        raise UserError("no window can be opened; play in the terminal with --terminal") from error
    try:
        yield show, read
    finally:
        cv2.destroyAllWindows()


@contextmanager
def _terminal() -> Iterator[tuple[Show, Callable[[], str]]]:
    """Pictures out of half blocks in 24-bit colour, two pixels a character."""

    def show(picture: NDArray[np.uint8], text: str) -> None:
        columns, lines = shutil.get_terminal_size()
        side = max(8, min(columns, 2 * (lines - 2)))
        small = np.asarray(cv2.resize(picture, (side, side // 2 * 2), interpolation=cv2.INTER_AREA))
        rows = []
        for top, bottom in zip(small[::2], small[1::2], strict=True):
            cells = [f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m▀" for a, b in zip(top, bottom, strict=True)]
            rows.append("".join(cells) + "\x1b[0m")
        sys.stdout.write("\x1b[H\x1b[J" + "\r\n".join(rows) + f"\r\n{text}\r\n")
        sys.stdout.flush()

    def read() -> str:
        while not select.select([sys.stdin], [], [], 0.5)[0]:
            pass
        key = os.read(sys.stdin.fileno(), 1).decode(errors="ignore")
        if key in ("\x03", ""):
            raise KeyboardInterrupt
        return key

    try:
        import termios
        import tty
    except ImportError:
        raise UserError("play reads keys from a terminal on Unix only; elsewhere it needs a display") from None
    saved = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield show, read
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
        sys.stdout.write("\x1b[0m\n")
