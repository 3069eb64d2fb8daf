"""Make the rooms that nothing is trained on: ``python -m benchmarks.rooms`` writes benchmarks/rooms/TASK-CHANGE.toml.

Each is one of the measured tasks with one thing changed, drawn from a seed of its own. A skill's task stands here for its room in
benchmarks/rooms/paper, which is one map, as in Tessler et al. 2017; what is shipped draws rooms of any shape, this among them.

    size      two or three rows and columns more than the largest room of the task
    layout    turned and mirrored, and a corner of the room walled off
    texture   walls, floor and ceiling of materials that no shipped task has

And the skills' rooms without what differs from episode to episode in size, textures and tint: benchmarks/rooms/alike/TASK.toml.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from envs import TASKS
from envs.oracle import Oracle
from envs.task import TaskError
from envs.task_file import load_task
from envs.voxel.vector import VoxelVectorEnv

ROOMS = Path(__file__).parent / "rooms"
MEASURED = (
    "break",
    "navigation1",
    "navigation2",
    "pickup",
    "placement",
    "three_rooms",
    "two_rooms",
)  # each room has a seed by its place
SKILLS = ("navigation1", "navigation2", "pickup", "break", "placement")
PATTERNS = ("noise", "bricks", "planks", "stripes", "rings")
Rows = list[str]


def size(text: str, rng: np.random.Generator) -> str:
    """Repeat lines of the map that equal a neighbour, as often in each room."""

    def stretch(rows: Rows) -> Rows:
        again = [i for i in range(1, len(rows)) if rows[i] == rows[i - 1]]
        more = rng.choice(again, rng.integers(2, 4)).tolist()
        return [row for i, row in enumerate(rows) for _ in range(1 + more.count(i))]

    text = re.sub(r"shrink = .*\n", "", text)
    limit = re.search(r"step_limit = (\d+)", text)
    assert limit
    text = text.replace(limit[0], f"step_limit = {int(limit[1]) * 3 // 2}")
    return with_map(text, lambda rows: turned(stretch(turned(stretch(rows)))))


def layout(text: str, rng: np.random.Generator) -> str:
    def change(rows: Rows) -> Rows:
        # The first corner of open floor becomes wall, two cells by one or one by two.
        z, x = next((z, x) for z in range(1, len(rows)) for x in range(1, len(rows[0])) if rows[z][x] in ".si")
        cells = [(z, x), (z, x + 1) if rng.random() < 0.5 else (z + 1, x)]
        rows = ["".join("#" if (i, j) in cells else char for j, char in enumerate(row)) for i, row in enumerate(rows)]
        rows = [row[::-1] for row in rows]
        return turned(rows) if rng.random() < 0.5 else rows

    return with_map(text, change)


def texture(text: str, rng: np.random.Generator) -> str:
    new = ""
    for part, darkest in (("wall", 60), ("ground", 50), ("sky", 120)):
        for number in (1, 2):
            color = [int(c) for c in np.clip(rng.integers(darkest, darkest + 120) + rng.integers(-30, 30, 3), 0, 255)]
            pattern, contrast = rng.choice(PATTERNS), rng.uniform(0.05, 0.25)
            new += f'\n[materials.{part}{number}]\ncolor = {color}\npattern = "{pattern}"\ncontrast = {contrast:.2f}\n'
    textures = 'textures = { stone = ["wall1", "wall2"], oak_floor = ["ground1", "ground2"], plaster = ["sky1", "sky2"] }\n'
    return re.sub(r"textures = .*\n", textures, text) + new


def base(name: str) -> Path:
    """The file of a task that is one map."""
    return ROOMS / "paper" / f"{name}.toml" if name in SKILLS else TASKS / f"{name}.toml"


def alike(text: str) -> str:
    return re.sub(r"\n\[vary\].*", "", text, flags=re.DOTALL)


def turned(rows: Rows) -> Rows:
    return ["".join(column) for column in zip(*rows, strict=True)]


def with_map(text: str, change: object) -> str:
    assert callable(change)
    found = re.search(r'map = """\n(.*?)"""', text, flags=re.DOTALL)
    assert found
    return text.replace(found[1], "\n".join(change(found[1].splitlines())) + "\n")


def solvable(path: Path) -> bool:
    try:
        envs = VoxelVectorEnv(200, load_task(path), size=8)
    except TaskError:
        return False
    return all(length is not None for length in Oracle(envs.worlds).play(envs, seed=1))


def main() -> None:
    ROOMS.mkdir(exist_ok=True)
    for number, name in enumerate(MEASURED):
        for change in (size, layout, texture):
            path = ROOMS / f"{name}-{change.__name__}.toml"
            for attempt in range(100):
                rng = np.random.default_rng([2027, number, attempt])
                path.write_text(change(base(name).read_text(), rng))
                if solvable(path):
                    break
            else:
                raise SystemExit(f"{path}: no solvable draw")
    (ROOMS / "alike").mkdir(exist_ok=True)
    for name in SKILLS:
        (ROOMS / "alike" / f"{name}.toml").write_text(alike(base(name).read_text()))


if __name__ == "__main__":
    main()
