"""Returns of episodes, each with the place in the family by which its environment acted: what tuners without a gradient go by."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.self_tuning.tuner import Choosing, Seen, Tuner
from h_dqn.state import restore


class Episodes:
    """Adds up the rewards of N environments, episode by episode, from the decisions that are marked with place and episode."""

    marks = 2

    def __init__(self, num_envs: int) -> None:
        self.begun = np.zeros(num_envs, np.int64)  # episodes that ever began in each
        self._counted = np.zeros(num_envs, np.int64)  # the episode whose rewards are being added up
        self._return = np.zeros(num_envs)

    def begin(self, begins: NDArray[np.bool_]) -> None:
        """Episodes begin in these environments, (N,)."""
        self.begun += begins

    def mark(self, place_N: Tensor, env_ids_B: Tensor) -> Tensor:
        """What a decision is marked with, (B, 2)."""
        return torch.stack([place_N[env_ids_B].float(), torch.from_numpy(self.begun)[env_ids_B].float()], 1)

    def ended(self, seen: Seen) -> list[tuple[float, int, float]]:
        """Place, environment and undiscounted return of the episodes that ended in a round."""
        batch, acted = seen.batch, seen.acted_D
        reward_A, done_A = batch.rewards.sum(1)[acted].tolist(), batch.done[acted].tolist()
        ended = []
        for env, (place, episode), reward, done in zip(
            batch.env[acted].tolist(), seen.marks_DM[acted].tolist(), reward_A, done_A, strict=True
        ):
            if episode != self._counted[env]:  # the one before was left as it was, where a phase ended
                self._counted[env], self._return[env] = episode, 0.0
            self._return[env] += reward
            if done:
                ended.append((place, env, float(self._return[env])))
                self._return[env] = 0.0
        return ended

    def state_dict(self) -> dict[str, Any]:
        return {"episodes": [self.begun.copy(), self._counted.copy()], "returns": self._return.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for array, saved in zip((self.begun, self._counted), state["episodes"], strict=True):
            restore(array, saved, "episodes", 0)
        restore(self._return, state["returns"], "returns")


class ByEpisodes(Tuner):
    """A tuner that goes by the returns of episodes; :attr:`episodes` adds them up."""

    marks = Episodes.marks

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.episodes = Episodes(self.num_envs)

    def observe(self, begins: NDArray[np.bool_]) -> None:
        self.episodes.begin(begins)

    def mark(self, choice: Choosing) -> Tensor:
        """Its place and its episode."""
        return self.episodes.mark(self.places(), choice.env_ids_B)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), **self.episodes.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.episodes.load_state_dict(state)
