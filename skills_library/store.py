"""Where a library is kept: objects that never change, and one index of names, whose replacement is the one commit point.

    library.json    which versions each name has, and which is current; replaced by one rename
    objects/ID/     a saved policy (``policy.py``), never changed but for its card; ID is the hash of its manifest, which holds that
                    of its weights
    navigation1     a link to the current version, for people
    pages.json      pages that tell of skills (``pages.py``)

Readers need no lock: an object that an index names is there, and stays for an hour after none names it any more. Writers take
turns. A process that is killed leaves the old index or the new one, and perhaps what the next writer mends or removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from h_dqn.files import TEMPORARY, check_own, lock, sweep, write_folder, write_text
from h_dqn.reading import Unreadable, read_bytes, read_json, short
from skills_library import manifest
from skills_library.manifest import CARD, MANIFEST, MODEL, OLD_MANIFEST, Files, SkillError, good_name, is_policy
from skills_library.pages import PAGES

INDEX, OBJECTS = "library.json", "objects"
WAIT_S = 120.0  # most that a writer waits for another; none takes longer than writing a few megabytes
LEFTOVERS_S = 3600.0  # age at which what no index names, and what killed processes left, is removed
LARGEST = 4 << 20  # bytes of the index
ORIGIN_LETTERS = 300
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Versions:
    """The versions of one name, oldest first: IDs of objects, and which of them is current (1 is the first).

    ``origins``: where those come from that were not made here, by ID.
    """

    ids: tuple[str, ...] = ()
    current: int = 0
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.ids[self.current - 1]

    def also(self, new: str, current: bool, origin: str = "") -> Versions:
        """The same with ``new`` as the newest version, ``current`` or not; the first is current in any case."""
        ids = (*(one for one in self.ids if one != new), new)
        known = {**self.origins, **({new: origin} if good_origin(origin) else {})}
        return Versions(ids, ids.index(new if current or not self.ids else self.id) + 1, known)

    def to_json(self) -> dict[str, Any]:
        entry = {"current": self.current, "versions": list(self.ids)}
        return {**entry, "origins": dict(self.origins)} if self.origins else entry


def check_name(name: str) -> str:
    """The name itself. Raises :class:`SkillError` for one that no skill of the library can have."""
    if not good_name(name) or name in (INDEX, OBJECTS, PAGES):
        raise SkillError(f"'{short(name)}' is no name for a skill: it must not be empty, hold a / or begin with a dot")
    return name


def object_id(text: bytes) -> str:
    """The ID of a policy with this manifest."""
    return hashlib.sha256(text).hexdigest()[:32]


@dataclass(frozen=True)
class Store:
    """The library in ``folder``, as files."""

    folder: Path

    # --- reading ---

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise SkillError(f"{self.folder}: is no folder, and a library of skills is one")

    @property
    def exists(self) -> bool:
        """Whether the folder is a library's: it has an index."""
        return (self.folder / INDEX).is_file()

    def holds_old(self, name: str) -> bool:
        """Whether a policy is kept under this name as older versions of h-dqn did, in a folder of its own.

        A link of ours is none: a process that was killed may have left it.
        """
        return good_name(name) and is_policy(self.folder / name) and not self.is_link(self.folder / name)

    @property
    def objects(self) -> Path:
        """The folder of all objects."""
        return self.folder / OBJECTS

    def index(self) -> dict[str, Versions]:
        """Versions of each name. Raises :class:`SkillError` for an index that cannot be."""
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

    # --- writing ---

    @contextmanager
    def change(self) -> Iterator[dict[str, Versions]]:
        """The index, to change it: other writers wait, and at the end it is committed; after an error it is as it was.

        Raises :class:`SkillError` as :meth:`index`, and where objects are there without their index; OSError;
        :class:`h_dqn.files.Locked`.
        """
        check_own(self.objects)
        self.objects.mkdir(parents=True, exist_ok=True)
        with lock(self.folder, WAIT_S):
            for folder in (self.objects, self.folder):
                sweep(folder, LEFTOVERS_S)
            if not self.exists:
                if any(_ID.fullmatch(path.name) for path in self.objects.iterdir()):
                    raise SkillError(f"{self.folder}: {INDEX} is not there any more; put it back, or use another folder")
                self._commit({})
            before = self.index()
            self._sweep(before)
            index = dict(before)
            yield index
            if index != before:
                for lost in _named(before) - _named(index):
                    with suppress(OSError):
                        os.utime(self.objects / lost)  # who has just read the old index has an hour
                self._commit(index)
            self._mend_links(index)

    def keep(self, files: Files) -> str:
        """Write a policy as an object; returns its ID. One that is there already is the same, and stays."""
        name = object_id(files[MANIFEST])
        if not (self.objects / name).exists():
            write_folder(self.objects / name, files)
        return name

    def clear(self, name: str, versions: Versions) -> bool:
        """Remove what stands under a name beside the index if it is known to be ours, which is a copy of one of these versions as
        older versions of h-dqn kept it. Returns whether nothing but our link is left.
        """
        place = self.folder / name
        if self.is_link(place) or not os.path.lexists(place):
            return True
        if not _is_copy(place, name, versions):
            return False
        if place.is_symlink():
            place.unlink()
        else:
            _discard(place)
        return True

    def _commit(self, index: Mapping[str, Versions]) -> None:
        skills = {name: versions.to_json() for name, versions in sorted(index.items())}
        write_text(self.folder / INDEX, json.dumps({"schema": 1, "skills": skills}, indent=2) + "\n")

    def _sweep(self, index: Mapping[str, Versions]) -> None:
        """Remove objects that nothing names since an hour."""
        for path in [path for path in self.objects.iterdir() if path.name not in _named(index)]:
            with suppress(OSError, Unreadable):
                if path.lstat().st_mtime <= time.time() - LEFTOVERS_S and _is_object(path):
                    _discard(path)

    def _mend_links(self, index: Mapping[str, Versions]) -> None:
        """Let people find each current version under its name, where the disk knows links. What is not ours stays as it is."""
        for path in [path for path in self.folder.iterdir() if path.name not in index and self.is_link(path)]:
            path.unlink()
        for name, versions in index.items():
            link, target = self.folder / name, Path(OBJECTS) / versions.id
            if (self.is_link(link) and Path(os.readlink(link)) == target) or not self.clear(name, versions):
                continue
            with suppress(OSError), tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self.folder) as temporary:
                (Path(temporary) / name).symlink_to(target, target_is_directory=True)
                os.replace(Path(temporary) / name, link)

    @staticmethod
    def is_link(path: Path) -> bool:
        """Whether it is a link as a change makes it for people."""
        return path.is_symlink() and Path(os.readlink(path)).parent == Path(OBJECTS)


def _named(index: Mapping[str, Versions]) -> set[str]:
    return {one for versions in index.values() for one in versions.ids}


def _is_object(path: Path) -> bool:
    """Whether it is an object as :meth:`Store.keep` makes it, and nothing else is in it."""
    if path.is_symlink() or not path.is_dir() or not {inside.name for inside in path.iterdir()} <= {MANIFEST, MODEL, CARD}:
        return False
    return object_id(read_bytes(path / MANIFEST, manifest.LARGEST)) == path.name


def _is_copy(place: Path, name: str, versions: Versions) -> bool:
    """Whether a folder holds nothing but a policy that is one of these versions."""
    if not is_policy(place) or not {path.name for path in place.iterdir()} <= {MANIFEST, OLD_MANIFEST, MODEL, CARD}:
        return False
    from skills_library.policy import load_policy, policy_files

    try:
        return object_id(policy_files(load_policy(place, name))[MANIFEST]) in versions.ids
    except SkillError:
        return False


def _discard(folder: Path) -> None:
    """Remove a folder, which is gone as a whole at once."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as temporary:
        os.rename(folder, Path(temporary) / "old")


def _versions(name: str, said: Any) -> Versions:
    ids = said.get("versions") if isinstance(said, dict) else None
    if not isinstance(ids, list) or not ids or not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
        raise ValueError(f"the versions of '{short(name)}' are no list of IDs")
    current, origins = said.get("current"), said.get("origins", {})
    if type(current) is not int or not 1 <= current <= len(ids):
        raise ValueError(f"the current version of '{short(name)}' must be from 1 to {len(ids)}")
    if not isinstance(origins, dict) or not all(one in ids and good_origin(origin) for one, origin in origins.items()):
        raise ValueError(f"the origins of the versions of '{short(name)}' cannot be")
    return Versions(tuple(ids), current, origins)


def good_origin(said: Any) -> bool:
    """Whether the index may say so where a version comes from."""
    return isinstance(said, str) and 0 < len(said) <= ORIGIN_LETTERS and said.isprintable()
