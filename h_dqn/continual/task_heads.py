"""A head for each task, on layers that all share: for who is told which task it plays."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from h_dqn.networks import Head, QNetwork


class TaskHeads:
    """Heads of tasks that are not learned now, by the task's number. Who is never told a task has one head, that of task 0.

    Attributes:
        kept: the heads; frozen.
        current: the task that is learned now, whose head is the network's own.
    """

    def __init__(self) -> None:
        self.kept: dict[int, Head] = {}
        self.current = 0

    def keep(self, network: QNetwork) -> None:
        """The network's head as it is, for the task that is learned now."""
        self.kept[self.current] = deepcopy(network.head).requires_grad_(False)

    def values(self, network: QNetwork, x_BF: Tensor, task_B: Tensor) -> Tensor:
        """Q-values (B, O) of features (B, F), each by the head of its task (B,)."""
        parts = torch.unique(task_B).tolist()
        if parts == [self.current]:
            q_BO: Tensor = network.head(x_BF)
            return q_BO
        q_BO = x_BF.new_zeros(len(x_BF), network.spec.outputs)
        for task in parts:
            head, rows = network.head if task == self.current else self.kept[task], (task_B == task).nonzero().squeeze(1)
            q_BO = q_BO.index_put((rows,), head(x_BF[rows]))
        return q_BO

    def of(self, network: QNetwork, task: int) -> QNetwork:
        """A frozen copy of the network that plays this task: with its head, or where it has none yet, with the network's own."""
        view = deepcopy(network).requires_grad_(False)
        if task != self.current:
            view.elimination = None  # it speaks of the newest task alone
        if task in self.kept:
            view.head = deepcopy(self.kept[task])
        return view
