"""A plan: everything that decides a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from envs.registry import WORLDS
from h_dqn.config import Config, from_json, to_json
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.worlds import VOXEL, Place
from h_dqn.settings import Count, CountOrZero, check

KINDS = ("skill", "flat", "controller")


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run; written to ``run.json``."""

    kind: str
    """skill, flat or controller"""
    task: str
    """name or path of a task or sequence"""
    config: Config
    preset: str = "fast"
    """what the settings began from"""
    seed: CountOrZero = 1
    episodes: Count = 500
    """unseen episodes of the evaluation at the end"""
    skills: tuple[str, ...] = ()
    """skills of the library that may be chosen"""
    start: str | None = None
    """a skill or a run's folder that it begins from"""
    library: str = "skills"
    place: Place = VOXEL

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"unknown kind of run '{self.kind}' (known: {', '.join(KINDS)})")

    def to_json(self) -> dict[str, Any]:
        options = self.place.options and asdict(self.place.options)
        place = {"world": self.place.world, "options": options, "ray": self.place.ray, "ray_actors": self.place.ray_actors}
        return {**asdict(self), "config": to_json(self.config), "place": place}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Plan:
        """What :meth:`to_json` gave. Raises ValueError, KeyError or TypeError for anything else."""
        place, known = entry["place"], {one.name for one in fields(cls)}
        if set(entry) != known:
            raise KeyError(min(set(entry) ^ known))
        given = place["options"]
        options = None if given is None else WORLDS[place["world"]].options(**_tuples(given))
        where = Place(place["world"], options, place.get("ray"), place.get("ray_actors", Place.ray_actors))
        plan = cls(**{**_tuples(entry), "config": from_json(entry["config"]), "place": where})
        check(plan)
        texts = (plan.task, *plan.skills, plan.library, plan.start or "", where.ray or "")
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name is no text")
        return plan


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
