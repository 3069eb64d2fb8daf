"""The picture of the architecture: ``python -m benchmarks.architecture`` writes benchmarks/pictures/architecture.png."""

from __future__ import annotations

from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from benchmarks.plots import save

BLUE, GREEN, ORANGE, GREY = "#dbe9f6", "#dff0d8", "#fdebd0", "#eeeeee"
# name, what it is, left, bottom, width, height, colour
BOXES = (
    ("task files", "one TOML file a task:\nmap, goal, reward, actions", 0.1, 3.3, 2.5, 1.05, GREY),
    ("environments", "embedded voxel world,\nLuanti or Minecraft:\na Gymnasium VectorEnv each", 0.1, 1.4, 2.5, 1.2, GREEN),
    ("rollout", "asks where a decision is due;\nthe option that was chosen\nacts for k steps", 4.1, 1.4, 2.5, 1.2, BLUE),
    ("learner", "Q(λ) or double DQN over options:\nprimitive actions and skills", 7.9, 3.3, 2.8, 1.05, BLUE),
    ("semi-MDP replay", "a decision: k rewards, first\nand last observation,\nwhether it terminated", 7.9, 1.4, 2.8, 1.2, BLUE),
    ("skills library", "trained policies as files;\nseveral distilled into one", 4.1, 3.3, 2.5, 1.05, ORANGE),
)
# text, where from, where to, where the text stands
ARROWS = (
    ("", (1.35, 3.3), (1.35, 2.6), (0, 0)),
    ("observation, reward", (2.6, 2.25), (4.1, 2.25), (3.35, 2.38)),
    ("action", (4.1, 1.75), (2.6, 1.75), (3.35, 1.88)),
    ("decisions", (6.6, 1.75), (7.9, 1.75), (7.25, 1.88)),
    ("minibatches", (9.3, 2.6), (9.3, 3.3), (9.8, 2.95)),
    ("chosen option", (7.9, 3.4), (6.6, 2.5), (7.75, 2.85)),
    ("skills as options", (5.35, 3.3), (5.35, 2.6), (5.98, 2.95)),
    ("a trained skill", (7.9, 4.0), (6.6, 4.0), (7.25, 4.13)),
)


def main() -> None:
    figure, axis = plt.subplots(figsize=(10.8, 3.4), layout="constrained")
    axis.set(xlim=(0, 10.8), ylim=(1.3, 4.45))
    axis.axis("off")
    for name, text, left, bottom, width, height, colour in BOXES:
        _box(axis, (left, bottom, width, height), colour)
        axis.text(left + width / 2, bottom + height - 0.1, name, ha="center", va="top", fontsize=11, fontweight="bold")
        axis.text(left + width / 2, bottom + height - 0.42, text, ha="center", va="top", fontsize=9)
    for text, start, end, (x, y) in ARROWS:
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color="#444444", shrinkA=0, shrinkB=0))
        axis.text(x, y, text, ha="center", va="center", fontsize=8, color="#444444")
    save(figure, "architecture.png")


def _box(axis: Any, place: tuple[float, float, float, float], colour: str) -> None:
    left, bottom, width, height = place
    style = "round,pad=0,rounding_size=0.08"
    axis.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle=style, facecolor=colour, edgecolor="#444444"))


if __name__ == "__main__":
    main()
