"""The tree of commands. Which flags there are depends on the preset, the learner and the world that are named."""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, Union

import tyro

from envs.registry import WORLDS
from h_dqn.cli.bench import Bench, Doctor
from h_dqn.cli.demo import Demo
from h_dqn.cli.evaluate import Evaluate
from h_dqn.cli.flags import WorldFlags
from h_dqn.cli.skills import Distill, SkillsList, SkillsShow
from h_dqn.cli.tasks import Play, TasksCheck, TasksList, TasksShow
from h_dqn.cli.train import Resume, Train, TrainController, TrainFlat, TrainSkill
from h_dqn.config import Config
from h_dqn.experiment.training import preset

ABOUT = "h-dqn: an agent that learns skills in Minecraft-like worlds and keeps them. Start with: h-dqn demo"
GROUPS: dict[str, tuple[str, dict[str, type]]] = {
    "demo": ("", {"": Demo}),
    "tasks": ("The tasks: list, show or check them.", {"list": TasksList, "show": TasksShow, "check": TasksCheck}),
    "play": ("", {"": Play}),
    "train": (
        "Train a skill, the flat baseline or the controller.",
        {"skill": TrainSkill, "flat": TrainFlat, "controller": TrainController},
    ),
    "distill": ("", {"": Distill}),
    "resume": ("", {"": Resume}),
    "evaluate": ("", {"": Evaluate}),
    "skills": ("The library of skills: list or show them.", {"list": SkillsList, "show": SkillsShow}),
    "bench": ("", {"": Bench}),
    "doctor": ("", {"": Doctor}),
}


def named(flag: str, arguments: list[str]) -> str | None:
    """The value of ``--flag`` among the arguments, needed before they are parsed: it decides about other flags."""
    for position, argument in enumerate(arguments):
        if argument.startswith(f"--{flag}="):
            return argument.removeprefix(f"--{flag}=")
        if argument == f"--{flag}" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def flat(kind: type) -> Any:
    """Settings whose flags have no prefix."""
    return Annotated[kind, tyro.conf.OmitArgPrefixes]


def narrow(config: Config) -> type:
    """The type of ``config`` with its learner's own settings in place of any learner's, which tyro could not make flags of."""
    learner = ("learner", type(config.learner), field(default=config.learner))
    kind = make_dataclass("Config", [learner], bases=(Config,), frozen=True)
    kind.__doc__ = Config.__doc__
    return kind


def all_commands(arguments: list[str]) -> Any:
    """The union of all commands, as tyro reads it. Raises for a preset or learner that is named and unknown."""
    learner = named("learner", arguments)
    config = preset(named("preset", arguments) or "fast", **({"learner": learner} if learner else {}))
    world = WORLDS.get(named("world", arguments) or "voxel", WORLDS["voxel"])

    def complete(kind: type) -> type:
        """A command with the flags that depend on what was named."""
        parts: list[Any] = []
        if issubclass(kind, WorldFlags):
            parts.append(("world_options", flat(world.options), field(default_factory=world.options)))
        if issubclass(kind, Train):
            kind_of = narrow(config)
            given = kind_of(**{entry.name: getattr(config, entry.name) for entry in fields(config)})
            parts.append(("config", flat(kind_of), field(default=given)))
        made = make_dataclass(kind.__name__, parts, bases=(kind,), kw_only=True)
        made.__doc__ = kind.__doc__
        return made

    def verb(kind: type, name: str) -> Any:
        return Annotated[complete(kind), tyro.conf.subcommand(name, description=kind.__doc__)]

    def group(name: str, about: str, kinds: dict[str, type]) -> Any:
        if not about:
            return verb(kinds[""], name)
        inner: Any = Union[tuple(verb(kind, word) for word, kind in kinds.items())]  # noqa: UP007
        made: Any = make_dataclass(name, [("command", Annotated[inner, tyro.conf.OmitSubcommandPrefixes])])
        made.run = lambda self: self.command.run()
        made.__doc__ = about
        return Annotated[made, tyro.conf.OmitArgPrefixes, tyro.conf.subcommand(name, description=about)]

    return Union[tuple(group(name, about, kinds) for name, (about, kinds) in GROUPS.items())]  # noqa: UP007
