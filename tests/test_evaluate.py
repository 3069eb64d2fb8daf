"""Evaluation: seeds that never meet, and an outcome that does not depend on how it is run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h_dqn.evaluation import evaluate
from h_dqn.options import primitives
from h_dqn.seeds import episode_seeds
from tests.conftest import Corridor


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_splits_never_share_a_seed(a: int, b: int) -> None:
    train, validate, held_out = episode_seeds("train", a, 50), episode_seeds("validate", b, 50), episode_seeds("evaluate", b, 50)
    assert not set(train) & set(validate)
    assert not set(train) & set(held_out)
    assert not set(validate) & set(held_out)


def test_seeds_differ_and_repeat() -> None:
    assert len(set(episode_seeds("evaluate", 1, 5000))) == 5000
    assert episode_seeds("train", 4, 10) == episode_seeds("train", 4, 20)[:10]
    assert episode_seeds("train", 4, 10) != episode_seeds("train", 5, 10)


@pytest.mark.parametrize("episodes", [1, 7, 64])
def test_the_outcome_does_not_depend_on_the_number_of_environments(episodes: int) -> None:
    """A policy that walks right from cells 0 and 1 only: exactly the episodes that start there (or step in) succeed."""

    def choose(obs: np.ndarray, available: np.ndarray, env_ids: np.ndarray) -> np.ndarray:
        return np.asarray(obs[:, 0, 0].argmax(1) != 3, np.int64)

    outcomes = {
        num_envs: evaluate(Corridor(num_envs, limit=12), primitives(["left", "right"]), choose, episodes, seed=5)
        for num_envs in (1, 3, 16)
    }
    assert len(set(outcomes.values())) == 1
    # By hand: from cells 0..3 the policy bounces between 2 and 3 for ever; from 4 it reaches 5 in one step.
    starts = [int(np.random.default_rng(seed).integers(5)) for seed in episode_seeds("evaluate", 5, episodes)]
    outcome = outcomes[3]
    assert outcome.by_episode == tuple(start == 4 for start in starts)
    assert outcome.success_rate == sum(start == 4 for start in starts) / episodes
    assert outcome.env_steps == sum(1 if start == 4 else 12 for start in starts)
    assert outcome.decisions == outcome.env_steps
    successes = sum(start == 4 for start in starts)
    assert outcome.used == ((0, 0), (successes, successes))  # of left and right, where it succeeded: a step each
    assert outcome.mean_return == -sum(start != 4 for start in starts) * 12 / episodes
