"""What all tuners share: where each environment acts in the family of discounts, and how large a step is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.networks import LinearFamily, interpolate
from h_dqn.replay import Decisions
from h_dqn.self_tuning.config import SelfTuningConfig
from h_dqn.state import CheckpointError

OFFSETS = (0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)  # which side of eta environments try, in turn
ASIDE = 0.5  # how far from eta that is, in places
WINDOW = 30  # newest rounds that say where eta moves

Targets = Callable[..., Tensor]  # (q_UO, head, discount=..., ...) -> targets of Q (D,)


@dataclass(frozen=True)
class Seen:
    """What a round has shown; nothing is learned from it yet.

    E numbers that a tuner says of an observation, M that it marks a decision with.
    """

    batch: Decisions
    q_UGO: Tensor  # values of the observations, by each head
    said_UE: Tensor  # what :meth:`Tuner.say` said of them
    marks_DM: Tensor  # what :meth:`Tuner.mark` said of the decisions
    acted_D: Tensor  # bool: the decision was made in this round or ended in it, and is no other reading of one (intra-option)
    reward_scale: float  # factor of the rewards
    share: float  # of the run that is over
    warm: bool  # exploration has fallen by half: until then nothing tells what a discount is good for


class Tuner(ABC):
    """Moves eta, the place in the family of discounts by which environments act.

    A learner calls :meth:`act` and :meth:`mark` where decisions are due and, once a round, :meth:`move`, :meth:`targets` and then
    :meth:`learn` beside each of its own gradient steps.

    Args:
        head: values for each discount of the family; knows eta, so that what is kept of the network plays by it.
        config: see there.
        num_envs: N.
        begin: where ``discount`` begins, and ``td_lambda`` where that is tuned too.
        learning_rate: of layers of the tuner's own.
        rng: decides all that is random.
    """

    says = 0  # E
    marks = 0  # M
    temperature = 0.0  # of the softmax by which environments choose where they do not explore; 0: greedy

    def __init__(
        self,
        head: LinearFamily,
        config: SelfTuningConfig,
        num_envs: int,
        begin: dict[str, float],
        learning_rate: float,
        rng: np.random.Generator,
    ) -> None:
        self.head, self.config, self.num_envs, self.rng = head, config, num_envs, rng
        self.head.place.fill_(head.place_of(begin["discount"]))

    # --- acting ---

    def observe(self, begins: NDArray[np.bool_]) -> None:  # noqa: B027
        """Episodes begin in these environments, (N,)."""

    @abstractmethod
    def places(self) -> Tensor:
        """eta of each environment, (N,)."""

    def say(self, x_BF: Tensor) -> Tensor:
        """What is worth knowing of an observation beside its values: features (B, F) -> (B, E)."""
        return x_BF[:, :0]

    def act(self, q_BGO: Tensor, said_BE: Tensor, env_ids_B: Tensor) -> Tensor:
        """The values by which these environments act, (B, O)."""
        return interpolate(q_BGO, self.places()[env_ids_B])

    def mark(self, choice: Choosing) -> Tensor:
        """What is kept beside these decisions, (B, M)."""
        return torch.empty(len(choice.option_B), 0)

    # --- learning, once a round ---

    @abstractmethod
    def move(self, seen: Seen) -> None:
        """Move eta by what was just seen, before anything is learned from it."""

    def targets(self, seen: Seen, targets: Targets) -> Tensor:
        """What the heads learn towards, (D, G): each by its own discount."""
        heads = enumerate(self.head.discounts.tolist())
        return torch.stack([targets(seen.q_UGO[:, k], k, discount=discount) for k, discount in heads], 1)

    def learn(self, x_BF: Tensor, option_B: Tensor, rows_B: Tensor) -> None:  # noqa: B027
        """One gradient step of layers of its own on the decisions ``rows_B`` of the round."""

    # --- log and state ---

    def metrics(self) -> dict[str, float]:
        """Discount and horizon at eta."""
        discount = self.head.discount
        return {"discount": discount, "horizon": 1 / (1 - discount)}

    def state_dict(self) -> dict[str, Any]:
        """All but eta, which is the head's."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]


@dataclass(frozen=True)
class Choosing:
    """Decisions as they were made."""

    q_BGO: Tensor  # values by each head
    q_BO: Tensor  # those that were acted by, without noise; ELIMINATED where an option is
    said_BE: Tensor  # what :meth:`Tuner.say` said
    env_ids_B: Tensor
    available_BO: Tensor  # bool: what could be chosen, eliminated or not
    epsilon_B: Tensor  # chance of a random choice
    option_B: Tensor  # what was chosen


class Walking(Tuner):
    """A tuner that goes along the family, with an eighth of the environments at either side of eta once it moves."""

    aside = True  # whether environments try both sides
    moving = False  # whether the warm-up is over

    def places(self) -> Tensor:
        offset_N = ASIDE * offsets(torch.arange(self.num_envs)) if self.moving and self.aside else torch.zeros(self.num_envs)
        return (self.head.place.cpu() + offset_N).clamp(0, self.head.count - 1)

    def go(self, step: float) -> None:
        """Move eta by so much, within the family."""
        self.head.place.add_(step).clamp_(0, self.head.count - 1)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "moving": self.moving}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.moving = state["moving"] is True


def offsets(env_ids_B: Tensor) -> Tensor:
    """Which side of eta these environments try, (B,): -1, 0 or 1."""
    return torch.tensor(OFFSETS, dtype=torch.float64)[env_ids_B % len(OFFSETS)]


class Signal:
    """What the newest rounds say of where eta should go: a step is as large as that is sure.

    Adam, which the published meta-gradients use, makes full steps of noise too.

    Args:
        names: of the P meta-parameters.
        window: rounds that count.
    """

    def __init__(self, names: tuple[str, ...], window: int = WINDOW) -> None:
        self.names, self._newest = names, deque[list[float]](maxlen=window)

    def add(self, slope_P: list[float]) -> None:
        """A round's sum of slopes."""
        self._newest.append(slope_P)

    def mean(self) -> NDArray[np.float64]:
        """(P,)"""
        return np.mean(self._newest, 0) if self._newest else np.zeros(len(self.names))

    def sureness(self) -> NDArray[np.float64]:
        """Mean over its standard error, (P,); 0 until there are two."""
        if len(self._newest) < 2:
            return np.zeros(len(self.names))
        error = np.std(self._newest, 0, ddof=1) / len(self._newest) ** 0.5
        return np.asarray(self.mean() / np.maximum(error, 1e-12))

    def step(self) -> NDArray[np.float64]:
        """Direction and size of a step, (P,), from -1 to 1."""
        return self.sureness().clip(-1, 1)

    def metrics(self) -> dict[str, float]:
        """The mean slope of each meta-parameter, and how sure it is."""
        found: dict[str, float] = {}
        for name, mean, sure in zip(self.names, self.mean().tolist(), self.sureness().tolist(), strict=True):
            found |= {f"{name}_slope": mean, f"{name}_snr": abs(sure)}
        return found

    def state(self) -> list[list[float]]:
        return list(self._newest)

    def load(self, saved: Any) -> None:
        """Raises CheckpointError for what is no such state."""
        if not isinstance(saved, list) or not all(isinstance(one, list) and len(one) == len(self.names) for one in saved):
            raise CheckpointError("'tuning' has slopes of other meta-parameters")
        self._newest.clear()
        self._newest.extend([float(value) for value in one] for one in saved)
