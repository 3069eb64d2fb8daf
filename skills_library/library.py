"""The library: named skills on disk.

A skill is a folder::

    navigation1/
      skill.json          what it is: schema version, task and hash, observation, actions, network, termination, measurements
      model.safetensors   the weights
      CARD.md             the same for people

A distilled network is such a folder too, with its ``heads`` in ``skill.json``: each is a skill, named ``FOLDER/HEAD``.
Nothing in it is executed. A file that does not fit is refused with one line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import h_dqn
from h_dqn.checkpoint import write_folder
from h_dqn.networks import ARCHITECTURES, QNetwork
from skills_library.skill import DeepSkill, SkillError

SCHEMA = 1
PRETRAINED = Path(__file__).parent / "pretrained"
_NAME = re.compile(r"[^./\\\0][^/\\\0]*")
_PARTS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "package_version": str,
    "task": dict,
    "observation": dict,
    "actions": list,
    "network": dict,
    "termination": dict,
    "temperature": (int, float),
    "measured": dict,
    "training": dict,
    "model_sha256": str,
}
# What is read of the parts that say where a skill comes from; it may be missing.
_CARD: dict[str, dict[str, type | tuple[type, ...]]] = {
    "task": {"name": str},
    "measured": {"success_rate": (int, float)},
    "training": {"env_steps": int, "config": dict},
}


@dataclass(frozen=True)
class Library:
    """Skills in ``folder``; where a name is not there, the skills that come with the package are looked through."""

    folder: Path
    shipped: Path = PRETRAINED

    def names(self) -> list[str]:
        found = {path.parent.name for root in (self.folder, self.shipped) for path in root.glob("[!.]*/skill.json")}
        return sorted(found)

    def path(self, name: str) -> Path:
        """The folder of a skill. Raises :class:`SkillError` for an unknown one, naming those that there are."""
        for root in (self.folder, self.shipped):
            if _NAME.fullmatch(name) and (root / name / "skill.json").is_file():
                return root / name
        known = ", ".join(self.names()) or "none yet; train one with: h-dqn train skill navigation1"
        raise SkillError(f"unknown skill '{name}' (known: {known})")

    def load(self, name: str) -> DeepSkill:
        """A skill, a distilled network (``NAME``) or one of its heads (``NAME/HEAD``)."""
        return _part(load_skill(self.path(name.partition("/")[0])), name)

    def skills(self, names: Sequence[str]) -> list[DeepSkill]:
        """The skills of these names; a distilled network stands for all its heads. Heads of one network share it."""
        folders = {folder: load_skill(self.path(folder)) for folder in dict.fromkeys(name.partition("/")[0] for name in names)}
        loaded = [_part(folders[name.partition("/")[0]], name) for name in names]
        return [skill for whole in loaded for skill in (whole.heads or (whole,))]

    def add(self, skill: DeepSkill) -> Path:
        """Keep ``skill`` under its name; an older one of that name is replaced. Returns its folder."""
        check_name(skill.name)
        save_skill(skill, self.folder / skill.name)
        return self.folder / skill.name


def check_name(name: str) -> None:
    """Raises :class:`SkillError` for a name that no folder of the library can have."""
    if not _NAME.fullmatch(name):
        raise SkillError(f"'{name}' is no name for a skill: it must not be empty, hold a / or begin with a dot")


def save_skill(skill: DeepSkill, folder: Path) -> None:
    """Write a skill's folder; it appears whole or not at all."""

    def write(temporary: Path) -> None:
        save_file({name: value.contiguous() for name, value in skill.network.state_dict().items()}, temporary / "model.safetensors")
        manifest = {
            "schema": SCHEMA,
            "name": skill.name,
            "package_version": h_dqn.__version__,
            "observation": {"kind": "grey_stack", "shape": list(skill.shape)},
            "actions": list(skill.actions),
            "network": skill.network.spec,
            "termination": _termination(skill),
            "temperature": skill.temperature,
            "task": {},
            "measured": {},
            "training": {},
            **skill.card,
            **({"heads": [_head_entry(skill, head) for head in skill.heads]} if skill.heads else {}),
            "model_sha256": _sha256(temporary / "model.safetensors"),
        }
        (temporary / "skill.json").write_text(json.dumps(manifest, indent=2) + "\n")
        (temporary / "CARD.md").write_text(card_text(manifest))

    write_folder(folder, write)


def _termination(skill: DeepSkill) -> dict[str, Any]:
    above = skill.last_above if np.isfinite(skill.last_above) else None
    return {"steps": skill.steps, "last_above": above, "last_output": skill.last_output}


def _read_termination(entry: dict[str, Any], outputs: int, refuse: Any) -> dict[str, Any]:
    """The fields of :class:`DeepSkill` that say when it ends."""
    steps, above, output = entry.get("steps"), entry.get("last_above"), entry.get("last_output")
    if type(steps) is not int or steps < 1:
        raise refuse("skill.json: termination.steps must be a whole number above 0")
    if not (above is None or isinstance(above, (int, float))):
        raise refuse("skill.json: termination.last_above must be a number or null")
    if not (output is None or (type(output) is int and 0 <= output < outputs)):
        raise refuse("skill.json: termination.last_output must be an output of the network or null")
    return {"steps": steps, "last_above": np.inf if above is None else float(above), "last_output": output}


def _part(whole: DeepSkill, name: str) -> DeepSkill:
    """``whole`` itself or its head, as the name asks."""
    if "/" not in name:
        return whole
    found = next((head for head in whole.heads if head.name == name), None)
    if found is None:
        known = ", ".join(head.name for head in whole.heads) or whole.name
        raise SkillError(f"unknown skill '{name}' (known: {known})")
    return found


def _head_entry(whole: DeepSkill, head: DeepSkill) -> dict[str, Any]:
    card = {"task": {}, "measured": {}, **head.card}
    name = head.name.removeprefix(f"{whole.name}/")
    return {
        "name": name,
        "first": head.first,
        "outputs": len(head.actions),
        "termination": _termination(head),
        "temperature": head.temperature,
        **card,
    }


def load_skill(folder: Path) -> DeepSkill:
    """Read a skill's folder. Raises :class:`SkillError` in one line for anything that is missing or does not fit."""

    def refuse(reason: str) -> SkillError:
        return SkillError(f"{folder}: {reason}")

    try:
        manifest = json.loads((folder / "skill.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise refuse(f"skill.json cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise refuse("skill.json is not JSON") from error
    _check_manifest(manifest, refuse)
    model, spec = folder / "model.safetensors", manifest["network"]
    try:
        if _sha256(model) != manifest["model_sha256"]:
            raise refuse("model.safetensors is not the file that skill.json was written for (its hash differs)")
        weights = load_file(model)
    except OSError as error:
        raise refuse(f"model.safetensors cannot be read: {error.strerror}") from error
    except SafetensorError as error:
        raise refuse(f"model.safetensors is damaged: {error}") from error
    shape = spec["shape"]
    network = QNetwork(spec["architecture"], (shape[0], shape[1], shape[2]), spec["outputs"], eliminate=bool(spec.get("eliminate")))
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != found:
        wrong = next(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
        raise refuse(f"weights '{wrong}' have shape {found.get(wrong)}, the network needs {wanted.get(wrong)}")
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    card = {key: manifest[key] for key in ("task", "measured", "training")}
    name, actions = manifest["name"], tuple(manifest["actions"])
    heads = tuple(
        DeepSkill(
            f"{name}/{entry['name']}",
            network,
            actions[entry["first"] : entry["first"] + entry["outputs"]],
            **_read_termination(entry["termination"], len(actions), refuse),
            card={**card, "task": entry["task"], "measured": entry["measured"]},
            first=entry["first"],
            temperature=entry["temperature"],
        )
        for entry in manifest.get("heads", [])
    )
    ends = _read_termination(manifest["termination"], len(actions), refuse)
    return DeepSkill(name, network, actions, **ends, card=card, heads=heads, temperature=manifest["temperature"])


def _check_manifest(manifest: Any, refuse: Any) -> None:
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        version = manifest.get("schema") if isinstance(manifest, dict) else None
        raise refuse(f"skill.json has schema {version!r}; this version reads schema {SCHEMA}")
    for part, kind in _PARTS.items():
        if not isinstance(manifest.get(part), kind):
            raise refuse(f"skill.json: '{part}' is missing or of the wrong kind")
    _check_card(manifest, refuse)
    network, actions = manifest["network"], manifest["actions"]
    if network.get("architecture") not in list(ARCHITECTURES):
        raise refuse(f"skill.json: unknown network '{network.get('architecture')}' (known: {', '.join(ARCHITECTURES)})")
    shape = network.get("shape")
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and 0 < n <= 512 for n in shape)):
        raise refuse("skill.json: network.shape must be three whole numbers from 1 to 512")
    if shape != manifest["observation"].get("shape"):
        raise refuse("skill.json: observation.shape and network.shape differ")
    if not actions or not all(isinstance(action, str) for action in actions) or network.get("outputs") != len(actions):
        raise refuse(f"skill.json: {network.get('outputs')} outputs for {len(actions)} actions")
    _check_heads(manifest.get("heads", []), len(actions), refuse)


def _check_card(entry: dict[str, Any], refuse: Any) -> None:
    for part, kinds in _CARD.items():
        for key, kind in kinds.items():
            if part in entry and key in entry[part] and not isinstance(entry[part][key], kind):
                raise refuse(f"skill.json: '{part}.{key}' is of the wrong kind")


def _check_heads(heads: Any, outputs: int, refuse: Any) -> None:
    """Heads must cover the network's outputs, one after the other."""
    kinds: dict[str, Any] = {"name": str, "first": int, "outputs": int, "termination": dict, "temperature": (int, float)}
    kinds |= {"task": dict, "measured": dict}
    at = 0
    for entry in heads if isinstance(heads, list) else [None]:
        if not isinstance(entry, dict) or any(not isinstance(entry.get(key), kind) for key, kind in kinds.items()):
            raise refuse(f"skill.json: each of 'heads' must have {', '.join(kinds)}")
        _check_card({part: entry[part] for part in ("task", "measured")}, refuse)
        if entry["first"] != at or entry["outputs"] < 1:
            raise refuse(f"skill.json: head '{entry['name']}' does not fit the outputs before it")
        at += entry["outputs"] + (entry["termination"].get("last_output") is not None)
    if heads and at != outputs:
        raise refuse(f"skill.json: the heads have {at} outputs, the network {outputs}")


def card_text(manifest: dict[str, Any]) -> str:
    """The skill's card in Markdown."""
    measured, training, task = manifest["measured"], manifest["training"], manifest["task"]
    shape = manifest["observation"]["shape"]
    rows: Sequence[tuple[str, Any]] = (
        ("task", f"{task.get('name')} (sha256 {str(task.get('hash'))[:12]}, world {task.get('world')})"),
        ("sees", f"{shape[0]} grey frames of {shape[1]}x{shape[2]}, oldest first"),
        ("actions", ", ".join(manifest["actions"])),
        ("network", f"{manifest['network']['architecture']}"),
        ("ends", f"when it expects to be at its goal, or after {manifest['termination']['steps']} steps"),
        ("success", _success(measured)),
        ("trained", f"{training.get('env_steps')} environment steps, seed {training.get('seed')}, preset {training.get('preset')}"),
        ("written by", f"h-dqn {manifest['package_version']}"),
    )
    if manifest.get("heads"):
        rows = [row for row in rows if row[0] not in ("task", "actions", "success")]
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows)
    table = "".join(
        f"| {head['name']} | {head['task'].get('name')} | {_success(head['measured'])} |\n" for head in manifest.get("heads", [])
    )
    parts = f"\n| head | task | success |\n|---|---|---|\n{table}" if table else ""
    return f"# Skill: {manifest['name']}\n\n| | |\n|---|---|\n{lines}\n{parts}"


def _success(measured: dict[str, Any]) -> str:
    if "success_rate" not in measured:
        return "not measured"
    low, high = measured["ci95"]
    return (
        f"{measured['success_rate']:.1%} of {measured['episodes']} unseen episodes "
        f"(95 % interval {low:.1%} to {high:.1%}, evaluation seed {measured['seed']})"
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
