"""The library: named skills on disk, each a saved policy's folder (``policy.py``).

A distilled network is such a folder too; each of its heads is a skill, named ``FOLDER/HEAD``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h_dqn.settings import unknown
from skills_library.card import card_text
from skills_library.manifest import SkillError, head_names, is_policy, read_manifest

if TYPE_CHECKING:  # with torch; what only looks a name or a card up does without
    from skills_library.policy import SavedPolicy
    from skills_library.skill import Skill

PRETRAINED = Path(__file__).parent / "pretrained"
_NAME = re.compile(r"[^./\\\0][^/\\\0]*")


@dataclass(frozen=True)
class Library:
    """Skills in ``folder``; where a name is not there, the skills that come with the package are looked through."""

    folder: Path
    shipped: Path = PRETRAINED

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise SkillError(f"{self.folder}: is no folder, and a library of skills is one")

    def names(self) -> list[str]:
        """Names of all policies."""
        return sorted({path.name for root in (self.folder, self.shipped) for path in root.glob("[!.]*") if is_policy(path)})

    def path(self, name: str) -> Path:
        """The folder of a policy. Raises :class:`SkillError` for an unknown one, naming those that there are."""
        for root in (self.folder, self.shipped):
            if _NAME.fullmatch(name) and is_policy(root / name):
                return root / name
        if not (known := self.names()):
            raise SkillError(f"unknown skill '{name}' (known: none yet; train one with: h-dqn train skill navigation1)")
        raise SkillError(unknown("skill", name, known))

    def cards(self) -> list[dict[str, Any]]:
        """What each skill says of itself, without its weights: name, folder, task, measured and training."""
        found = []
        for folder in map(self.path, self.names()):
            manifest = read_manifest(folder)
            for name, head in zip(head_names(manifest), manifest["heads"], strict=True):
                card = {part: head[part] for part in ("task", "measured")}
                found.append({"name": name, "folder": str(folder), **card, "training": manifest["training"]})
        return found

    def card(self, name: str) -> str:
        """The card of the policy that this skill is made of, in Markdown. Raises :class:`SkillError` as :meth:`path` does."""
        policy, _, head = name.partition("/")
        manifest = read_manifest(self.path(policy))
        if head and name not in head_names(manifest):
            raise SkillError(unknown("skill", name, head_names(manifest)))
        return card_text(manifest)

    def policy(self, name: str) -> SavedPolicy:
        """The policy that a skill of this name (``NAME`` or ``NAME/HEAD``) is made of."""
        from skills_library.policy import load_policy

        return load_policy(self.path(name.partition("/")[0]))

    def skill(self, name: str) -> Skill:
        """A skill (``NAME``), or one head of a distilled network (``NAME/HEAD``)."""
        from skills_library.skill import Skill

        policy = self.policy(name)
        return Skill(policy, policy.find(name) if "/" in name else policy.head)

    def skills(self, names: Sequence[str]) -> list[Skill]:
        """The skills of these names; a distilled network stands for all its heads. Heads of one network share it."""
        from skills_library.skill import Skill

        policies = {folder: self.policy(folder) for folder in dict.fromkeys(name.partition("/")[0] for name in names)}
        found = []
        for name in names:
            policy = policies[name.partition("/")[0]]
            found += [Skill(policy, head) for head in ([policy.find(name)] if "/" in name else policy.heads)]
        return found

    def add(self, policy: SavedPolicy) -> Path:
        """Keep ``policy`` under its name; an older one of that name is replaced. Returns its folder."""
        from skills_library.policy import save_policy

        check_name(policy.name)
        save_policy(policy, self.folder / policy.name)
        return self.folder / policy.name


def check_name(name: str) -> None:
    """Raises :class:`SkillError` for a name that no folder of the library can have."""
    if not _NAME.fullmatch(name):
        raise SkillError(f"'{name}' is no name for a skill: it must not be empty, hold a / or begin with a dot")
