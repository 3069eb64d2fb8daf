"""The agents of ``h-dqn lifelong``, by name."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from h_dqn.continual.ewc import EWC
from h_dqn.continual.memory import Memory
from h_dqn.continual.packnet import PackNet
from h_dqn.continual.rehearsal import CLEAR, Rehearsal
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong_agent import REGIMES, FineTuned, Player, Setting, loaded, network_of
from h_dqn.experiment.lifelong_library import Librarian
from h_dqn.learners import Learner, Method
from h_dqn.networks import QNetwork
from h_dqn.settings import unknown


class Scratch(FineTuned):
    """A network of its own for each task, from scratch. It forgets nothing, and learns nothing from one task for another."""

    needs_id = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.networks: dict[int, QNetwork] = {}

    def begin(self, learner: Learner) -> None:
        if (known := self.networks.get(self.heads.current)) is not None:
            learner.warm_start(self.setting.options, known, self.setting.options)

    def remember(self, learner: Learner) -> None:
        self.networks[self.heads.current] = deepcopy(network_of(learner)).requires_grad_(False)

    def player(self, task: int) -> Player:
        """A network that has learned nothing plays what was not met yet."""
        return Player(self.networks.get(task, self.network), self.setting.config.learner.temperature)

    @property
    def weights(self) -> int:
        return sum(weight.numel() for network in self.networks.values() for weight in network.parameters())

    def state_dict(self) -> dict[str, Any]:
        networks = {str(task): network.state_dict() for task, network in self.networks.items()}
        return {**super().state_dict(), "networks": networks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.networks = {int(task): loaded(self.setting, saved) for task, saved in state["networks"].items()}


class Joint(FineTuned):
    """Plays all tasks at once for as many steps as the whole sequence has, without being told any number: an upper bound."""

    joint = True

    def key(self, task: int) -> int:
        return 0


class Consolidated(FineTuned):
    """Goes on with its weights, and holds those where they are that mattered before (EWC)."""

    def own_methods(self) -> list[Method]:
        c = self.setting.continual
        return [EWC(c.ewc_lambda, c.ewc_samples, self.setting.config.learner.temperature)]


class Rehearsed(FineTuned):
    """Goes on with its weights, and learns again from decisions of its whole life."""

    kind: type[Rehearsal] = Rehearsal

    def own_methods(self) -> list[Method]:
        c, config = self.setting.continual, self.setting.config
        return [self.kind(Memory(c.rehearsal, self.setting.seed), self.heads, config.learner, c.rehearsal_round)]


class Clear(Rehearsed):
    """The same, and there holds policy and value to what they were (CLEAR)."""

    kind = CLEAR


class Packed(FineTuned):
    """Each task gets weights of its own, which later ones use and never change (PackNet)."""

    needs_id = True

    def own_methods(self) -> list[Method]:
        self.packnet = PackNet(self.setting.tasks, self.setting.continual.packnet_retrain, self.heads)
        return [self.packnet]

    def begin(self, learner: Learner) -> None:
        if self.begun:
            task, options = self.heads.current, self.setting.options
            learner.warm_start(options, self.packnet.view(self.network, task), options if task in self.heads.kept else ())

    def remember(self, learner: Learner) -> None:
        if self.heads.current == self.packnet.order[-1]:
            super().remember(learner)
        else:  # of a task that came again, which saw no weights of later ones
            self.network.head = deepcopy(network_of(learner).head).requires_grad_(False)
            self.heads.keep(self.network)

    def player(self, task: int) -> Player:
        return Player(self.packnet.view(self.network, task), self.setting.config.learner.temperature)


AGENTS: dict[str, type[FineTuned]] = {
    "library": Librarian,
    "scratch": Scratch,
    "finetune": FineTuned,
    "replay": Rehearsed,
    "ewc": Consolidated,
    "packnet": Packed,
    "clear": Clear,
    "joint": Joint,
}


def make_agent(name: str, setting: Setting) -> FineTuned:
    """The agent of this name. Raises :class:`UserError` for an unknown one, and for one that cannot live in this regime."""
    if name not in AGENTS:
        raise UserError(unknown("agent", name, AGENTS))
    if setting.regime not in REGIMES:
        raise UserError(unknown("regime", setting.regime, REGIMES))
    if AGENTS[name].needs_id and not setting.told:
        raise UserError(f"--agent {name}: needs the task's number, so it goes with --regime id alone, not with {setting.regime}")
    return AGENTS[name](setting)
