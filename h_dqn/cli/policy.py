"""Policies: a skill, a flat agent or a controller, kept in one format (a skill's folder) and played in one way.

A controller's network has outputs beyond the primitive actions; each is the name of a skill kept beside it in ``skills/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.cli.errors import UserError
from h_dqn.cli.worlds import TaskWorlds
from h_dqn.networks import Boltzmann
from h_dqn.options import Option, Primitive
from skills_library.library import Library, load_skill
from skills_library.skill import OPTION, DeepSkill

AGENT, SKILLS = "agent", "skills"


@dataclass(frozen=True)
class Policy:
    """A network and the options that its outputs stand for."""

    source: DeepSkill
    skills: tuple[DeepSkill, ...]

    @property
    def trained_on(self) -> str:
        return str(self.source.card.get("task", {}).get("name", ""))

    @property
    def interrupt(self) -> bool:
        """Whether an option ends where another would be chosen."""
        return bool(self._config.get("interrupt"))

    @property
    def _config(self) -> dict[str, Any]:
        """The settings that it was trained with."""
        return dict(self.source.card.get("training", {}).get("config", {}))

    def options(self, worlds: TaskWorlds) -> list[Option]:
        """The options in the order of the network's outputs. Raises for a world that cannot carry them out."""
        skills = {f"{OPTION}{skill.name}": skill for skill in self.skills}
        steps, stop_at_goal = self._config.get("option_steps"), self._config.get("stop_at_goal", True)
        options: list[Option] = []
        for name in self.source.actions:
            if name in skills:
                options.append(skills[name].on(worlds.actions, worlds.shape, steps, stop_at_goal))
            elif name in worlds.actions:
                options.append(Primitive(name, worlds.actions.index(name)))
            else:
                raise UserError(f"'{self.source.name}' uses the action '{name}', which task '{worlds.task.name}' does not allow")
        return options

    def player(self, seed: int) -> Boltzmann:
        """How it chooses among its options."""
        return Boltzmann(self.source.values, self.source.temperature, seed)


def find_policy(what: str, library: Library) -> Policy:
    """``what`` is a run's folder or a skill's name. Raises for neither."""
    folder = Path(what)
    if (folder / AGENT / "skill.json").is_file():
        source = load_skill(folder / AGENT)
        kept = Library(folder / SKILLS)
        return Policy(source, tuple(kept.skills([path.name for path in sorted((folder / SKILLS).glob("[!.]*"))])))
    if folder.is_dir() and (folder / "metrics.jsonl").exists():
        raise UserError(f"{folder}: this run has no finished agent yet")
    if folder.is_absolute() or (folder.is_dir() and what not in library.names()):
        raise UserError(f"{folder}: no run is kept here; give a run's folder, or the name of a skill")
    source = library.load(what)
    source.check_single()
    return Policy(source, ())
