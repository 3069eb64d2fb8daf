"""Torsos: convolutional layers that turn a stack of grey frames into features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from h_dqn.settings import ConfigError, unknown

Shape = tuple[int, int, int]  # (S, H, W) of one stack of frames


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


class Torso(nn.Sequential):
    """Frames (B, S, H, W) uint8 -> features (B, F).

    Args:
        architecture: a name in :data:`ARCHITECTURES`.
        shape: (S, H, W) of one stack of frames.
    Attributes:
        features: F.
    Raises ConfigError for an unknown architecture, and if the frames are too small for the convolutions.
    """

    def __init__(self, architecture: str, shape: Shape) -> None:
        if architecture not in ARCHITECTURES:
            raise ConfigError(unknown("network", architecture, ARCHITECTURES))
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
        self.architecture, self.shape = architecture, shape
        self.norm, self.features = plan.norm, plan.hidden

    def forward(self, frames_BSHW: Tensor) -> Tensor:
        frames = frames_BSHW.float()
        # With mean 0 and variance 1, the light and shade of a room matter no more; its patterns do.
        scaled = nn.functional.layer_norm(frames, frames.shape[1:]) if self.norm else frames * (1 / 255)
        x_BF: Tensor = super().forward(scaled)  # type: ignore[no-untyped-call]
        return x_BF

    @torch.no_grad()
    def cut_from(self, source: Torso) -> None:
        """Begin with the layers of ``source``, as many units of each as this torso has.

        Nothing happens where convolutions or frames differ, or where ``source`` is the smaller one.
        """
        ours, theirs = ARCHITECTURES[self.architecture], ARCHITECTURES[source.architecture]
        alike = replace(ours, hidden=0) == replace(theirs, hidden=0) and self.shape == source.shape
        if alike and ours.hidden <= theirs.hidden:
            known = source.state_dict()
            for name, weights in self.state_dict().items():
                weights.copy_(known[name][tuple(slice(units) for units in weights.shape)])
