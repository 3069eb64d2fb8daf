"""The matrix as a heat map for a page of a paper: values in the cells, own tasks outlined, chance apart, colours for all eyes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h_dqn.files import replacing

SEQUENTIAL, DIVERGING = "cividis", "PuOr"  # of matplotlib; both can be told apart by colour-blind people, and in grey
OUTLINE = "#d55e00"  # vermilion of Okabe and Ito
SIDE, LETTER, SMALL = 0.34, 0.075, 6.5  # inches of a cell and of a letter, points of a value
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One map: values in percent, NaN where there are none.

    Args:
        title: above it.
        values: (skills, tasks).
        chance: (tasks,) of the random policy, in a row of its own; None for none.
        own: cells (skill, task) that are outlined.
        bold: (skills, tasks) bool: which values are set in bold.
        signed: whether values go from -100 to 100 and not from 0.
    """

    title: str
    values: Floats
    chance: Floats | None
    own: Sequence[tuple[int, int]]
    bold: NDArray[np.bool_]
    signed: bool = False


def heat_map(panels: Sequence[Panel], skills: Sequence[str], tasks: Sequence[str], note: str, path: Path) -> None:
    """Write the panels side by side as PNG, with the names of rows and columns, and a note under them."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # see h_dqn.experiment.plots
    from matplotlib.figure import Figure

    left, foot = LETTER * max(map(len, (*skills, "random"))) + 0.4, LETTER * max(map(len, tasks)) * 0.75 + 0.55
    width, height = max(1.5, SIDE * len(tasks)), SIDE * (len(skills) + 1.3)
    across, up = len(panels) * (left + width + 0.9), height + foot + 0.5
    figure = Figure(figsize=(across, up))

    def part(x: float, y: float, width: float, height: float) -> Any:
        """Axes at this place, in inches."""
        return figure.add_axes((x / across, y / up, width / across, height / up))

    for number, panel in enumerate(panels):
        x, tall = number * (left + width + 0.9) + left, SIDE * len(skills)
        box = part(x, foot + 1.3 * SIDE, width, tall)
        image = _draw(box, panel, panel.values, panel.bold, skills)
        box.set_title(panel.title, fontsize=9)
        bottom = box
        if panel.chance is not None:
            bottom = part(x, foot, width, SIDE)
            _draw(bottom, panel, panel.chance[None], np.zeros((1, len(tasks)), bool), ("random",))
            box.set_xticks([])
        bottom.set_xticks(range(len(tasks)), tasks, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        for row, column in panel.own:
            edge = "black" if panel.signed else OUTLINE  # which one of the diverging colours is like
            box.add_patch(_rectangle(column, row, edgecolor=edge, linewidth=1.8))
        box.set_ylabel("skill", fontsize=9)
        bottom.set_xlabel("task", fontsize=9)
        for label in (*box.get_yticklabels(), *bottom.get_xticklabels()):
            label.set_parse_math(False)  # a name may hold a $
        figure.colorbar(image, cax=part(x + width + 0.12, foot + 1.3 * SIDE, 0.1, tall)).ax.tick_params(labelsize=7)
    figure.text(0.1 / across, 0.08 / up, note, fontsize=7, parse_math=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=200, bbox_inches="tight", pad_inches=0.08)


def _draw(axes: Any, panel: Panel, values: Floats, bold: NDArray[np.bool_], names: Sequence[str]) -> Any:
    """One rectangle of cells; what cannot be played is hatched."""
    colours = DIVERGING if panel.signed else SEQUENTIAL
    image = axes.imshow(values, cmap=colours, vmin=-100 if panel.signed else 0, vmax=100, aspect="auto")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.set_facecolor("#e6e6e6")
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isnan(value):
            axes.add_patch(_rectangle(column, row, hatch="////", edgecolor="#b0b0b0", linewidth=0))
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        text = f"{value:+.0f}" if panel.signed else f"{value:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=ink,
                  fontweight="bold" if bold[row, column] else "normal")  # fmt: skip
    return image


def _rectangle(column: int, row: int, **how: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, clip_on=False, zorder=3, **how)
