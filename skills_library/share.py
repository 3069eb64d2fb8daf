"""What goes out of a library and what comes into one, byte for byte, after all of it was checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skills_library.library import Library
from skills_library.manifest import MANIFEST, MODEL, Files, SkillError, manifest_name
from skills_library.policy_files import read_files, under_name
from skills_library.store import check_name, object_id

if TYPE_CHECKING:
    from skills_library.policy import SavedPolicy


@dataclass(frozen=True)
class Taken:
    """What was taken into a library: under which name, as which version, which is current, and whether it is new there."""

    name: str
    version: int
    current: int
    new: bool


def give(library: Library, name: str) -> Files:
    """Manifest and weights of a policy's current version as they are kept; those of an older schema as they are written today.

    Raises :class:`SkillError` for an unknown one, and for one that cannot be read.
    """
    from skills_library.policy import load_policy, policy_files

    folder = library.path(name)
    if manifest_name(folder) != MANIFEST:
        files: Files = policy_files(load_policy(folder, name))
        return {file: files[file] for file in (MANIFEST, MODEL)}
    files = read_files(folder)
    load_policy(folder, name, files)
    return files


def take(
    library: Library,
    files: Files,
    where: Path,
    name: str | None = None,
    further: bool = False,
    origin: str = "",
    check: Callable[[SavedPolicy], object] | None = None,
) -> Taken:
    """Keep a policy that was not made here.

    Args:
        library: where it is kept.
        files: its manifest and weights.
        where: what they were in, for messages.
        name: what it is to be called, if not as it says itself.
        further: whether it may become a further version of a name that there is. The current one stays current: what a stranger
            says was measured decides nothing.
        origin: where it comes from, for the history.
        check: is told of the policy, and may raise where it is not to be kept.
    Raises :class:`SkillError` in one line; nothing was written then.
    """
    from skills_library.policy import load_policy

    policy, store = load_policy(where, None, files), library.store
    if check is not None:
        check(policy)
    name = check_name(name or policy.name)
    files = under_name(files, name, where)
    new, taken = object_id(files[MANIFEST]), f"{where}: {library.folder} has a skill '{name}' already"
    if (before := library.index().get(name)) is not None and new in before.ids:
        return Taken(name, before.ids.index(new) + 1, before.current, False)
    if not further and (before is not None or store.holds_old(name)):
        raise SkillError(f"{taken}; --new-version keeps it as a version of that, --name under another name")
    with store.change() as index:
        before = library.versions(index, name)
        if before.ids and not further:
            raise SkillError(f"{taken}, by now")
        store.keep(files)
        index[name] = before.also(new, current=False, origin=origin)
    return Taken(name, index[name].ids.index(new) + 1, index[name].current, True)
