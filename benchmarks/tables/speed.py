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
    skill, (world,), (train, *_) = (results.by_seed(name) for name in ("skill", "world", "train"))
    seconds = [run["seconds_to_95"] for run in skill]
    steps = [run["env_steps_to_95"] for run in skill]
    rates = train["env_steps_per_second"]
    lost = [f"{1 - rates[name] / rates['neither']:.0%}" for name in ("eliminate", "tune_discount", "both")]
    rows = [
        row(
            "navigation1 to 95 % in validation",
            cell(f"median of {len(skill)} seeds {statistics.median(seconds):.0f} s (worst {max(seconds):.0f} s)", skill),
            cell(f"{statistics.median(steps):,.0f} environment steps", skill),
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


def peers() -> Table:
    """How soon each learner reaches 95 %; ratios to ours of the same seed, least to most. Who never does counts to its end."""
    rows = []
    for name in ("train", "train_pickup"):
        runs = results.by_seed(name)
        for learner in [found["learner"] for found in runs[0]["rows"]] if runs else []:
            found = [next(one for one in run["rows"] if one["learner"] == learner) for run in runs]
            never = sum(not one["reached"] for one in found)
            at = [statistics.median(one[key] for one in found) for key in ("env_steps", "seconds", "processor_seconds")]
            times = [one["times_ours"] for one in found if one["times_ours"] is not None]
            rows.append(
                row(
                    f"{runs[0]['task']}, {learner}" + f" (never on {never} of {len(found)} seeds)" * bool(never),
                    cell(f"{at[0]:,.0f}", runs),
                    cell(f"{at[1]:.0f}", runs),
                    cell(f"{at[2]:.0f}", runs),
                    cell(f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})" if times else "", runs),
                )
            )
    head = (
        "to 95 % in validation, held over the next two",
        "environment steps",
        "seconds",
        "processor seconds",
        "times ours",
    )
    return Table("`h-dqn bench train`, medians of seeds; validations are not counted", head, rows)


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
