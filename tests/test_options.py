"""Options in N environments: each inside its own, and the loop that runs them."""

import numpy as np

from h_dqn.options import KEEP, Acts, OptionRunner, primitives
from h_dqn.rollout import Rollout
from tests.conftest import Corridor, Walk


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_each_environment_has_its_own_clock() -> None:
    runner = OptionRunner([*primitives(["left", "right"]), Walk("right3", 1, 3)], 3, rng())
    obs, nobody = np.zeros((3, 1, 8, 8), np.uint8), np.zeros(3, bool)
    runner.begin(np.ones(3, bool), np.array([0, 1, 2]))
    assert runner.act(obs).tolist() == [0, 1, 1]
    assert runner.advance(obs, nobody).tolist() == [True, True, False]
    assert runner.current.tolist() == [-1, -1, 2]
    runner.begin(np.array([True, True, False]), np.array([2, 0]))
    assert runner.advance(obs, nobody).tolist() == [False, True, False]
    assert runner.act(obs)[[0, 2]].tolist() == [1, 1]
    runner.begin(np.array([False, True, False]), np.array([0]))
    assert runner.advance(obs, nobody).tolist() == [False, True, True]
    assert runner.steps[0] == 2


def test_an_episodes_end_ends_the_option() -> None:
    runner = OptionRunner([Walk("right5", 1, 5)], 2, rng())
    runner.begin(np.ones(2, bool), np.array([0, 0]))
    obs = np.zeros((2, 1, 8, 8), np.uint8)
    assert runner.advance(obs, np.array([True, False])).tolist() == [True, False]
    assert runner.current.tolist() == [-1, 0]


def test_an_option_that_says_it_is_done_ends() -> None:
    class Sure(Walk):
        def act(self, obs: np.ndarray) -> Acts:
            return np.full(len(obs), self.action), obs[:, 0, 0, 0] > 0

    runner = OptionRunner([Sure("sure", 1, 5)], 2, rng())
    obs = np.zeros((2, 1, 8, 8), np.uint8)
    obs[1] = 1
    runner.begin(np.ones(2, bool), np.zeros(2, int))
    runner.act(obs)
    assert runner.advance(obs, np.zeros(2, bool)).tolist() == [False, True]


def test_an_option_is_interrupted_where_another_is_worth_more() -> None:
    """'right5' starts at the left end; from cell 2 on, the greedy choice is 'left'."""
    envs = Corridor(1)
    options = [*primitives(["left", "right"]), Walk("right5", 1, 5)]

    def choose(obs: np.ndarray, available: np.ndarray, env_ids: np.ndarray) -> np.ndarray:
        return np.where(obs[:, -1, 0].argmax(1) < 2, 2, 0)

    rollout = Rollout(envs, OptionRunner(options, 1, rng()), choose, [0])
    envs.cell[:] = 0
    rollout.obs = envs._obs()
    rollout.interrupt = choose
    steps = [rollout.step() for _ in range(3)]
    assert [int(step.option[0]) for step in steps] == [2, 2, 0]
    assert [bool(step.option_done[0]) for step in steps] == [False, True, True]
    rollout.interrupt = lambda obs, available, env_ids: np.full(len(obs), KEEP)
    rollout.runner.begin(np.ones(1, bool), np.full(1, 2))
    assert not rollout.step().option_done[0], "whichever runs goes on"


def test_a_chance_of_termination_is_drawn() -> None:
    class Fickle(Walk):
        def terminate(self, obs: object, steps: np.ndarray) -> np.ndarray:
            return np.full(len(steps), 0.25)

    runner = OptionRunner([Fickle("fickle", 1, 1)], 4000, rng())
    runner.begin(np.ones(4000, bool), np.zeros(4000, int))
    option_done = runner.advance(np.zeros((4000, 1, 8, 8), np.uint8), np.zeros(4000, bool))
    assert abs(option_done.mean() - 0.25) < 0.03


def test_the_loop_reports_what_happened() -> None:
    """Right for 3 steps from known cells: rewards, ends and resets by hand."""
    envs = Corridor(2, length=6)
    options = [*primitives(["left", "right"]), Walk("right3", 1, 3)]
    runner = OptionRunner(options, 2, rng())
    rollout = Rollout(envs, runner, lambda obs, available, env_ids: np.full(len(obs), 2), [1, 2])
    envs.cell[:] = [0, 3]
    rollout.obs = envs._obs()
    steps = [rollout.step() for _ in range(3)]
    assert [step.due.tolist() for step in steps] == [[True, True], [False, False], [False, True]]
    assert [step.reward.tolist() for step in steps][:2] == [[-1, -1], [-1, 0]]
    assert steps[1].terminated.tolist() == [False, True]
    assert steps[1].option_done.tolist() == [False, True]
    assert steps[2].option_done[0]
    # The last observation of the episode is kept apart from the first of the next.
    assert steps[1].next_obs[1, 0, 0, 5] == 255
    assert steps[1].obs[1, 0, 0, 5] == 0
    np.testing.assert_array_equal(steps[1].next_obs[0], steps[1].obs[0])


def test_the_mask_reaches_the_choice() -> None:
    envs = Corridor(4, length=6)
    seen = []

    def choose(obs: np.ndarray, available: np.ndarray, env_ids: np.ndarray) -> np.ndarray:
        seen.append((obs[:, 0, 0].argmax(1), available))
        return np.zeros(len(obs), int)

    options = [*primitives(["left", "right"]), Walk("right3", 1, 3, where=(0, 1))]
    rollout = Rollout(envs, OptionRunner(options, 4, rng()), choose, [1, 2, 3, 4])
    for _ in range(5):
        step = rollout.step()
        cells = step.next_obs[:, 0, 0].argmax(1)
        np.testing.assert_array_equal(step.next_available[step.option_done, 2], cells[step.option_done] <= 1)
    for cells, available in seen:
        np.testing.assert_array_equal(available[:, 2], cells <= 1)
