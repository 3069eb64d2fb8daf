"""Flags that several commands share. A command is a dataclass: its fields are its flags, its docstring is its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from h_dqn.experiment.shell import path_word


def argument(metavar: str, **how: Any) -> Any:
    """An argument whose value the help calls ``metavar``."""
    return tyro.conf.arg(metavar=metavar, **how)


def optional(metavar: str, **how: Any) -> Any:
    """The same of one that may be left out; its help says itself what then happens."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="", **how)


Task = Annotated[str, tyro.conf.Positional, argument("TASK")]
Skill = Annotated[str, tyro.conf.Positional, argument("SKILL")]
Names = Annotated[tuple[str, ...], optional("NAME ...")]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
Folder = Annotated[Path, argument("FOLDER")]
OptionalName = Annotated[str | None, optional("NAME")]


@dataclass(kw_only=True)
class LibraryFlags:
    library: Folder = Path("skills")
    """where skills are kept"""

    @property
    def library_words(self) -> list[str]:
        """As :func:`library_words`."""
        return library_words(str(self.library))


@dataclass(kw_only=True)
class JsonFlags:
    json: Switch = False
    """print the result as one JSON object, with every digit"""


def library_words(library: str) -> list[str]:
    """The flag that a command needs to find this library; none for the one that is looked in by itself."""
    return [] if Path(library).absolute() == LibraryFlags.library.absolute() else ["--library", path_word(library)]
