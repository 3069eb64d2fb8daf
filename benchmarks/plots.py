"""Pictures of what ``reproduce.py`` ran: ``python -m benchmarks.plots`` writes benchmarks/pictures/paper-*.png."""

from __future__ import annotations

import json
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.provenance import ROOT
from benchmarks.reproduce import RUNS, cells
from h_dqn.files import replacing
from h_dqn.metrics import Row, read_metrics, settled

PICTURES = ROOT / "benchmarks" / "pictures"
USAGE = "three_rooms.array"  # whose choices are shown


def logs(run: str) -> list[list[Row]]:
    """The logs of one arm, a seed each."""
    return [list(read_metrics(path.parent)) for path in sorted(RUNS.glob(f"s*/{run}/metrics.jsonl"))]


def curves() -> None:
    """Success while training, of the arms of paper.toml that learn a composite task, over environment steps and wall clock."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 7), layout="constrained", sharey=True)
    for row, task in enumerate(("two_rooms", "three_rooms")):
        for number, run in enumerate(cell.name for cell in cells("paper", 1) if cell.experiment == task):
            for seed, log in enumerate(map(settled, logs(run))):
                for column, key in enumerate(("env_steps", "seconds")):
                    label = run.partition(".")[2] if seed == 0 else None
                    x, y = [line[key] for line in log], [100 * line["train_success"] for line in log]
                    grid[row][column].plot(x, y, color=f"C{number}", alpha=0.7, linewidth=1, label=label)
        grid[row][0].set(ylabel=f"{task}: success while training, %", ylim=(-3, 103))
        grid[row][0].legend(loc="best", fontsize=8)
    grid[1][0].set(xlabel="environment steps")
    grid[1][1].set(xlabel="seconds (two runs side by side)")
    save(figure, "paper-curves.png")


def usage() -> None:
    """Which options a controller chooses while it learns: share of its decisions, and of the environment steps."""
    log = logs(USAGE)[0]
    names = [key.partition("/")[2] for key in log[-1] if key.startswith("decisions/")]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for axis, kind in zip(axes, ("decisions", "frames"), strict=True):
        axis.stackplot(
            [row["env_steps"] for row in log], *([100 * row[f"{kind}/{name}"] for row in log] for name in names), labels=names
        )
        axis.set(xlabel="environment steps", ylabel=f"share of {kind}, %", ylim=(0, 100))
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    save(figure, "paper-usage.png")


def distillation() -> None:
    """Success of each head, by loss and temperature."""
    path = ROOT / "benchmarks" / "results" / "distillation.json"
    if not path.exists():
        return
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())
    heads = list(next(iter(found.values())))
    figure, axis = plt.subplots(figsize=(9, 4), layout="constrained")
    for place, arms in enumerate(found.values()):
        for number, head in enumerate(heads):
            axis.bar(place + 0.2 * number, 100 * arms[head]["mean"], 0.18, color=f"C{number}", label=head if place == 0 else None)
    axis.set_xticks([place + 0.3 for place in range(len(found))], list(found), rotation=20, fontsize=8)
    axis.set(ylabel="success, %", ylim=(0, 103))
    axis.legend(loc="lower left", fontsize=8)
    save(figure, "paper-distillation.png")


def cost() -> None:
    """Weights and time of a decision, as the number of skills grows."""
    path = ROOT / "benchmarks" / "results" / "skills.json"
    if not path.exists():
        return
    rows = next(iter(json.loads(path.read_text())["runs"].values()))["rows"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for kind in ("array", "distilled"):
        mine = [row for row in rows if row["kind"] == kind]
        for axis, key in zip(axes, ("weights", "microseconds"), strict=True):
            axis.loglog([row["skills"] for row in mine], [row[key] for row in mine], "o-", label=kind)
            axis.set(xlabel="skills", ylabel=key.replace("microseconds", "microseconds a decision"))
            axis.set_xticks([row["skills"] for row in mine], [str(row["skills"]) for row in mine])
            axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes[0].legend()
    save(figure, "paper-cost.png")


def save(figure: Any, name: str) -> None:
    with replacing(PICTURES / name) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    for plot in (curves, usage, distillation, cost):
        plot()
