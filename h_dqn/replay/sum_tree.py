"""A sum tree: draws an index with a chance proportional to its weight, in logarithmic time (Schaul et al. 2016, appendix B.2.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class SumTree:
    """``size`` non-negative weights, all 0 at first. Node i has the children 2i and 2i + 1; the leaves are the last level."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._leaves = 1 << max(size - 1, 0).bit_length()
        self._sums = np.zeros(2 * self._leaves)

    @property
    def total(self) -> float:
        return float(self._sums[1])

    @property
    def weights(self) -> NDArray[np.float64]:
        """(size,), read only."""
        return self._sums[self._leaves : self._leaves + self.size]

    def set(self, index: NDArray[np.int64], weight: NDArray[np.float64]) -> None:
        """Set the weights at ``index`` (B,); of an index that comes twice, the last weight counts."""
        if len(index) and (
            np.min(index) < 0 or np.max(index) >= self.size or not np.all(np.isfinite(weight)) or np.min(weight) < 0
        ):
            raise ValueError("weights must be finite and not negative, at an index below the tree's size")
        node = np.asarray(index) + self._leaves
        self._sums[node] = weight
        node = np.unique(node // 2)
        while len(node) and node[0] >= 1:
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]
            node = np.unique(node // 2)

    def find(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each point (B,) in 0..total, the index in whose share it lies."""
        at, node = np.array(at, np.float64), np.ones(len(at), np.int64)
        while node[0] < self._leaves if len(node) else False:
            left = self._sums[2 * node]
            # Rounding can leave a point at the very end; never step into a branch of weight 0.
            right = (at >= left) & (self._sums[2 * node + 1] > 0)
            at = np.where(right, at - left, at)
            node = 2 * node + right
        return node - self._leaves
