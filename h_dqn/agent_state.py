"""The agent state of N environments: what a network's core remembers there (Sutton and Barto 2018, section 17.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.checkpoint import like
from h_dqn.networks import QNetwork
from h_dqn.options import Bools, Ints


class AgentState:
    """What ``network`` knows of N environments: it is shown every observation of them once, whoever acts there.

    A network without a core remembers nothing: it says the same of a frame in any environment, and need not be shown any.

    Attributes:
        carried: (N, C) the state after all observations but the newest, an episode's end notwithstanding; None before the first,
            and without a core.
    """

    def __init__(self, network: QNetwork) -> None:
        self.network = network
        self.carried: Tensor | None = None
        self._before: Tensor | None = None  # (N, C) the same, 0 where an episode begins: with this the newest is read
        self._obs: NDArray[np.uint8] | None = None  # (N, S, H, W) the newest
        self._x: Tensor | None = None  # (N, F) features of it; None until somebody asks
        self._after: Tensor | None = None  # (N, C) the state after it

    def observe(self, obs: NDArray[np.uint8], begins: Bools) -> None:
        """These are the newest observations (N, S, H, W), and in these environments (N,) an episode begins with them."""
        if self.network.core is None:
            return
        if self._obs is None:
            self._after = torch.zeros(len(obs), self.network.core.units, device=self.network.core.weight_hh.device)
        elif self._after is None:
            self._read()
        assert self._after is not None
        self.carried = self._after
        self._before = self.carried.masked_fill(torch.from_numpy(begins).to(self.carried.device)[:, None], 0.0)
        self._obs = obs
        self.forget()

    def forget(self) -> None:
        """The network has learned: what it said of the newest observation is not true any more."""
        self._x = self._after = None

    @torch.no_grad()
    def _read(self) -> Tensor:
        assert self._obs is not None, "environments are observed before anything is asked of them"
        frames = torch.from_numpy(self._obs).to(next(self.network.parameters()).device)
        self._x, self._after = self.network.features(frames, self._before)
        return self._x

    @torch.no_grad()
    def features(self, frames_BSHW: Tensor, env_ids: Ints) -> Tensor:
        """What the head reads, (B, F), in these environments (B,), which show ``frames_BSHW``."""
        if self.network.core is None:
            return self.network.features(frames_BSHW)[0]
        x_NF = self._read() if self._x is None else self._x
        return x_NF if len(env_ids) == len(x_NF) else x_NF[torch.from_numpy(env_ids).to(x_NF.device)]

    @torch.no_grad()
    def values(self, obs: NDArray[np.uint8], env_ids: Ints, available: Bools | None = None) -> Tensor:
        """Q-values (B, O) on the CPU in these environments (B,), which show ``obs`` (B, S, H, W); what is eliminated is masked."""
        if self.network.core is None:
            return self.network.values(obs, available)
        frames = torch.from_numpy(obs).to(next(self.network.parameters()).device)
        allowed = None if available is None else torch.from_numpy(available).to(frames.device)
        return self.network.mask_eliminated(self.network.head(self.features(frames, env_ids)), frames, allowed).cpu()

    def state_dict(self) -> dict[str, Any]:
        """What is remembered before the newest observation."""
        return {} if self._before is None else {"state": self._before}

    def load_state_dict(self, saved: Any) -> None:
        """Go on where it was saved, once it is shown the newest observation again, in episodes that do not begin there.

        Raises :class:`h_dqn.state.CheckpointError` for a state that cannot be of these environments.
        """
        states = like(saved, self.state_dict(), "agent state")
        if states:
            self._after = states["state"].to(next(self.network.parameters()).device)
