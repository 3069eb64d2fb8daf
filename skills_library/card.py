"""A policy's card in Markdown: what its manifest says, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def card_text(manifest: dict[str, Any], pages: Mapping[str, str] | None = None) -> str:
    """The card of a policy with this manifest (``policy.json``). ``pages``: what was found out of its skills, as links by name."""
    training, heads = manifest["training"], manifest["heads"]
    shape, first = manifest["observation"]["shape"], heads[0]
    rows = {
        "sees": f"{frames_of(shape)}, grey{', oldest first' * (shape[0] > 1)}",
        "network": f"{manifest['network'].get('network')}{_core(manifest['network'])}",
        "trained": f"{training.get('env_steps')} environment steps, seed {training.get('seed')}, preset {training.get('preset')}",
        **_plays_by(training.get("plays_by")),
        "written by": f"h-dqn {manifest['package_version']}",
    }
    if len(heads) == 1:
        task = first["task"]
        rows |= {
            "task": f"{task.get('name')} (sha256 {str(task.get('hash'))[:12]}, world {task.get('world')})",
            "options": ", ".join(first["outputs"]),
            "ends": f"when it expects to be at its goal, or after {first['termination']['steps']} steps",
            "success": _success(first["measured"]),
        }
    rows |= {f"page of {name}" if len(heads) > 1 else "page": f"[{path}](<{path}>)" for name, path in (pages or {}).items()}
    lines = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    text = f"# Skill: {manifest['name']}\n\n| | |\n|---|---|\n{lines}\n"
    if len(heads) > 1:
        table = "".join(f"| {head['name']} | {head['task'].get('name')} | {_success(head['measured'])} |\n" for head in heads)
        text += f"\n| head | task | success |\n|---|---|---|\n{table}"
    return text


def frames_of(shape: Sequence[int]) -> str:
    """(S, H, W) of observations in words."""
    return f"{'a frame' if shape[0] == 1 else f'{shape[0]} frames'} of {shape[1]}x{shape[2]}"


def _plays_by(plays_by: Any) -> dict[str, str]:
    """The discount among those of a family that it plays by, where it learned several."""
    if not isinstance(plays_by, dict) or not {"discount", "discounts"} <= set(plays_by):
        return {}
    return {"plays by": f"discount {plays_by['discount']:.3g}, among values of {', '.join(map(str, plays_by['discounts']))}"}


def _core(network: dict[str, Any]) -> str:
    return f", and {network['core']} recurrent units that remember the episode" if "core" in network else ""


def _success(measured: dict[str, Any]) -> str:
    if not {"success_rate", "ci95"} <= set(measured):
        return "not measured"
    low, high = measured["ci95"]
    return (
        f"{measured['success_rate']:.1%} of {measured.get('episodes')} unseen episodes "
        f"(95 % interval {low:.1%} to {high:.1%}, evaluation seed {measured.get('seed')})"
    )
