"""Pictures of results."""

from __future__ import annotations

import logging
from pathlib import Path

from h_dqn.files import replacing
from h_dqn.metrics import read_metrics, settled


def learning_curve(runs: dict[str, Path], path: Path, title: str = "") -> None:
    """Success while training (last 300 episodes, lines) and in validation (dots) over environment steps, as PNG."""
    # Where there is no home it keeps its fonts in a folder of its own, and would say so in three lines.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.figure import Figure  # without pyplot, which asks for a display and takes a second

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for label, folder in runs.items():
        rows = list(read_metrics(folder))
        full = [row for row in settled(rows) if {"env_steps", "train_success"} <= set(row)]
        (line,) = axes.plot([row["env_steps"] for row in full], [100 * row["train_success"] for row in full], label=label)
        checked = [row for row in rows if {"env_steps", "validation_success"} <= set(row)]
        axes.plot([row["env_steps"] for row in checked], [100 * row["validation_success"] for row in checked], "o",
                  color=line.get_color(), markersize=4)  # fmt: skip
    axes.set(xlabel="environment steps", ylabel="success, %", ylim=(-3, 103), title=title)
    axes.grid(alpha=0.3)
    for text in axes.legend(loc="best").get_texts():
        text.set_parse_math(False)  # a name may hold a $
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
