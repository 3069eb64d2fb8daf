"""Pictures of one episode in both worlds: ``python -m benchmarks.luanti_pictures`` writes benchmarks/pictures/luanti.{png,mp4}."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.luanti.compile import png
from envs.luanti.vector import LuantiVectorEnv
from envs.oracle import Oracle
from envs.task_file import load_task
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.experiment.evaluate import write_video
from h_dqn.experiment.files import replacing

PICTURES = Path(__file__).parent / "pictures"
TASK, SEED, SIZE, SHOWN = "three_rooms", 7, 336, 6


def episode() -> tuple[list[NDArray[np.uint8]], list[str]]:
    """The oracle's episode: each picture (H, 2 W, 3) shows the embedded world on the left and Luanti on the right; its actions."""
    spec = load_task(TASK)
    embedded, real = VoxelVectorEnv(1, spec, SIZE), LuantiVectorEnv(1, spec, SIZE)
    oracle = Oracle(real.worlds)
    one, _ = embedded.reset(seed=SEED)
    other, _ = real.reset(seed=SEED)
    frames, actions, over = [np.hstack([one["pov"][0], other["pov"][0]])], ["start"], False
    while not over:
        action = oracle.act()
        (one, *_), (other, _, terminated, *_) = embedded.step(action), real.step(action)
        frames.append(np.hstack([one["pov"][0], other["pov"][0]]))
        actions.append(spec.actions[action[0]])
        over = bool(terminated[0])
    real.close()
    return frames, actions


def main() -> None:
    frames, actions = episode()
    captions = [f"the embedded world            Luanti            {action}" for action in actions]
    write_video(PICTURES / "luanti.mp4", [*frames, *[frames[-1]] * 6], [*captions, *[captions[-1]] * 6], width=2 * SIZE)
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, SHOWN).astype(int)]
    strip = np.vstack([np.hstack([frame[:, :SIZE] for frame in chosen]), np.hstack([frame[:, SIZE:] for frame in chosen])])
    small = cv2.resize(strip, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    with replacing(PICTURES / "luanti.png") as temporary:
        temporary.write_bytes(png(np.asarray(small)))


if __name__ == "__main__":
    main()
