"""The Q-network: a torso, a head, and the elimination network beside them where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.elimination import ELIMINATED, EliminationNetwork
from h_dqn.networks.heads import HEADS
from h_dqn.networks.torso import Shape, Torso
from h_dqn.settings import ConfigError, unknown


@dataclass(frozen=True)
class NetworkConfig:
    """Which network, and what it says before it has learned."""

    network: str = "compact"
    """a name in networks.ARCHITECTURES"""
    head: str = "linear"
    """a name in networks.HEADS"""
    initial_value: float = -10 / 3
    """Q-value of every option at the start. At reward_scale * reward / (1 - discount), the value of never arriving, options of
    all lengths look alike until the first success; above it, the agent shuns long options first, since they disappoint sooner"""


@dataclass(frozen=True)
class NetworkSpec:
    """All that is needed to build a network of the same form."""

    network: str
    shape: Shape
    outputs: int
    head: str = "linear"
    eliminate: bool = False

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "shape": list(self.shape)}


class QNetwork(nn.Module):
    """Frames (B, S, H, W) uint8 -> Q-values (B, O), one an option.

    Args:
        spec: torso, frames, number of options O, head, and whether it has an elimination network beside it.
        initial_value: Q-value of every option at the start.
    Raises ConfigError as :class:`Torso` does, and for an unknown head.
    """

    def __init__(self, spec: NetworkSpec, initial_value: float = 0.0) -> None:
        super().__init__()
        if spec.head not in HEADS:
            raise ConfigError(unknown("head", spec.head, HEADS))
        self.spec = spec
        self.torso = Torso(spec.network, spec.shape)
        self.head = HEADS[spec.head](self.torso.features, spec.outputs, initial_value)
        self.elimination: EliminationNetwork | None = None
        if spec.eliminate:
            scout = Torso("scout", spec.shape)
            self.elimination = EliminationNetwork(scout, scout.features, spec.outputs)

    def forward(self, frames_BSHW: Tensor) -> Tensor:
        q_BO: Tensor = self.head(self.torso(frames_BSHW))
        return q_BO

    def mask_eliminated(self, q_BO: Tensor, frames_BSHW: Tensor, available_BO: Tensor | None = None) -> Tensor:
        """``q_BO`` with ELIMINATED for the options that are eliminated at these frames; one that is available is always left."""
        if self.elimination is None:
            return q_BO
        available_BO = torch.ones_like(q_BO, dtype=torch.bool) if available_BO is None else available_BO
        return q_BO.masked_fill(available_BO & ~self.elimination.admissible(frames_BSHW, available_BO), ELIMINATED)

    @torch.no_grad()
    def values(self, obs: NDArray[np.uint8], available: NDArray[np.bool_] | None = None) -> Tensor:
        """Q-values on the CPU, without gradients: obs (B, S, H, W), available (B, O) -> (B, O); what is eliminated is masked."""
        device = next(self.parameters()).device
        frames = torch.from_numpy(obs).to(device)
        allowed = None if available is None else torch.from_numpy(available).to(device)
        return self.mask_eliminated(self(frames), frames, allowed).cpu()

    def warm_start(self, names: Sequence[str], source: QNetwork, known: Sequence[str]) -> None:
        """Begin with what ``source`` knows: its layers, and its output for each option that is in both ``names`` and ``known``.

        Raises ConfigError where the layers differ.
        """
        ours, theirs = self.spec, source.spec
        if (ours.network, ours.shape, ours.head) != (theirs.network, theirs.shape, theirs.head):
            raise ConfigError(
                f"--from: it is the network '{theirs.network}' with a {theirs.head} head for frames of {list(theirs.shape)}, "
                f"this run's is '{ours.network}' with a {ours.head} head for {list(ours.shape)}"
            )
        self.torso.load_state_dict(source.torso.state_dict())
        self.head.grow(names, source.head, known)
