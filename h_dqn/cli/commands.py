"""The tree of commands. Only the command that is named is imported and completed, so that the others cost no time.

Which flags a command has depends on the preset, the learner and the world that are named.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import field, fields, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union

import tyro

if TYPE_CHECKING:
    from h_dqn.config import Config

ABOUT = "h-dqn: an agent that learns skills in Minecraft-like worlds and keeps them. Start with: h-dqn demo"


class Verb(NamedTuple):
    """A command: a module of ``h_dqn.cli``, and the dataclass in it whose fields are its flags and whose docstring begins so."""

    about: str
    module: str
    kind: str

    def load(self) -> type:
        loaded: type = getattr(importlib.import_module(f"h_dqn.cli.{self.module}"), self.kind)
        return loaded


class Group(NamedTuple):
    """Verbs of one noun."""

    about: str
    verbs: Mapping[str, Verb]


COMMANDS: Mapping[str, Verb | Group] = {
    "demo": Verb("Learn a skill, then a task with skills and without: at most six minutes on two cores.", "demo", "Demo"),
    "tasks": Group(
        "The tasks: list, show or check them.",
        {
            "list": Verb("List the shipped tasks.", "tasks", "TasksList"),
            "show": Verb("Print a task's map and rules, and write pictures of it.", "tasks", "TasksShow"),
            "check": Verb("Check a task file, and prove with the oracle that it can be solved in time.", "tasks", "TasksCheck"),
        },
    ),
    "sequences": Group(
        "The sequences of tasks: list, show or check them.",
        {
            "list": Verb("List the shipped sequences.", "sequences", "SequencesList"),
            "show": Verb(
                "Print a sequence's phases: which task when, for how long, and what is changed.", "sequences", "SequencesShow"
            ),
            "check": Verb(
                "Check a sequence's file, and prove with the oracle that each of its tasks can be solved in time.",
                "sequences",
                "SequencesCheck",
            ),
        },
    ),
    "play": Verb("Play a task yourself, or look on while an agent plays.", "tasks", "Play"),
    "train": Group(
        "Train a skill, the flat baseline or the controller.",
        {
            "skill": Verb("Train a skill on one task and keep it in the library.", "train", "TrainSkill"),
            "flat": Verb("Train the baseline: the same agent, with primitive actions only.", "train", "TrainFlat"),
            "controller": Verb(
                "Train the controller, which chooses among primitive actions and skills.", "train", "TrainController"
            ),
        },
    ),
    "lifelong": Verb("Let one agent live through a sequence of tasks, evaluated on all of them.", "lifelong", "Lifelong"),
    "distill": Verb("Distil several skills into one network with a head for each.", "distill", "Distill"),
    "transfer": Verb("Find out which skill helps where, without training and, on request, as a start.", "transfer", "Transfer"),
    "resume": Verb("Go on with whatever was stopped, exactly where it was saved.", "runs", "Resume"),
    "runs": Group(
        "The runs: list or show them.",
        {
            "list": Verb("List runs, and how far each is.", "runs", "RunsList"),
            "show": Verb("Show a run: its plan, versions and result.", "runs", "RunsShow"),
        },
    ),
    "evaluate": Verb("Measure how often a skill or a run's agent reaches the goal.", "evaluate", "Evaluate"),
    "explain": Verb("Show on one page what an agent has learned, where it fails, and what it looks at.", "report", "Explain"),
    "report": Verb("Show on one page what runs logged: curves, arms side by side, options.", "report", "Report"),
    "skills": Group(
        "The library of skills: list, show, add, keep or share them.",
        {
            "list": Verb("List the skills of the library.", "skills", "SkillsList"),
            "show": Verb("Print a skill's card.", "skills", "SkillsShow"),
            "add": Verb("Learn a task and add it to the library as a skill.", "add", "SkillsAdd"),
            "history": Verb("List the versions of a skill.", "skills", "SkillsHistory"),
            "use": Verb("Make another version of a skill the current one.", "skills", "SkillsUse"),
            "rename": Verb("Give a skill another name.", "skills", "SkillsRename"),
            "remove": Verb("Take a skill out of the library, with all its versions.", "skills", "SkillsRemove"),
            "verify": Verb("Read skills whole and say what is damaged.", "skills", "SkillsVerify"),
            "export": Verb("Write a skill as one file, to give it away.", "share", "SkillsExport"),
            "import": Verb("Take a skill from such a file into the library.", "share", "SkillsImport"),
            "push": Verb("Put a skill on the Hugging Face Hub.", "share", "SkillsPush"),
            "pull": Verb("Take a skill from the Hugging Face Hub into the library.", "share", "SkillsPull"),
        },
    ),
    "bench": Verb("Measure speed, as a ratio to a peer in the same run.", "bench", "Bench"),
    "doctor": Verb("Say what this machine has and lacks, and what to do about it.", "doctor", "Doctor"),
}


class Chosen(NamedTuple):
    """What tyro is to parse: a type, what the usage calls it, its description, and the words that are left for it."""

    kind: Any
    prog: str
    description: str
    arguments: list[str]


def choose(arguments: list[str]) -> Chosen:
    """The command that the first words name; where they name none, the choice among the commands that they could go on with.

    Raises for a preset, learner or world that is named and unknown.
    """
    entry: Verb | Group = Group(ABOUT, COMMANDS)  # type: ignore[arg-type]
    words = ["h-dqn"]
    while isinstance(entry, Group) and arguments and arguments[0] in entry.verbs:
        entry, words, arguments = entry.verbs[arguments[0]], [*words, arguments[0]], arguments[1:]
    if isinstance(entry, Group):
        return Chosen(_choice(entry), " ".join(words), entry.about, arguments)
    kind = complete(entry.load(), arguments)
    return Chosen(kind, " ".join(words), wrapped(inspect.cleandoc(kind.__doc__ or "")), arguments)


def _choice(group: Group) -> Any:
    """The commands of a group as a union of empty types: enough to list them."""
    kinds = [Annotated[make_dataclass(word, []), tyro.conf.subcommand(word, description=verb.about)]
             for word, verb in group.verbs.items()]  # fmt: skip
    return Union[tuple(kinds)]  # noqa: UP007


def wrapped(text: str) -> str:
    """``text`` in lines of at most 80 columns, each paragraph anew; a line that is set in stays one of its own.

    Every line begins with a space, as tyro joins lines that begin with a letter to those before them.
    """
    width, lines = max(20, min(80, shutil.get_terminal_size().columns)) - 1, []
    for part in re.split(r"\n\n|\n(?= )", text):
        indent = re.match(r" *", part)[0]  # type: ignore[index]
        lines += textwrap.wrap(part, width, subsequent_indent=indent and f"{indent}  ", break_on_hyphens=False) or [""]
    return textwrap.indent("\n".join(lines), " ")


def complete(kind: type, arguments: list[str]) -> type:
    """A command with the flags that depend on what was named: those of the learner's settings and of the world."""
    parts: dict[str, Any] = {}
    if hasattr(kind, "preset") and hasattr(kind, "learner"):
        from h_dqn.experiment.training import preset

        learner = named("learner", arguments)
        parts["config"] = narrowed(preset(named("preset", arguments) or kind.preset, **({"learner": learner} if learner else {})))
    if hasattr(kind, "world"):
        from envs.registry import WORLDS
        from h_dqn.experiment.place import VOXEL, Place

        parts["world_options"] = WORLDS[Place(named("world", arguments) or VOXEL.world).world].options()
    # Their flags have no prefix.
    typed: list[Any] = [
        (name, Annotated[type(part), tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")], field(default=part))
        for name, part in parts.items()
    ]
    made = make_dataclass(kind.__name__, typed, bases=(kind,), kw_only=True)
    made.__doc__ = kind.__doc__
    # What is the command's own comes first, then what it shares with others: help is read from the top.
    own = [name for base in made.__mro__[1:] for name in inspect.get_annotations(base)]
    entries: dict[str, Any] = made.__dataclass_fields__  # type: ignore[attr-defined]
    in_order = sorted(entries, key=lambda name: own.index(name) if name in own else len(own))
    made.__dataclass_fields__ = {name: entries[name] for name in in_order}  # type: ignore[attr-defined]
    return made


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
    kind = type(config)
    learner = ("learner", type(config.learner), field(default=config.learner))
    narrow = make_dataclass("Config", [learner], bases=(kind,), frozen=True)
    narrow.__doc__ = kind.__doc__
    made: Config = narrow(**{entry.name: getattr(config, entry.name) for entry in fields(config)})
    return made
