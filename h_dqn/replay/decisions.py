"""What passes between the replay and those who use it: how steps end, what a learner needs, and batches of decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from h_dqn.replay.trajectory_buffer import Bools
from h_dqn.settings import Count


@dataclass(frozen=True)
class ReplayConfig:
    """What is kept to learn from."""

    capacity: Count = 100_000
    """environment steps that are kept, by learners that look at more than what was just seen, with a success memory, and to
    eliminate"""


@dataclass(frozen=True)
class ReplayNeeds:
    """What a learner asks of the replay."""

    past: bool = True
    """whether more is looked at than what was just seen"""
    resampled: bool = True
    """whether any decision that is kept may be drawn, and not only those of successful episodes"""
    record_size: int = 0
    """R, numbers that are kept beside a decision"""
    priority: float = 0.0
    """exponent of prioritised replay (Schaul et al. 2016); 0 samples uniformly over *decisions*, so that how often a decision is
    drawn does not depend on how long it was"""
    successes: int = 0
    """decisions of the newest episodes that reached the goal, so many in all, are known apart (0: they are not)"""
    intra_option: int = 1
    """most decisions that are stored by :meth:`SMDPReplay.add_intra_option` for one step"""
    state_size: int = 0
    """C, numbers that the agent remembers before an observation, which are kept beside it"""


class End(NamedTuple):
    """How a step ended, in each of N environments."""

    terminated: Bools  # (N,) the world ended there, so that nothing is to come; a step limit is no such end
    done: Bools  # (N,) the episode ended there, by a step limit too
    available: Bools  # (N, O) options that could be chosen before the step
    next_available: Bools  # (N, O) options that can be chosen after it


@dataclass(frozen=True)
class Decisions:
    """A batch of B decisions (or of chains of n decisions, which look just the same), all of it on one device.

    U observations, each once; S frames a stack; K steps at most; O options; R numbers in a record; C of a state.
    """

    frames: Tensor  # (U, S, H, W) uint8: the observations where decisions were made or ended, or in sequences all between them too
    state: Tensor  # (U, C) what the agent remembered before it saw them
    begins: Tensor | None  # (L, W) bool: where an episode begins in W sequences of L observations, time first; None: in none
    record: Tensor  # (U, R) what the learner had recorded where it chose; NaN elsewhere
    start: Tensor  # (B,) which of ``frames`` it was made at
    end: Tensor  # (B,) which of ``frames`` it ended at
    option: Tensor  # (B,)
    rewards: Tensor  # (B, K) raw, 0 from its length on
    length: Tensor  # (B,) environment steps
    available: Tensor  # (B, O) bool: options that could be chosen where it was made
    next_available: Tensor  # (B, O) bool: options that could be chosen where it ended
    terminated: Tensor  # (B,) bool: the world ended there, so that nothing is to come; a step limit is no such end
    done: Tensor  # (B,) bool: the episode ended there, by a step limit too
    continuation: Tensor  # (B,) probability that the option went on there, if it was only seen for a part (intra-option)
    following: Tensor  # (B,) index in this batch of the decision that came next in the episode, -1 if not in it
    weight: Tensor  # (B,) importance weight, 1 where sampling is uniform
    fresh: Tensor  # (B,) bool: whether ``fresh`` hands it out for the first time
    env: Tensor  # (B,) the environment that it was made in
    id: Tensor  # (B,) its number, for ``set_priority`` and ``sequences``

    def __len__(self) -> int:
        return len(self.option)
