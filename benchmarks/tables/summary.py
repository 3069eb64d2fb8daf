"""The one table of README.md: the results that matter, from the same files as the tables of benchmarks/README.md."""

from __future__ import annotations

import statistics

from benchmarks.tables import results
from benchmarks.tables.cells import middle, rate
from benchmarks.tables.paper import PAPER_SKILLS, TASKS
from benchmarks.tables.speed import PEERS, finishes

HEAD = ("what", "result", "beside it")


def summary() -> str:
    rows = [*_paper(), *_methods(), *_worlds()]
    lines = ["| " + " | ".join(each) + " |" for each in (HEAD, ("---",) * len(HEAD), *rows)]
    return "\n".join(lines)


def _paper() -> list[tuple[str, str, str]]:
    found, flat = results.figures("paper"), results.figures("ablations")["two_rooms"]["flat"]

    def rates(experiment: str, arm: str) -> list[float]:
        return list(found[experiment][arm]["per_seed"].values())

    def means(experiment: str) -> list[float]:
        return [statistics.mean(arm["per_seed"].values()) for name, arm in found[experiment].items() if name != "navigation1"]

    changed = [statistics.mean(rates("rooms", f"{task}-{change}")) for task in TASKS for change in ("size", "layout", "texture")]
    steps = sum(next(iter(found["skills"][name]["runs"].values()))["env_steps"] for name in PAPER_SKILLS if name != "navigation1")
    with_skill, alone = rate(rates("two_rooms", "h-drln"), worst=False), rate(list(flat["per_seed"].values()), worst=False)
    drawn, one_map = (rate(rates(kind, "navigation1"), worst=False) for kind in ("skills", "one-map"))
    return [
        (
            "navigation1 from pixels, in rooms of any shape",
            drawn,
            f"{one_map} in rooms of one map; Tessler et al., one map: about 95 %",
        ),
        (
            "four skills in one network, the least of its heads, rooms of any shape",
            f"{min(means('distilled')):.1%}",
            f"{min(means('skills')):.1%} as four networks; Tessler et al., one map: about 79 %",
        ),
        ("two_rooms, controller with a skill", with_skill, f"{alone} without skills; Tessler et al.: about 76 % and 50 %"),
        (
            "three_rooms, controller with four skills",
            rate(rates("three_rooms", "array"), worst=False),
            f"{rate(rates('three_rooms', 'flat-double'), worst=False)} without, though not given the {steps / 1e6:.1f} million "
            "steps of the skills; Tessler et al.: about 91 %, and never",
        ),
        ("rooms of the seven tasks with one thing changed", f"{min(changed):.1%} to {max(changed):.1%}", _unseen_rooms()),
    ]


def _unseen_rooms() -> str:
    """Of single rooms that nothing was trained on: the mean of each skill, and the worst room of all."""
    runs = [list(of.values()) for of in results.figures("any_rooms").get("any", {}).values()]
    if not runs:
        return ""
    means = [statistics.mean(run["agent"]["mean"] for run in of) for of in runs]
    worst = min(run["agent"]["worst"] for of in runs for run in of)
    return f"{min(means):.1%} to {max(means):.1%} in 20 drawn rooms that nothing was trained on; {worst:.0%} in the worst of these"


def _methods() -> list[tuple[str, str, str]]:
    workshop, eliminated = results.figures("workshop")["workshop"], results.figures("eliminated").values()
    with_it, without = ([run["success_rate"] for run in workshop[arm]["runs"].values()] for arm in ("with", "without"))
    gone, of = (sum(seed[key] for seed in eliminated) for key in ("effective_eliminated", "effective"))
    horizon = {
        arm: [run["score"] for run in parts["per_seed"]] for arm, parts in results.figures("horizon")["switching_horizon"].items()
    }
    best = max((arm for arm in horizon if arm[0].isdigit()), key=lambda arm: statistics.mean(horizon[arm]))
    return [
        (
            "workshop, 253 actions, with `--eliminate`",
            rate(with_it, worst=False),
            f"{rate(without, worst=False)} without; {gone / of:.1%} of the actions that would do something are eliminated, too",
        ),
        (
            "return where the best discount changes, `--tune-discount`",
            middle(horizon["bandit, two heads"], ".3f"),
            f"{middle(horizon[best], '.3f')} at {best}, the best fixed one; {middle(horizon['by hand'], '.3f')} set by hand",
        ),
    ]


def _worlds() -> list[tuple[str, str, str]]:
    luanti, (world,), skill = results.figures("luanti")["conformance"], results.by_seed("world"), results.by_seed("skill")
    seconds = [run["seconds_to_95"] for run in skill]
    return [
        (
            "the same actions in Luanti",
            f"{luanti['differences']} differences in {luanti['steps']:,} steps",
            f"{luanti['pixels_unlike']:.2%} of the pixels differ",
        ),
        (
            "two cores, no GPU",
            f"navigation1 in rooms of one map to 95 % in {statistics.median(seconds):.0f} s (worst of five {max(seconds):.0f} s)",
            f"{world['frames_per_second']:,.0f} frames a second, {world['ratio']:.1f} times MiniWorld's",
        ),
        *best_peers(),
    ]


def best_peers() -> list[tuple[str, str, str]]:
    """Against the best peer of each task; nothing where it was not measured."""
    said = []
    for races in filter(None, map(results.by_seed, PEERS)):
        ours, (best, *_) = finishes(races)
        said.append(
            (
                f"{races[0]['task']} in rooms of one map, to 95 % and held, processor time",
                f"{ours.median('processor_seconds'):.0f} s",
                f"Stable-Baselines3's {best.learner}, the best peer: {best.times_ours} times as much",
            )
        )
    return said
