"""Controllers that grow: what a new option is worth at first, that nothing else changes, and how skills are explored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from h_dqn.config import change
from h_dqn.exploration import EpsilonGreedy, ExplorationConfig
from h_dqn.networks.heads import LinearHead
from h_dqn.policies import greedy
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, options, value_learner

pytestmark = pytest.mark.usefixtures("tiny_network")


def test_a_new_row_is_the_mean_of_those_taken_over() -> None:
    """Rows (1, 0), (3, 2) with biases 0, 1, at the features (1, 2): 1 and 8, so 4.5; what was there is the same, bit for bit."""
    old, new = LinearHead(2, 2), LinearHead(2, 3)
    old.load_state_dict({"weight": torch.tensor([[1.0, 0.0], [3.0, 2.0]]), "bias": torch.tensor([0.0, 1.0])})
    new.grow(["a", "b", "skill:c"], old, ["a", "b"])
    assert new(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 8.0, 4.5]]


def test_decisions_are_the_same_while_a_new_option_is_masked() -> None:
    small, large = value_learner(Q_LAMBDA, 3), value_learner(Q_LAMBDA, 4, seed=2)
    with torch.no_grad():
        small.network.head.get_parameter("weight").normal_()
    large.warm_start(["left", "right", "wait", "skill:new"], small.network, ["left", "right", "wait"])
    obs, ids = np.random.default_rng(1).integers(0, 255, (500, 1, 8, 8), np.uint8), np.arange(500)
    every = np.ones((500, 4), bool)
    old = small.policy(3)(obs, every[:, :3], ids)
    greedy_small, greedy_large = (one.network.values(obs) for one in (small, large))
    assert torch.equal(greedy_large[:, :3], greedy_small)
    every[:, 3] = False
    assert (greedy(greedy_large, every) == greedy(greedy_small, every[:, :3])).all()
    assert len(set(old.tolist())) == 3


def test_skills_and_primitive_actions_are_drawn_apart() -> None:
    """Two primitive actions and six skills: half of the random choices are skills, each as often as the others."""
    config, rng = ExplorationConfig(epsilon_start=1.0, skill_share=0.5), np.random.default_rng(0)
    explore, ids = EpsilonGreedy(config, 8000, rng), np.arange(8000)
    explore.skills = np.arange(8) >= 2
    every, q = np.ones((8000, 8), bool), torch.zeros(8000, 8)
    share = np.bincount(explore.choose(q, every, every, ids), minlength=8) / 8000
    np.testing.assert_allclose(share, [1 / 4] * 2 + [1 / 12] * 6, atol=0.02)
    only = every & (np.arange(8) < 2)  # where none of the skills may be chosen
    assert set(explore.choose(q, only, only, ids)) == {0, 1}
    explore.skills = None
    share = np.bincount(explore.choose(q, every, every, ids), minlength=8) / 8000
    np.testing.assert_allclose(share, [1 / 8] * 8, atol=0.02)


def test_a_run_with_skills_explores_them_apart_where_it_is_asked_to() -> None:
    for share, told in ((0.0, None), (0.5, [False, False, True])):
        trainer = Trainer(lambda n: Corridor(n), options(), change(Q_LAMBDA, skill_share=share), 1)
        skills = trainer.learner.exploration.skills  # type: ignore[attr-defined]
        assert (skills if skills is None else skills.tolist()) == told
