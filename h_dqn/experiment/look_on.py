"""A person looks on while an agent plays, a key a step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from envs.registry import WORLDS
from h_dqn.experiment.agent import Agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.experiment.play import ENDS, QUIT, Game, screen_for
from h_dqn.experiment.screens import Screen
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.options import OptionRunner
from h_dqn.rollout import Rollout


def look_on(agent: Agent, task: str | Path | None = None, seed: int = 1, in_terminal: bool = False, place: Place = VOXEL) -> None:
    """Show a person how ``agent`` plays.

    Args:
        agent: who plays.
        task: a name or path; by default what it was trained on.
        seed, in_terminal, place: as :func:`h_dqn.experiment.play.play` has them.
    Raises :class:`UserError` where there is nothing to show it on, and for a world that cannot be played twice at once.
    """
    envs, world = agent.envs(task, place), WORLDS[place.world]
    if not world.can_play_twice:
        raise UserError(
            f"--world {place.world}: what an agent does there cannot be shown step by step; film it: h-dqn evaluate --video"
        )
    agent.options(envs)  # raises where it can do nothing there
    with screen_for(envs.task, in_terminal) as screen:
        LookOn(world.make_single(envs.task, screen.side, place.options), screen, agent, envs).play(seed)


class LookOn(Game):
    """Episodes of an agent on a screen. It plays in a world of its own; another one, of the same seed, shows what it does.

    Args:
        env, screen: as :class:`h_dqn.experiment.play.Game` has them.
        agent: who plays.
        envs: the task, seen as the agent sees, in a world that can be played twice at once.
    """

    def __init__(self, env: gym.Env[Any, Any], screen: Screen, agent: Agent, envs: TaskEnvs) -> None:
        super().__init__(env, envs.task, screen)
        self.agent, self.envs = agent, envs

    def play(self, seed: int) -> None:
        """Until the person has enough."""
        options, policy, seeds = self.agent.options(self.envs), self.agent.policy(seed), count(seed + 1)
        runner = OptionRunner(options, 1, np.random.default_rng(seed))
        interrupt = policy if self.agent.interrupt else None
        rollout = Rollout(self.envs(1), runner, policy, [seed], count(seed + 1), interrupt)
        self._begin(seed)
        while True:
            self.show(self.status())
            if self.screen.key().lower() in ENDS:
                return
            if self.over:
                self._begin(next(seeds))
                continue
            step = rollout.step()
            option, action = options[step.option[0]].name, self.envs.actions[step.action[0]]
            self._act(action)
            self.last = self.last if option == action else f"{option}: {self.last}"

    def _keys(self) -> Iterator[str]:
        yield from (f"any other: {'the next episode' if self.over else 'one step'}", f"{QUIT} quit")
