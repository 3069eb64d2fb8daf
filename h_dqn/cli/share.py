"""``h-dqn skills export|import|push|pull``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, OptionalName, Skill, Switch, argument, optional
from h_dqn.cli.output import emit_json, hint
from h_dqn.cli.terminal import visible
from h_dqn.experiment.shell import command
from skills_library.library import Library

if TYPE_CHECKING:  # with torch, for which --help does not wait
    from h_dqn.experiment.share import Received

Repo = Annotated[str, tyro.conf.Positional, argument("USER/NAME")]


@dataclass
class SkillsExport(LibraryFlags):
    """Write a skill as one file, to give it away.

    It has all that the skill, or a distilled network with all its heads, is: weights, what it sees and does, its task and how
    it was measured. The same skill always makes the same file.

    Example: h-dqn skills export navigation1 navigation1.zip
    """

    name: Skill
    """its name in the library; the current version is written"""
    file: Annotated[Path, tyro.conf.Positional, argument("FILE.zip")]
    """where it is written"""

    def run(self) -> None:
        from h_dqn.experiment.share import export_skill

        export_skill(self.name, self.file, Library(self.library))
        print(f"{visible(self.name)} is in {visible(str(self.file))}")
        hint(f"to take it into a library: {command('skills', 'import', self.file)}")


@dataclass(kw_only=True)
class ReceiveFlags(JsonFlags, LibraryFlags):
    name: OptionalName = None
    """what it is to be called, if not as it says itself"""
    new_version: Switch = False
    """keep it as a version of the skill that has its name; which one is current stays as it is"""

    def show(self, received: Received) -> None:
        """Print what was taken, and what of it is otherwise than here."""
        taken = received.taken
        if self.json:
            emit_json({**asdict(taken), "notes": list(received.notes)})
        else:
            name = visible(taken.name)
            print(f"{name} is {f'kept as version {taken.version}' if taken.new else f'there already, as version {taken.version}'}")
        for note in received.notes:
            hint(note)
        if taken.current != taken.version:
            words = command("skills", "use", taken.name, taken.version, *self.library_words)
            hint(f"version {taken.current} stays current; to use this one: {words}")


@dataclass
class SkillsImport(ReceiveFlags):
    """Take a skill from such a file into the library.

    One that h-dqn skills export wrote. All of it is checked before anything is kept, and nothing in it is executed.

    Example: h-dqn skills import navigation1.zip --name theirs
    """

    file: Annotated[Path, tyro.conf.Positional, argument("FILE.zip")]
    """the file"""

    def run(self) -> None:
        from h_dqn.experiment.share import import_skill

        self.show(import_skill(self.file, Library(self.library), self.name, self.new_version))


@dataclass
class SkillsPush(JsonFlags, LibraryFlags):
    """Put a skill on the Hugging Face Hub.

    Its current version, into a repository, which is made where there is none. Only you can see it, unless you say --public. Log
    in before, with: hf auth login. What is there already makes no commit.

    Example: h-dqn skills push navigation1 me/navigation1
    """

    name: Skill
    """its name in the library"""
    repo: Repo
    """the repository"""
    public: Switch = False
    """let all see it; without this, a repository that all can see is refused"""

    def run(self) -> None:
        from h_dqn.experiment.share import push_skill

        pushed = push_skill(self.name, self.repo, Library(self.library), self.public)
        if self.json:
            emit_json(asdict(pushed))
        else:
            print(f"{visible(self.repo)} {'has it now' if pushed.new else 'had it already'}, in commit {visible(pushed.commit)}")


@dataclass
class SkillsPull(ReceiveFlags):
    """Take a skill from the Hugging Face Hub into the library.

    All of it is checked before anything is kept, and nothing in it is executed. h-dqn skills history says where it comes from.

    Example: h-dqn skills pull me/navigation1 --name theirs
    """

    repo: Repo
    """the repository"""
    revision: Annotated[str | None, optional("REVISION")] = None
    """a branch, a tag or a commit; by default the newest"""

    def run(self) -> None:
        from h_dqn.experiment.share import pull_skill

        self.show(pull_skill(self.repo, Library(self.library), self.name, self.new_version, self.revision))
