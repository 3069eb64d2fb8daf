"""The manifest of a saved policy: what its folder says of itself. Reading it is quick: no weights, no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skills_library import schema

MANIFEST, OLD_MANIFEST, MODEL, CARD = "policy.json", "skill.json", "model.safetensors", "CARD.md"
Entry = dict[str, Any]


class SkillError(ValueError):
    """A skill or policy cannot be read, kept or used; the message says which one and why, in one line."""


def is_policy(folder: Path) -> bool:
    """Whether a policy is kept there."""
    return (folder / MANIFEST).is_file() or (folder / OLD_MANIFEST).is_file()


def manifest_name(folder: Path) -> str:
    """The name of the file that the manifest is in, or would be."""
    return MANIFEST if (folder / MANIFEST).is_file() or not (folder / OLD_MANIFEST).is_file() else OLD_MANIFEST


def read_manifest(folder: Path, check: Callable[[Any], Entry] = schema.read_card) -> Entry:
    """A manifest, also of an older schema, as today's has it.

    ``check``: :func:`schema.read`, or :func:`schema.read_card` where what it says of weights does not matter.
    Raises :class:`SkillError` in one line.
    """
    file = manifest_name(folder)
    try:
        return check(json.loads((folder / file).read_text(encoding="utf-8")))
    except OSError as error:
        raise SkillError(f"{folder}: {file} cannot be read: {error.strerror}") from error
    except schema.SchemaError as error:
        raise SkillError(f"{folder}: {file}{error}") from error
    except ValueError as error:
        raise SkillError(f"{folder}: {file} is not JSON") from error


def head_names(manifest: Entry) -> list[str]:
    """What each head is called: as the policy, or ``POLICY/HEAD`` where it has several."""
    name, heads = manifest["name"], manifest["heads"]
    several = len(heads) != 1 or heads[0]["name"] != name
    return [f"{name}/{head['name']}" if several else str(name) for head in heads]
