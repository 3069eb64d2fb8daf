"""An agent in rooms that nothing is trained on, one by one, beside a searcher with perfect memory.

    python -m benchmarks.any_rooms play any/navigation1 navigation1   # 20 rooms of the generator, and a skill or a run's folder
    python -m benchmarks.any_rooms play shapes/pickup                 # a corridor, two L-shaped rooms, ...; the searcher alone
    python -m benchmarks.any_rooms play my_rooms.toml runs/mine       # any task file with a list of maps
    python -m benchmarks.any_rooms make                               # writes the files of benchmarks/rooms/any and shapes anew

Each room is one map with one place of the goal; the start is anywhere, textures and tints vary. ``play`` prints a line for each
room and, last, one JSON object: mean and worst room of agent and searcher, and who measured it.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import measured
from benchmarks.searcher import steps_of
from envs import TASKS
from envs.draw import draw_cells
from envs.task import TaskSpec
from envs.task_file import load_task
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.seeds import episode_seeds

ROOMS = Path(__file__).parent / "rooms"
SKILLS = ("navigation1", "pickup", "break")
COUNT, STEP_LIMIT = 20, 60
SEED = 2_028  # of the rooms; an agent is trained on others, since its episodes' seeds are drawn from 64 bits
# Rooms whose shapes the generator does not draw, or seldom. X: the goal where it is in a wall, x: where it lies on the floor.
SHAPES = {
    "corridor": """
############
#..........X
#########x##
""",
    "l": """
#######
#.....#
#.....#
#..####
#..####
#..####
#x.####
##X####
""",
    "l2": """
##########
#........#
#........#
#######..#
#######..#
#######.x#
########X#
""",
    "open plan": """
#############
#...#...#...#
#...#...#...#
#...........#
##.###.###.##
#...........#
#...#...#...#
#...#x..#...#
#####X#######
""",
    "spiral": """
#########
#.......#
#.#####.#
#.#####.#
#.#x....#
#.#X#####
#.......#
#########
""",
    "comb": """
#############
#...........#
#.#.#.#.#.#.#
#.#.#.#.#.#.#
#.#.#.#.#.#x#
###########X#
""",
}
# What stands in these rooms for a goal in a wall, a goal on the floor, and the floor.
LETTERS = {"navigation1": "e..", "pickup": "#i.", "break": "Dss"}


def write(task: str, maps: list[str], path: Path) -> None:
    """The task's file with these maps, and time enough for them."""
    text = (TASKS / f"{task}.toml").read_text()
    text = re.sub(r"shrink = .*\n", "", re.sub(r"step_limit = .*", f"step_limit = {STEP_LIMIT}", text))
    listed = ",\n".join(f'"""\n{rows}\n"""' for rows in maps)
    path.parent.mkdir(exist_ok=True)
    path.write_text(re.sub(r'map = """.*?"""', lambda _: f"map = [{listed}]", text, flags=re.DOTALL))


def as_text(spec: TaskSpec, codes: NDArray[np.uint8]) -> str:
    """A drawn room (D, W) as a map of the task: what is not wall alone, and the wall around it."""
    corner = spec.maps[0][0][0]  # of which the ring is made, too
    cells = np.array([*spec.legend, corner])[codes]
    rows, columns = (np.flatnonzero((cells != corner).any(axis)) for axis in (1, 0))
    shown = cells[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
    return "\n".join("".join(row) for row in shown)


def make() -> None:
    for number, task in enumerate(SKILLS):
        spec = load_task(task, {"step_limit": STEP_LIMIT, "vary": {"layout": "any", "shrink": [0, 0]}})
        rngs = [np.random.default_rng([SEED, number, room]) for room in range(COUNT)]
        write(task, [as_text(spec, draw_cells(spec, spec.tables, rng)[0]) for rng in rngs], ROOMS / "any" / f"{task}.toml")
        letters = str.maketrans(dict(zip("Xx.", LETTERS[task], strict=True)))
        write(task, [rows.strip("\n").translate(letters) for rows in SHAPES.values()], ROOMS / "shapes" / f"{task}.toml")


def play(rooms: str, agent: str | None, episodes: int, seed: int) -> dict[str, Any]:
    """Success of the searcher, and of an agent if there is one, in each room of a task file or of one in benchmarks/rooms."""
    path = Path(rooms) if rooms.endswith(".toml") else ROOMS / f"{rooms}.toml"
    loaded = load_agent(agent) if agent else None
    found: list[dict[str, float]] = []
    for number, rows in enumerate(load_task(path).maps, 1):
        spec = load_task(path, {"map": "\n".join(rows)})
        found.append({"searcher": float(np.isfinite(steps_of(spec, episode_seeds("evaluate", seed, episodes))).mean())})
        if loaded:
            found[-1]["agent"] = evaluate_agent(loaded, TaskEnvs(spec, loaded.shape), episodes, seed).success_rate
        print(f"room {number}: {', '.join(f'{who} {rate:.2f}' for who, rate in found[-1].items())}", flush=True)
    rates = {who: [room[who] for room in found] for who in found[0]}
    command = f"python -m benchmarks.any_rooms play {rooms} {f'{agent} ' if agent else ''}--episodes {episodes} --seed {seed}"
    return {
        "rooms": found,
        **{who: {"mean": float(np.mean(each)), "worst": min(each)} for who, each in rates.items()},
        "episodes": episodes,
        "measured": measured(command, seed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make", help="write the files of the rooms anew")
    player = verbs.add_parser("play", help="measure an agent")
    player.add_argument("rooms", help="any/TASK, shapes/TASK, or the path of a task file with a list of maps")
    player.add_argument("agent", nargs="?", help="a skill's name, or a run's folder; without it the searcher plays alone")
    player.add_argument("--episodes", type=int, default=25, help="in each room")
    player.add_argument("--seed", type=int, default=90001)
    arguments = vars(parser.parse_args())
    if arguments.pop("verb") == "make":
        make()
    else:
        print(json.dumps(play(**arguments)))


if __name__ == "__main__":
    main()
