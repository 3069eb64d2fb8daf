"""From the replay to a batch: its decisions, and their observations, each once or in sequences for networks that remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from h_dqn.replay.decision_store import DecisionStore
from h_dqn.replay.decisions import Decisions
from h_dqn.replay.trajectory_buffer import Bools, Ints, TrajectoryBuffer


class Layout(NamedTuple):
    """U observations, and which of them B decisions stand on. In W sequences of L steps they stand time first: U = L * W."""

    width: int  # W, 0 where they stand in none
    env: Ints  # (U,)
    row: Ints  # (U,) of the environment's trajectory; a sequence that is shorter than L repeats its last
    start: Ints  # (B,)
    end: Ints  # (B,)


def each_once(env: Ints, first: Ints, last: Ints, num_envs: int) -> Layout:
    """Decisions from row ``first`` to ``last`` (B,) of ``env`` (B,), on these rows alone.

    Most decisions begin where another ended: each observation is built, and later evaluated, once.
    """
    place, index = np.unique(np.concatenate([first, last]) * num_envs + np.tile(env, 2), return_inverse=True)
    return Layout(0, place % num_envs, place // num_envs, index[: len(first)], index[len(first) :])


def in_sequences(env: Ints, first: Ints, last: Ints, sequence: Ints, begins: Callable[[Ints, Ints], Bools], ends: bool) -> Layout:
    """Decisions from row ``first`` to ``last`` (B,) of ``env`` (B,), in sequences from the first to the last row of all in each.

    Args:
        sequence: (B,) the number of the sequence that each is in, one of one environment.
        begins: whether episodes begin at rows of environments.
        ends: whether the observations where decisions ended are wanted. If not, those where episodes did are left out, and so is
            what follows the last decision's first; ``end`` means nothing then.
    """
    _, one, which = np.unique(sequence, return_index=True, return_inverse=True)
    begin, end = first[one], first[one].copy()
    np.minimum.at(begin, which, first)
    np.maximum.at(end, which, last if ends else first)
    row = begin + np.arange((end - begin).max() + 1)[:, None]
    kept = row <= end
    if not ends:
        kept[:-1] &= ~(kept[1:] & begins(np.broadcast_to(env[one], row.shape), np.minimum(row, end))[1:])
    step = np.cumsum(kept, 0) - 1  # of each row in its sequence, without those that are left out
    row = begin + np.take_along_axis(
        np.argsort(~kept, 0, kind="stable"), np.minimum(np.arange(step[-1].max() + 1)[:, None], step[-1]), 0
    )
    start, stop = (step[place - begin[which], which] * len(one) + which for place in (first, last if ends else first))
    return Layout(len(one), np.tile(env[one], len(row)), row.ravel(), start, stop)


def gather(
    trajectories: TrajectoryBuffer,
    store: DecisionStore,
    chains: tuple[Ints, Ints],
    weight: NDArray[np.float32],
    new: int,
    sequence: Ints | None = None,
    ends: bool = True,
) -> Decisions:
    """A batch of chains of decisions.

    Args:
        trajectories, store: where they are.
        chains: numbers of the decisions (B,) that they begin with; slots of those that they end with.
        weight: (B,) of each in the loss.
        new: those from this number on are fresh.
        sequence: (B,) number of the sequence that each is in, if their observations are to stand in sequences.
        ends: whether these hold the observations where decisions ended, too.
    """
    number, end = chains
    slot, tensor = number % store.slots, trajectories.tensor
    env, first, last = store["env"][slot], store["first"][slot], store["last"][end]
    layout = (
        each_once(env, first, last, trajectories.num_envs)
        if sequence is None
        else in_sequences(env, first, last, sequence, trajectories.begins, ends)
    )
    where, position = (layout.env, layout.row), {n: i for i, n in enumerate(number.tolist())}
    return Decisions(
        frames=trajectories.stacked(*where),
        state=trajectories.states(*where),
        begins=tensor(trajectories.begins(*where).reshape(-1, layout.width)) if layout.width else None,
        record=tensor(trajectories.records(*where)),
        start=tensor(layout.start),
        end=tensor(layout.end),
        option=tensor(store["option"][slot].astype(np.int64)),
        rewards=tensor(trajectories.rewards(env, first, last - first)),
        length=tensor(last - first),
        available=tensor(store["available"][slot]),
        next_available=tensor(store["next_available"][end]),
        terminated=tensor(store["terminated"][end]),
        done=tensor(store["done"][end]),
        continuation=tensor(store["continuation"][end]),
        following=tensor(np.array([position.get(n, -1) for n in store["next"][end].tolist()], np.int64)),
        weight=tensor(weight),
        fresh=tensor(number >= new),
        env=tensor(env.astype(np.int64)),
        id=tensor(number),
    )
