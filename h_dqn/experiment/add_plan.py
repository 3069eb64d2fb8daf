"""What decides the addition of a skill to a library."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from h_dqn.experiment.multi import MultiConfig
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run_folder import MISFITS, RunFolder
from h_dqn.settings import Share, check

EPISODES = 1000  # unseen episodes on which a new skill is measured: the lower end is then at most 3.2 points below what it does


@dataclass(frozen=True)
class GateConfig:
    """What a new skill must show."""

    bar: Share | None = None
    """a skill is kept if the lower end of its 95 % interval of success is at least this; by default 95 % of what the best version
    that the library has of it does, or, where it has none, 80 %"""
    trials: Share = 0.05
    """most of the run's environment steps that finding a start may take"""


@dataclass(frozen=True)
class AddPlan:
    """Everything that decides an addition; written to ``run.json``."""

    train: Plan
    """how the skill is trained; its library is the one that the skill is added to"""
    gate: GateConfig = field(default_factory=GateConfig)
    multi: MultiConfig = field(default_factory=MultiConfig)

    def __post_init__(self) -> None:
        check(self.gate)
        check(self.multi)

    def to_json(self) -> dict[str, Any]:
        own = {name: asdict(getattr(self, name)) for name in ("gate", "multi")}
        return {"kind": "add", "task": self.train.task, "train": self.train.to_json(), **own}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> AddPlan:
        """What :meth:`to_json` gave. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(Plan.from_json(entry["train"]), GateConfig(**entry["gate"]), MultiConfig(**entry["multi"]))

    @classmethod
    def kept(cls, folder: Path, library: Path | None = None) -> AddPlan:
        """The plan of what was stopped in this folder, with another library if one is named.

        Raises :class:`h_dqn.experiment.errors.UserError` for a folder with none.
        """
        files = RunFolder(folder)
        try:
            plan = cls.from_json(files.read()["plan"])
        except MISFITS as error:
            raise files.misfit(error) from error
        return replace(plan, train=replace(plan.train, library=str(library))) if library else plan
