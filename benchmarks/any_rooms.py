"""An agent in rooms that nothing is trained on, one by one, beside a searcher with perfect memory.

    python -m benchmarks.any_rooms play any/navigation1 navigation1   # 20 rooms of the generator, and a skill or a run's folder
    python -m benchmarks.any_rooms play shapes/pickup                 # a corridor, two L-shaped rooms, ...; the searcher alone
    python -m benchmarks.any_rooms play my_rooms.toml runs/mine       # any task file with a list of maps
    python -m benchmarks.any_rooms measure --seeds 5                  # the skills of `make reproduce`: results/any_rooms.json
    python -m benchmarks.any_rooms make                               # writes the files of benchmarks/rooms/any and shapes anew

Each room is one map with one place of the goal; the start is anywhere, textures and tints vary. ``play`` prints a line for each
room and, last, one JSON object: mean and worst room of agent and searcher, and who measured it. ``measure`` goes on where it was
stopped; a skill that was trained again meanwhile is played again.
"""

from __future__ import annotations

import argparse
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import ROOT, measured
from benchmarks.reproduce import RUNS
from benchmarks.searcher import steps_of
from envs import TASKS
from envs.draw import draw_cells
from envs.task import TaskSpec
from envs.task_file import load_task
from h_dqn.experiment.agent import Agent, agent_of, load_agent
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.files import write_text
from h_dqn.seeds import episode_seeds
from skills_library.library import Library

ROOMS = Path(__file__).parent / "rooms"
SKILLS = ("navigation1", "pickup", "break")
COUNT = 20  # of drawn rooms for a task
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
    """The task's file with these maps."""
    text = (TASKS / f"{task}.toml").read_text()
    text = re.sub(r"layout = .*\n", "", text)
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
        spec = load_task(task)
        rngs = [np.random.default_rng([SEED, number, room]) for room in range(COUNT)]
        write(task, [as_text(spec, draw_cells(spec, spec.tables, rng)[0]) for rng in rngs], ROOMS / "any" / f"{task}.toml")
        letters = str.maketrans(dict(zip("Xx.", LETTERS[task], strict=True)))
        write(task, [rows.strip("\n").translate(letters) for rows in SHAPES.values()], ROOMS / "shapes" / f"{task}.toml")


def play(rooms: str, agent: str | None, episodes: int, seed: int) -> dict[str, Any]:
    """Success of the searcher, and of an agent if there is one, in each room of a task file or of one in benchmarks/rooms."""
    command = f"python -m benchmarks.any_rooms play {rooms} {f'{agent} ' if agent else ''}--episodes {episodes} --seed {seed}"
    found = room_by_room(rooms, load_agent(agent) if agent else None, episodes, seed)
    return {**found, "measured": measured(command, seed)}


def room_by_room(rooms: str, agent: Agent | None, episodes: int, seed: int) -> dict[str, Any]:
    """What :func:`play` finds."""
    path = Path(rooms) if rooms.endswith(".toml") else ROOMS / f"{rooms}.toml"
    found: list[dict[str, float]] = []
    for number, rows in enumerate(load_task(path).maps, 1):
        spec = load_task(path, {"map": "\n".join(rows)})
        found.append({"searcher": float(np.isfinite(steps_of(spec, episode_seeds("evaluate", seed, episodes))).mean())})
        if agent:
            found[-1]["agent"] = evaluate_agent(agent, TaskEnvs(spec, agent.shape), episodes, seed).success_rate
        print(f"room {number}: {', '.join(f'{who} {rate:.2f}' for who, rate in found[-1].items())}", flush=True)
    rates = {who: [room[who] for room in found] for who in found[0]}
    return {
        "rooms": found,
        **{who: {"mean": float(np.mean(each)), "worst": min(each)} for who, each in rates.items()},
        "episodes": episodes,
    }


def measure(seeds: int, episodes: int, seed: int) -> None:
    """Play the skills of `make reproduce` with seeds 1 to ``seeds``, one after another, and write each result when it is there."""
    path = ROOT / "benchmarks" / "results" / "any_rooms.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for trained, task, rooms in product(range(1, seeds + 1), SKILLS, ("any", "shapes")):
        library, runs = Library(RUNS / f"s{trained}" / "skills"), results.setdefault(rooms, {}).setdefault(task, {})
        weights = library.path(task).resolve().name  # named by a hash of what is in it
        if runs.get(str(trained), {}).get("weights") != weights:
            found = room_by_room(f"{rooms}/{task}", agent_of(library.skill(task)), episodes, seed)
            command = f"python -m benchmarks.any_rooms measure --seeds {trained}"
            runs[str(trained)] = {**found, "weights": weights, "measured": measured(command, trained)}
            write_text(path, json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make", help="write the files of the rooms anew")
    player = verbs.add_parser("play", help="measure an agent")
    player.add_argument("rooms", help="any/TASK, shapes/TASK, or the path of a task file with a list of maps")
    player.add_argument("agent", nargs="?", help="a skill's name, or a run's folder; without it the searcher plays alone")
    measurer = verbs.add_parser("measure", help="measure the skills of `make reproduce`")
    measurer.add_argument("--seeds", type=int, default=5, help="skills of the seeds 1 to this")
    for each in (player, measurer):
        each.add_argument("--episodes", type=int, default=25, help="in each room")
        each.add_argument("--seed", type=int, default=90001, help="of the episodes")
    arguments = vars(parser.parse_args())
    verb = arguments.pop("verb")
    if verb == "play":
        print(json.dumps(play(**arguments)))
    else:
        (make if verb == "make" else measure)(**arguments)


if __name__ == "__main__":
    main()
