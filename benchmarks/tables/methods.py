"""Action elimination, and the discount that tunes itself."""

from __future__ import annotations

import statistics
from typing import Any

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


def horizon() -> Table:
    found = results.figures("horizon")
    fixed = {arm: parts for arm, parts in found.items() if arm[0].isdigit()}
    labels = {
        "tuned": "tunes itself",
        "tuned, lambda too": "tunes itself, and lambda",
        "tuned, no world tries another": "tunes itself, no world is perturbed",
        **{arm: f"fixed, {arm}" for arm in fixed},
        "learned mean, held": "fixed, the mean of what it learned (of the same seed)",
        "random walk": "random walk, steps of the same size",
        "by hand": "set by hand at each change, 0.98 and 0.8",
    }
    rows = [_scores(label, found[arm]["per_seed"]) for arm, label in labels.items() if arm in found]
    of_all = [
        {
            "score": statistics.mean(run["score"] for run in runs),
            "phases": [*map(statistics.mean, zip(*(run["phases"] for run in runs), strict=True))],
            "of": runs,
        }
        for runs in zip(*(parts["per_seed"] for parts in fixed.values()), strict=True)
    ]
    head = ("discount", f"return ({covers(10)})", "while there is time", "when time is short")
    return Table("`python -m benchmarks.horizon`, ten seeds", head, [*rows, _scores("fixed, mean of the six", of_all)])


def _scores(label: str, runs: list[dict[str, Any]]) -> tuple[Cell, ...]:
    columns = [[run["score"] for run in runs]]
    columns += [[statistics.mean(run["phases"][first::2]) for run in runs] for first in (0, 1)]
    entries = [{key: run[key] for key in ("measured", "of") if key in run} for run in runs]
    return row(label, *(cell(middle(each, ".3f"), [entry.get("of", entry) for entry in entries]) for each in columns))
