"""Every formula against numbers worked by hand, and each clever one against a naive twin."""

import numpy as np
import pytest
import torch

from h_dqn.targets import action_gap, double_q_bootstrap, masked_max, option_bootstrap, q_lambda, skill_reward, smdp_target

ALL = torch.ones(1, 3, dtype=torch.bool)


def test_skill_reward_by_hand() -> None:
    rewards = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 99.0]])
    assert torch.allclose(skill_reward(rewards, torch.tensor([3, 2]), 0.5), torch.tensor([1 + 1 + 0.75, 2.0]))


def test_smdp_target_by_hand() -> None:
    # n-step worked value: rewards 1, 2, 3, bootstrap 10, discount .9.
    rewards = torch.tensor([[1.0, 2.0, 3.0]])
    y = smdp_target(rewards, torch.tensor([3]), torch.tensor([10.0]), torch.tensor([False]), 0.9)
    assert torch.allclose(y, torch.tensor([1 + 1.8 + 2.43 + 7.29]))


def test_skill_of_five_steps_by_hand() -> None:
    # gamma^k, not gamma: five steps of -1 and V = -30 at discount .99 give -4.900995 - 28.529701.
    y = smdp_target(-torch.ones(1, 5), torch.tensor([5]), torch.tensor([-30.0]), torch.tensor([False]), 0.99)
    assert y.item() == pytest.approx(-(1 - 0.99**5) / 0.01 - 30 * 0.99**5, abs=1e-5)


def test_termination_does_not_bootstrap_and_truncation_does() -> None:
    rewards = torch.tensor([[-1.0], [-1.0]])
    y = smdp_target(rewards, torch.tensor([1, 1]), torch.tensor([-20.0, -20.0]), torch.tensor([True, False]), 0.5)
    assert y.tolist() == [-1.0, -11.0]


def test_one_step_is_textbook_double_dqn() -> None:
    online, target = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[5.0, 0.0, 4.0]])
    step = (torch.tensor([[1.0]]), torch.tensor([1]))
    going = torch.tensor([False])
    double = smdp_target(*step, double_q_bootstrap(online, target, ALL), going, 0.9)
    plain = smdp_target(*step, masked_max(target, ALL), going, 0.9)
    assert double.item() == pytest.approx(1.0)
    assert plain.item() == pytest.approx(5.5)


def test_masks_in_the_bootstrap() -> None:
    online, target = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[5.0, 0.0, 4.0]])
    without_second = torch.tensor([[True, False, True]])
    assert double_q_bootstrap(online, target, without_second).item() == 4.0
    assert masked_max(target, torch.tensor([[False, True, True]])).item() == 4.0


def test_one_discount_a_decision_by_hand() -> None:
    """Three steps of -1 at 0.9: R = -2.71; gamma^3 * 10 = 7.29, but gamma^1 * 10 = 9."""
    step = -torch.ones(1, 3), torch.tensor([3]), torch.tensor([10.0]), torch.tensor([False]), 0.9
    assert smdp_target(*step).tolist() == pytest.approx([4.58])
    assert smdp_target(*step, torch.ones(1)).tolist() == pytest.approx([6.29])


def test_option_bootstrap_by_hand() -> None:
    """An option that goes on with chance 0.8 and is worth 1 there, where the best is worth 6: 0.8 * 1 + 0.2 * 6 = 2."""
    q = torch.tensor([[1.0, 6.0], [1.0, 6.0]])
    u = option_bootstrap(q, torch.tensor([6.0, 6.0]), torch.tensor([0, 0]), torch.tensor([0.8, 0.0]))
    assert u.tolist() == pytest.approx([2.0, 6.0])


def test_action_gap_by_hand() -> None:
    q = torch.tensor([[1.0, 3.0, 2.0]]).repeat(3, 1)
    gap = action_gap(q, torch.tensor([0, 1, 2]), ALL.repeat(3, 1), 0.5)
    assert gap.tolist() == [-1.0, 0.0, -0.5]
    assert action_gap(q[:1], torch.tensor([0]), torch.tensor([[True, False, True]]), 0.5).tolist() == [-0.5]


def test_action_gap_keeps_the_best_and_widens_the_rest() -> None:
    # One state, two actions that end the episode with 0 and -1: at the fixed point the gap is 1 / (1 - alpha).
    q = torch.zeros(1, 2)
    reward = torch.tensor([0.0, -1.0])
    for _ in range(200):
        q = (reward + action_gap(q.repeat(2, 1), torch.tensor([0, 1]), torch.ones(2, 2, dtype=torch.bool), 0.75))[None]
    assert q[0].tolist() == pytest.approx([0.0, -4.0])


def test_q_lambda_by_hand() -> None:
    # Two decisions of an episode, the second terminal: G1 = -2; G0 = -1 + .5 * (.4 * -10 + .6 * -2).
    args = torch.tensor([-1.0, -2.0]), torch.tensor([0.5, 0.25]), torch.tensor([-10.0, -7.0])
    g = q_lambda(*args, torch.tensor([False, True]), torch.tensor([1, -1]), 0.6)
    assert g.tolist() == pytest.approx([-1 + 0.5 * (0.4 * -10 + 0.6 * -2), -2.0])


@pytest.mark.parametrize("td_lambda", [0.0, 0.6, 1.0])
def test_q_lambda_is_the_mixture_of_n_step_returns(td_lambda: float) -> None:
    """Twin: (1 - lambda) sum_n lambda^(n-1) G^(n), the last with all the weight that is left."""
    rng = np.random.default_rng(3)
    n, num_envs = 7, 3
    reward, bootstrap = rng.normal(size=(num_envs, n)), rng.normal(size=(num_envs, n))
    discount = 0.9 ** rng.integers(1, 6, (num_envs, n))
    ends = rng.random((num_envs, n)) < 0.3  # episode ends here
    terminated = ends & (rng.random((num_envs, n)) < 0.5)
    following = np.full((num_envs, n), -1)
    index = np.arange(num_envs * n).reshape(n, num_envs).T  # environments interleaved, as they end
    following[:, :-1] = np.where(ends[:, :-1], -1, index[:, 1:])

    def flat(x: np.ndarray) -> torch.Tensor:
        return torch.tensor(x.T.reshape(-1))

    got = q_lambda(flat(reward), flat(discount), flat(bootstrap), flat(terminated), flat(following), td_lambda)
    for w in range(num_envs):
        for i in range(n):
            returns, so_far, factor, j = [], 0.0, 1.0, i
            while True:
                so_far += factor * reward[w, j]
                factor *= 0.0 if terminated[w, j] else discount[w, j]
                returns.append(so_far + factor * bootstrap[w, j])
                if ends[w, j] or j == n - 1:
                    break
                j += 1
            weights = [(1 - td_lambda) * td_lambda**m for m in range(len(returns) - 1)] + [td_lambda ** (len(returns) - 1)]
            assert got[index[w, i]].item() == pytest.approx(np.dot(weights, returns))


def test_tabular_fixed_point_is_value_iteration() -> None:
    """A corridor of 8 cells, actions left and right and the option 'right for 3 steps': Q* from SMDP targets against V* from
    plain value iteration over primitive actions (Q* of the option: walk it and add gamma^k V*)."""
    cells, gamma, goal = 8, 0.9, 7

    def step(s: int, a: bool) -> int:
        return min(max(s + (1 if a else -1), 0), goal)

    def outcome(s: int, option: int) -> tuple[list[float], int, bool]:
        rewards = []
        for _ in range(3 if option == 2 else 1):
            s = step(s, option != 0)
            rewards.append(0.0 if s == goal else -1.0)
            if s == goal:
                return rewards, s, True
        return rewards, s, False

    table = torch.zeros(cells, 3)
    rows = [(s, o, *outcome(s, o)) for s in range(goal) for o in range(3)]
    rewards = torch.tensor([r + [0.0] * (3 - len(r)) for *_, r, _, _ in rows])
    length = torch.tensor([len(r) for *_, r, _, _ in rows])
    end = torch.tensor([e for *_, e, _ in rows])
    done = torch.tensor([d for *_, d in rows])
    for _ in range(200):
        bootstrap = masked_max(table[end], torch.ones(len(rows), 3, dtype=torch.bool))
        y = smdp_target(rewards, length, bootstrap, done, gamma)
        table[[s for s, *_ in rows], [o for _, o, *_ in rows]] = y

    value = np.zeros(cells)
    for _ in range(200):
        for s in range(goal):
            value[s] = max(
                (0.0 if step(s, bool(a)) == goal else -1.0) + gamma * value[step(s, bool(a))] * (step(s, bool(a)) != goal)
                for a in (0, 1)
            )
    assert table[:goal].max(1).values.numpy() == pytest.approx(value[:goal], abs=1e-5)
    for s, o, r, e, d in rows:
        worked = sum(gamma**j * x for j, x in enumerate(r)) + (0 if d else gamma ** len(r) * value[e])
        assert table[s, o].item() == pytest.approx(worked, abs=1e-5)
