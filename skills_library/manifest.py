"""The manifest of a saved policy: what its folder says of itself. Reading it is quick: no weights, no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from h_dqn.reading import Unreadable, parse_json, read_bytes, short
from skills_library import schema

LARGEST = 4 << 20  # bytes of a manifest
NAME_BYTES = 200  # of a name, which names folders too
_NAME = re.compile(r"[^./\\][^/\\]*")
MANIFEST, OLD_MANIFEST, MODEL, CARD = "policy.json", "skill.json", "model.safetensors", "CARD.md"
Entry = dict[str, Any]
Files = Mapping[str, bytes]


class SkillError(ValueError):
    """A skill or policy cannot be read, kept or used; the message says which one and why, in one line."""


def good_name(name: object) -> bool:
    """Whether a policy or a head may be called so: one name of a folder, which can be printed, and is no path."""
    fits = isinstance(name, str) and _NAME.fullmatch(name) and name.isprintable()
    return bool(fits) and len(str(name).encode()) <= NAME_BYTES


def is_policy(folder: Path) -> bool:
    """Whether a policy is kept there."""
    return (folder / MANIFEST).is_file() or (folder / OLD_MANIFEST).is_file()


def manifest_name(folder: Path, files: Files | None = None) -> str:
    """The name of the file that the manifest is in, or would be; ``files`` as :func:`read_manifest` has them."""
    if files is not None:
        return MANIFEST
    return MANIFEST if (folder / MANIFEST).is_file() or not (folder / OLD_MANIFEST).is_file() else OLD_MANIFEST


def read_file(folder: Path, file: str, most: int, files: Files | None = None) -> bytes:
    """A file of a policy. Raises OSError and :class:`Unreadable` as :func:`h_dqn.reading.read_bytes`."""
    if files is None:
        return read_bytes(folder / file, most)
    if len(files[file]) > most:
        raise Unreadable(f"is larger than {most:,} bytes")
    return files[file]


def read_manifest(
    folder: Path, check: Callable[[Any], Entry] = schema.read_card, name: str | None = None, files: Files | None = None
) -> Entry:
    """A manifest, also of an older schema, as today's has it.

    ``name``: what it must be called, as a file from a stranger may say anything.

    ``check``: :func:`schema.read`, or :func:`schema.read_card` where what it says of weights does not matter.

    ``files``: what is in the folder, where that is an archive, say; else it is read from the disk.
    Raises :class:`SkillError` in one line.
    """
    file = manifest_name(folder, files)
    try:
        manifest = check(parse_json(read_file(folder, file, LARGEST, files)))
    except OSError as error:
        raise SkillError(f"{folder}: {file} cannot be read: {error.strerror}") from error
    except schema.SchemaError as error:
        raise SkillError(f"{folder}: {file}{error}") from error
    except Unreadable as error:
        raise SkillError(f"{folder}: {file} {error}") from error
    if name is not None and manifest["name"] != name:
        raise SkillError(f"{folder}: {file}: its name is {short(manifest['name'])!r}, not '{name}'")
    heads = [head["name"] for head in manifest["heads"]]
    for one in (manifest["name"], *heads):
        if not good_name(one):
            raise SkillError(f"{folder}: {file}: {short(one)!r} is no name for a skill")
    if len(set(heads)) < len(heads):
        raise SkillError(f"{folder}: {file}: two of its heads have one name")
    return manifest


def head_names(manifest: Entry) -> list[str]:
    """What each head is called: as the policy, or ``POLICY/HEAD`` where it has several."""
    name, heads = manifest["name"], manifest["heads"]
    several = len(heads) != 1 or heads[0]["name"] != name
    return [f"{name}/{head['name']}" if several else str(name) for head in heads]


def manifest_bytes(manifest: Entry) -> bytes:
    """A manifest as its file has it."""
    return (json.dumps(manifest, indent=2, allow_nan=False) + "\n").encode()
