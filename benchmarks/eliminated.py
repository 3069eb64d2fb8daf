"""What agents of the task ``workshop`` eliminate while they learn, beside the truth: ``python -m benchmarks.eliminated``.

The first ``STEPS`` steps of the agents with elimination of ``benchmarks/workshop.toml``, in which most have still to find the goal.
Every ``EVERY`` steps each action is tried on a copy of the worlds, which tells whether it would do something there. Writes
benchmarks/results/eliminated.json: for each seed, how many pairs of a world and an action would do something and how many not, and
how many of either are eliminated.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, measured
from benchmarks.reproduce import cells, processes
from h_dqn.cli import parse
from h_dqn.elimination import ELIMINATED
from h_dqn.experiment.worlds import shape_of, task_envs
from h_dqn.files import write_text
from h_dqn.networks import QNetwork
from h_dqn.train import Trainer

STEPS, EVERY = 150_000, 25_000


def counts(seed: int, steps: int = STEPS, every: int = EVERY) -> dict[str, int]:
    """Pairs of a state and an action, of an agent while it learns."""
    (command,) = (cell.command for cell in cells("workshop", seed) if cell.arm == "with")
    arguments = parse(command.split())
    make = task_envs(arguments.task, shape_of(arguments.config))
    trainer = Trainer(make, make.primitives(), arguments.config, seed)
    found = dict.fromkeys(("effective", "effective_eliminated", "futile", "futile_eliminated"), 0)
    network, before = trainer.learner.network, 0
    assert isinstance(network, QNetwork)
    for _ in trainer.run():
        due, before = trainer.env_steps // every > before // every, trainer.env_steps
        if not due:
            continue
        envs = trainer.rollout.envs
        gone = (network.values(trainer.rollout.obs) <= ELIMINATED).numpy()
        futile, here = np.zeros_like(gone), envs.state_dict()  # type: ignore[attr-defined]
        for action in range(len(make.actions)):
            futile[:, action] = envs.step(np.full(len(gone), action))[4]["invalid_action"]
            envs.load_state_dict(here)  # type: ignore[attr-defined]
        for name, pairs in (("effective", ~futile), ("futile", futile)):
            found[name] += int(pairs.sum())
            found[f"{name}_eliminated"] += int((pairs & gone).sum())
        if trainer.env_steps >= steps:
            break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(1, parser.parse_args().seeds + 1)
    with processes() as pool:
        found: dict[str, dict[str, Any]] = dict(zip(map(str, seeds), pool.map(counts, seeds), strict=True))
    for seed, count in found.items():
        count["measured"] = measured("python -m benchmarks.eliminated", int(seed))
    write_text(ROOT / "benchmarks" / "results" / "eliminated.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
