"""The library: named skills on disk (``store.py``), each in versions, and those that come with the package.

A distilled network is a policy too; each of its heads is a skill, named ``NAME/HEAD``. Where the index has no skill of a name, one
is read that an older version of h-dqn kept in a folder of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h_dqn.files import write_text
from h_dqn.reading import read_bytes, short
from h_dqn.settings import unknown
from skills_library.card import card_text
from skills_library.manifest import CARD, LARGEST, MANIFEST, SkillError, head_names, read_manifest
from skills_library.pages import keep_page, linked
from skills_library.policy_files import read_files, under_name
from skills_library.store import Store, Versions, check_name, object_id

if TYPE_CHECKING:  # with torch; what only looks a name or a card up does without
    from skills_library.policy import SavedPolicy
    from skills_library.skill import Skill

    Judge = Callable[[SavedPolicy, SavedPolicy], bool]

__all__ = ["PRETRAINED", "Library", "Overtaken", "Versions", "check_name"]

PRETRAINED = Path(__file__).parent / "pretrained"


class Overtaken(SkillError):
    """Another process has changed what a change was made of."""


@dataclass(frozen=True)
class Library:
    """Skills in ``folder``; where a name is not there, the skills that come with the package are looked through."""

    folder: Path
    shipped: Path = field(default=PRETRAINED)

    def __post_init__(self) -> None:
        _ = self.store  # raises where the folder is a file

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return Store(self.folder)

    @property
    def _old(self) -> tuple[Store, Store]:
        """Where policies are looked for that no index knows, in this order."""
        return self.store, Store(self.shipped)

    # --- reading ---

    def index(self) -> dict[str, Versions]:
        """Versions of each name in ``library.json``. Raises :class:`SkillError` for an index that cannot be."""
        return self.store.index()

    def names(self) -> list[str]:
        """Names of all policies."""
        kept = {path.name for root in self._old for path in root.folder.glob("[!.]*") if root.holds_old(path.name)}
        return sorted({*kept, *self.index()})

    def path(self, name: str) -> Path:
        """The folder of a policy. Raises :class:`SkillError` for an unknown one, naming those that there are."""
        if (versions := self.index().get(name)) is not None:
            return self.store.objects / versions.id
        for root in self._old:
            if root.holds_old(name):
                return root.folder / name
        if not (known := self.names()):
            raise SkillError(f"unknown skill '{short(name)}' (known: none yet; train one with: h-dqn train skill navigation1)")
        raise SkillError(unknown("skill", name, known))

    def cards(self) -> tuple[list[dict[str, Any]], list[SkillError]]:
        """What each skill says of itself, without its weights: name, folder, task, measured and training; and why others cannot be
        read. Raises :class:`SkillError` as :meth:`index` does.
        """
        found, refused = [], []
        for policy in self.names():
            try:
                folder = self.path(policy)
                manifest = read_manifest(folder, name=policy)
            except SkillError as error:
                refused.append(error)
                continue
            for name, head in zip(head_names(manifest), manifest["heads"], strict=True):
                card = {part: head[part] for part in ("task", "measured")}
                found.append({"name": name, "folder": str(folder), **card, "training": manifest["training"]})
        return found, refused

    def card(self, name: str) -> str:
        """The card of the policy that this skill is made of, in Markdown. Raises :class:`SkillError` as :meth:`path` does."""
        policy, _, head = name.partition("/")
        manifest = read_manifest(self.path(policy), name=policy)
        if head and name not in head_names(manifest):
            raise SkillError(unknown("skill", name, head_names(manifest)))
        return card_text(manifest, self._pages(manifest, Path()))

    def _pages(self, manifest: dict[str, Any], start: Path) -> dict[str, str]:
        """Pages that tell of the current version of this policy, as links from ``start``."""
        version = self.current(manifest["name"])
        return linked(self.folder, dict.fromkeys(head_names(manifest), version), start)

    def keep_page(self, name: str, page: Path) -> None:
        """Have the card of a skill link the page that tells of its current version."""
        policy = name.partition("/")[0]
        folder = self.path(policy)
        keep_page(self.folder, name, self.current(policy), page)
        manifest = read_manifest(folder, name=policy)
        if self.current(policy):
            write_text(folder / CARD, card_text(manifest, self._pages(manifest, folder)))

    def current(self, name: str) -> str:
        """The ID of the current version of this name; empty where the index has none."""
        versions = self.index().get(name)
        return versions.id if versions else ""

    def history(self, name: str) -> list[dict[str, Any]]:
        """The versions of a policy in this library, oldest first: version, id, current, measured, training and origin
        (where it comes from, if it was not made here) of each. Raises :class:`SkillError` for one that is not in the index.
        """
        self._known(name)
        versions, found = self.index().get(name, Versions()), []
        for number, one in enumerate(versions.ids, 1):
            manifest = read_manifest(self.store.objects / one, name=name)
            card = {"measured": manifest["heads"][0]["measured"], "training": manifest["training"]}
            own = {"version": number, "id": one, "current": number == versions.current, "origin": versions.origins.get(one, "")}
            found.append({**own, **card})
        return found

    def shown(self, name: str, task: str, world: str) -> float | None:
        """The success of the best version of a skill that was measured in the task of this hash and in this world, or None.

        Versions that were taken in do not count: what a stranger says was measured decides nothing.
        """
        versions = self.index().get(name, Versions())
        folders = [self.store.objects / one for one in versions.ids if one not in versions.origins]
        folders += [root.folder / name for root in self._old if root.holds_old(name)]
        heads = [read_manifest(folder, name=name)["heads"][0] for folder in folders]
        same = [head for head in heads if (head["task"].get("hash"), head["task"].get("world", world)) == (task, world)]
        return max((head["measured"]["success_rate"] for head in same if "success_rate" in head["measured"]), default=None)

    def policy(self, name: str) -> SavedPolicy:
        """The policy that a skill of this name (``NAME`` or ``NAME/HEAD``) is made of."""
        from skills_library.policy import load_policy

        name = name.partition("/")[0]
        return load_policy(self.path(name), name)

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

    def verify(self, name: str) -> list[dict[str, Any]]:
        """Read all versions of a policy, as whoever plays them does: name, version (0: it has none), id, and problem of each, which
        says in one line what is wrong, or is empty. Raises :class:`SkillError` as :meth:`path` does.
        """
        from skills_library.policy import load_policy

        versions, folder, found = self.index().get(name), self.path(name), []
        for number, one in enumerate(versions.ids, 1) if versions else [(0, "")]:
            folder, problem = self.store.objects / one if versions else folder, ""
            try:
                load_policy(folder, name)
                if versions and object_id(read_bytes(folder / MANIFEST, LARGEST)) != one:
                    problem = f"{folder}: {MANIFEST} is another than the one that was kept"
            except SkillError as error:
                problem = str(error)
            found.append({"name": name, "version": number, "id": one, "problem": problem})
        return found

    # --- writing ---

    @property
    def exists(self) -> bool:
        """Whether the folder is a library's: it has an index."""
        return self.store.exists

    def create(self) -> None:
        """Make the folder a library, if it is none yet."""
        with self.store.change():
            pass

    def add(self, policy: SavedPolicy, did_better: Judge | None = None) -> Versions:
        """Keep ``policy`` as the newest version of its name, and current.

        ``did_better``: is asked whether the version that is current did better than ``policy`` and so stays current; by default
        :func:`skills_library.policy.better`.
        """
        from skills_library.policy import better

        return self.add_together([policy], {policy.name: did_better or better})[policy.name]

    def add_together(
        self, policies: Sequence[SavedPolicy], judges: Mapping[str, Judge], seen: Mapping[str, str] | None = None
    ) -> dict[str, Versions]:
        """Keep several policies as the newest versions of their names, all at once or none; their versions, by name.

        Args:
            policies: of different names.
            judges: by name, as ``did_better`` of :meth:`add`; without one the new version becomes current.
            seen: IDs of the current versions of these names (see :meth:`current`) when the policies were made.
        Raises :class:`Overtaken` where another process has changed one of ``seen`` since; nothing is kept then.
        """
        from skills_library.policy import load_policy, policy_files

        names = [check_name(policy.name) for policy in policies]
        with self.store.change() as index:
            before = {name: self.versions(index, name) for name in names}
            for name, one in (seen or {}).items():
                if one != (index[name].id if name in index else ""):
                    raise Overtaken(f"{self.folder}: '{name}' was changed by another process meanwhile; try again")
            for policy in policies:
                old, judge = before[policy.name], judges.get(policy.name)
                worse = bool(old.ids) and judge is not None and judge(load_policy(self.store.objects / old.id), policy)
                index[policy.name] = old.also(self.store.keep(policy_files(policy)), current=not worse)
            return {name: index[name] for name in names}

    def use(self, name: str, version: int) -> None:
        """Make this version of a name current. Raises :class:`SkillError` for a name or version that is not there."""
        self._known(name)
        with self.store.change() as index:
            versions = self.versions(index, name)
            if not 1 <= version <= len(versions.ids):
                raise SkillError(f"skill '{name}' has no version {version} (known: 1 to {len(versions.ids)})")
            index[name] = replace(versions, current=version)

    def rename(self, name: str, new: str) -> None:
        """Give all versions of a policy another name. Raises :class:`SkillError` where that is taken or no name."""
        self._known(name)
        check_name(new)
        self._adopt(name)
        with self.store.change() as index:
            if new in index or self.store.holds_old(new):
                raise SkillError(f"{self.folder}: there is a skill '{new}' already; give another name, or remove that one first")
            before = self._take_out(index, name)
            ids = [self.store.keep(under_name(read_files(self.store.objects / one), new)) for one in before.ids]
            origins = {ids[before.ids.index(one)]: origin for one, origin in before.origins.items()}
            index[new] = Versions(tuple(ids), before.current, origins)

    def remove(self, name: str) -> Versions:
        """Take a policy out of the library, with all its versions; returns these.

        Nothing else breaks: runs, also distillations, have their own copies. One that comes with the package is seen again.
        Raises :class:`SkillError` for one that is not there, and for another's folder under its name.
        """
        self._known(name)
        self._adopt(name)
        with self.store.change() as index:
            return self._take_out(index, name)

    def _known(self, name: str) -> None:
        """Raises :class:`SkillError` for a name that is not kept in this folder."""
        if name in (index := self.index()) or self.store.holds_old(name):
            return
        if Store(self.shipped).holds_old(name):
            raise SkillError(f"skill '{name}' comes with the package and is not kept in {self.folder}")
        raise SkillError(f"no versions of '{short(name)}' are kept in {self.folder} (known: {', '.join(index) or 'none yet'})")

    def versions(self, index: dict[str, Versions], name: str) -> Versions:
        """The versions of a name; a policy that an older version of h-dqn kept is the first."""
        from skills_library.policy import load_policy, policy_files

        if name in index or not self.store.holds_old(name):
            return index.get(name, Versions())
        return Versions((self.store.keep(policy_files(load_policy(self.folder / name, name))),), 1)

    def _adopt(self, name: str) -> None:
        """Have the index know a policy that an older version of h-dqn kept, so that one commit can rename or remove it."""
        with self.store.change() as index:
            if (versions := self.versions(index, name)).ids:
                index[name] = versions

    def _take_out(self, index: dict[str, Versions], name: str) -> Versions:
        if name not in index:
            raise SkillError(f"{self.folder}: skill '{name}' is not there any more")
        if not self.store.clear(name, index[name]) and self.store.holds_old(name):
            raise SkillError(f"{self.folder / name}: is no version of '{name}', but would be read as '{name}'; move it away first")
        return index.pop(name)
