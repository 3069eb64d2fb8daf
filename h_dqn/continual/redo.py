"""ReDo (Sokar et al. 2023): units that have fallen dormant begin anew."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from h_dqn.continual.body import network_of, q_network
from h_dqn.learners.base import Learner, Progress
from h_dqn.learners.method import Method
from h_dqn.networks import QNetwork
from h_dqn.replay import SMDPReplay
from h_dqn.state import whole

SAMPLE = 256  # decisions whose observations units are judged by


class ReDo(Method):
    """Every so many gradient steps, each unit of the torso that is dormant gets new incoming weights, and outgoing weights of 0.

    A unit is dormant whose mean |activation| after its ReLU is at most ``tau`` of the mean of its layer (a channel of a convolution
    is a unit). Its bias becomes 0, a layer norm's gain for it 1 and bias 0; biases of the layer behind it, and the optimiser,
    are left as they are.

    Args:
        every: gradient steps; rescaled to a run of thousands, not of millions.
        tau: share of the layer's mean.
        seed: decides the new weights.
    """

    looks_back = True

    def __init__(self, every: int, tau: float, seed: int) -> None:
        self.every, self.tau = every, tau
        self._generator = torch.Generator().manual_seed(seed)
        self.steps = self.revived = 0
        self._asked = 0

    def after_update(self, network: nn.Module) -> None:
        self.steps += 1

    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        if self.steps - self._asked >= self.every and len(replay):
            self._asked = self.steps
            batch = replay.sample(SAMPLE)
            self.revived += revive(network_of(learner), batch.frames[batch.start], self.tau, self._generator)

    def state_dict(self) -> dict[str, Any]:
        return {"counters": [self.steps, self.revived, self._asked], "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.revived, self._asked = (whole(number, "counters", 0) for number in state["counters"])
        self._generator.set_state(state["generator"])


@torch.no_grad()
def revive(network: QNetwork, frames: Tensor, tau: float, generator: torch.Generator) -> int:
    """Begin the dormant units of the torso anew, judged by these frames (B, S, H, W); returns how many there were."""
    torso, heard = q_network(network).torso, dict[int, Tensor]()
    hooks = [layer.register_forward_hook(lambda _, __, out, i=i: heard.__setitem__(i, out)) for i, layer in enumerate(torso)
             if isinstance(layer, nn.ReLU)]  # fmt: skip
    torso(frames)
    for hook in hooks:
        hook.remove()
    revived = 0
    for place, activation in heard.items():
        axes = [axis for axis in range(activation.dim()) if axis != 1]
        mean = activation.abs().mean(axes)
        dormant = (mean <= tau * mean.mean()).nonzero().squeeze(1)
        revived += len(dormant)
        if len(dormant):
            _incoming(torso, place, dormant, generator)
            _outgoing(network, place, dormant)
    return revived


def _incoming(torso: nn.Sequential, place: int, units: Tensor, generator: torch.Generator) -> None:
    """New incoming weights for units of the layer whose ReLU is at this place."""
    before = place - 1
    if isinstance(norm := torso[before], nn.LayerNorm):
        norm.weight[units], norm.bias[units] = 1.0, 0.0
        before -= 1
    layer = torso[before]
    assert isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None  # noqa: PT018
    fan_in = layer.weight[0].numel()
    new = (torch.rand(layer.weight[units].shape, generator=generator) * 2 - 1) / fan_in**0.5  # as torch begins these layers
    layer.weight[units], layer.bias[units] = new.to(layer.weight.device), 0.0


def _outgoing(network: QNetwork, place: int, units: Tensor) -> None:
    """Outgoing weights of 0 for the same units."""
    torso = network.torso
    behind = next((layer for layer in list(torso)[place + 1 :] if isinstance(layer, nn.Conv2d | nn.Linear)), None)
    if isinstance(behind, nn.Conv2d):
        behind.weight[:, units] = 0.0
    elif behind is not None:  # a channel is a row of pixels there
        last = next(layer for layer in reversed(list(torso)[:place]) if isinstance(layer, nn.Conv2d))
        behind.weight.view(len(behind.weight), last.out_channels, -1)[:, units] = 0.0
    else:
        for weight in [*network.head.parameters(), *([network.core.weight_ih] if network.core is not None else [])]:
            if weight.dim() == 2:
                weight[:, units] = 0.0
