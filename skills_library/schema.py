"""What a policy's manifest may say. Manifests of older schemas are read as they would be written today."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from h_dqn.options import OptionConfig
from h_dqn.reading import short
from h_dqn.settings import ConfigError, check, unknown

if TYPE_CHECKING:
    from torch import Tensor

NEWEST = 2
MOST_HEADS, MOST_OUTPUTS, NAME_LETTERS = 256, 4096, 300
MOST_STEPS = 10**9
SEES = "grey_stack"  # the one kind of observation
Entry = dict[str, Any]
Kinds = dict[str, type | tuple[type, ...]]
NUMBER = (int, float)
_PARTS: Kinds = {
    "name": str,
    "package_version": str,
    "observation": dict,
    "network": dict,
    "options": dict,
    "heads": list,
    "training": dict,
    "model_sha256": str,
}
_NETWORK: Kinds = {"network": str, "shape": list, "outputs": int, "head": str, "eliminate": bool}
CORE = "core"  # of the network: there where it has one, which remembers
_HEAD: Kinds = {
    "name": str,
    "outputs": list,
    "first": int,
    "termination": dict,
    "temperature": NUMBER,
    "task": dict,
    "measured": dict,
}
_TERMINATION: Kinds = {"steps": int, "last_above": (*NUMBER, type(None)), "last_output": (int, type(None))}
# What is read of the parts that say where a policy comes from; it may be missing.
_CARD: dict[str, Kinds] = {
    "task": {"name": str, "text": str},
    "measured": {"success_rate": NUMBER, "ci95": list, "episodes": int, "seed": int},
    "training": {"env_steps": int, "config": dict, "plays_by": dict},
}
_PLAYS_BY: Kinds = {"discounts": list, "eta": NUMBER, "discount": NUMBER}  # which of a family of discounts it plays by
# Names of weights in schema 1, and today.
_RENAMED = {"trunk.": "torso.", "elimination.learning.": "elimination.torso.", "elimination.frozen.": "elimination.frozen_torso."}


class SchemaError(ValueError):
    """A manifest does not fit; the message goes on from the file's name."""


def read(manifest: Any) -> Entry:
    """A manifest as today's schema has it, checked. Raises :class:`SchemaError`."""
    manifest = read_card(manifest)
    _check_network(manifest)
    _check_options(manifest["options"])
    _check_heads(manifest["heads"], manifest["network"]["outputs"])
    return dict(manifest)


def read_card(manifest: Any) -> Entry:
    """The same, of which only the parts that say what it is and where it comes from are checked: quick, without torch."""
    version = manifest.get("schema") if isinstance(manifest, dict) else None
    if version == 1:
        manifest = _from_schema_1(manifest)
    elif version != NEWEST:
        raise SchemaError(f" has schema {short(version)}; this version reads schema 1 to {NEWEST}")
    _require(manifest, _PARTS, "")
    _require_card(manifest)
    _check_shape(manifest)
    if not 1 <= len(manifest["heads"]) <= MOST_HEADS:
        raise SchemaError(f": there are {len(manifest['heads'])} heads; 1 to {MOST_HEADS} are possible")
    if not manifest["name"].isprintable() or not manifest["package_version"].isprintable():
        raise SchemaError(": 'name' and 'package_version' must be text that can be printed")
    for head in manifest["heads"]:
        if not isinstance(head, dict):
            raise SchemaError(f": each of 'heads' must have {', '.join(_HEAD)}")
        _require(head, _HEAD, "heads.")
        _require_card(head)
        if len(head["outputs"]) > MOST_OUTPUTS or not all(_good_output(name) for name in head["outputs"]):
            raise SchemaError(": 'heads.outputs' must be names that can be printed")
        if type(head["termination"].get("steps")) is not int or not 1 <= head["termination"]["steps"] <= MOST_STEPS:
            raise SchemaError(f": termination.steps must be a whole number from 1 to {MOST_STEPS:,}")
        if not 0 <= head["temperature"] <= MOST_STEPS:
            raise SchemaError(": 'heads.temperature' must be at least 0")
    return dict(manifest)


def newest_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under today's names."""

    def renamed(name: str) -> str:
        old = next((old for old in _RENAMED if name.startswith(old)), None)
        return name if old is None else name.replace(old, _RENAMED[old], 1)

    return {renamed(name): value for name, value in weights.items()}


def _require(entry: Any, kinds: Kinds, where: str) -> None:
    for key, kind in kinds.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        wrong_bool = isinstance(value, bool) and kind is not bool
        if wrong_bool or not isinstance(value, kind) or (isinstance(entry, dict) and key not in entry):
            raise SchemaError(f": '{where}{key}' is missing or of the wrong kind")


def _require_card(entry: Entry) -> None:
    for part, kinds in _CARD.items():
        if not isinstance(said := entry.get(part, {}), dict):
            raise SchemaError(f": '{part}' is of the wrong kind")
        for key, kind in kinds.items():
            if key in said and (isinstance(said[key], bool) or not isinstance(said[key], kind)):
                raise SchemaError(f": '{part}.{key}' is of the wrong kind")
    measured, training = entry.get("measured", {}), entry.get("training", {})
    shares = [measured[key] for key in ("success_rate",) if key in measured] + measured.get("ci95", [0, 1])
    if "ci95" in measured and len(measured["ci95"]) != 2:
        raise SchemaError(": 'measured.ci95' is of the wrong kind")
    if not all(type(share) in NUMBER and 0 <= share <= 1 for share in shares):
        raise SchemaError(": 'measured' has a share that is not from 0 to 1")
    if (plays_by := training.get("plays_by")) is not None:
        _require(plays_by, _PLAYS_BY, "training.plays_by.")
        if not all(type(each) in NUMBER and 0 <= each <= 1 for each in (plays_by["discount"], *plays_by["discounts"])):
            raise SchemaError(": 'training.plays_by' has a discount that is not from 0 to 1")
    if not 0 <= training.get("env_steps", 0) <= 2**63 - 1:
        raise SchemaError(": 'training.env_steps' cannot be")


def _good_output(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= NAME_LETTERS and name.isprintable()


def _check_shape(manifest: Entry) -> None:
    """What is seen, as the network has it too."""
    if (kind := manifest["observation"].get("kind")) != SEES:
        raise SchemaError(f": it sees {short(kind)}; this version shows {SEES} alone")
    shape = manifest["observation"].get("shape")
    if shape != manifest["network"].get("shape"):
        raise SchemaError(": observation.shape and network.shape differ")
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and 0 < n <= 512 for n in shape)):
        raise SchemaError(": network.shape must be three whole numbers from 1 to 512")


def _check_network(manifest: Entry) -> None:
    from h_dqn.networks import ARCHITECTURES, HEADS, MOST_UNITS  # with torch

    network = manifest["network"]
    _require(network, _NETWORK, "network.")
    if set(network) - {CORE} != set(_NETWORK):
        raise SchemaError(f": 'network.{short(min(set(network) - set(_NETWORK)))}' is unknown")
    if CORE in network and not (type(network[CORE]) is int and 1 <= network[CORE] <= MOST_UNITS):
        raise SchemaError(f": network.{CORE} must be a whole number from 1 to {MOST_UNITS}")
    for part, known in (("network", ARCHITECTURES), ("head", HEADS)):
        if network[part] not in known:
            raise SchemaError(f": {unknown(part, network[part], known)}")
    if not 1 <= network["outputs"] <= MOST_OUTPUTS:
        raise SchemaError(f": network.outputs must be from 1 to {MOST_OUTPUTS}")


def _check_options(options: Entry) -> None:
    try:
        if set(options) != {entry.name for entry in fields(OptionConfig)}:
            raise ConfigError("not all of them are there, or others are")
        check(OptionConfig(**options))
    except ConfigError as error:
        raise SchemaError(f": options: {error}") from error


def _check_heads(heads: list[Any], outputs: int) -> None:
    """Heads must cover the network's outputs, one after the other."""
    at = 0
    for entry in heads:
        if not entry["outputs"] or len(set(entry["outputs"])) < len(entry["outputs"]) or entry["first"] != at:
            raise SchemaError(f": head '{short(entry['name'])}' does not fit the outputs before it")
        end = entry["termination"]
        _require(end, _TERMINATION, "termination.")
        if set(end) != set(_TERMINATION):
            raise SchemaError(f": 'termination.{short(min(set(end) - set(_TERMINATION)))}' is unknown")
        if end["last_output"] is not None and not 0 <= end["last_output"] < outputs:
            raise SchemaError(": termination.last_output must be an output of the network or null")
        at += len(entry["outputs"]) + (end["last_output"] is not None)
    if at != outputs:
        raise SchemaError(f": the heads have {at} outputs, the network {outputs}")


# --- schema 1: skill.json, whose one head's fields stood in the manifest itself ---


def _from_schema_1(old: Entry) -> Entry:
    kinds: Kinds = {"actions": list, "network": dict, "termination": dict, "temperature": NUMBER, "task": dict, "measured": dict}
    _require(old, {"name": str, **kinds, "training": dict}, "")
    network, config = old["network"], old["training"].get("config")
    whole = {
        "name": old["name"],
        "outputs": old["actions"],
        "first": 0,
        **{key: old[key] for key in ("termination", "temperature", "task", "measured")},
    }
    heads = old.get("heads") or [whole]
    if not isinstance(heads, list) or not all(isinstance(head, dict) for head in heads):
        raise SchemaError(": 'heads' is of the wrong kind")
    if old.get("heads"):
        heads = [_head_from_schema_1(head, old["actions"]) for head in heads]
    known = {entry.name: config[entry.name] for entry in fields(OptionConfig) if isinstance(config, dict) and entry.name in config}
    return {
        **{key: value for key, value in old.items() if key not in {*kinds, "heads"}},
        "schema": NEWEST,
        "network": {
            "network": network.get("architecture"),
            "shape": network.get("shape"),
            "outputs": network.get("outputs"),
            "head": "linear",
            "eliminate": network.get("eliminate", False),
        },
        "options": {**{entry.name: entry.default for entry in fields(OptionConfig)}, **known},
        "heads": heads,
    }


def _head_from_schema_1(head: Entry, actions: list[Any]) -> Entry:
    _require(head, {"first": int, "outputs": int}, "heads.")
    return {**head, "outputs": actions[head["first"] : head["first"] + head["outputs"]]}
