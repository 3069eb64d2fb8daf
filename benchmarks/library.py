"""A library that grows: skills added one after another, how they begin, and tasks in stages.

    python -m benchmarks.library grow     # 15 made tasks are added; then each head beside its own network, size and speed
    python -m benchmarks.library start    # steps to 95 % from a skill's library and from none, related tasks and others
    python -m benchmarks.library stages   # the tasks of benchmarks/stages by one command; a flat agent with as many steps

Every cell is a file below FOLDER/cells with who measured it; what is there is not measured again. ``--cells N`` ends it after so
many new ones; ``--preset``, ``--seeds`` and ``--folder`` are what they say.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.kept import kept
from benchmarks.provenance import measured
from envs import TASKS
from envs.toml_file import parse_toml, toml_text
from h_dqn.experiment.add_plan import GateConfig
from h_dqn.experiment.adding import add_skill
from h_dqn.experiment.agent import agent_of
from h_dqn.experiment.distil import side_by_side
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.gate import lost
from h_dqn.experiment.multi import current_multi, teachers
from h_dqn.experiment.run_folder import LARGEST_RESULT, RunFolder
from h_dqn.experiment.training import train_flat
from h_dqn.experiment.watch import Watcher
from h_dqn.reading import read_json
from skills_library.library import Library
from skills_library.policy import SavedPolicy, load_policy
from skills_library.skill import count_weights

STAGES = Path(__file__).parent / "stages"
MADE, MANY, MEASURED = 44, 15, 2000  # seed of the made tasks, their number, episodes of each head at the end
FROM = ("navigation1", "pickup", "break", "navigation2", "key_and_lock")
BLOCKS = ("brick", "stone", "plaster", "oak_floor")
RELATED = (("navigation1", "navigation2"), ("pickup", "made/pickup"), ("break", "made/break"))
UNRELATED = (("navigation1", "placement"), ("navigation1", "key_and_lock"), ("break", "pickup"))

Cell = tuple[str, Callable[[], dict[str, Any]]]


class Said(Watcher):
    """Prints what is said."""

    def say(self, text: str) -> None:
        print(text, flush=True)


def made_task(number: int) -> str:
    """The file of one of many tasks like the shipped ones: what varies from episode to episode there is partly fixed here."""
    rng = np.random.default_rng([MADE, number])
    doc = parse_toml((TASKS / f"{FROM[number % len(FROM)]}.toml").read_text())
    vary = {key: value for key, value in doc.get("vary", {}).items() if key not in ("textures", "shrink")}
    most = doc.get("vary", {}).get("shrink", [0, 0])
    shrink = [int(rng.integers(0, side + 1)) for side in most]
    wall, floor = rng.choice(BLOCKS, 2, replace=False)
    textures = {"stone": [str(wall)], "oak_floor": [str(floor)]}
    return toml_text({**doc, "title": f"Made task {number}", "vary": {**vary, "shrink": shrink, "textures": textures}})


def task_file(folder: Path, name: str) -> str:
    """A task's name or path; ``made/KIND`` is the first made one of that kind."""
    kind, _, of = name.partition("/")
    if kind == "made":
        number = int(of) if of.isdigit() else FROM.index(of)
        path = folder / "tasks" / f"made{number}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made_task(number))
        return str(path)
    return name


def added(folder: Path, task: str, library: Library, seed: int, how: dict[str, Any]) -> dict[str, Any]:
    """One addition; a refusal is a result too."""
    began = time.process_time()
    runs = folder / "runs" / f"{Path(task).stem}-{library.folder.name}-s{seed}"
    shutil.rmtree(runs, ignore_errors=True)  # of a cell that was not done to its end
    try:
        result: dict[str, Any] = add_skill(task_file(folder, task), library, seed=seed, runs=runs, watcher=Said(), **how)
    except UserError as error:
        result = {"refused": str(error)}
    trained = [RunFolder(file.parent).result or {} for file in sorted(runs.glob("add-*/train/run.json"))]
    steps = trained[0].get("env_steps_to_95") if trained else None
    return {**result, "env_steps_to_95": steps, "processor_seconds": time.process_time() - began}


def grow(folder: Path, how: dict[str, Any], seeds: int) -> Iterator[Cell]:
    """Additions one after another, then all heads beside their own networks."""
    library = Library(folder / "grown")
    for number in range(MANY):
        yield f"grow/{number}", partial(added, folder, f"made/{number}", library, 1, how)
    yield "grow/heads", partial(heads, library)


def heads(library: Library) -> dict[str, Any]:
    """Of each head: what it has lost; and size and time of a decision beside the network with its first five heads."""
    policy = current_multi(library, "multi")
    assert policy is not None
    new = policy.heads[-1].name.partition("/")[2]
    agents = [agent_of(one) for one in teachers(library, library.skill(new), policy, "multi")]
    pairs = side_by_side(policy, agents, [agent.envs() for agent in agents], MEASURED, 44_001, Said())
    loss = {agent.head.name: lost(a.by_episode, b.by_episode) for agent, (a, b) in zip(agents, pairs, strict=True)}
    few = next(one for one in versions(library) if len(one.heads) >= min(5, len(policy.heads)))
    weights = count_weights([policy.network]) / count_weights([few.network])
    return {
        "loss": loss,
        "heads": len(loss),
        "weights_ratio": weights,
        "decision_ratio": decision_time(policy) / decision_time(few),
    }


def versions(library: Library) -> Iterator[SavedPolicy]:
    """The network as it was, the oldest first."""
    for one in library.index()["multi"].ids:
        yield load_policy(library.store.objects / one, "multi")


def decision_time(policy: SavedPolicy, repeats: int = 200) -> float:
    """Processor seconds of a decision for one world, the fastest of many."""
    obs, best = np.zeros((1, *policy.network.spec.shape), np.uint8), np.inf
    with torch.no_grad():
        for _ in range(repeats):
            began = time.process_time_ns()
            policy.network.values(obs)
            best = min(best, time.process_time_ns() - began)
    return float(best)


def start(folder: Path, how: dict[str, Any], seeds: int) -> Iterator[Cell]:
    """Each pair's second task, from a library that has the first one, and from an empty one."""
    for kind, pairs in (("related", RELATED), ("unrelated", UNRELATED)):
        for known, task in pairs:
            yield f"start/{known}", partial(added, folder, known, Library(folder / f"knows-{known}", folder / "none"), 1, how)
            for seed in range(101, 101 + seeds):
                for words, has in (("with", known), ("without", "")):
                    yield f"start/{kind}/{known}/{task}/{words}/{seed}", partial(begun, folder, task, has, seed, how)


def begun(folder: Path, task: str, known: str, seed: int, how: dict[str, Any]) -> dict[str, Any]:
    """Steps to 95 % in a copy of the library, trials included; the gate lets all through."""
    copy = folder / f"copy-{known or 'nothing'}-{Path(task).stem}-{seed}"
    shutil.rmtree(copy, ignore_errors=True)
    if known:
        shutil.copytree(folder / f"knows-{known}", copy, symlinks=True)
    settings = {**how, "until": 0.95, "evaluate_every": 5000, "gate": GateConfig(bar=0.0)}
    result = added(folder, task, Library(copy, shipped=folder / "none"), seed, settings)
    shutil.rmtree(copy, ignore_errors=True)
    return result


def stages(folder: Path, how: dict[str, Any], seeds: int) -> Iterator[Cell]:
    """Each task in stages by one command, and a flat agent with as many steps as all of that took."""
    for file in sorted(STAGES.glob("*.toml")):
        for seed in range(1, seeds + 1):
            name = f"stages/{file.stem}/{seed}"
            library = Library(folder / f"stages-{file.stem}-{seed}", shipped=folder / "none")
            yield name, partial(added, folder, str(file), library, seed, how)
            yield f"{name}/flat", partial(flat, folder, file, seed, name, how)


def flat(folder: Path, file: Path, seed: int, staged: str, how: dict[str, Any]) -> dict[str, Any]:
    """The baseline."""
    result = read_json(cell_file(folder, staged), LARGEST_RESULT)
    steps = sum(one["env_steps"] for one in result.get("stages", {}).values()) + result.get("controller", {}).get("env_steps", 0)
    if not steps:
        return {"refused": "there is nothing to compare with"}
    given = {name: value for name, value in how.items() if name != "env_steps"}
    run = train_flat(file, seed=seed, runs=folder / "flat", env_steps=steps, **given)
    return dict(RunFolder(run.folder).result or {})


def with_who(measure: Callable[[], dict[str, Any]], line: str, seed: int) -> dict[str, Any]:
    """A result, and who measured it."""
    return {**measure(), "measured": measured(line, seed)}


def cell_file(folder: Path, cell: str) -> Path:
    """Where the result of a cell is kept."""
    return folder / "cells" / f"{cell}.json"


def main() -> None:
    """Measure the cells that are not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grow", "start", "stages"))
    parser.add_argument("--folder", type=Path, default=Path("library-measured"))
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=10**6)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    made = {"grow": grow, "start": start, "stages": stages}[given.what](given.folder, {"preset": given.preset}, given.seeds)
    left = given.cells
    for name, measure in made:
        if left and not (file := cell_file(given.folder, name)).exists():
            print(f"--- {name}", flush=True)
            last = name.rpartition("/")[2]
            line, seed = f"python -m benchmarks.library {given.what} --preset {given.preset}", int(last) if last.isdigit() else 1
            kept(file, partial(with_who, measure, line, seed))
            left -= 1


if __name__ == "__main__":
    main()
