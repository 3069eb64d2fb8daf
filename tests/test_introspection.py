"""What is said of a network, against numbers that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from h_dqn.introspection import alarm, clusters, projection, saliency, samdp
from h_dqn.introspection.counterfactual import effect, ranked
from h_dqn.introspection.samdp import Path

GAMMA = 0.9


def path(labels: str) -> Path:
    """-1 a step, 0 for the last."""
    rewards = np.full(len(labels) - 1, -1.0)
    rewards[-1] = 0
    return Path(np.array(["ABC".index(letter) for letter in labels]), rewards)


PATHS = [path("AAABBC"), path("AABBBBC"), path("AC")]


# --- the semi-aggregated MDP ---


def test_values_of_a_model() -> None:
    p = np.array([[0, 0.75, 0.25], [0, 0, 1], [0, 0, 0]])
    gamma_k = np.broadcast_to(0.99 ** np.array([[4.0], [6.0], [1.0]]), (3, 3))
    reward = np.broadcast_to(np.array([[0.0], [0.5], [1.0]]), (3, 3))
    v = samdp.values(p, gamma_k, reward, {2: 1.0})
    assert v == pytest.approx([1.278659, 1.441480, 1], abs=1e-6)
    assert samdp.vmse(np.array([1.2, 1.5, 1.1]), v) == pytest.approx(0.0632646, abs=1e-6)
    assert samdp.entropy(p, np.array([40, 30, 30])) == pytest.approx(0.224934, abs=1e-6)


def test_a_model_of_episodes() -> None:
    found = samdp.model(PATHS, 3, GAMMA, {2: 0.0})
    assert found.counts.tolist() == [[0, 2, 1], [0, 0, 2], [0, 0, 0]]
    assert found.reward[0, 1] == pytest.approx(-2.305)
    assert found.reward[1, 2] == pytest.approx(-1.855)
    assert found.reward[0, 2] == 0
    assert (found.steps[0, 1], found.steps[0, 2], found.steps[1, 2]) == (2.5, 1, 3)
    assert found.value == pytest.approx([-2.4882817, -1.855, 0], abs=1e-6)


def test_a_dwell_counts_the_step_of_entry() -> None:
    (edge, *_) = samdp.edges_of(Path(np.array([0, 0, 0, 0, 1]), np.zeros(4)), 1.0)
    assert edge.steps == 4


def test_greedy_moves() -> None:
    one = np.zeros((3, 3))
    counts, reward, gamma_k = one.copy(), one.copy(), one.copy()
    counts[0, 1:], reward[0, 1:], gamma_k[0, 1:] = 1, (0, 0.2), (0.99**4, 0.99**9)
    found = samdp.Samdp(counts, one, one, gamma_k, reward, np.array([1.278659, 1.441480, 1]))
    assert (found.reward + found.discount * found.value)[0, 1:] == pytest.approx([1.384680, 1.113517], abs=1e-6)
    assert found.greedy().tolist() == [1, -1, -1]


def test_greedy_correlation() -> None:
    assert samdp.correlation(np.array([1, 0.5, 0, 0.8]), np.array([-10, -14, -20, -11])) == pytest.approx(0.992064, abs=1e-6)
    assert np.isnan(samdp.correlation(np.ones(4), np.arange(4)))
    # Of A the greedy move is to C; B is left once in each of two episodes, so that nothing varies there.
    assert samdp.greedy_correlation(PATHS, np.array([2, 2, -1]), np.array([-4, -5, 0]), 0) == pytest.approx(0.981981, abs=1e-6)
    assert np.isnan(samdp.greedy_correlation(PATHS, np.array([2, 2, -1]), np.array([-4, -5, 0]), 1))


def test_bad_edges_are_those_of_failures_alone() -> None:
    top = [Path(np.array([0, 1, 3]), np.zeros(2))]
    bottom = [Path(np.array([0, 1]), np.zeros(1)), Path(np.array([0, 2, 3]), np.zeros(2))]
    assert samdp.bad_edges(top, bottom) == {(0, 2), (2, 3)}


def test_the_likelihood_of_held_out_episodes_counts_one_more_of_each() -> None:
    counts = samdp.model(PATHS, 3, GAMMA, {2: 0.0}).counts
    assert samdp.likelihood([path("ABC")], counts) == pytest.approx((np.log(3 / 5) + np.log(3 / 4)) / 2)
    assert samdp.intensity(PATHS) == pytest.approx(5 / 12)


def test_the_candidate_that_all_rankings_keep() -> None:
    assert samdp.smallest_common([[1, 2, 3], [3, 2, 1]]) == 1
    assert samdp.smallest_common([[1, 2, 3], [float("nan"), 2, 3]]) == 1


# --- clusters ---


def test_windows_end_with_their_episode() -> None:
    x, episode = np.array([[0.0], [0], [0], [0], [1], [1], [7]]), np.array([0, 0, 0, 0, 0, 0, 1])
    found = clusters.windows(x, episode, 1)
    assert found[0].tolist() == [0, 0, 0]
    assert found[3].tolist() == [0, 0, 1]
    assert found[5].tolist() == [1, 1, 1]
    assert found[6].tolist() == [7, 7, 7]
    assert clusters.windows(x, episode, 0).tolist() == x.tolist()


def test_kmeans_finds_what_is_apart_the_same_each_time() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(middle, 0.1, (50, 2)) for middle in (0, 5, 9)]).astype(np.float32)
    found = clusters.kmeans(x, 3, seed=4)
    assert (found == clusters.kmeans(x, 3, seed=4)).all()
    labels, distance = clusters.nearest(x, found)
    assert labels.tolist() == [0] * 50 + [1] * 50 + [2] * 50
    assert (distance == pytest.approx(((x - found[labels]) ** 2).sum(1), abs=1e-4)) is True
    assert len(clusters.kmeans(np.ones((5, 2), np.float32), 3, 1)) == 1
    assert clusters.agreement(labels, (labels + 1) % 3) == 1
    assert abs(clusters.agreement(labels, rng.integers(0, 3, 150))) < 0.1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=4), st.integers(1, 3))
def test_flicker_is_merged_within_its_episode(episodes: list[list[int]], persist: int) -> None:
    labels = np.concatenate([np.array(one) for one in episodes])
    number = np.repeat(np.arange(len(episodes)), [len(one) for one in episodes])
    found = clusters.without_flicker(labels, number, persist)
    for episode, before in enumerate(episodes):
        mine = found[number == episode]
        assert mine[0] == before[0]
        assert set(mine) <= set(before)  # none crosses from another episode
        alone = clusters.without_flicker(np.array(before), np.zeros(len(before), int), persist)
        assert (mine == alone).all()
    if persist == 1:
        assert (found == labels).all()


def test_flicker_changes_nothing() -> None:
    zero = np.zeros(6, int)
    assert clusters.without_flicker(np.array([0, 0, 1, 0, 0, 2]), zero, 2).tolist() == [0] * 6


# --- projections ---


def test_components_are_those_of_numpys_svd() -> None:
    x = np.random.default_rng(3).normal(size=(40, 5)) * [5, 3, 2, 1, 0.5]
    found = projection.components(x, 3)
    _, singular, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    assert found.variance == pytest.approx(singular[:3] ** 2 / 40)
    assert np.abs((found.axes * axes[:3]).sum(1)) == pytest.approx(np.ones(3))
    assert found.project(x, whiten=True).std(0) == pytest.approx(np.ones(3))


def test_constant_features_have_a_place_too() -> None:
    found = projection.components(np.ones((4, 3)))
    assert projection.plane(found.project(np.ones((4, 3)))).tolist() == [[0, 0]] * 4


def test_neighbours_kept_by_chance() -> None:
    x = np.random.default_rng(2).normal(size=(1000, 4))
    kept, chance = projection.neighbours_kept(x, x[:, :2])
    assert chance == pytest.approx(0.015015, abs=1e-6)
    assert chance < kept < 1
    assert projection.neighbours_kept(x, x)[0] == 1
    assert projection.neighbours_kept(x[:1], x[:1]) == (1, 1)


# --- saliency ---


def test_perturbation_and_sarfa() -> None:
    q, after = np.array([1, 2, 0.5]), np.array([[1.2, 1.4, 0.6]])
    assert saliency.perturbation(q, after) == pytest.approx([0.205])
    assert saliency.sarfa(q, after, 1) == pytest.approx([0.315910], abs=1e-6)
    assert saliency.sarfa(q, after, 0) == [0]  # it gains
    assert saliency.sarfa(q[:1], after[:, :1], 0) == [0]  # one action alone cannot lose


def test_the_gradient_of_a_linear_network_is_its_weights() -> None:
    torch.manual_seed(1)
    weights = torch.randn(2, 12)
    frames = torch.randint(0, 255, (3, 1, 3, 4), dtype=torch.uint8)

    def network(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ weights.T

    found = saliency.gradient(network, frames, torch.zeros(3, 0))
    best = network(frames.float(), torch.zeros(3, 0)).argmax(1)
    assert found == pytest.approx(weights[best].abs().view(3, 3, 4).numpy())


def test_maps_have_a_cell_for_each_part_of_the_frame() -> None:
    assert saliency.pooled(np.ones((12, 18))).tolist() == np.ones((2, 3)).tolist()
    spots = saliency.spots_of(12, 18)
    assert spots.shape == (6, 12, 18)
    assert [int(spot.argmax()) // 18 // 8 for spot in spots] == [0, 0, 0, 1, 1, 1]


def test_what_is_looked_at_is_where_the_map_is_bright() -> None:
    """A network that reads one corner alone."""

    def network(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        corner = x[:, 0, :8, :8].std((1, 2))
        return torch.stack([corner, torch.full_like(corner, 1.0)], 1)

    frame = np.random.default_rng(1).integers(0, 255, (1, 1, 24, 24), dtype=np.uint8)
    found = saliency.saliency(network, frame, np.zeros((1, 0), np.float32), 10.0)
    for name, one in found._asdict().items():
        assert one.shape == (1, 3, 3), name
        assert one[0].argmax() == 0, name
        assert one[0, 2, 2] < 0.01 * one[0, 0, 0], name


# --- counterfactuals ---


def test_what_a_cause_does_to_the_choice() -> None:
    q, after = np.array([[0.0, 1], [0, 1]]), np.array([[0.0, 1], [2, 1]])
    found = effect("tint", False, q, after, 1.0)
    assert (found.states, found.flips, found.change) == (2, 0.5, 0)
    assert found.shift == pytest.approx((1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(1))) / 2)
    assert effect("nothing", False, q[:0], after[:0], 1.0).states == 0
    assert [one.cause for one in ranked([effect("none", False, q, q, 1.0), found])] == ["tint", "none"]


# --- the alarm ---


def test_area_under_the_curve() -> None:
    risk: NDArray[np.float64] = np.array([0.9, 0.4, 0.4, 0.1])
    assert alarm.area(risk, np.array([True, True, False, False])) == pytest.approx(3.5 / 4)
    assert np.isnan(alarm.area(risk, np.zeros(4, bool)))


def test_a_logistic_regression_finds_the_weights_that_made_its_data() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20000, 2))
    y = rng.random(20000) < alarm.sigmoid(x @ np.array([2.0, -1]) + 0.5)
    assert alarm.logistic(x, y) == pytest.approx([2, -1, 0.5], abs=0.1)
    assert np.isfinite(alarm.logistic(x, np.zeros(20000, bool))).all()
