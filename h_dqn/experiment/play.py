"""A person plays a task: in a window, or in the terminal where there is no display."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.display import window_lacks
from envs.registry import WORLDS
from envs.task import TaskSpec
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.experiment.screens import BACK, END, ENTER, ESCAPE, TAB, Screen, terminal, window
from h_dqn.experiment.tasks import in_words

KEYS = {"w": "forward", "a": "turn_left", "d": "turn_right", "b": "break", "e": "pick_up", "p": "place"}
VERB, REPEAT, AGAIN, QUIT = "v", ".", "r", "q"
PAGE = 8  # verbs that are shown at once
ENDS = (QUIT, END)


def play(task: TaskSpec, seed: int = 1, in_terminal: bool = False, place: Place = VOXEL) -> None:
    """Let a person play ``task``.

    Args:
        task: what is played.
        seed: which episode comes first.
        in_terminal: play in the terminal even where there is a display.
        place: which world plays it.
    Raises :class:`h_dqn.experiment.errors.UserError` where there is neither a display nor a terminal.
    """
    with screen_for(task, in_terminal) as screen:
        env = WORLDS[place.world].make_single(task, screen.side, place.options)
        Game(env, task, screen).play(seed)


def screen_for(task: TaskSpec, in_terminal: bool) -> AbstractContextManager[Screen]:
    """Where a task is shown: a window where there is a display and no terminal is asked for."""
    return terminal() if in_terminal or window_lacks() else window(task.name)


class Game:
    """Episodes of one task on a screen.

    Args:
        env: the task's environment; its action numbers are those of ``task.all_actions``.
        task: what is played.
        screen: where.
    """

    def __init__(self, env: gym.Env[Any, Any], task: TaskSpec, screen: Screen) -> None:
        self.env, self.task, self.screen = env, task, screen
        self.obs: dict[str, Any] = {}
        self.steps, self.total, self.last, self.over = 0, 0.0, "", ""
        self.verb: str | None = None  # the one that was chosen last

    def _begin(self, seed: int | None = None) -> None:
        self.obs, _ = self.env.reset(seed=seed)
        self.steps, self.total, self.last, self.over = 0, 0.0, "none yet", ""

    def play(self, seed: int) -> None:
        """Until the person has enough."""
        self._begin(seed)
        while True:
            self.show(self.status())
            key = self.screen.key().lower()
            if key in ENDS:
                return
            if key == AGAIN:
                self._begin()
            elif not self.over and (action := self._action(key)):
                self._act(action)

    def _action(self, key: str) -> str | None:
        """What this key stands for; None where it is nothing."""
        if key == VERB and self.task.verbs:
            chosen = self._choose()
            self.verb = chosen or self.verb
            return chosen
        if key == REPEAT:
            return self.verb
        action = KEYS.get(key)
        return action if action in self.task.actions else None

    def _act(self, action: str) -> None:
        self.obs, reward, terminated, truncated, info = self.env.step(np.int64(self.task.all_actions.index(action)))
        self.steps, self.total = self.steps + 1, self.total + float(reward)
        self.last = f"{action}, which had no effect" if info["invalid_action"] else action
        if terminated or truncated:
            self.over = f"LOST: {info['reason']}" if info.get("lost") else "GOAL REACHED" if terminated else "TIME IS UP"

    def show(self, lines: Sequence[str]) -> None:
        """The picture of now with these lines."""
        picture: NDArray[np.uint8] = self.obs["pov"]
        self.screen.show(picture, lines)

    def status(self) -> list[str]:
        """The lines that are always there: goal, how far it is, what is carried, what was done, and the keys."""
        carried = ", ".join(f"{count} {item}" for item, count in self.obs["inventory"].items() if count)
        over = f"   {self.over}" if self.over else ""
        limit = self.env.unwrapped.vector.worlds.limit[0]  # type: ignore[attr-defined]
        return [
            f"goal: {self.task.title} ({in_words(self.task)})",
            f"step {self.steps} of {limit}   return {self.total:g}{over}",
            f"carried: {carried or 'nothing'}",
            f"last action: {self.last}",
            f"keys: {'   '.join(self._keys())}",
        ]

    def _keys(self) -> Iterator[str]:
        yield from (f"{key} {name.replace('_', ' ')}" for key, name in KEYS.items() if name in self.task.actions and not self.over)
        if self.task.verbs and not self.over:
            yield f"{VERB} choose one of {len(self.task.verbs)} verbs"
            if self.verb:
                yield f"{REPEAT} {self.verb} again"
        yield from (f"{AGAIN} new episode", f"{QUIT} quit")

    # --- verbs ---

    def _choose(self) -> str | None:
        """A verb, by typing parts of its name; None where the person thinks better of it."""
        typed, chosen = "", 0
        while True:
            found = matches(typed, [verb.name for verb in self.task.verbs])
            chosen = min(chosen, max(0, len(found) - 1))
            self.show(listed(typed, found, chosen))
            key = self.screen.key()
            if key in (ESCAPE, END):
                return None
            if key == ENTER and found:
                return found[chosen]
            if key == TAB:
                chosen = (chosen + 1) % max(1, len(found))
            elif key == BACK:
                typed, chosen = typed[:-1], 0
            elif key.isprintable():
                typed, chosen = typed + key, 0


def matches(typed: str, names: Sequence[str]) -> list[str]:
    """The names in which every word typed occurs; those that begin with what was typed come first."""
    words = typed.lower().split()
    found = [name for name in names if all(word in name.lower() for word in words)]
    return sorted(found, key=lambda name: not name.lower().startswith(typed.lower().strip()))


def listed(typed: str, found: Sequence[str], chosen: int) -> list[str]:
    """The lines in which a verb is chosen: the page of those found on which the chosen one is, with a mark before it."""
    first = chosen // PAGE * PAGE
    page = [f"{'>' if number == chosen else ' '} {name}" for number, name in enumerate(found)][first : first + PAGE]
    return [
        f"which verb? {typed}_   ({len(found)} found{f', {first + 1} to {first + len(page)} shown' if len(found) > PAGE else ''})",
        *(page or ["  no verb is called so"]),
        "keys: letters find   tab next   enter take it   backspace delete   escape back",
    ]
