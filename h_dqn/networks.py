"""Q-networks over stacks of grey frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from h_dqn.config import ConfigError
from h_dqn.elimination import Elimination


@dataclass(frozen=True)
class Architecture:
    """Convolutions as (channels, kernel, stride), then one hidden layer.

    ``norm``: the frames get mean 0 and variance 1, and LayerNorm stands before and after the hidden layer.
    """

    convolutions: tuple[tuple[int, int, int], ...]
    hidden: int
    norm: bool
    padding: int = 0  # of the first convolution


ARCHITECTURES = {
    # Mnih et al. 2015, with the padding of Tessler et al.'s code.
    "nature": Architecture(((32, 8, 4), (64, 4, 2), (64, 3, 1)), hidden=512, norm=False, padding=1),
    # Small enough for two cores at 64x64; LayerNorm is what lets it learn without a target network (Gallici et al. 2024).
    "compact": Architecture(((16, 6, 4), (32, 3, 2), (32, 3, 1)), hidden=256, norm=True),
    # The same with a smaller hidden layer: several skills in one network, for less than a quarter of four networks' weights.
    "slim": Architecture(((16, 6, 4), (32, 3, 2), (32, 3, 1)), hidden=240, norm=True),
    # Sees what is in the way and what is in the hand, at a third of the cost: the elimination network.
    "scout": Architecture(((8, 4, 4),), hidden=32, norm=True),
}


ELIMINATED = -1e9  # stands for the Q-value of an option that is not to be chosen


class Trunk(nn.Sequential):
    """Frames (B, S, H, W) uint8 -> features (B, ``features``): all layers but the last.

    Args:
        architecture: a name in :data:`ARCHITECTURES`.
        shape: (S, H, W) of one stack of frames.
    Raises ConfigError for an unknown architecture, and if the frames are too small for the convolutions.
    """

    def __init__(self, architecture: str, shape: tuple[int, int, int]) -> None:
        if architecture not in ARCHITECTURES:
            raise ConfigError(f"unknown network '{architecture}' (known: {', '.join(ARCHITECTURES)})")
        plan = ARCHITECTURES[architecture]
        layers: list[nn.Module] = []
        channels, side_h, side_w = shape
        for number, (out, kernel, stride) in enumerate(plan.convolutions):
            padding = plan.padding if number == 0 else 0
            layers += [nn.Conv2d(channels, out, kernel, stride, padding), nn.ReLU()]
            channels = out
            side_h, side_w = ((side + 2 * padding - kernel) // stride + 1 for side in (side_h, side_w))
        if min(side_h, side_w) < 1:
            raise ConfigError(f"frames of {shape[1]}x{shape[2]} pixels are too small for the network '{architecture}'")
        flat = channels * side_h * side_w
        layers += [nn.Flatten(), *([nn.LayerNorm(flat)] if plan.norm else []), nn.Linear(flat, plan.hidden)]
        layers += [*([nn.LayerNorm(plan.hidden)] if plan.norm else []), nn.ReLU()]
        super().__init__(*layers)
        self.norm, self.features = plan.norm, plan.hidden

    def forward(self, frames_BSHW: Tensor) -> Tensor:
        frames = frames_BSHW.float()
        # With mean 0 and variance 1, the light and shade of a room matter no more; its patterns do.
        features: Tensor = super().forward(  # type: ignore[no-untyped-call]
            nn.functional.layer_norm(frames, frames.shape[1:]) if self.norm else frames.mul_(1 / 255)
        )
        return features


class QNetwork(nn.Module):
    """Frames (B, S, H, W) uint8 -> Q-values (B, O), one per option.

    Args:
        architecture: a name in :data:`ARCHITECTURES`.
        shape: (S, H, W) of one stack of frames.
        outputs: number of options O.
        value: Q-value of every option at the start.
        eliminate: whether it has an elimination network beside it.
    Raises ConfigError as :class:`Trunk` does.
    """

    def __init__(
        self, architecture: str, shape: tuple[int, int, int], outputs: int, value: float = 0.0, eliminate: bool = False
    ) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"architecture": architecture, "shape": list(shape), "outputs": outputs}
        self.trunk = Trunk(architecture, shape)
        self.head = nn.Linear(self.trunk.features, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, value)
        self.elimination: Elimination | None = None
        if eliminate:
            self.spec["eliminate"] = True
            scout = Trunk("scout", shape)
            self.elimination = Elimination(scout, scout.features, outputs)

    def forward(self, frames_BSHW: Tensor) -> Tensor:
        q_BO: Tensor = self.head(self.trunk(frames_BSHW))
        return q_BO

    def admit(self, q_BO: Tensor, frames_BSHW: Tensor, available_BO: Tensor | None = None) -> Tensor:
        """``q_BO`` with ELIMINATED for the options that are eliminated at these frames; one that is available is always left."""
        if self.elimination is None:
            return q_BO
        available_BO = torch.ones_like(q_BO, dtype=torch.bool) if available_BO is None else available_BO
        return q_BO.masked_fill(available_BO & ~self.elimination.admissible(frames_BSHW, available_BO), ELIMINATED)


@torch.no_grad()
def inherit(network: QNetwork, source: QNetwork) -> None:
    """Start the layers of ``network`` from those of ``source``, as many units of each as it has itself.

    Nothing happens where convolutions or frames differ, or where ``source`` is the smaller one.
    """
    ours, theirs = ARCHITECTURES[network.spec["architecture"]], ARCHITECTURES[source.spec["architecture"]]
    alike = replace(ours, hidden=0) == replace(theirs, hidden=0) and network.spec["shape"] == source.spec["shape"]
    if alike and ours.hidden <= theirs.hidden:
        known = source.trunk.state_dict()
        for name, weights in network.trunk.state_dict().items():
            weights.copy_(known[name][tuple(slice(units) for units in weights.shape)])


@torch.no_grad()
def adopt(network: QNetwork, names: Sequence[str], source: QNetwork, known: Sequence[str]) -> None:
    """Start ``network`` from ``source``: its layers, and its output for each option that both know by ``names`` and ``known``.

    Options that are new keep their starting value, so a head can grow as skills are added. Raises ConfigError where the layers
    differ.
    """
    ours, theirs = network.spec, source.spec
    if any(ours[key] != theirs[key] for key in ("architecture", "shape")):
        raise ConfigError(
            f"--from: it is the network '{theirs['architecture']}' for frames of {theirs['shape']}, "
            f"this run's is '{ours['architecture']}' for {ours['shape']}"
        )
    network.trunk.load_state_dict(source.trunk.state_dict())
    for index, name in enumerate(names):
        if name in known:
            network.head.weight[index] = source.head.weight[known.index(name)]
            network.head.bias[index] = source.head.bias[known.index(name)]


@torch.no_grad()
def values(network: QNetwork, obs: NDArray[np.uint8], available: NDArray[np.bool_] | None = None) -> Tensor:
    """Q-values without gradients, on the CPU: obs (B, S, H, W), available (B, O) -> (B, O); see :meth:`QNetwork.admit`."""
    device = next(network.parameters()).device
    frames = torch.from_numpy(obs).to(device)
    return network.admit(network(frames), frames, None if available is None else torch.from_numpy(available).to(device)).cpu()


def greedy(q_BO: Tensor, available: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The best available option of each row: (B, O), (B, O) -> (B,)."""
    best: NDArray[np.int64] = q_BO.masked_fill(~torch.from_numpy(available), -torch.inf).argmax(1).numpy()
    return best


class Boltzmann:
    """Chooses option o with a chance proportional to exp(Q(s, o) / temperature); temperature 0 is greedy.

    An agent without memory that always takes the best option walks in circles wherever two of its errors point at each other; the
    best policy of such an agent is stochastic (Singh, Jaakkola and Jordan 1994). Options that are clearly worse keep no chance.

    Args:
        values: obs (B, S, H, W) -> Q-values (B, O).
        seed: decides the draws.
    """

    def __init__(self, values: Callable[[NDArray[np.uint8]], Tensor], temperature: float, seed: int) -> None:
        self.values, self.temperature, self._rng = values, temperature, np.random.default_rng([seed, 8])

    def __call__(self, obs: NDArray[np.uint8], available: NDArray[np.bool_], worlds: NDArray[np.int64]) -> NDArray[np.int64]:
        """The option of each row, (B,), among those ``available`` (B, O)."""
        q_BO = self.values(obs)
        if self.temperature:  # the largest of Q / T + Gumbel noise is a draw from the softmax
            q_BO = q_BO / self.temperature + torch.from_numpy(self._rng.gumbel(size=q_BO.shape))
        return greedy(q_BO, available)


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is any, else the CPU. The same seed gives the same run on either.

    Raises ConfigError for ``cuda`` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: PyTorch finds no CUDA device here; h-dqn doctor says more")
    torch.backends.cudnn.deterministic = True
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
