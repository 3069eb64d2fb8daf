"""From a world's dict of observations to what learners read: the picture alone, or stacks of grey frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import FrameStackObservation, TransformObservation
from numpy.typing import NDArray

from envs.task import ACTIONS, HEADINGS

Frames = NDArray[np.uint8]

ROWS, MARK = 4, 4  # strip of past actions: rows, and pixels for each action
DIAL, FADE = 4, 0.8  # dial below it: rows, and how much of a mark is left after a step
MEMORY = ROWS + DIAL
TURNS = {"turn_left": -1, "turn_right": 1}
SLOT, SHADES = 2, 4  # hotbar: side of an item's square in pixels, and the count from which it is white


def grey(pov: Frames) -> Frames:
    """RGB (N, H, W, 3) -> luminance (N, H, W), both uint8."""
    n, height, width, _ = pov.shape
    return np.asarray(cv2.cvtColor(pov.reshape(n * height, width, 3), cv2.COLOR_RGB2GRAY), np.uint8).reshape(n, height, width)


def pov_only(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """One world whose observations are its picture alone, (H, W, 3) uint8."""
    space = env.observation_space["pov"]  # type: ignore[index]
    return TransformObservation(env, lambda obs: obs["pov"], space)


def grey_stack(env: gym.Env[Any, Any], stack: int = 4) -> gym.Env[Any, Any]:
    """One world whose observations are the last ``stack`` frames in grey, (S, H, W) uint8, oldest first, zeros before the start."""
    height, width, _ = env.observation_space["pov"].shape  # type: ignore[index]
    space = gym.spaces.Box(0, 255, (height, width), np.uint8)
    frames = TransformObservation(env, lambda obs: grey(obs["pov"][None])[0], space)
    return FrameStackObservation(frames, stack, padding_type="zero")


class GreyStack(VectorWrapper[Any, Any, Any]):
    """As :func:`grey_stack`, for N worlds with masked resets: observations (N, S, H, W) uint8.

    The whole observation of the last step or reset stays in ``info["observation"]``.

    Args:
        actions: names of the actions, by number. If given, MEMORY rows of pixels above the frame show the past of the episode. The
            upper ROWS are a strip of the last W / MARK actions, the newest on the right: one row each for walking, turning left
            and turning right; all other actions share the last row. The lower DIAL rows show which directions the agent has
            faced: straight ahead in the middle, behind at both edges; a mark fades by the factor FADE each step.
        hotbar: whether the lower edge of the frame shows what is carried: one square of SLOT x SLOT pixels for each item of the
            task, always in the same place, brighter for larger counts (white from SHADES on).
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], stack: int = 4, actions: Sequence[str] = (), hotbar: bool = False) -> None:
        super().__init__(env)
        self._hotbar = hotbar
        height, width, _ = env.single_observation_space["pov"].shape  # type: ignore[index]
        self._rows = np.array([min(ACTIONS.index(name), ROWS - 1) if name in ACTIONS else ROWS - 1 for name in actions], int)
        a_turn = width // HEADINGS  # pixels
        circle = a_turn * HEADINGS
        left = (width - circle) // 2
        self._circle, self._ahead = slice(left, left + circle), slice(left + circle // 2, left + circle // 2 + a_turn)
        turned = np.array([TURNS.get(name, 0) for name in actions], int)
        self._came_from = left + (np.arange(circle) + a_turn * turned[:, None]) % circle  # (actions, circle): columns before a turn
        height += MEMORY if actions else 0
        self.single_observation_space = gym.spaces.Box(0, 255, (stack, height, width), np.uint8)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._frames: Frames = np.zeros((env.num_envs, stack, height, width), np.uint8)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Frames, dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        fresh = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self._frames = self._frames.copy()
        self._frames[fresh] = 0
        picture = self.picture(obs, fresh)
        self._frames[fresh, -1, -picture.shape[1] :] = picture
        if len(self._rows):
            self._frames[fresh, -1, ROWS:MEMORY, self._ahead] = 255
        return self._frames, {**info, "observation": obs}

    def step(self, actions: Any) -> tuple[Frames, Any, Any, Any, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        newest = np.zeros_like(self._frames[:, -1:])
        picture = self.picture(obs)
        newest[:, 0, -picture.shape[1] :] = picture
        if len(self._rows):
            newest[:, 0, :ROWS, :-MARK] = self._frames[:, -1, :ROWS, MARK:]
            newest[np.arange(self.num_envs), 0, self._rows[actions], -MARK:] = 255
            faced = np.take_along_axis(self._frames[:, -1, ROWS], self._came_from[actions], 1)
            newest[:, 0, ROWS:MEMORY, self._circle] = (FADE * faced[:, None]).astype(np.uint8)
            newest[:, 0, ROWS:MEMORY, self._ahead] = 255
        self._frames = np.concatenate([self._frames[:, 1:], newest], 1)
        return self._frames, reward, terminated, truncated, {**info, "observation": obs}

    def picture(self, obs: dict[str, Any], worlds: Any = slice(None)) -> Frames:
        """The grey frames of these worlds as ``obs`` shows them, with the hotbar, (B, H, W)."""
        picture = grey(obs["pov"][worlds])
        if self._hotbar:
            counts = np.stack(list(obs["inventory"].values()), 1)[worlds]
            shade = (np.minimum(counts, SHADES) * (255 // SHADES)).astype(np.uint8)
            a_line = picture.shape[2] // SLOT
            lines = -(-shade.shape[1] // a_line)
            bar = np.zeros((len(shade), lines * a_line), np.uint8)
            bar[:, : shade.shape[1]] = shade
            picture[:, -lines * SLOT :] = 0
            picture[:, -lines * SLOT :, : a_line * SLOT] = bar.reshape(-1, lines, a_line).repeat(SLOT, 1).repeat(SLOT, 2)
        return picture

    def state_dict(self) -> dict[str, Any]:
        return {"frames": self._frames.copy(), "env": self.env.state_dict()}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError for a state that cannot be of these environments."""
        frames = np.asarray(state["frames"])
        if frames.shape != self._frames.shape or frames.dtype != np.uint8:
            raise ValueError("'frames' cannot be of these environments")
        self._frames = frames.copy()
        self.env.load_state_dict(state["env"])  # type: ignore[attr-defined]
