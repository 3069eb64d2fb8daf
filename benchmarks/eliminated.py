"""What agents of the task ``workshop`` eliminate, beside the truth: ``python -m benchmarks.eliminated``.

After ``python -m benchmarks.reproduce workshop``. Each agent plays ``WORLDS`` unseen episodes; at every step each action is tried
on a copy of the worlds, which tells whether it would do something there. Writes benchmarks/results/eliminated.json: for each seed,
how many pairs of a state and an action would do something and how many not, and how many of either are eliminated.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.reproduce import RUNS
from benchmarks.tables import ROOT
from h_dqn.checkpoint import write_text
from h_dqn.cli.policy import find_policy
from h_dqn.cli.worlds import task_worlds
from h_dqn.networks import ELIMINATED
from h_dqn.seeds import episode_seeds
from skills_library.library import Library

WORLDS = 32


def counts(run: Path, task: str = "workshop", worlds: int = WORLDS) -> dict[str, int]:
    """Pairs of a state and an action, of a run's agent at play."""
    policy = find_policy(str(run), Library(run))
    made = task_worlds(task, "voxel", policy.source.shape)
    envs, player = made(worlds), policy.player(1)
    seeds: list[int | None] = list(episode_seeds("evaluate", 1, worlds))
    obs, _ = envs.reset(seed=seeds)  # type: ignore[arg-type]
    playing, found = np.ones(worlds, bool), dict.fromkeys(("effective", "effective_eliminated", "futile", "futile_eliminated"), 0)
    while playing.any():
        here = envs.state_dict()  # type: ignore[attr-defined]
        futile = np.zeros((worlds, len(made.actions)), bool)
        for action in range(len(made.actions)):
            futile[:, action] = envs.step(np.full(worlds, action))[4]["invalid_action"]
            envs.load_state_dict(here)  # type: ignore[attr-defined]
        frames = torch.from_numpy(obs)
        with torch.no_grad():
            gone = (policy.source.network.admit(policy.source.network(frames), frames) <= ELIMINATED).numpy()
        for name, pairs in (("effective", ~futile), ("futile", futile)):
            found[name] += int(pairs[playing].sum())
            found[f"{name}_eliminated"] += int((pairs & gone)[playing].sum())
        actions = player(obs, np.ones_like(futile), np.arange(worlds))
        obs, _, terminated, truncated, _ = envs.step(actions)
        playing &= ~(terminated | truncated)
    return found


def main() -> None:
    runs = sorted(RUNS.glob("s*/workshop.with"), key=lambda run: int(run.parent.name[1:]))
    found = {run.parent.name[1:]: counts(run) for run in runs}
    write_text(ROOT / "benchmarks" / "results" / "eliminated.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
