"""What a network looks at: the gradient, and what it says when a part of its frame is blurred. Exploratory (Atrey, Clary and Jensen
2020): what changes the choice when it is really changed is said by ``counterfactual.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Frames = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Network = Callable[[Tensor, Tensor], Tensor]  # frames (B, S, H, W), state (B, C) -> Q-values (B, O)
CELL = 8  # pixels between two places that are blurred, and of a cell of a map; strip and dial are one row of cells
RADIUS, BLUR = 8.0, 3.0  # pixels: twice the standard deviations of a spot, and that of its blur (Greydanus et al. 2018)
BATCH = 2048


class Maps(NamedTuple):
    """Of R frames, over a grid of cells."""

    gradient: NDArray[np.float32]  # (R, h, w)
    perturbation: NDArray[np.float32]  # (R, h, w)
    sarfa: NDArray[np.float32]  # (R, h, w)


def saliency(network: Network, frames_RSHW: Frames, state_RC: Floats, temperature: float) -> Maps:
    """All three maps of each frame. ``temperature``: by which the Q-values are divided before :func:`sarfa`."""
    spots = spots_of(*frames_RSHW.shape[-2:])
    gradients, changes, sarfas = [], [], []
    for frame, state in zip(frames_RSHW, torch.from_numpy(np.asarray(state_RC, np.float32)), strict=True):
        gradients.append(pooled(gradient(network, torch.from_numpy(frame)[None], state[None])[0]))
        q, after = _perturbed(network, frame, state, spots)
        changes.append(perturbation(q, after).reshape(gradients[-1].shape))
        sarfas.append(sarfa(q / temperature, after / temperature, int(q.argmax())).reshape(gradients[-1].shape))
    return Maps(*(np.array(each, np.float32) for each in (gradients, changes, sarfas)))


def gradient(network: Network, frames_BSHW: Tensor, state_BC: Tensor) -> NDArray[np.float32]:
    """|d max Q / d pixel|, (B, H, W), the largest over the stack (Simonyan, Vedaldi and Zisserman 2014)."""
    x = frames_BSHW.clone().float().requires_grad_(True)
    with torch.enable_grad():
        best = network(x, state_BC).max(1).values.sum()
        (slope,) = torch.autograd.grad(best, x)
    found: NDArray[np.float32] = slope.abs().amax(1).numpy()
    return found


def pooled(map_HW: Floats) -> Floats:
    """The mean over cells of CELL x CELL pixels; those at the lower and right edge may be smaller."""
    height, width = map_HW.shape
    rows, columns = np.arange(0, height, CELL), np.arange(0, width, CELL)
    sums = np.add.reduceat(np.add.reduceat(map_HW, rows, 0), columns, 1)
    return sums / np.outer(np.diff(np.r_[rows, height]), np.diff(np.r_[columns, width]))


def spots_of(height: int, width: int) -> NDArray[np.float32]:
    """Where each cell's frame is blurred, 0..1: (cells, H, W), a Gaussian around the cell's middle."""
    y, x = np.mgrid[0:height, 0:width]
    middles = [(r + CELL / 2 - 0.5, c + CELL / 2 - 0.5) for r in range(0, height, CELL) for c in range(0, width, CELL)]
    return np.array([np.exp(-((y - r) ** 2 + (x - c) ** 2) / (2 * (RADIUS / 2) ** 2)) for r, c in middles], np.float32)


@torch.no_grad()
def _perturbed(network: Network, frame_SHW: Frames, state_C: Tensor, spots: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Q-values of the frame, (O,), and with each of the spots blurred, (cells, O)."""
    plain = frame_SHW.astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(one, (0, 0), BLUR) for one in plain])
    changed = torch.from_numpy(plain + spots[:, None] * (blurred - plain))
    both = torch.cat([torch.from_numpy(plain)[None], changed])
    q = network(both, state_C.expand(len(both), -1)).double().numpy()
    return q[0], q[1:]


def perturbation(q_O: Floats, after_BO: Floats) -> Floats:
    """|Q - Q'|^2 / 2, (B,) (Greydanus et al. 2018, equation 2)."""
    return np.asarray(0.5 * ((after_BO - q_O) ** 2).sum(1))


def sarfa(q_O: Floats, after_BO: Floats, option: int) -> Floats:
    """How much of a change is about ``option`` alone, (B,) in 0..1 (Puri et al. 2020): 2 K dp / (K + dp).

    dp is what its softmax loses; K = 1 / (1 + KL), of the softmax over the other options before from that after. 0 where it loses
    nothing.
    """
    before, after = softmax(q_O[None]), softmax(after_BO)
    loss = before[0, option] - after[:, option]
    rest = np.arange(len(q_O)) != option
    p, r = softmax(q_O[None, rest]), softmax(after_BO[:, rest])
    kl = (p * np.log(p / np.maximum(r, 1e-300))).sum(1) if rest.any() else np.zeros(len(after))
    k = 1 / (1 + kl)
    return np.where(loss > 0, 2 * k * loss / np.maximum(k + loss, 1e-300), 0.0)


def softmax(q_BO: Floats) -> NDArray[np.float64]:
    """Rows that sum to 1."""
    shifted = np.exp(np.asarray(q_BO, np.float64) - np.max(q_BO, 1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))
