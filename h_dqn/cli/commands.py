"""The tree of commands. Which flags there are depends on the preset, the learner and the world that are named."""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, NamedTuple, Union

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
from h_dqn.experiment.worlds import VOXEL

ABOUT = "h-dqn: an agent that learns skills in Minecraft-like worlds and keeps them. Start with: h-dqn demo"


class Group(NamedTuple):
    """Verbs of one noun."""

    about: str
    verbs: dict[str, type]


COMMANDS: dict[str, type | Group] = {
    "demo": Demo,
    "tasks": Group("The tasks: list, show or check them.", {"list": TasksList, "show": TasksShow, "check": TasksCheck}),
    "play": Play,
    "train": Group(
        "Train a skill, the flat baseline or the controller.",
        {"skill": TrainSkill, "flat": TrainFlat, "controller": TrainController},
    ),
    "distill": Distill,
    "resume": Resume,
    "evaluate": Evaluate,
    "skills": Group("The library of skills: list or show them.", {"list": SkillsList, "show": SkillsShow}),
    "bench": Bench,
    "doctor": Doctor,
}


def named(flag: str, arguments: list[str]) -> str | None:
    """The value of ``--flag`` among the arguments, needed before they are parsed: it decides about other flags."""
    for position, argument in enumerate(arguments):
        if argument.startswith(f"--{flag}="):
            return argument.removeprefix(f"--{flag}=")
        if argument == f"--{flag}" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def narrowed(config: Config) -> Config:
    """``config`` as a type that names its learner's own settings, of which tyro can make flags."""
    learner = ("learner", type(config.learner), field(default=config.learner))
    kind = make_dataclass("Config", [learner], bases=(Config,), frozen=True)
    kind.__doc__ = Config.__doc__
    made: Config = kind(**{entry.name: getattr(config, entry.name) for entry in fields(config)})
    return made


def all_commands(arguments: list[str]) -> Any:
    """The union of all commands, as tyro reads it. Raises for a preset or learner that is named and unknown."""
    learner = named("learner", arguments)
    config = narrowed(preset(named("preset", arguments) or "fast", **({"learner": learner} if learner else {})))
    world = WORLDS.get(named("world", arguments) or VOXEL.world, WORLDS[VOXEL.world])

    def complete(kind: type) -> type:
        """A command with the flags that depend on what was named."""
        parts = {"world_options": world.options()} if issubclass(kind, WorldFlags) else {}
        parts |= {"config": config} if issubclass(kind, Train) else {}
        # Their flags have no prefix.
        typed: list[Any] = [
            (name, Annotated[type(part), tyro.conf.OmitArgPrefixes], field(default=part)) for name, part in parts.items()
        ]
        made = make_dataclass(kind.__name__, typed, bases=(kind,), kw_only=True)
        made.__doc__ = kind.__doc__
        return made

    def verb(kind: type, name: str) -> Any:
        return Annotated[complete(kind), tyro.conf.subcommand(name, description=kind.__doc__)]

    def command(name: str, entry: type | Group) -> Any:
        if not isinstance(entry, Group):
            return verb(entry, name)
        inner: Any = Union[tuple(verb(kind, word) for word, kind in entry.verbs.items())]  # noqa: UP007
        made: Any = make_dataclass(name, [("command", Annotated[inner, tyro.conf.OmitSubcommandPrefixes])])
        made.run = lambda self: self.command.run()
        made.__doc__ = entry.about
        return Annotated[made, tyro.conf.OmitArgPrefixes, tyro.conf.subcommand(name, description=entry.about)]

    return Union[tuple(command(name, entry) for name, entry in COMMANDS.items())]  # noqa: UP007
