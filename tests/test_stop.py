"""A signal to stop reaches into evaluations, which are long in slow worlds; one that was stopped goes on as if it was not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from h_dqn.config import change
from h_dqn.experiment.run import Plan, Run
from h_dqn.experiment.training import preset
from h_dqn.experiment.watch import Watcher
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, options


class Stop(Exception):
    """What ends an evaluation."""


@pytest.mark.usefixtures("tiny_network")
def test_a_trainer_that_was_stopped_in_a_validation_goes_on_with_it() -> None:
    """Same weights, same validations, in the last round too; only the metrics of that round are gone."""
    config = change(Q_LAMBDA, env_steps=1024, evaluate_every=256, validation_episodes=16)
    whole = Trainer(lambda n: Corridor(n), options(), config, seed=1)
    expected = [row["validation_success"] for row in whole.run() if "validation_success" in row]
    parts, found, stops = Trainer(lambda n: Corridor(n), options(), config, seed=1), list[float](), 0

    def stop(episodes: int) -> None:
        if stops <= len(found) and episodes > 3:  # each validation once
            raise Stop

    parts.evaluated = stop
    while True:
        try:
            for row in parts.run():
                found += [row["validation_success"]] if "validation_success" in row else []
        except Stop:
            stops += 1
            state = parts.state_dict()
            parts = Trainer(lambda n: Corridor(n), options(), config, seed=1)
            parts.load_state_dict(state)
            parts.evaluated = stop
        else:
            break
    assert stops == len(expected) >= 2
    assert found == expected
    assert parts.env_steps == whole.env_steps
    for one, other in zip(parts.learner.network.parameters(), whole.learner.network.parameters(), strict=True):
        assert torch.equal(one, other)


class Terminator(Watcher):
    """Sends this process SIGTERM in the n-th evaluation, and counts the steps of it that come after."""

    def __init__(self, evaluation: int) -> None:
        self.evaluation, self.begun, self.before, self.after, self.sent = evaluation, 0, -1, 0, False

    def evaluated(self, episodes: int) -> None:
        self.begun += episodes < self.before or self.before < 0
        self.before = episodes
        self.after += self.sent
        if self.begun == self.evaluation and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("evaluation", [1, 2], ids=["in a validation", "in the evaluation at the end"])
def test_a_run_that_gets_sigterm_in_an_evaluation_saves_at_once_and_goes_on(in_tmp: Path, evaluation: int) -> None:
    config = preset("smoke", env_steps=128, validation_episodes=8, evaluate_every=10**6)
    plan = Plan("skill", "navigation1", config, preset="smoke", episodes=6)
    expected = Run(plan, in_tmp / "whole").learn()
    watcher = Terminator(evaluation)
    with pytest.raises(KeyboardInterrupt):
        Run(plan, in_tmp / "stopped").learn(watcher)
    assert watcher.sent
    assert watcher.after <= 1
    assert (in_tmp / "stopped" / "checkpoint").is_dir()
    Run.resume(in_tmp / "stopped").learn()
    assert not (in_tmp / "stopped" / "checkpoint").exists()
    found = json.loads((in_tmp / "stopped" / "result.json").read_text())

    def learned(result: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in result.items() if name not in ("seconds", "seconds_to_95", "run")}

    assert learned(found) == learned(expected)
