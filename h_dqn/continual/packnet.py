"""PackNet (Mallya and Lazebnik 2018): each task owns weights of its own, which later tasks may use and never change."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from h_dqn.continual.body import Weights, body, copied, like_body, network_of
from h_dqn.continual.task_heads import TaskHeads
from h_dqn.learners.base import Learner, Progress
from h_dqn.learners.method import Method
from h_dqn.networks import QNetwork
from h_dqn.replay import SMDPReplay
from h_dqn.state import CheckpointError, whole

FREE = 0  # owner of a weight that no task has yet


class PackNet(Method):
    """A task learns with all weights that no other has, then gives most of them back, then goes on with those that it kept.

    After task k of N it keeps of each matrix's weights that are its own the largest, 1 / (weights' tasks left + 1) of them, those
    left counted without it; the others become 0 and free. Biases and norms are frozen after the first task. A task that comes
    again owns nothing new: its head alone learns. Needs N, and the task's number whenever it plays.

    Args:
        tasks: N.
        retrain: share of a task's steps, its last, in which it goes on with what it kept.
        heads: says which task it is.
    """

    def __init__(self, tasks: int, retrain: float, heads: TaskHeads) -> None:
        self.tasks, self.retrain, self.heads = tasks, retrain, heads
        self.owner: dict[str, Tensor] = {}  # of each weight of a matrix, the number of its task in the order of learning, from 1 on
        self.fixed: Weights = {}  # the body at the begin of the phase, or since it was pruned
        self.order: list[int] = []  # tasks, as they were met first
        self._pruned = True

    def begin_phase(self, learner: Learner, phase: int) -> None:
        network = learner.network
        if not self.owner:
            matrices = {name: weight for name, weight in body(network).items() if weight.dim() > 1}
            self.owner = {name: torch.zeros_like(weight, dtype=torch.int16) for name, weight in matrices.items()}
        self._pruned = self.heads.current in self.order
        if not self._pruned:
            self.order.append(self.heads.current)
        self.fixed = copied(network)

    def edit_gradients(self, network: nn.Module) -> None:
        for name, weight in body(network).items():
            if weight.grad is not None:
                weight.grad[~self._learns(name, weight)] = 0.0

    @torch.no_grad()
    def after_update(self, network: nn.Module) -> None:
        """An optimiser with momentum moves what has no gradient, too."""
        for name, weight in body(network).items():
            weight.copy_(torch.where(self._learns(name, weight), weight, self.fixed[name]))

    def _learns(self, name: str, weight: Tensor) -> Tensor:
        """Which weights the task may change."""
        newest = self.heads.current == self.order[-1]
        if name not in self.owner:
            return torch.full_like(weight, newest and len(self.order) == 1, dtype=torch.bool)
        if not newest:
            return torch.zeros_like(weight, dtype=torch.bool)
        return self.owner[name] == (len(self.order) if self._pruned else FREE)

    @torch.no_grad()
    def end_round(self, learner: Learner, replay: SMDPReplay, progress: Progress) -> None:
        if self._pruned or progress.share < 1 - self.retrain:
            return
        network, left = network_of(learner), self.tasks - len(self.order)
        for name, weight in body(network).items():
            if name in self.owner:
                self.owner[name], kept = claim(weight, self.owner[name], len(self.order), left)
                weight.mul_(kept)
        self._pruned, self.fixed = True, copied(network)

    @torch.no_grad()
    def view(self, network: QNetwork, task: int) -> QNetwork:
        """The network as this task learned it, and its head: without the weights of tasks after it."""
        seen = self.heads.of(network, task)
        until = self.order.index(task) + 1 if task in self.order else len(self.order)
        learning = task == self.heads.current and not self._pruned
        for name, weight in body(seen).items():
            if name in self.owner:
                weight.mul_((self.owner[name] <= until) & ((self.owner[name] != FREE) | learning))
        return seen

    def state_dict(self) -> dict[str, Any]:
        return {"owner": self.owner, "fixed": self.fixed, "order": self.order, "pruned": self._pruned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order = [whole(task, "order", 0, self.tasks - 1) for task in state["order"]]
        self.fixed, self._pruned = like_body(state["fixed"], self.fixed, "fixed"), state["pruned"] is True
        owner = state["owner"]
        if any(part.dtype != torch.int16 or part.shape != self.fixed[name].shape for name, part in owner.items()):
            raise CheckpointError("'owner' is of other weights")
        self.owner = {name: deepcopy(part) for name, part in owner.items()}


def claim(weight: Tensor, owner: Tensor, task: int, left: int) -> tuple[Tensor, Tensor]:
    """Who owns each weight once ``task`` has kept the largest of those that were free, 1 / (left + 1) of them; and a mask of all
    that are owned. ``left``: tasks that are still to come."""
    free = owner == FREE
    size = weight.abs().masked_fill(~free, -1.0).flatten()
    count = round(int(free.sum()) / (left + 1))
    mine = torch.zeros_like(size, dtype=torch.bool)
    mine[size.argsort(descending=True, stable=True)[:count]] = True
    owner = torch.where(mine.view_as(owner), torch.full_like(owner, task), owner)
    return owner, owner != FREE
