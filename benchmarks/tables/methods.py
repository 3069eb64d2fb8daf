"""Action elimination, and the discount that tunes itself."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.horizon import SEQUENCES
from benchmarks.tables import results
from benchmarks.tables.cells import covers, middle, steps_to_95
from benchmarks.tables.table import Cell, Table, cell, row


def grid_world() -> Table:
    rows = []
    for name, arms in results.figures("gridworld").items():
        steps = []
        for arm in ("without", "with"):
            runs = arms[arm]["per_seed"]
            unsolved = sum(not run["solved"] for run in runs)
            note = f"; {unsolved} of {len(runs)} seeds not solved" if unsolved else ""
            steps.append(cell(middle([run["env_steps"] for run in runs], ",.0f") + note, runs))
        runs = arms["with"]["per_seed"]
        most, bound = max(run["most_wrong_tries"] for run in runs), min(run["bound"] for run in runs)
        lost = sum(run["right_moves_eliminated"] for run in runs)
        tries = cell(f"{most}, {bound:.0f}", runs)
        rows.append(row(name, *steps, cell(f"{arms['gain']:.1f}", arms), tries, cell(str(lost), runs)))
    head = (
        "grid world",
        f"steps to solve it, without ({covers(10)})",
        f"with elimination ({covers(10)})",
        "gain",
        "most tries of a useless move, and the bound",
        "useful moves eliminated",
    )
    return Table("`python -m benchmarks.gridworld`, ten seeds", head, rows)


def workshop() -> Table:
    arms = results.figures("workshop")["workshop"]
    rows = []
    for arm, label in (("with", "with elimination"), ("without", "without")):
        if arm not in arms:
            continue
        rates = [run["success_rate"] for run in arms[arm]["runs"].values()]
        shown = (middle(rates, ".1%"), f"{min(rates):.1%}", steps_to_95(arms[arm]))
        rows.append(row(label, *(cell(text, arms[arm]) for text in shown)))
    found: list[dict[str, Any]] = list(results.figures("eliminated").values())
    for name, label in (("effective", "would do something"), ("futile", "would do nothing")):
        gone, of = (sum(seed[key] for seed in found) for key in (f"{name}_eliminated", name))
        most = max(seed[f"{name}_eliminated"] / seed[name] for seed in found)
        seeds = sum(seed[f"{name}_eliminated"] > 0 for seed in found)
        shown = (f"{gone / of:.2%}", f"{most:.2%}", f"{gone:,} of {of:,} pairs, on {seeds} of {len(found)} seeds")
        rows.append(row(f"eliminated, of what {label}", *(cell(text, found) for text in shown)))
    head = ("workshop, 253 actions", f"success ({covers(10)})", "worst seed", f"environment steps to 95 % ({covers(10)})")
    return Table("`python -m benchmarks.reproduce workshop --seeds 10`, `python -m benchmarks.eliminated`", head, rows)


TUNERS = {
    "family gradient": "meta-gradient through the family",
    "family gradient, alone": "the same, no environment tries either side",
    "family gradient, context": "the same with recent reward as context",
    "family gradient, shuffled context": "the same with the context of some other time",
    "update gradient": "meta-gradient through the update, one head",
    "update gradient, alone": "the same, no environment tries either side",
    "return difference": "difference of returns at either side",
    "bandit": "sliding-window bandit over the family",
    "bandit, two heads": "sliding-window bandit over 0.8 and 0.98",
    "random walk": "random walk, steps of the same size",
    "learned mean, held": "fixed, the mean of what was learned (of the same seed)",
    "by hand": "set by hand at each change, one head",
    "by hand, family": "set by hand at each change, over the family",
    "before: carried tangents, Adam": "as it was before: one head, the tangents of which moved eta by Adam",
    "before: carried tangents, Adam, alone": "the same, no environment tries either side",
}


def horizon() -> Table:
    rows = []
    for sequence, found in results.figures("horizon").items():
        fixed = {arm: f"fixed, {arm}" for arm in found if arm[0].isdigit()}
        rows += [_scores(sequence, label, found[arm]["per_seed"]) for arm, label in {**TUNERS, **fixed}.items() if arm in found]
    head = ("sequence", "discount", "seeds", f"return ({covers(10)} where there are ten)", "phases of a period, in turn")
    return Table("`python -m benchmarks.horizon`", head, rows)


def _scores(sequence: str, label: str, runs: list[dict[str, Any]]) -> tuple[Cell, ...]:
    period = len(SEQUENCES[sequence])
    phases = [
        statistics.mean(run["phases"][n] for run in runs for n in range(first, len(run["phases"]), period))
        for first in range(period)
    ]
    shown = (label, str(len(runs)), middle([run["score"] for run in runs], ".3f"), ", ".join(f"{each:.3f}" for each in phases))
    return row(sequence, *(cell(text, [{"measured": run["measured"]} for run in runs]) for text in shown))
