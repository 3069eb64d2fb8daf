"""The library: named skills on disk, each in versions, with one commit point.

    skills/
      library.json    which versions each name has, and which is current; replaced by one rename
      objects/ID/     a saved policy (``policy.py``), never changed; ID is the hash of its manifest, which holds that of its weights
      navigation1     a link to the current version, for people; or a saved policy as older versions of h-dqn kept it, which is read
                      where the index has none of that name

Readers need no lock: an object that an index names is there. Writers take turns. A process that is killed leaves the old index or
the new one. A distilled network is a policy too; each of its heads is a skill, named ``NAME/HEAD``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h_dqn.files import TEMPORARY, check_own, lock, sweep, write_folder, write_text
from h_dqn.reading import read_json, short
from h_dqn.settings import unknown
from skills_library.card import card_text
from skills_library.manifest import CARD, MANIFEST, MODEL, OLD_MANIFEST, SkillError, good_name, head_names, is_policy, read_manifest

if TYPE_CHECKING:  # with torch; what only looks a name or a card up does without
    from skills_library.policy import SavedPolicy
    from skills_library.skill import Skill

PRETRAINED = Path(__file__).parent / "pretrained"
INDEX, OBJECTS = "library.json", "objects"
WAIT_S = 120.0  # most that a writer waits for another; none takes longer than writing a few megabytes
LEFTOVERS_S = 3600.0  # age at which what killed processes left is removed
LARGEST = 4 << 20  # bytes of the index
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Versions:
    """The versions of one name, oldest first: IDs of objects, and which of them is current (1 is the first)."""

    ids: tuple[str, ...] = ()
    current: int = 0

    @property
    def id(self) -> str:
        return self.ids[self.current - 1]


@dataclass(frozen=True)
class Library:
    """Skills in ``folder``; where a name is not there, the skills that come with the package are looked through."""

    folder: Path
    shipped: Path = field(default=PRETRAINED)

    # --- reading ---

    def index(self) -> dict[str, Versions]:
        """Versions of each name in ``library.json``. Raises :class:`SkillError` for an index that cannot be."""
        file = self.folder / INDEX
        if not file.is_file():
            return {}
        try:
            entry = read_json(file, LARGEST)
            if not isinstance(entry, dict) or type(entry.get("schema")) is not int or entry["schema"] != 1:
                raise ValueError("it is no index of schema 1")
            if set(entry) != {"schema", "skills"} or not isinstance(entry["skills"], dict):
                raise ValueError("it has other parts than an index")
            return {check_name(name): _versions(name, said) for name, said in entry["skills"].items()}
        except (OSError, ValueError) as error:
            raise SkillError(f"{file}: cannot be read: {error}") from error

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise SkillError(f"{self.folder}: is no folder, and a library of skills is one")

    def names(self) -> list[str]:
        """Names of all policies."""
        kept = {path.name for root in (self.folder, self.shipped) for path in root.glob("[!.]*") if is_policy(path)}
        return sorted({*kept, *self.index()})

    def path(self, name: str) -> Path:
        """The folder of a policy. Raises :class:`SkillError` for an unknown one, naming those that there are."""
        if (versions := self.index().get(name)) is not None:
            return self.folder / OBJECTS / versions.id
        for root in (self.folder, self.shipped):
            if good_name(name) and is_policy(root / name):
                return root / name
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
        return card_text(manifest)

    def history(self, name: str) -> list[dict[str, Any]]:
        """The versions of a policy in this library, oldest first: version, id, current, measured and training of each.

        Raises :class:`SkillError` for one that is not in the index.
        """
        versions = self._known(self.index(), name)
        found = []
        for number, one in enumerate(versions.ids, 1):
            manifest = read_manifest(self.folder / OBJECTS / one, name=name)
            card = {"measured": manifest["heads"][0]["measured"], "training": manifest["training"]}
            found.append({"version": number, "id": one, "current": number == versions.current, **card})
        return found

    def _known(self, index: dict[str, Versions], name: str) -> Versions:
        if name not in index:
            raise SkillError(f"no versions of '{short(name)}' are kept in {self.folder} (known: {', '.join(index) or 'none yet'})")
        return index[name]

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

    # --- writing ---

    @property
    def exists(self) -> bool:
        """Whether the folder is a library's: it has an index."""
        return (self.folder / INDEX).is_file()

    def create(self) -> None:
        """Make the folder a library, if it is none yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder, WAIT_S):
            if not self.exists:
                self._commit({})

    def add(self, policy: SavedPolicy) -> Versions:
        """Keep ``policy`` as the newest version of its name. The one before stays current if it did better (:func:`better`)."""
        from skills_library.policy import load_policy

        check_name(policy.name)
        objects = self.folder / OBJECTS
        check_own(objects)
        objects.mkdir(parents=True, exist_ok=True)
        with lock(self.folder, WAIT_S):
            sweep(objects, LEFTOVERS_S)
            sweep(self.folder, LEFTOVERS_S)
            index, new = self.index(), _keep(policy, objects)
            before, known = index.get(policy.name) or self._adopt(policy.name), policy.name in index
            ids = (*(one for one in before.ids if one != new), new)
            worse = before.ids and better(load_policy(objects / before.id), policy)
            index[policy.name] = Versions(ids, ids.index(before.id if worse else new) + 1)
            self._commit(index)
            self._link(policy.name, index[policy.name].id, adopted=not known and bool(before.ids))
        return index[policy.name]

    def use(self, name: str, version: int) -> None:
        """Make this version of a name current. Raises :class:`SkillError` for a name or version that is not there."""
        with lock(self.folder, WAIT_S):
            index = self.index()
            ids = self._known(index, name).ids
            if not 1 <= version <= len(ids):
                raise SkillError(f"skill '{name}' has no version {version} (known: 1 to {len(ids)})")
            index[name] = Versions(ids, version)
            self._commit(index)
            self._link(name, index[name].id)

    def _adopt(self, name: str) -> Versions:
        """A policy that an older version of h-dqn kept under its name becomes the first version."""
        from skills_library.policy import load_policy

        if not is_policy(self.folder / name):
            return Versions()
        return Versions((_keep(load_policy(self.folder / name, name), self.folder / OBJECTS),), 1)

    def _link(self, name: str, of: str, adopted: bool = False) -> None:
        """Let people find the current version under its name, where the disk knows links.

        Of what else is there under this name, only a folder that was ``adopted``, and holds nothing but that, is removed.
        """
        link = self.folder / name
        if adopted and {path.name for path in link.iterdir()} <= {MANIFEST, OLD_MANIFEST, MODEL, CARD}:
            if link.is_symlink():
                link.unlink()
            else:
                shutil.rmtree(link)  # it is a version by now
        if os.path.lexists(link) and not (link.is_symlink() and Path(os.readlink(link)).parent == Path(OBJECTS)):
            return  # it is the user's
        with suppress(OSError), tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self.folder) as temporary:
            (Path(temporary) / name).symlink_to(Path(OBJECTS) / of, target_is_directory=True)
            os.replace(Path(temporary) / name, link)

    def _commit(self, index: dict[str, Versions]) -> None:
        skills = {name: {"current": one.current, "versions": list(one.ids)} for name, one in sorted(index.items())}
        write_text(self.folder / INDEX, json.dumps({"schema": 1, "skills": skills}, indent=2) + "\n")


def better(one: SavedPolicy, other: SavedPolicy) -> bool:
    """Whether ``one`` surely does better than ``other`` on the same task: its interval of success lies above the other's."""
    if len(one.heads) > 1 or len(other.heads) > 1:
        return False
    a, b = one.head.card, other.head.card
    measured = [card.get("measured", {}).get("ci95") for card in (a, b)]
    same = a.get("task", {}).get("hash") == b.get("task", {}).get("hash")
    return bool(same and all(measured) and measured[0][0] > measured[1][1])


def check_name(name: str) -> str:
    """The name itself. Raises :class:`SkillError` for one that no skill of the library can have."""
    if not good_name(name) or name in (INDEX, OBJECTS):
        raise SkillError(f"'{short(name)}' is no name for a skill: it must not be empty, hold a / or begin with a dot")
    return name


def _keep(policy: SavedPolicy, objects: Path) -> str:
    """Write a policy as an object; returns its ID. One that is there already is the same, and stays."""
    from skills_library.policy import policy_files

    files = policy_files(policy)
    name = hashlib.sha256(files[MANIFEST]).hexdigest()[:32]
    if not (objects / name).exists():
        write_folder(objects / name, files)
    return name


def _versions(name: str, said: Any) -> Versions:
    ids = said.get("versions") if isinstance(said, dict) else None
    if not isinstance(ids, list) or not ids or not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
        raise ValueError(f"the versions of '{short(name)}' are no list of IDs")
    current = said.get("current")
    if type(current) is not int or not 1 <= current <= len(ids):
        raise ValueError(f"the current version of '{short(name)}' must be from 1 to {len(ids)}")
    return Versions(tuple(ids), current)
