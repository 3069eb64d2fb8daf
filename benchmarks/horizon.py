"""What a discount that tunes itself is worth where the horizon changes: ``python -m benchmarks.horizon``.

Plays the sequence ``switching_horizon`` with fixed discounts, with one that tunes itself, and with controls: the mean of what it
learned held fixed (of the same seed), a random walk with steps of the same size, and a schedule by hand, which knows what comes.

Writes benchmarks/results/horizon.json: arm -> score by seed, and the mean return in each phase. The score is the return of the
newest 300 episodes, exploration included, averaged over all environment steps. Runs that are done are kept in runs/horizon, so that
the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, measured
from benchmarks.reproduce import processes
from envs.sequence import load_sequence
from h_dqn.config import Config, change
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.files import write_text
from h_dqn.learners import Learner, Method
from h_dqn.learners.q_lambda import QLambda
from h_dqn.metrics import Row
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer

SEQUENCE = "switching_horizon"
KEPT = ROOT / "runs" / "horizon"
BY_HAND = (0.98, 0.8)  # while there is time, when time is short: the best of the grid
TUNED = {"tune_discount": True, "discount": 0.9}
ARMS: dict[str, dict[str, Any]] = {
    "tuned": TUNED,
    **{str(discount): {"discount": discount} for discount in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)},
    "tuned, lambda too": {**TUNED, "tune_lambda": True},
    "tuned, no world tries another": {**TUNED, "perturb": False},
    "learned mean, held": {},
    "random walk": {**TUNED, "meta_step": "random_walk"},
    "by hand": {},
}


class Schedule(Method):
    """Sets the discount by hand where a phase begins."""

    def begin_phase(self, learner: Learner, phase: int) -> None:
        assert isinstance(learner, QLambda)
        learner.config = replace(learner.config, discount=BY_HAND[phase % 2])


def run(arm: str, seed: int) -> dict[str, Any]:
    """One run, unless it is kept."""
    path = kept(arm, seed)
    if path.exists():
        return dict(json.loads(path.read_text()))
    config: Config = change(PRESETS["small"], evaluate_every=10**9, **ARMS[arm])
    if arm == "learned mean, held":
        config = change(config, discount=float(np.mean(run("tuned", seed)["discounts"])))
    parts = load_sequence(SEQUENCE).phases
    ends, envs = list(accumulate(part.env_steps for part in parts)), [TaskEnvs(part.task, shape_of(config)) for part in parts]
    config = change(config, env_steps=ends[-1])
    later = list(zip(ends, envs[1:], strict=False))
    methods = [Schedule()] if arm == "by hand" else []
    trainer = Trainer(envs[0], envs[0].primitives(), config, seed, later, methods)
    rows: list[Row] = [{**row, "train_return": trainer.statistics.train_return} for row in trainer.run()]
    phase_of = np.searchsorted(ends, [row["env_steps"] for row in rows], side="left").clip(max=len(ends) - 1)
    returns, discounts = (np.array([row.get(key, config.learner.discount) for row in rows]) for key in ("train_return", "discount"))
    result = {
        "score": float(returns.mean()),
        "phases": [float(returns[phase_of == phase].mean()) for phase in range(len(ends))],
        "discounts": [float(discounts[phase_of == phase].mean()) for phase in range(len(ends))],
        "env_steps": trainer.env_steps,
        "seconds": trainer.seconds,
        "measured": measured("python -m benchmarks.horizon", seed),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(result) + "\n")
    return result


def kept(arm: str, seed: int) -> Path:
    return KEPT / f"{arm.replace(' ', '-')}-s{seed}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(1, parser.parse_args().seeds + 1)
    with processes() as pool:
        done = {arm: [pool.submit(run, arm, seed) for seed in seeds] for arm in ARMS}
        summary = {arm: {"per_seed": [one.result() for one in runs]} for arm, runs in done.items()}
    write_text(ROOT / "benchmarks" / "results" / "horizon.json", json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
