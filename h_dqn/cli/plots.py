"""Pictures of results: learning curves and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from h_dqn.metrics import read_metrics, settled


def learning_curve(runs: dict[str, Path], path: Path, title: str = "") -> None:
    """Success while training (last 300 episodes, lines) and in greedy validation (dots) over environment steps, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for label, folder in runs.items():
        rows = read_metrics(folder)
        full = settled(rows)
        (line,) = axes.plot([row["env_steps"] for row in full], [100 * row["train_success"] for row in full], label=label)
        checked = [row for row in rows if "validation_success" in row]
        axes.plot([row["env_steps"] for row in checked], [100 * row["validation_success"] for row in checked], "o",
                  color=line.get_color(), markersize=4)  # fmt: skip
    axes.set(xlabel="environment steps", ylabel="success, %", ylim=(-3, 103), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
    temporary.replace(path)


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], captions: Sequence[str], fps: int = 6, width: int = 336) -> None:
    """An mp4 of ``frames`` (H, W, 3), enlarged to ``width`` pixels, each with its caption underneath."""
    import imageio.v2 as imageio

    temporary = path.with_name(f".{path.stem}.tmp.mp4")
    temporary.touch()  # where that cannot be, ffmpeg would not say so in one line
    writer: Any = imageio.get_writer(temporary, fps=fps, codec="libx264", quality=8, macro_block_size=None)
    with writer:
        for frame, caption in zip(frames, captions, strict=True):
            writer.append_data(captioned(frame, caption, width))
    temporary.replace(path)


def captioned(frame: NDArray[np.uint8], caption: str, width: int = 336) -> NDArray[np.uint8]:
    """``frame`` enlarged to ``width`` pixels, with a line of text in a bar of 32 pixels below."""
    height = width * frame.shape[0] // frame.shape[1]
    picture: Any = cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST)
    bar = np.zeros((32, width, 3), np.uint8)
    cv2.putText(bar, caption, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, bar])
