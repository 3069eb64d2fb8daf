"""What a discount that tunes itself is worth where the best one changes: ``python -m benchmarks.horizon``.

Plays sequences of ``envs/sequences`` with each tuner of ``h_dqn/self_tuning``, with and without environments that try either side,
and with controls: fixed discounts, the mean of what was learned held fixed (of the same seed), a random walk with steps of the same
size, and schedules by hand, which know what comes, with one head and over the family.

Writes benchmarks/results/horizon.json: sequence -> arm -> score by seed, and the mean return in each phase. The score is the return
of the newest 300 episodes, exploration included, averaged over all environment steps. One run at a time; what is done is kept in
runs/horizon, so that the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from itertools import accumulate
from math import gcd
from typing import Any

import numpy as np

from benchmarks.kept import kept
from benchmarks.provenance import ROOT, measured
from envs.sequence import Phase, load_sequence
from h_dqn.config import Config, change
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.files import write_text
from h_dqn.learners import Learner, Method
from h_dqn.learners.q_lambda import QLambda
from h_dqn.metrics import Row
from h_dqn.presets import PRESETS
from h_dqn.train import Trainer

RESULTS, KEPT = ROOT / "benchmarks" / "results" / "horizon.json", ROOT / "runs" / "horizon"
# Each sequence, and the discounts that are best in its phases, in turn: who sets them by hand knows.
SEQUENCES = {
    "switching_horizon": (0.98, 0.8),
    "six_switches": (0.98, 0.8),
    "three_horizons": (0.98, 0.95, 0.8),
    "steady_horizon": (0.98,),
}
FAMILY = {"tune_discount": True, "tuner": "family_gradient", "discounts": (0.8, 0.9, 0.95, 0.98)}
TWO = {"tune_discount": True, "discounts": (0.8, 0.98)}
UPDATE = {"tune_discount": True, "tuner": "update_gradient"}
HELD, BY_HAND, BY_HAND_FAMILY = "learned mean, held", "by hand", "by hand, family"
ARMS: dict[str, dict[str, Any]] = {
    "family gradient": FAMILY,
    "family gradient, alone": {**FAMILY, "perturb": False},
    "family gradient, context": {**FAMILY, "context": "reward"},
    "family gradient, shuffled context": {**FAMILY, "context": "shuffled"},
    "update gradient": UPDATE,
    "update gradient, alone": {**UPDATE, "perturb": False},
    "return difference": {**FAMILY, "tuner": "return_difference"},
    "bandit": {**FAMILY, "tuner": "bandit"},
    "bandit, two heads": {**TWO, "tuner": "bandit"},
    "random walk": {**FAMILY, "tuner": "random_walk"},
    BY_HAND: {},
    BY_HAND_FAMILY: {**FAMILY, "tuner": "schedule"},
    HELD: {},
    **{str(discount): {"discount": discount} for discount in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)},
}


class ByHand(Method):
    """Sets the discount of one head by hand where a phase begins."""

    def __init__(self, discounts: tuple[float, ...]) -> None:
        self.discounts = discounts

    def begin_phase(self, learner: Learner, phase: int) -> None:
        assert isinstance(learner, QLambda)
        learner.config = replace(learner.config, discount=self.discounts[phase % len(self.discounts)])


def config_of(sequence: str, arm: str, seed: int, phases: tuple[Phase, ...]) -> Config:
    """The settings of a run; it begins at the discount 0.9, where that is not to change at the best one."""
    best = SEQUENCES[sequence]
    settings = {"discount": 0.9 if len(best) > 1 else best[0], **ARMS[arm]}
    if arm == HELD:
        settings["discount"] = float(np.mean(run(sequence, "family gradient", seed)["discounts"]))
    if arm == BY_HAND_FAMILY:
        part = gcd(*(phase.env_steps for phase in phases))
        by_hand = [best[n % len(best)] for n, phase in enumerate(phases) for _ in range(phase.env_steps // part)]
        settings["discount_schedule"] = tuple(by_hand)
    config: Config = change(PRESETS["small"], evaluate_every=10**9, env_steps=sum(phase.env_steps for phase in phases), **settings)
    return config


def run(sequence: str, arm: str, seed: int) -> dict[str, Any]:
    """One run, unless it is kept."""
    return kept(KEPT / sequence / f"{arm.replace(',', '').replace(' ', '-')}-s{seed}.json", partial(play, sequence, arm, seed))


def play(sequence: str, arm: str, seed: int) -> dict[str, Any]:
    """One run."""
    phases = load_sequence(sequence).phases
    config = config_of(sequence, arm, seed, phases)
    ends, envs = list(accumulate(part.env_steps for part in phases)), [TaskEnvs(part.task, shape_of(config)) for part in phases]
    methods = [ByHand(SEQUENCES[sequence])] if arm == BY_HAND else []
    trainer = Trainer(envs[0], envs[0].primitives(), config, seed, list(zip(ends, envs[1:], strict=False)), methods)
    rows: list[Row] = [{**row, "train_return": trainer.statistics.train_return} for row in trainer.run()]
    phase_of = np.searchsorted(ends, [row["env_steps"] for row in rows], side="left").clip(max=len(ends) - 1)
    returns, discounts = (np.array([row.get(key, config.learner.discount) for row in rows]) for key in ("train_return", "discount"))
    return {
        "score": float(returns.mean()),
        "second_half": float(returns[len(returns) // 2 :].mean()),
        "phases": [float(returns[phase_of == phase].mean()) for phase in range(len(ends))],
        "discounts": [float(discounts[phase_of == phase].mean()) for phase in range(len(ends))],
        "env_steps": trainer.env_steps,
        "seconds": trainer.seconds,
        "measured": measured("python -m benchmarks.horizon", seed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sequences", nargs="+", choices=SEQUENCES, default=[*SEQUENCES])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[*ARMS])
    given = parser.parse_args()
    summary: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for sequence in given.sequences:
        for arm in given.arms:
            runs = []
            for seed in range(1, given.seeds + 1):
                runs.append(run(sequence, arm, seed))
                print(f"{sequence}, {arm}, seed {seed}: {runs[-1]['score']:.3f}", file=sys.stderr, flush=True)
            summary.setdefault(sequence, {})[arm] = {"per_seed": runs}
            write_text(RESULTS, json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
