"""``h-dqn skills``, but for what gives skills away and takes those of others (``share.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from h_dqn.cli.flags import Folder, JsonFlags, LibraryFlags, Skill, Switch, argument, optional
from h_dqn.cli.output import emit_json, hint, percent, show
from h_dqn.cli.terminal import visible, visible_lines
from skills_library.library import Library
from skills_library.manifest import SkillError


@dataclass
class SkillsList(JsonFlags, LibraryFlags):
    """List the skills of the library.

    One that cannot be read is one line at the end, with exit code 2, beside the list of the others.
    """

    def run(self) -> None:
        cards, refused = Library(self.library).cards()
        if self.json:
            emit_json(cards)
        elif not cards:
            print("no skills yet; train one with: h-dqn train skill navigation1")
        else:
            rows = []
            for card in cards:
                success, steps = card["measured"].get("success_rate"), card["training"].get("env_steps", 0)
                rows.append((card["name"], card["task"].get("name", ""), percent(success), f"{steps:,}", card["folder"]))
            show(("skill", "task", "success", "steps trained", "folder"), rows)
        for error in refused[:-1]:
            hint(f"h-dqn: error: {error}")
        if refused:
            raise refused[-1]


@dataclass
class SkillsShow(JsonFlags, LibraryFlags):
    """Print a skill's card."""

    name: Skill
    """its name in the library; of a distilled network, NETWORK or NETWORK/SKILL"""

    def run(self) -> None:
        library = Library(self.library)
        text = library.card(self.name)
        if self.json:
            emit_json([card for card in library.cards()[0] if self.name in (card["name"], card["name"].partition("/")[0])])
        else:
            print(visible_lines(text))


@dataclass
class SkillsHistory(JsonFlags, LibraryFlags):
    """List the versions of a skill.

    The oldest is number 1; training a skill again makes a new one.
    """

    name: Skill
    """its name in the library"""

    def run(self) -> None:
        versions = Library(self.library).history(self.name)
        if self.json:
            emit_json(versions)
            return
        rows = []
        for one in versions:
            success, steps = one["measured"].get("success_rate"), one["training"].get("env_steps", 0)
            state = "current" if one["current"] else ""
            rows.append((str(one["version"]), state, percent(success), f"{steps:,}", one["id"], one["origin"]))
        show(("version", "", "success", "steps trained", "id", "from"), rows)


@dataclass
class SkillsUse(LibraryFlags):
    """Make another version of a skill the current one.

    Example: h-dqn skills use navigation1 1
    """

    name: Skill
    """its name in the library"""
    version: Annotated[int, tyro.conf.Positional, argument("VERSION")]
    """which of its versions; see: h-dqn skills history"""

    def run(self) -> None:
        Library(self.library).use(self.name, self.version)
        print(f"version {self.version} of {visible(self.name)} is current")


@dataclass
class SkillsRename(LibraryFlags):
    """Give a skill another name.

    All its versions go along, as do all heads of a distilled network. Runs that use it have copies of their own, under the name
    that it had.
    """

    name: Skill
    """its name in the library"""
    new: Annotated[str, tyro.conf.Positional, argument("NEW")]
    """the name that it gets"""

    def run(self) -> None:
        Library(self.library).rename(self.name, self.new)
        print(f"{visible(self.name)} is now {visible(self.new)}")


@dataclass
class SkillsRemove(LibraryFlags):
    """Take a skill out of the library, with all its versions.

    Or a distilled network, with all its heads. Runs and distilled networks that were made of it have copies of their own and go
    on with them. Where controllers below --runs use it, they are named, and it stays unless --force is given.
    """

    name: Skill
    """its name in the library"""
    force: Switch = False
    """remove it also where controllers use it: they keep their copies"""
    runs: Folder = Path("runs")
    """where runs are kept"""

    def run(self) -> None:
        from h_dqn.experiment.runs import users  # with torch, which the other verbs do without

        library = Library(self.library)
        if not self.force and self.name in library.index() and (using := users(self.runs, self.library, self.name)):
            raise SkillError(
                f"'{self.name}' is used by {', '.join(map(str, using))}; each keeps a copy of its own, but could not be trained "
                "again from the library. To remove it all the same, give --force"
            )
        removed = library.remove(self.name)
        count = f"{len(removed.ids)} version{'s' * (len(removed.ids) > 1)}"
        print(f"{visible(self.name)} is removed ({count}); runs and distilled networks made of it have their own copies")
        if self.name in library.names():
            hint(f"from now on '{self.name}' is the one that comes with the package")


@dataclass
class SkillsVerify(JsonFlags, LibraryFlags):
    """Read skills whole and say what is damaged.

    They are read in all their versions, as whoever plays them does. A damaged one is a line at the end, with exit code 2.
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional, optional("SKILL ...")] = ()
    """their names in the library"""
    all: Switch = False
    """verify the whole library, and the skills that come with the package"""

    def run(self) -> None:
        library = Library(self.library)
        if bool(self.names) == self.all:
            raise SkillError("name the skills to verify, or give --all")
        found = [one for name in self.names or library.names() for one in library.verify(name)]
        problems = [one["problem"] for one in found if one["problem"]]
        if self.json:
            emit_json(found)
        else:
            print(f"{len(found) - len(problems)} of {len(found)} versions of skills are whole")
        for problem in problems[:-1]:
            hint(f"h-dqn: error: {problem}")
        if problems:
            raise SkillError(problems[-1])
