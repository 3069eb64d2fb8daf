"""Pages that tell of skills (``h-dqn explain``): where those of a library are, in its ``pages.json``.

A page belongs to one version of a skill and to no later one, so that a card never links what was found out of another network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from h_dqn.files import lock, write_text
from h_dqn.reading import read_json, short
from skills_library.manifest import SkillError

PAGES = "pages.json"
LARGEST, LETTERS = 1 << 20, 1000  # bytes of the file, letters of a path
WAIT_S = 120.0


class Page(NamedTuple):
    """``id``: of the version that it tells of, empty for a skill that no index has; ``path``: from the library's folder."""

    id: str
    path: str


def read_pages(folder: Path) -> dict[str, Page]:
    """The pages of a library, by the names of skills. Raises :class:`SkillError` for a file that cannot be."""
    file = folder / PAGES
    if not file.is_file():
        return {}
    try:
        said = read_json(file, LARGEST)
        if not isinstance(said, dict):
            raise ValueError("it is no table of pages")
        return {name: _page(name, entry) for name, entry in said.items()}
    except (OSError, ValueError) as error:
        raise SkillError(f"{file}: cannot be read: {error}; remove it, and no card links a page") from error


def keep_page(folder: Path, name: str, version: str, page: Path) -> None:
    """Remember that ``page`` tells of this version of a skill, in place of what was known of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = os.path.relpath(page.absolute(), folder.absolute())
    if len(path) > LETTERS or not path.isprintable():
        return
    with lock(folder, WAIT_S):
        pages = {**read_pages(folder), name: Page(version, path)}
        write_text(folder / PAGES, json.dumps({key: one._asdict() for key, one in sorted(pages.items())}, indent=2) + "\n")


def linked(folder: Path, versions: Mapping[str, str], start: Path) -> dict[str, str]:
    """Paths of the pages that are still there, by the names of skills, as seen from the folder ``start``.

    ``versions``: IDs of the current versions, by the names of skills.
    """
    found = {}
    for name, page in read_pages(folder).items():
        there = folder.absolute() / page.path
        if versions.get(name) == page.id and there.is_file():
            found[name] = Path(os.path.relpath(there, start.absolute())).as_posix()
    return found


def _page(name: str, entry: Any) -> Page:
    parts = [entry.get(key) for key in Page._fields] if isinstance(entry, dict) and len(entry) == len(Page._fields) else []
    if not parts or not all(isinstance(part, str) and len(part) <= LETTERS and (part.isprintable() or not part) for part in parts):
        raise ValueError(f"the page of '{short(name)}' cannot be")
    return Page(*map(str, parts))
