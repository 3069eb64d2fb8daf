"""What goes through a sequence of tasks: what it keeps from one boundary to the next, and what plays a task.

Between two boundaries all learn by the same :class:`h_dqn.train.Trainer`, with the agent's methods. Only where a boundary is told
do they begin anew: learning rate, exploration and what was just seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from h_dqn.checkpoint import like
from h_dqn.config import Config
from h_dqn.continual.config import ContinualConfig
from h_dqn.continual.l2_init import L2Init
from h_dqn.continual.redo import ReDo
from h_dqn.continual.shrink_perturb import ShrinkPerturb
from h_dqn.continual.task_heads import TaskHeads
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.learners import Learner, Method
from h_dqn.metrics import EpisodeStatistics
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import Bools, Option, Primitive
from h_dqn.state import CheckpointError

ID, ANNOUNCED, HIDDEN = "id", "announced", "hidden"
REGIMES = {
    ID: "the task's number is given, in training and where it is evaluated",
    ANNOUNCED: "boundaries are told in training; no number is given",
    HIDDEN: "nothing is told",
}


@dataclass(frozen=True)
class Setting:
    """What an agent lives in."""

    config: Config
    continual: ContinualConfig
    shape: tuple[int, int, int]
    options: tuple[str, ...]
    tasks: int
    regime: str
    seed: int

    @property
    def told(self) -> bool:
        """Whether the task's number is given."""
        return self.regime == ID

    def network(self, outputs: int | None = None) -> QNetwork:
        """A network that has learned nothing, with so many outputs (one for each option)."""
        net = self.config.net
        spec = NetworkSpec(net.network, self.shape, outputs or len(self.options), net.head, False, net.core)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return QNetwork(spec, net.initial_value).requires_grad_(False)


Pause = Literal["keep", "changed"]  # what it learned is to be kept; it takes the world for another from now on


class Player(NamedTuple):
    """What plays a task."""

    network: QNetwork
    temperature: float
    outputs: slice = slice(None)


@dataclass(frozen=True)
class Stage:
    """What lies between two boundaries."""

    task: int
    envs: TaskEnvs
    env_steps: int
    seed: int
    notes: dict[str, Any] = field(default_factory=dict)
    """what the agent says of it, for the result"""


class FineTuned:
    """Goes on with the weights that it has. Told the task's number, it has a head for each, on layers that all share."""

    needs_id = False  # whether it can live only where the task's number is given
    joint = False  # whether it plays all tasks at once, from the beginning

    def __init__(self, setting: Setting) -> None:
        self.setting, self.heads, self.config = setting, TaskHeads(), setting.config
        self.network = setting.network()
        self.begun = False
        self.methods: tuple[Method, ...] = (*self.own_methods(), *cures(setting))

    def own_methods(self) -> list[Method]:
        """What changes how it learns, beside cures for lost plasticity."""
        return []

    def prepare(self, stage: Stage) -> int:
        """What comes before learning, such as trials; returns the environment steps that it took, which are the stage's."""
        self.heads.current = self.key(stage.task)
        return 0

    def key(self, task: int) -> int:
        """The number that the task is known by."""
        return task if self.setting.told else 0

    def begin(self, learner: Learner) -> None:
        """Give a new learner what it begins with."""
        if self.begun:
            known = self.setting.options if self.heads.current in self.heads.kept else ()
            learner.warm_start(self.setting.options, self.heads.of(self.network, self.heads.current), known)

    def remember(self, learner: Learner) -> None:
        """Take over what was learned so far."""
        self.network, self.begun = deepcopy(network_of(learner)).requires_grad_(False), True
        self.heads.keep(self.network)

    def options(self, envs: TaskEnvs) -> list[Option]:
        """What it can choose there: primitive actions first, in their order."""
        return options_of(envs, self.setting.told)

    def pauses(self, statistics: EpisodeStatistics, env_steps: int) -> Pause | None:
        """Why it stops learning here though no boundary is told, ``env_steps`` after it began; it goes on with a new learner."""
        return None

    def end(self, stage: Stage, here: TaskEnvs) -> int:
        """What follows learning, once it is remembered, in the world that it is in; returns the environment steps that it took."""
        return 0

    def to_learn(self, env_steps: int) -> int:
        """Of so many environment steps that are left of the stage, those in which it learns; the others are for :meth:`end`."""
        return env_steps

    def player(self, task: int) -> Player:
        """What plays this task now. One that was not met yet is played by what was learned last."""
        return Player(self.heads.of(self.network, self.key(task)), self.setting.config.learner.temperature)

    # --- the ledger ---

    @property
    def weights(self) -> int:
        """Weights that are needed to play all tasks met so far."""
        heads = [head for task, head in self.heads.kept.items() if task != self.heads.current]
        return sum(weight.numel() for part in (self.network, *heads) for weight in part.parameters())

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept beside the weights that play: frames, importances, teachers."""
        return sum(size_of(method.state_dict()) for method in self.methods)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "begun": self.begun,
            "current": self.heads.current,
            "heads": {str(task): head.state_dict() for task, head in self.heads.kept.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises :class:`h_dqn.checkpoint.CheckpointError` for a state that cannot be of this agent."""
        self.begun = state["begun"] is True
        self.network = loaded(self.setting, state["network"])
        self.heads.current = int(state["current"])
        for task, head in state["heads"].items():
            if not 0 <= int(task) < self.setting.tasks:
                raise CheckpointError(f"the state has a head for task {task}")
            self.heads.kept[int(task)] = deepcopy(self.network.head)
            self.heads.kept[int(task)].load_state_dict(like(head, self.network.head.state_dict(), "head"))


class Lacking(Primitive):
    """A primitive action that the task lacks, where who chooses is told which task it is."""

    def initiate(self, obs: NDArray[Any]) -> Bools:
        return np.zeros(len(obs), bool)


def options_of(envs: TaskEnvs, told: bool) -> list[Option]:
    """The primitive actions of all tasks, by number; who is told the task can choose those alone that it has."""
    return [
        Primitive(name, number) if has or not told else Lacking(name, number)
        for number, (name, has) in enumerate(zip(envs.actions, envs.task.available, strict=True))
    ]


def cures(setting: Setting) -> list[Method]:
    """The cures for lost plasticity that are switched on."""
    c, found = setting.continual, list[Method]()
    if c.l2_init:
        found.append(L2Init(c.l2_init))
    if c.shrink:
        found.append(ShrinkPerturb(c.shrink, setting.seed))
    if c.redo_every:
        found.append(ReDo(c.redo_every, c.redo_tau, setting.seed))
    return found


def network_of(learner: Learner) -> QNetwork:
    """Its Q-network; of a family of discounts, what it says now. Raises :class:`UserError` for a learner that has none."""
    if not isinstance(learner.network, QNetwork):
        raise UserError(f"only learners of a Q-network live through a sequence, not {type(learner.network).__name__}")
    return learner.network.alone()


def loaded(setting: Setting, saved: Any, outputs: int | None = None) -> QNetwork:
    """A network with the saved weights, of so many outputs (one for each option)."""
    network = setting.network(outputs)
    if isinstance(saved, dict):  # what is eliminated is a matter of the task that is learned, and begins anew with each
        saved = {name: part for name, part in saved.items() if not name.startswith("elimination.")}
    network.load_state_dict(like(saved, network.state_dict(), "network"))
    return network


def size_of(state: Any) -> int:
    """Bytes of the tensors and arrays in a state."""
    return sum(int(part.nbytes) for part in _arrays(state))


def _arrays(state: Any) -> Iterator[Any]:
    if hasattr(state, "nbytes"):
        yield state
    elif isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _arrays(part)
