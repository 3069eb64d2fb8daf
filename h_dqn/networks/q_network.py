"""The Q-network: a torso, a head, a recurrent core between them where there is one, and the elimination network beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.elimination import ELIMINATED, EliminationNetwork
from h_dqn.networks.gru import GRU
from h_dqn.networks.heads import HEADS, Head, LinearFamily
from h_dqn.networks.torso import Shape, Torso
from h_dqn.settings import ConfigError, Range, unknown

MOST_UNITS = 4096  # of a recurrent core


@dataclass(frozen=True)
class NetworkConfig:
    """Which network, and what it says before it has learned."""

    network: str = "compact"
    """a name in networks.ARCHITECTURES"""
    head: str = "linear"
    """a name in networks.HEADS"""
    core: Annotated[int, Range(0, MOST_UNITS)] = 128
    """units of a recurrent core, which remembers what was seen before in the episode (0: there is none)"""
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
    core: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; what says nothing of a core has none."""
        entry = {**asdict(self), "shape": list(self.shape)}
        return entry if self.core else {name: value for name, value in entry.items() if name != "core"}


class QNetwork(nn.Module):
    """Frames (B, S, H, W) uint8 -> Q-values (B, O), one an option.

    With a core, its values are those of frames and a state (B, C): what the core remembers of the episode before them. The head
    reads the torso's features and the core's output, side by side (F), so that what is seen now need not pass through the core.
    The elimination network has no core: whether an option does nothing is for what is seen now to tell.

    Args:
        spec: torso, frames, number of options O, head, units of the core, and whether it has an elimination network beside it.
        initial_value: Q-value of every option at the start.
        family: makes the head of a family of discounts, for (F, O); what is kept of it is :meth:`alone`.
    Raises ConfigError as :class:`Torso` does, and for an unknown head.
    """

    def __init__(
        self, spec: NetworkSpec, initial_value: float = 0.0, family: Callable[[int, int], LinearFamily] | None = None
    ) -> None:
        super().__init__()
        if spec.head not in HEADS:
            raise ConfigError(unknown("head", spec.head, HEADS))
        self.spec = spec
        self.torso = Torso(spec.network, spec.shape)
        self.core = GRU(self.torso.features, spec.core) if spec.core else None
        features = self.torso.features + spec.core
        self.head: Head = (
            HEADS[spec.head](features, spec.outputs, initial_value) if family is None else family(features, spec.outputs)
        )
        self.elimination: EliminationNetwork | None = None
        if spec.eliminate:
            scout = Torso("scout", spec.shape)
            self.elimination = EliminationNetwork(scout, scout.features, spec.outputs)

    def forward(self, frames_BSHW: Tensor, state_BC: Tensor | None = None) -> Tensor:
        q_BO: Tensor = self.head(self.features(frames_BSHW, state_BC)[0])
        return q_BO

    def features(self, frames_BSHW: Tensor, state_BC: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the head reads, (B, F), and the state that the core has from then on, (B, C); without one, at an episode's start."""
        x_BF: Tensor = self.torso(frames_BSHW)
        if self.core is None:
            return x_BF, None
        next_BC: Tensor = self.core(x_BF, state_BC)
        return torch.cat([x_BF, next_BC], 1), next_BC

    def unroll(self, frames_LBSHW: Tensor, begins_LB: Tensor, state_BC: Tensor | None = None) -> Tensor:
        """What the head reads at each of L steps of B sequences, (L, B, F).

        ``begins_LB``: bool, where an episode begins; ``state_BC``: what a core remembers before the first step (nothing).
        """
        x_LBF: Tensor = self.torso(frames_LBSHW.flatten(0, 1)).unflatten(0, begins_LB.shape)
        if self.core is None:
            return x_LBF
        state_BC = x_LBF.new_zeros(begins_LB.shape[1], self.core.units) if state_BC is None else state_BC
        return torch.cat([x_LBF, self.core.unroll(x_LBF, begins_LB, state_BC)], 2)

    def mask_eliminated(self, q: Tensor, frames_BSHW: Tensor, available_BO: Tensor | None = None) -> Tensor:
        """``q``, (B, O) or (B, G, O), with ELIMINATED for what is at these frames; one option that is available is always left."""
        if self.elimination is None:
            return q
        if available_BO is None:
            available_BO = torch.ones(len(q), q.shape[-1], dtype=torch.bool, device=q.device)
        eliminated_BO = available_BO & ~self.elimination.admissible(frames_BSHW, available_BO)
        return q.masked_fill(eliminated_BO if q.dim() == 2 else eliminated_BO[:, None], ELIMINATED)

    @torch.no_grad()
    def values(self, obs: NDArray[np.uint8], available: NDArray[np.bool_] | None = None) -> Tensor:
        """Q-values on the CPU, without gradients: obs (B, S, H, W), available (B, O) -> (B, O); what is eliminated is masked."""
        device = next(self.parameters()).device
        frames = torch.from_numpy(obs).to(device)
        allowed = None if available is None else torch.from_numpy(available).to(device)
        return self.mask_eliminated(self(frames), frames, allowed).cpu()

    def alone(self) -> QNetwork:
        """The same network with one head, which says what a family of discounts says at its place; this one where there is none."""
        if not isinstance(self.head, LinearFamily):
            return self
        single = deepcopy(self)
        single.head = self.head.alone()
        return single

    def plays_by(self) -> dict[str, Any]:
        """Which of a family of discounts it plays by: all of them, eta, and the discount there; empty where there is no family."""
        if not isinstance(self.head, LinearFamily):
            return {}
        return {"discounts": self.head.discounts.tolist(), "eta": float(self.head.place), "discount": self.head.discount}

    def warm_start(self, names: Sequence[str], source: QNetwork, known: Sequence[str]) -> None:
        """Begin with what ``source`` knows: its layers, and its output for each option that is in both ``names`` and ``known``.

        Raises ConfigError where the layers differ.
        """
        ours, theirs = self.spec, source.spec
        if (ours.network, ours.shape, ours.head, ours.core) != (theirs.network, theirs.shape, theirs.head, theirs.core):
            raise ConfigError(f"--from: it is {_in_words(theirs)}, this run's is {_in_words(ours)}")
        self.torso.load_state_dict(source.torso.state_dict())
        if self.core is not None and source.core is not None:
            self.core.load_state_dict(source.core.state_dict())
        self.head.grow(names, source.head, known)


def _in_words(spec: NetworkSpec) -> str:
    core = f"a core of {spec.core} units" if spec.core else "no core"
    return f"the network '{spec.network}' with {core} and a {spec.head} head for frames of {list(spec.shape)}"
