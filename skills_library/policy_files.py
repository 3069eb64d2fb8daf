"""A saved policy as files that are passed on byte for byte: its manifest and its weights, and the card that is written of them."""

from __future__ import annotations

from pathlib import Path

from h_dqn.reading import Unreadable, read_bytes
from skills_library.card import card_text
from skills_library.manifest import CARD, LARGEST, MANIFEST, MODEL, Entry, Files, SkillError, manifest_bytes, read_manifest

LARGEST_MODEL = 1 << 30  # bytes


def read_files(folder: Path) -> Files:
    """Manifest and weights in a folder, not checked. Raises :class:`SkillError` where they cannot be read."""
    try:
        return {MANIFEST: read_bytes(folder / MANIFEST, LARGEST), MODEL: read_bytes(folder / MODEL, LARGEST_MODEL)}
    except OSError as error:
        raise SkillError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise SkillError(f"{folder}: a file of it {error}") from error


def under_name(files: Files, name: str, where: Path = Path(MANIFEST)) -> Files:
    """The files of a policy, with its card, under this name; as they were where it is their own.

    ``where``: what they are in, for messages. Raises :class:`SkillError` for a manifest that cannot be read.
    """
    manifest = read_manifest(where, files=files)
    if manifest["name"] != name:
        manifest = _renamed(manifest, name)
        files = {**files, MANIFEST: manifest_bytes(manifest)}
    return {**files, CARD: card_text(manifest).encode()}


def _renamed(manifest: Entry, name: str) -> Entry:
    """The manifest of the same policy under another name; an only head that is called as the policy goes along."""
    heads = manifest["heads"]
    if len(heads) == 1 and heads[0]["name"] == manifest["name"]:
        heads = [{**heads[0], "name": name}]
    return {**manifest, "name": name, "heads": heads}
