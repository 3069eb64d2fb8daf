"""Measure how often an agent reaches the goal, and film it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.materials import texture
from envs.registry import WORLDS
from envs.task import TaskSpec
from h_dqn.evaluation import Evaluation, Watched
from h_dqn.evaluation import evaluate as play_episodes
from h_dqn.experiment.agent import Agent
from h_dqn.experiment.errors import FOR_PEOPLE, UserError
from h_dqn.experiment.files import check_output
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import VOXEL, Place, TaskEnvs
from h_dqn.files import replacing
from h_dqn.options import Option, OptionRunner
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds

Outcome = Literal["first", "success", "failure"]  # which episode is filmed
VIDEOS = (".mp4",)
SHARP = 336  # pixels of a film's frames where the world can be played twice at once


def evaluate_agent(
    agent: Agent, envs: TaskEnvs, episodes: int = 500, seed: int = 90001, watcher: Watcher | None = None
) -> Evaluation:
    """Success of ``agent`` on unseen episodes of a task.

    Its actions that the task lacks are never chosen; those of the task that it lacks, neither. The outcome names both.

    Args:
        agent: what plays.
        envs: the task, seen as the agent sees (``envs.shape == agent.shape``).
        episodes: how many.
        seed: decides which; never those of training, whatever the number.
        watcher: is told how far it is.
    """
    options = agent.options(envs)
    made = Watched(envs(min(250, episodes)), (watcher or Watcher()).evaluated)
    outcome = play_episodes(made, options, agent.policy(seed), episodes, seed, interrupt=agent.interrupt)
    return replace(outcome, masked=agent.masked(envs), not_learned=agent.not_learned(envs))


def evaluate_tasks(
    agent: Agent,
    tasks: Iterable[str | Path | None],
    episodes: int = 500,
    seed: int = 90001,
    place: Place = VOXEL,
    watcher: Watcher | None = None,
) -> Iterator[tuple[str, Evaluation | Exception]]:
    """Play several tasks, and go on where one of them cannot be played.

    Args:
        tasks: names, or paths of task files; None for the one that the agent was trained on.
        agent, episodes, seed, watcher: see :func:`evaluate_agent`.
        place: which world plays.
    Yields, as soon as it is known, a task's name (as it was given, where another of that name was played before) and its outcome,
    or the error that says in one line why it cannot be played.
    """
    known = set[str]()
    for task in tasks:
        name = str(task)
        try:
            envs = agent.envs(task, place)
            name = envs.task.name if envs.task.name not in known else name
            outcome: Evaluation | Exception = evaluate_agent(agent, envs, episodes, seed, watcher)
        except FOR_PEOPLE as error:
            outcome = error
        known.add(name)
        yield name, outcome


def film(agent: Agent, envs: TaskEnvs, path: Path, seed: int = 90001, outcome: Outcome = "first", episodes: int = 500) -> None:
    """Write one episode as an mp4, in sharper pictures than the agent sees where the world can be played twice at once.

    The running option is written below each frame, and what is carried is drawn beside it where that can be several things.

    Args:
        agent, envs, seed: see :func:`evaluate_agent`.
        path: where it is written.
        outcome: which of the evaluation's episodes: the first, or the first that ends in success or failure.
        episodes: how many are played to find one.
    Raises :class:`UserError` where ``path`` cannot be written, or no episode ends so; OSError where writing fails. Then no file is
    left.
    """
    check_output(path, "--video", VIDEOS)
    options, policy, seeds = agent.options(envs), agent.policy(seed), episode_seeds("evaluate", seed, episodes)
    runner = OptionRunner(options, 1, np.random.default_rng(seed))
    rollout = Rollout(envs(1), runner, policy, seeds[:1], iter(seeds[1:]), policy if agent.interrupt else None)
    for frames, captions, success in filmed(envs, rollout, options, seeds):
        if outcome == "first" or success == (outcome == "success"):
            write_video(path, [*frames, *[frames[-1]] * 6], [*captions, *[captions[-1]] * 6])
            return
    raise UserError(f"none of {episodes} episodes of '{envs.task.name}' ended in {outcome}, so there is no film")


class Filmed(NamedTuple):
    """An episode in pictures."""

    frames: list[NDArray[np.uint8]]  # each (H, W, 3)
    captions: list[str]
    success: bool


def filmed(
    envs: TaskEnvs, rollout: Rollout, options: Sequence[Option], seeds: Sequence[int], side: int = SHARP
) -> Iterator[Filmed]:
    """The episodes of these seeds, which the one environment of ``rollout`` plays.

    In pictures of ``side`` pixels where the world can be played twice at once, else in those of the rollout.
    """
    twice = WORLDS[envs.place.world].can_play_twice
    sharp = TaskEnvs(envs.task, (1, side, side), envs.place)(1) if twice else None
    for episode_seed in seeds:
        frames, captions = [], []
        if sharp is not None:
            _, info = sharp.reset(seed=[episode_seed])  # type: ignore[arg-type]
            frames, captions = [carrying(info["observation"], envs.task)], ["start"]
        while True:
            step = rollout.step()
            if step.env_failed[0]:  # the episode is begun once more
                frames, captions = [], []
                continue
            info = step.info if sharp is None else sharp.step(step.action)[-1]
            frames.append(carrying(info["observation"], envs.task))
            option, action = options[step.option[0]].name, envs.actions[step.action[0]]
            captions.append(option if option == action else f"{option}: {action}")
            if step.done[0]:
                break
        success = bool(step.terminated[0])
        captions[-1] += "   reached" if success else "   time is up"
        yield Filmed(frames, captions, success)


def carrying(observation: dict[str, Any], task: TaskSpec) -> NDArray[np.uint8]:
    """World 0's picture; what is carried stands along its upper edge where that can be items of several kinds."""
    picture: NDArray[np.uint8] = observation["pov"][0]
    if not task.hotbar:
        return picture
    picture = picture.copy()
    side = picture.shape[1] // 12
    carried = [(item, int(count[0])) for item, count in observation["inventory"].items() if count[0]]
    for place, (item, count) in enumerate(carried[:12]):
        slot = picture[:side, place * side : (place + 1) * side]
        slot[:] = cv2.resize(texture(task.materials[item]), (slot.shape[1], side), interpolation=cv2.INTER_NEAREST)
        if count > 1:
            cv2.putText(slot, str(count), (1, side - 2), cv2.FONT_HERSHEY_SIMPLEX, side / 60, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], captions: Sequence[str], fps: int = 6, width: int = SHARP) -> None:
    """An mp4 of ``frames`` (H, W, 3), enlarged to ``width`` pixels, each with its caption underneath."""
    import imageio.v2 as imageio
    from imageio_ffmpeg import count_frames_and_secs

    how: dict[str, Any] = {"fps": fps, "codec": "libx264", "quality": 8, "macro_block_size": None, "ffmpeg_log_level": "quiet"}
    with replacing(path) as temporary:
        writer: Any = imageio.get_writer(temporary, **how)
        with writer:
            for frame, caption in zip(frames, captions, strict=True):
                writer.append_data(captioned(frame, caption, width))
        with contextlib.suppress(RuntimeError):  # of a film that is no film
            if count_frames_and_secs(str(temporary))[0] == len(frames):
                return
        raise OSError(errno.ENOSPC, "the film could not be written; the disk may be full", str(path))  # the encoder says nothing


def captioned(frame: NDArray[np.uint8], caption: str, width: int = SHARP) -> NDArray[np.uint8]:
    """``frame`` enlarged to ``width`` pixels, with a line of text in a bar of 32 pixels below."""
    height = width * frame.shape[0] // frame.shape[1]
    picture = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST))
    bar = np.zeros((32, width, 3), np.uint8)
    cv2.putText(bar, caption, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, bar])
