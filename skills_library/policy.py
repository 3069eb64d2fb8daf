"""A saved policy: a network, the names of its outputs, what it sees, and where it comes from. One folder on disk::

    navigation1/
      policy.json         what it is: schema, network, observation, heads with their outputs, measurements
      model.safetensors   the weights
      CARD.md             the same for people

Skills, flat agents and controllers are all kept like this. A skill is an option made of one of its heads (``skill.py``). Nothing in
the folder is executed; a file that does not fit is refused with one line. The format is described in ``skills_library/README.md``.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

import h_dqn
from h_dqn.agent_state import AgentState
from h_dqn.files import write_folder
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import OptionConfig
from h_dqn.policies import SoftmaxPolicy
from h_dqn.reading import Unreadable, short
from h_dqn.settings import ConfigError, unknown
from skills_library import schema
from skills_library.card import card_text
from skills_library.manifest import (
    CARD,
    LARGEST,
    MANIFEST,
    MODEL,
    Files,
    SkillError,
    head_names,
    is_policy,
    manifest_bytes,
    manifest_name,
    read_file,
    read_manifest,
)

__all__ = ["PolicyHead", "SavedPolicy", "SkillError", "Termination", "is_policy", "load_policy", "policy_files", "save_policy"]


HEAD_BYTES = 1 << 20  # most of a file of weights that are no weights


@dataclass(frozen=True)
class Termination:
    """When a skill ends: after k = ``steps`` steps in any case, or before, where it expects to reach its goal.

    It expects so where the network's output ``last_output`` (by default the value of the best action) exceeds ``last_above``:
    goal-based termination. A skill learns such a sign for nothing: with -1 a step and 0 at the goal, an action that is not the
    last cannot be worth 0.
    """

    steps: int = 5
    last_above: float = np.inf
    last_output: int | None = None


@dataclass(frozen=True)
class PolicyHead:
    """Outputs of a network that belong together.

    Args:
        name: the policy's own, or ``POLICY/HEAD`` where it has several.
        outputs: names of the options that its outputs stand for.
        first: the network's output where its own begin.
        termination: when it ends as an option.
        temperature: of the softmax by which it is played alone. As an option it is greedy.
        card: what is said of it alone: task and measured.
    """

    name: str
    outputs: tuple[str, ...]
    first: int = 0
    termination: Termination = field(default_factory=Termination)
    temperature: float = 0.0
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> slice:
        """The network's outputs that are its own."""
        return slice(self.first, self.first + len(self.outputs))


@dataclass(frozen=True)
class SavedPolicy:
    """What is kept of an agent.

    Args:
        name: what it is called.
        network: Q-values over all outputs of all heads.
        heads: one, or several where skills were distilled into one network.
        options: how it runs the skills among its options.
        card: what is said of the whole: training.
    """

    name: str
    network: QNetwork
    heads: tuple[PolicyHead, ...]
    options: OptionConfig = field(default_factory=OptionConfig)
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def head(self) -> PolicyHead:
        """Its only head. Raises :class:`SkillError` for a distilled network, which is several skills and none itself."""
        if len(self.heads) > 1:
            raise SkillError(f"'{self.name}' holds several skills; name one: {', '.join(head.name for head in self.heads)}")
        return self.heads[0]

    def find(self, name: str) -> PolicyHead:
        """The head of this name. Raises :class:`SkillError` for an unknown one, naming those that there are."""
        found = next((head for head in self.heads if head.name == name), None)
        if found is None:
            raise SkillError(unknown("skill", name, (head.name for head in self.heads)))
        return found

    def policy(self, seed: int, head: PolicyHead | None = None) -> SoftmaxPolicy:
        """How it chooses where it plays alone."""
        head = head or self.head
        return SoftmaxPolicy(AgentState(self.network), head.temperature, seed, head.own)


# --- writing ---


def save_policy(policy: SavedPolicy, folder: Path) -> None:
    """Write a policy's folder; it appears whole or not at all. Raises :class:`SkillError` for weights that are no numbers."""
    write_folder(folder, policy_files(policy), replace=True)


def policy_files(policy: SavedPolicy) -> dict[str, bytes]:
    """What a policy's folder holds. Raises :class:`SkillError` for weights that are no numbers."""
    if not all(bool(value.isfinite().all()) for value in policy.network.state_dict().values()):
        raise SkillError(f"'{policy.name}' is not kept: some of its weights are no finite numbers")
    model = save({name: value.contiguous() for name, value in policy.network.state_dict().items()})
    manifest = {
        "schema": schema.NEWEST,
        "name": policy.name,
        "package_version": h_dqn.__version__,
        "observation": {"kind": schema.SEES, "shape": list(policy.network.spec.shape)},
        "network": policy.network.spec.to_json(),
        "options": asdict(policy.options),
        "heads": [_head_entry(policy, head) for head in policy.heads],
        "training": {},
        **policy.card,
        "model_sha256": hashlib.sha256(model).hexdigest(),
    }
    text = manifest_bytes(manifest)
    if len(text) > LARGEST:
        raise SkillError(f"'{policy.name}' is not kept: what is to be said of it is more than {LARGEST:,} bytes")
    return {MANIFEST: text, MODEL: model, CARD: card_text(manifest).encode()}


def better(one: SavedPolicy, other: SavedPolicy) -> bool:
    """Whether ``one`` surely does better than ``other`` on the same task: its interval of success lies above the other's."""
    if len(one.heads) > 1 or len(other.heads) > 1:
        return False
    a, b = one.head.card, other.head.card
    measured = [card.get("measured", {}).get("ci95") for card in (a, b)]
    same = a.get("task", {}).get("hash") == b.get("task", {}).get("hash")
    return bool(same and all(measured) and measured[0][0] > measured[1][1])


def _head_entry(policy: SavedPolicy, head: PolicyHead) -> dict[str, Any]:
    end = head.termination
    return {
        "name": head.name.removeprefix(f"{policy.name}/"),
        "outputs": list(head.outputs),
        "first": head.first,
        "termination": {**asdict(end), "last_above": end.last_above if np.isfinite(end.last_above) else None},
        "temperature": head.temperature,
        "task": {},
        "measured": {},
        **head.card,
    }


# --- reading ---


def load_policy(folder: Path, name: str | None = None, files: Files | None = None) -> SavedPolicy:
    """Read a policy's folder, also of an older schema. Raises :class:`SkillError` in one line for anything that does not fit.

    ``name``, ``files``: as :func:`skills_library.manifest.read_manifest` has them.
    """
    file, manifest = manifest_name(folder, files), read_manifest(folder, schema.read, name, files)

    def refuse(reason: str) -> SkillError:
        return SkillError(f"{folder}: {reason}")

    spec = NetworkSpec(**{**manifest["network"], "shape": tuple(manifest["network"]["shape"])})
    try:
        with torch.device("meta"):  # what it would be, before any memory is given to it
            size = sum(value.nbytes for value in QNetwork(spec).state_dict().values())
    except ConfigError as error:
        raise refuse(f"{file}: {error}") from error
    weights = schema.newest_weights(_weights(folder, manifest["model_sha256"], size + HEAD_BYTES, files))
    network = QNetwork(spec)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if wanted != found:
        wrong = next(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
        raise refuse(f"weights '{short(wrong)}' have shape {found.get(wrong)}, the network needs {wanted.get(wrong)}")
    if not all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in weights.values()):
        raise refuse("some of its weights are no finite numbers of 32 bits")
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    heads = tuple(_head(name, entry) for name, entry in zip(head_names(manifest), manifest["heads"], strict=True))
    return SavedPolicy(manifest["name"], network, heads, OptionConfig(**manifest["options"]), {"training": manifest["training"]})


def _head(name: str, entry: dict[str, Any]) -> PolicyHead:
    end = entry["termination"]
    above = np.inf if end["last_above"] is None else float(end["last_above"])
    return PolicyHead(
        name,
        tuple(entry["outputs"]),
        entry["first"],
        replace(Termination(**end), last_above=above),
        float(entry["temperature"]),
        {"task": entry["task"], "measured": entry["measured"]},
    )


def _weights(folder: Path, sha256: str, most: int, files: Files | None) -> dict[str, Tensor]:
    def refuse(reason: str) -> SkillError:
        return SkillError(f"{folder}: {reason}")

    try:
        data = read_file(folder, MODEL, most, files)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise refuse(f"{MODEL} is not the file that {manifest_name(folder, files)} was written for (its hash differs)")
        return dict(load(data))
    except OSError as error:
        raise refuse(f"{MODEL} cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise refuse(f"{MODEL} {error}") from error
    except SafetensorError as error:
        raise refuse(f"{MODEL} is damaged: {error}") from error
