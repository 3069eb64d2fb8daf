"""What a network does when one thing is different and all else is the same: the test that saliency lacks (Atrey et al. 2020)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h_dqn.introspection.saliency import softmax

Floats = NDArray[np.floating[Any]]


class Effect(NamedTuple):
    """What a cause does to the choice, over B states in which it could be changed."""

    cause: str
    matters: bool
    """whether the task is about it: then it should change the choice; else it is a spurious cue"""
    states: int
    flips: float
    """share of states in which another option is best"""
    shift: float
    """mean total variation between the softmaxes, 0..1"""
    change: float
    """mean |Q - Q'| of the option that was best"""


def effect(cause: str, matters: bool, q_BO: Floats, after_BO: Floats, temperature: float) -> Effect:
    """``temperature``: of the softmaxes that are compared."""
    if not len(q_BO):
        return Effect(cause, matters, 0, 0.0, 0.0, 0.0)
    best = q_BO.argmax(1)
    shift = np.abs(softmax(q_BO / temperature) - softmax(after_BO / temperature)).sum(1) / 2
    rows = np.arange(len(best))
    change = np.abs(q_BO[rows, best] - after_BO[rows, best])
    return Effect(cause, matters, len(best), float((after_BO.argmax(1) != best).mean()), float(shift.mean()), float(change.mean()))


def ranked(effects: list[Effect]) -> list[Effect]:
    """The table of causes, what shifts the choice most first."""
    return sorted(effects, key=lambda one: (-one.shift, one.cause))
