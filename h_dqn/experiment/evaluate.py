"""Measure how often an agent reaches the goal, and film it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.registry import WORLDS
from h_dqn.evaluation import Evaluation, Watched
from h_dqn.evaluation import evaluate as play_episodes
from h_dqn.experiment.agent import Agent
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.options import OptionRunner
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds

SHARP = 336  # pixels of a film's frames where the world can be played twice at once


def evaluate_agent(
    agent: Agent, envs: TaskEnvs, episodes: int = 500, seed: int = 90001, watcher: Watcher | None = None
) -> Evaluation:
    """Success of ``agent`` on unseen episodes of a task.

    Args:
        agent: what plays.
        envs: the task, seen as the agent sees (``envs.shape == agent.shape``).
        episodes: how many.
        seed: decides which; never those of training, whatever the number.
        watcher: is told how far it is.
    """
    made = Watched(envs(min(250, episodes)), (watcher or Watcher()).evaluated)
    return play_episodes(made, agent.options(envs), agent.policy(seed), episodes, seed, interrupt=agent.interrupt)


def film(agent: Agent, envs: TaskEnvs, path: Path, seed: int = 90001) -> None:
    """Write one episode as an mp4, in sharper pictures than the agent sees where the world can be played twice at once.

    The running option is written below each frame. Raises OSError where the file cannot be written.
    """
    options, policy, first = agent.options(envs), agent.policy(seed), episode_seeds("evaluate", seed, 1)
    twice = WORLDS[envs.place.world].can_play_twice
    sharp = TaskEnvs(envs.task, (1, SHARP, SHARP), envs.place)(1) if twice else None
    runner = OptionRunner(options, 1, np.random.default_rng(seed))
    rollout = Rollout(envs(1), runner, policy, first, interrupt=policy if agent.interrupt else None)
    frames, captions = [], []
    if sharp is not None:
        _, info = sharp.reset(seed=first)  # type: ignore[arg-type]
        frames, captions = [info["observation"]["pov"][0]], ["start"]
    while True:
        step = rollout.step()
        info = step.info if sharp is None else sharp.step(step.action)[-1]
        frames.append(info["observation"]["pov"][0])
        option, action = options[step.option[0]].name, envs.actions[step.action[0]]
        captions.append(option if option == action else f"{option}: {action}")
        if step.done[0]:
            break
    captions[-1] += "   reached" if step.terminated[0] else "   time is up"
    write_video(path, [*frames, *[frames[-1]] * 6], [*captions, *[captions[-1]] * 6])


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], captions: Sequence[str], fps: int = 6, width: int = SHARP) -> None:
    """An mp4 of ``frames`` (H, W, 3), enlarged to ``width`` pixels, each with its caption underneath."""
    import imageio.v2 as imageio

    temporary = path.with_name(f".{path.stem}.tmp.mp4")
    temporary.touch()  # where that cannot be, ffmpeg would not say so in one line
    writer: Any = imageio.get_writer(temporary, fps=fps, codec="libx264", quality=8, macro_block_size=None)
    with writer:
        for frame, caption in zip(frames, captions, strict=True):
            writer.append_data(captioned(frame, caption, width))
    temporary.replace(path)


def captioned(frame: NDArray[np.uint8], caption: str, width: int = SHARP) -> NDArray[np.uint8]:
    """``frame`` enlarged to ``width`` pixels, with a line of text in a bar of 32 pixels below."""
    height = width * frame.shape[0] // frame.shape[1]
    picture = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST))
    bar = np.zeros((32, width, 3), np.uint8)
    cv2.putText(bar, caption, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, bar])
