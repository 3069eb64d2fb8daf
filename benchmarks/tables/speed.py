"""The demo, and how long things take."""

from __future__ import annotations

import statistics

from benchmarks.tables import results
from benchmarks.tables.cells import rate
from benchmarks.tables.table import Table, cell, row

DEMO = {
    "navigation1": "navigation1, the skill",
    "controller": "two_rooms, controller with the skill",
    "flat": "two_rooms, the same learner without skills",
}


def demo() -> Table:
    demos = results.by_seed("demo")
    rows = []
    for part, label in DEMO.items():
        runs = [run[part] for run in demos]
        seconds = f"{statistics.median(run['seconds'] for run in runs):.0f}"
        rates = rate([run["success_rate"] for run in runs])
        rows.append(row(label, cell(rates, demos), f"{runs[0]['env_steps']:,}", cell(seconds, demos)))
    return Table(
        f"`make demo`, seeds 1 to {len(demos)}, 500 unseen episodes each",
        ("", "success", "environment steps", "seconds (median)"),
        rows,
    )


def speed() -> Table:
    skill, (world,), (train,) = (results.by_seed(name) for name in ("skill", "world", "train"))
    seconds = [run["seconds_to_95"] for run in skill]
    steps = [run["env_steps_to_95"] for run in skill]
    rates = train["env_steps_per_second"]
    lost = [f"{1 - rates[name] / rates['neither']:.0%}" for name in ("eliminate", "tune_discount", "both")]
    least = "more than " * train["ratio_is_a_lower_bound"]
    rows = [
        row(
            "navigation1 to 95 % in validation",
            cell(f"median of {len(skill)} seeds {statistics.median(seconds):.0f} s (worst {max(seconds):.0f} s)", skill),
            cell(f"{statistics.median(steps):,.0f} environment steps", skill),
        ),
        row(
            "the same, one run, beside Stable-Baselines3's DQN (its PPO is the better peer: see below)",
            cell(f"{train['seconds_to_95']:.0f} s", train),
            cell(f"{least}{int(train['ratio'])} times as long", train),
        ),
        row(
            "frames of 84x84 RGB, 64 worlds",
            cell(f"{world['frames_per_second']:,.0f} a second", world),
            cell(f"{world['ratio']:.1f} times MiniWorld, stepped in the same run", world),
        ),
        row("steps a second lost by `--eliminate`, `--tune-discount`, both", cell(", ".join(lost), train), ""),
    ]
    command = "`h-dqn train skill navigation1 --until 0.95`, `h-dqn bench train`, `h-dqn bench world`"
    return Table(command, ("two cores, no GPU", "", ""), rows)


def cuda() -> Table:
    found = results.figures("cuda")
    rows = [
        row(
            plan,
            cell(f"{speeds['cpu']:,.0f}", speeds),
            cell(f"{speeds['cuda']:,.0f}", speeds),
            cell(f"{speeds['cuda'] / speeds['cpu']:.1f}", speeds),
        )
        for plan, speeds in found["env_steps_per_second"].items()
    ]
    head = ("environment steps a second, learning navigation1", f"{found['threads']} CPU threads", found["device"], "ratio")
    return Table("`python -m benchmarks.cuda`", head, rows)
