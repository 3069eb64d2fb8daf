"""``h-dqn skills`` and ``h-dqn distill``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, Skill, argument
from h_dqn.cli.output import emit_json, hint, percent, show
from h_dqn.cli.terminal import visible, visible_lines
from skills_library.library import Library


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
            rows.append((str(one["version"]), "current" if one["current"] else "", percent(success), f"{steps:,}", one["id"]))
        show(("version", "", "success", "steps trained", "id"), rows)


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
