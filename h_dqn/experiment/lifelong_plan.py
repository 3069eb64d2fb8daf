"""What decides a life: a sequence, an agent, and how it is looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from h_dqn.config import Config, from_json, to_json
from h_dqn.continual.config import ContinualConfig
from h_dqn.settings import Count, CountOrZero, check

KIND = "lifelong"


@dataclass(frozen=True)
class LifelongPlan:
    """Everything that decides a life; written to ``run.json``."""

    task: str
    """name or path of a sequence"""
    agent: str
    """a name in lifelong_agents.AGENTS"""
    config: Config
    regime: str = "id"
    """what is told: a name in lifelong_agents.REGIMES"""
    preset: str = "life"
    seed: CountOrZero = 1
    measure_every: Count = 20_000
    """environment steps between two evaluations of all tasks, within a phase"""
    episodes: Count = 50
    """unseen episodes of each task in these, always the same ones"""
    end_episodes: Count = 200
    """the same where a phase ends"""
    probe_every: CountOrZero = 0
    """environment steps between two plasticity probes: a clone with a fresh head learns a task that is in no phase (0: none)"""
    probe_steps: Count = 40_000
    """environment steps for which each of these clones learns; counted apart"""
    probe_task: str = "navigation1"
    """what it learns"""
    continual: ContinualConfig = field(default_factory=ContinualConfig)

    def __post_init__(self) -> None:
        check(self)

    def to_json(self) -> dict[str, Any]:
        return {"kind": KIND, **asdict(self), "config": to_json(self.config)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> LifelongPlan:
        """What :meth:`to_json` gave. Raises ConfigError, KeyError or TypeError for anything else."""
        if set(entry) != {"kind", *(one.name for one in fields(cls))}:
            raise KeyError("plan")
        own = {name: value for name, value in entry.items() if name not in ("kind", "config", "continual")}
        if not all(isinstance(own[name], str) for name in ("task", "agent", "regime", "preset", "probe_task")):
            raise TypeError("a name is no text")
        return cls(**own, config=from_json(entry["config"]), continual=ContinualConfig(**entry["continual"]))
