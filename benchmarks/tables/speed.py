"""The demo, and how long things take."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.tables import results
from benchmarks.tables.cells import rate
from benchmarks.tables.table import Table, cell, row

DEMO = {
    "navigation1": "navigation1, the skill",
    "controller": "three_rooms, with four skills of the pack",
    "flat": "three_rooms, the same learner without skills",
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
        f"`make demo`, seed{f's 1 to {len(demos)}' if len(demos) > 1 else ' 1'}, 500 unseen episodes each",
        ("", "success", "environment steps", "seconds (median)"),
        rows,
    )


def speed() -> Table:
    skill, (world,), (switches,) = (results.by_seed(name) for name in ("skill", "world", "switches"))
    seconds = [run["seconds_to_95"] for run in skill]
    steps = [run["env_steps_to_95"] for run in skill]
    rates = switches["env_steps_per_second"]
    lost = [f"{1 - rates[name] / rates['neither']:.0%}" for name in ("eliminate", "tune_discount", "both")]
    rows = [
        row(
            "navigation1 in rooms of one map, to 95 % in validation",
            cell(f"median of {len(skill)} seeds {statistics.median(seconds):.0f} s (worst {max(seconds):.0f} s)", skill),
            cell(f"{statistics.median(steps):,.0f} environment steps", skill),
        ),
        row(
            "frames of 84x84 RGB, 64 worlds",
            cell(f"{world['frames_per_second']:,.0f} a second", world),
            cell(f"{world['ratio']:.1f} times MiniWorld, stepped in the same run", world),
        ),
        row("steps a second lost by `--eliminate`, `--tune-discount`, both", cell(", ".join(lost), switches), ""),
    ]
    trained = "`h-dqn train skill benchmarks/rooms/paper/navigation1.toml --until 0.95`"
    command = f"{trained}, `h-dqn bench switches`, `h-dqn bench world`"
    return Table(command, ("two cores, no GPU", "", ""), rows)


PEERS = ("peers", "peers_pickup")


@dataclass(frozen=True)
class Finish:
    """How soon one learner of a race reaches 95 %, over seeds. Where it never did, its end counts: a lower bound."""

    learner: str
    runs: list[dict[str, Any]]  # its row in each race
    never: int  # on how many seeds

    def median(self, key: str) -> float:
        return float(statistics.median(one[key] for one in self.runs))

    @property
    def times_ours(self) -> str:
        """Processor time over ours of the same seed: median, least and most of the seeds on which ours got there."""
        times = [one["times_ours"] for one in self.runs if one["times_ours"] is not None]
        if not times:
            return "unknown, as ours never got there"
        return f"{'more than ' * (self.never > 0)}{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"


def finishes(races: list[dict[str, Any]]) -> tuple[Finish, list[Finish]]:
    """Ours, and the peers, the best first."""
    ours, *peers = (
        Finish(name, runs, sum(not run["reached"] for run in runs))
        for name, runs in (
            (row["learner"], [each for race in races for each in race["rows"] if each["learner"] == row["learner"]])
            for row in races[0]["rows"]
        )
    )
    return ours, sorted(peers, key=lambda one: (one.never, one.median("processor_seconds")))


def peers() -> Table:
    """How soon each learner reaches 95 %."""
    rows = []
    for races in filter(None, map(results.by_seed, PEERS)):
        ours, others = finishes(races)
        for one in (ours, *others):
            never = f" (never on {one.never} of {len(races)} seeds)" * bool(one.never)
            rows.append(
                row(
                    f"{races[0]['task']}, {one.learner}{never}",
                    cell(f"{one.median('env_steps'):,.0f}", races),
                    cell(f"{one.median('seconds'):.0f}", races),
                    cell(f"{one.median('processor_seconds'):.0f}", races),
                    cell(one.times_ours, races) if one is not ours else "",
                )
            )
    head = ("to 95 %, held over the next two validations", "environment steps", "seconds", "processor seconds", "times ours")
    return Table("`h-dqn bench train --goal 0.95 --task benchmarks/rooms/paper/TASK.toml`, medians of seeds", head, rows)


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
