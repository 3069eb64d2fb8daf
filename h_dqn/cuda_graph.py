"""Replaying work on a GPU as one launch: small networks leave it waiting for Python, with a hundred launches a minibatch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # calls before a capture, as torch.cuda.graph asks


class CudaGraph:
    """Does what ``step`` does: on a CUDA device by a CUDA graph, elsewhere by calling it.

    Args:
        step: takes tensors and returns tensors; whatever else it reads or changes must stay where it is in memory.
        size: rows of its arguments in a whole minibatch. Those of another size are left to ``step`` itself.
    """

    def __init__(self, step: Callable[..., tuple[Tensor, ...]], size: int) -> None:
        self.step, self.size = step, size
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        if not given[0].is_cuda or len(given[0]) != self.size:
            return self.step(*given)
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._aside(given)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            self._given = [tensor.clone() for tensor in given]
            with torch.cuda.graph(self._graph):
                self._found = self.step(*self._given)
        for ours, theirs in zip(self._given, given, strict=True):
            ours.copy_(theirs)
        self._graph.replay()
        return tuple(tensor.clone() for tensor in self._found)  # the next replay writes over these

    def _aside(self, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """On a stream of its own, for what is set up at first use must not be captured."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            found = self.step(*given)
        here.wait_stream(aside)
        return found
