"""The same tasks in Luanti and through MineRL's client. Parts of the result files may be missing."""

from __future__ import annotations

from typing import Any

from benchmarks.tables import results
from benchmarks.tables.cells import share, wilson
from benchmarks.tables.table import Cell, Table, cell, row

Rows = list[tuple[Cell, ...]]


def luanti() -> Table:
    found = results.figures("luanti")
    parts = ("conformance", "settle", "determinism", "starts", "speed", "speed64", "faults")
    rows = [row(label, cell(text, found[part])) for part in parts if part in found for label, text in [_luanti(part, found[part])]]
    return Table("`python -m benchmarks.luanti`", ("", "measured"), rows)


def _luanti(name: str, part: dict[str, Any]) -> tuple[str, str]:
    if name == "conformance":
        return (
            f"the same actions in both worlds, {len(part['tasks'])} tasks",
            f"{part['differences']} differences of reward, end, inventory, pose, blocks or `invalid_action` in {part['steps']:,} "
            f"steps; {part['pixels_unlike']:.2%} of the pixels differ",
        )
    if name == "settle":
        labels = {"idle": "as the machine was", "busy": "beside three busy processes"}
        seen = [f"{part[key]['wrong']} of {part[key]['frames']:,} {label}" for key, label in labels.items() if key in part]
        return "frames that differ from what the screen shows 40 ms later", "; ".join(seen)
    if name == "determinism":
        same = "identical bit for bit" if part["identical"] else "NOT identical"
        return f"{part['runs']} runs of {part['steps']:,} steps with one seed", same
    if name == "starts":
        tasks = [task for key, task in part.items() if key != "measured"]
        frames, wrong = (sum(task[key] for task in tasks) for key in ("frames", "wrong"))
        return "first frames of a new engine that differ from an older one's", f"{wrong} of {frames:,}"
    if name == "faults":
        return (
            f"{sum(part['faults'].values())} faults: {', '.join(part['faults'])}",
            f"{part['differences']} numbers of steps or states differ, {part['orphans']} processes and {part['leftovers']} files "
            "are left",
        )
    return (
        f"steps of 84x84 RGB, worlds in an engine: {part['worlds']}",
        f"{part['steps_per_second']:,.0f} a second, {part['steps_per_million_turns']:.1f} while a Python loop counts to a million; "
        f"reset {part['reset_ms_median']:.0f} ms (median)",
    )


def luanti_skills() -> Table:
    """What was learned in the embedded world, in Luanti."""
    found = results.figures("luanti").get("skills", {})
    rows: Rows = []
    for name, entry in found.get("embedded", {}).items():
        there = [found[world].get(name) for world in ("luanti", "plain", "tuned")]
        rows.append(row(name, *(share(each) if each else "" for each in (entry, *there))))
    for name, entry in found.get("nothing", {}).items():
        (run,) = entry["runs"].values()
        label = f"{name}, learned from nothing in Luanti in {run['env_steps']:,} steps"
        if run["env_steps_to_95"]:
            label += f" (95 % in validation after {run['env_steps_to_95']:,} and {run['seconds_to_95']:.0f} s)"
        rows.append(row(label, "", share(entry), "", ""))
    head = (
        "",
        "embedded world, where it was trained",
        "Luanti",
        "Luanti's own light",
        "after 100,000 steps of training there",
    )
    return Table("`python -m benchmarks.luanti skills`, seed 1, 500 unseen episodes each", head, rows)


def minerl() -> Table:
    found = results.figures("minerl")
    kinds = {"evaluate": _evaluated, "learning": _learned, "faults": _faults, "cost": _cost, "scaling": _scaling}
    rows = [row(label, cell(text, found[part])) for part, say in kinds.items() if part in found for label, text in say(found[part])]
    return Table("`python -m benchmarks.minerl`, `python -m benchmarks.minerl_learning`", ("", "measured"), rows)


def _evaluated(part: dict[str, Any]) -> list[tuple[str, str]]:
    label = f"a skill of the embedded world on {part['minerl']['episodes']} episodes, there and here"
    return [(label, f"{wilson(part['embedded'])}, {wilson(part['minerl'])}")]


def _learned(part: dict[str, Any]) -> list[tuple[str, str]]:
    label = f"navigation1, learned from nothing in {part['minecrafts']} of them, seed {part['measured']['seed']}"
    steps = f"{part['env_steps_to_95']:,} steps to 95 % in validation"
    return [(label, f"{steps}; {wilson(part)} of {part['episodes']} unseen episodes")]


def _faults(part: dict[str, Any]) -> list[tuple[str, str]]:
    both = attached, launched = part["attached"], part["launched"]
    episodes, whole, differ, dropped = (
        sum(each[key] for each in both)
        for key in ("episodes", "transitions", "differences_from_embedded", "lost_transitions")
    )  # fmt: skip
    left = part["left_behind"]
    return [
        (
            f"{episodes:,} episodes, {attached['faults_injected']} faults of the protocol, "
            f"{launched['processes_killed_or_stopped']} processes killed or stopped",
            f"{whole:,} transitions, {differ} unlike the embedded world's; {dropped} dropped",
        ),
        (
            "ticks that the stand-in answered whole, and those that were counted",
            f"{attached['ticks_answered']:,}, {attached['ticks_counted']:,}",
        ),
        (
            "latest overrun of a deadline; folders and processes left; growth of memory",
            f"{part['latest_overrun']:.1%}; {left['folders']}, {left['processes']}; {attached['memory_growth_mib']:.1f} MiB",
        ),
    ]


def _cost(part: dict[str, Any]) -> list[tuple[str, str]]:
    label = f"processor time of a step beyond that of the client's {part['ticks_per_step']:.1f} ticks"
    return [(label, f"{part['beyond_client_ms']:.2f} ms")]


def _scaling(part: dict[str, Any]) -> list[tuple[str, str]]:
    label = "steps per second of one and of four, with ticks of 20 ms"
    return [(label, f"{part['one']:.1f}, {part['four']:.1f} ({part['ratio']:.2f} times)")]
