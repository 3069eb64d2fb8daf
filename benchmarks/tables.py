"""Write the README's tables from the result files: ``python -m benchmarks.tables`` (``--check`` only compares)."""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Quantile of Student's t by degrees of freedom.
T_975 = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    7: 2.365,
    8: 2.306,
    9: 2.262,
}


def results(name: str) -> list[dict[str, Any]]:
    """The runs of one command, by seed."""
    runs: dict[str, dict[str, Any]] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["runs"]
    return [runs[seed] for seed in sorted(runs, key=int)]


def mean_ci(values: list[float]) -> tuple[float, float]:
    """Mean over seeds and half of its 95 % interval (Student's t); of a single seed the interval is everything."""
    if len(values) == 1:
        return values[0], 1.0
    half = T_975[len(values) - 1] * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values), half


def demo() -> str:
    runs = results("demo")
    lines = [
        f"`make demo`, seeds 1 to {len(runs)}; success on 500 unseen episodes each, mean ± 95 % interval over seeds.",
        "",
        "| | success | worst seed | environment steps | seconds (median) |",
        "|---|---|---|---|---|",
    ]
    for part, label in (
        ("navigation1", "navigation1, the skill"),
        ("controller", "two_rooms, controller with the skill"),
        ("flat", "two_rooms, the same learner without skills"),
    ):
        rates = [run[part]["success_rate"] for run in runs]
        mean, half = mean_ci(rates)
        seconds = statistics.median(run[part]["seconds"] for run in runs)
        lines.append(f"| {label} | {mean:.1%} ± {half:.1%} | {min(rates):.1%} | {runs[0][part]['env_steps']:,} | {seconds:.0f} |")
    return "\n".join(lines)


def speed() -> str:
    skill, world = results("skill"), results("world")[0]
    seconds = [run["seconds_to_95"] for run in skill]
    steps = [run["env_steps_to_95"] for run in skill]
    return "\n".join(
        [
            "| | | |",
            "|---|---|---|",
            f"| navigation1 to 95 % of 500 episodes | median of {len(skill)} seeds {statistics.median(seconds):.0f} s "
            f"(worst {max(seconds):.0f} s) | {statistics.median(steps):,.0f} environment steps |",
            f"| frames of 84x84 RGB, 64 worlds | {world['frames_per_second']:,.0f} a second | {world['ratio']:.1f} times "
            "MiniWorld, stepped in the same run |",
        ]
    )


# What Tessler et al. 2017 report, as it is remembered, in their own rooms: success of the skills alone and after distillation
# (tau 0.1), and of the controllers.
PAPER: dict[str, Any] = {
    "navigation1": ("about 95 %", "about 82 %"),
    "navigation2": ("about 95 %", "about 82 %"),
    "pickup": ("about 100 %", "about 100 %"),
    "break": ("about 100 %", "about 79 %"),
    "placement": ("about 100 %", "about 79 %"),
    "two_rooms": {"h-drln": "about 76 %", "flat-double": "about 50 %", "zero-shot": "between the two"},
    "three_rooms": {
        "array": "about 85 %, Double 91 %",
        "distilled": "",
        "distilled-double": "about 94 %",
        "flat-double": "never solves it",
    },
}


def paper() -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / "paper.json").read_text())


def percent(entry: dict[str, Any]) -> str:
    """Mean with its interval over seeds, and the worst seed."""
    rates = list(entry["per_seed"].values())
    if len(rates) == 1:
        return f"{rates[0]:.1%} (one seed)"
    mean, half = mean_ci(rates)
    return f"{mean:.1%} ± {half:.1%} (worst {min(rates):.1%})"


def skills() -> str:
    found = paper()
    lines = ["| skill | alone | paper | distilled | paper |", "|---|---|---|---|---|"]
    for name, entry in found["skills"].items():
        head = found["distilled"].get(name)
        alone, distilled = PAPER[name]
        lines.append(f"| {name} | {percent(entry)} | {alone} | {percent(head) if head else ''} | {distilled if head else ''} |")
    return "\n".join(lines)


def controllers() -> str:
    found = paper()
    lines = ["| task | agent | success | paper | environment steps |", "|---|---|---|---|---|"]
    labels = {
        "h-drln": "controller with navigation1",
        "zero-shot": "navigation1 alone, not trained here",
        "array": "controller, a network each skill",
        "distilled": "controller, one distilled network",
        "distilled-double": "the same, Double-DQN targets",
        "flat-double": "no skills, Double-DQN targets",
    }
    for task in ("two_rooms", "three_rooms"):
        for arm, entry in found[task].items():
            steps = next(iter(entry["runs"].values())).get("env_steps", 0) if arm != "zero-shot" else 0
            lines.append(f"| {task} | {labels[arm]} | {percent(entry)} | {PAPER[task][arm]} | {steps:,} |")
    return "\n".join(lines)


def rooms() -> str:
    found = paper()["rooms"]
    lines = ["| trained on | larger room | turned, mirrored, a corner walled off | other textures |", "|---|---|---|---|"]
    for task in dict.fromkeys(name.rpartition("-")[0] for name in found):
        lines.append(
            f"| {task} | " + " | ".join(percent(found[f"{task}-{change}"]) for change in ("size", "layout", "texture")) + " |"
        )
    return "\n".join(lines)


def minerl() -> str:
    """Parts of benchmarks/results/minerl.json that have been measured."""
    found = json.loads((ROOT / "benchmarks" / "results" / "minerl.json").read_text())
    lines = ["| | measured |", "|---|---|"]
    if part := found.get("evaluate"):
        both = [
            f"{part[world]['success_rate']:.1%} ({part[world]['ci95'][0]:.1%} to {part[world]['ci95'][1]:.1%})"
            for world in ("embedded", "minerl")
        ]
        lines.append(
            f"| a skill of the embedded world on {part['minerl']['episodes']} episodes, there and here | {both[0]}, {both[1]} |"
        )
    if part := found.get("faults"):
        attached, launched = part["attached"], part["launched"]
        whole = attached["transitions"] + launched["transitions"]
        differ = attached["differences_from_embedded"] + launched["differences_from_embedded"]
        lines += [
            f"| {attached['episodes'] + launched['episodes']:,} episodes, {attached['faults_injected']} faults of the protocol, "
            f"{launched['processes_killed_or_stopped']} processes killed or stopped | {whole:,} transitions, {differ} unlike the "
            f"embedded world's; {attached['lost_transitions'] + launched['lost_transitions']} dropped |",
            f"| ticks that the stand-in answered whole, and those that were counted | {attached['ticks_answered']:,}, "
            f"{attached['ticks_counted']:,} |",
            f"| latest overrun of a deadline; folders and processes left; growth of memory | {part['latest_overrun']:.1%}; "
            f"{part['left_behind']['folders']}, {part['left_behind']['processes']}; {attached['memory_growth_mib']:.1f} MiB |",
        ]
    if part := found.get("cost"):
        lines.append(f"| processor time of a step beyond that of the client's {part['ticks_per_step']:.1f} ticks | "
                     f"{part['beyond_client_ms']:.2f} ms |")  # fmt: skip
    if part := found.get("scaling"):
        lines.append(f"| steps per second of one and of four, with ticks of 20 ms | {part['one']:.1f}, {part['four']:.1f} "
                     f"({part['ratio']:.2f} times) |")  # fmt: skip
    return "\n".join(lines)


TABLES = {"demo": demo, "speed": speed, "skills": skills, "controllers": controllers, "rooms": rooms, "minerl": minerl}


def render(text: str) -> str:
    """``text`` with each table between its markers written anew."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        written = table()
        text, found = re.subn(pattern, rf"\g<1>{written}\n\g<2>", text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"README.md: the markers of the table '{name}' must be there once")
    return text


def main() -> None:
    path = ROOT / "README.md"
    written = render(path.read_text())
    if "--check" in sys.argv:
        if written != path.read_text():
            raise SystemExit("README.md differs from benchmarks/results; run: make results")
    else:
        path.write_text(written)


if __name__ == "__main__":
    main()
