"""The replay and its sum tree against naive twins that keep everything in lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from h_dqn.replay import Decisions, End, ReplayNeeds, Reservoir, SMDPReplay
from h_dqn.replay.sum_tree import SumTree

SHAPE, OPTIONS = (3, 2, 2), 3


class NaiveReplay:
    """Whole observations and reward lists, one dict a decision, never forgets."""

    def __init__(self, num_envs: int) -> None:
        self.decisions: list[dict[str, Any]] = []
        self.running: list[dict[str, Any]] = [{} for _ in range(num_envs)]
        self.previous: list[int] = [-1] * num_envs


class Film:
    """Plays random episodes with random option lengths into both replays."""

    def __init__(self, num_envs: int, capacity: int, seed: int, priority: float = 0.0, successes: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        needs = ReplayNeeds(priority=priority, successes=successes, record_size=2)
        self.replay = SMDPReplay(num_envs, capacity, SHAPE, OPTIONS, np.random.default_rng(seed), needs)
        self.naive = NaiveReplay(num_envs)
        self.num_envs = num_envs
        self.obs = np.zeros((num_envs, *SHAPE), np.uint8)
        self.left = np.zeros(num_envs, int)
        self._begin(np.ones(num_envs, bool))

    def _frame(self, mask: np.ndarray) -> np.ndarray:
        return self.rng.integers(1, 255, (int(mask.sum()), *SHAPE[1:])).astype(np.uint8)

    def _begin(self, mask: np.ndarray) -> None:
        self.obs = self.obs.copy()
        self.obs[mask] = 0
        self.obs[mask, -1] = self._frame(mask)
        self.replay.begin_episode(mask, self.obs)
        for n in np.flatnonzero(mask):
            self.naive.previous[n] = -1

    def step(self) -> None:
        due = self.left == 0
        options = self.rng.integers(0, OPTIONS, self.num_envs)
        available = self.rng.random((self.num_envs, OPTIONS)) < 0.8
        record = self.rng.random((self.num_envs, 2)).astype(np.float32)
        self.left[due] = self.rng.integers(1, 6, int(due.sum()))
        self.replay.begin_decision(due, options, available, record)
        for n in np.flatnonzero(due):
            begun = {"obs": self.obs[n], "option": options[n], "available": available[n], "record": record[n]}
            self.naive.running[n] = {**begun, "rewards": [], "next": -1, "futile": True}
        everyone = np.ones(self.num_envs, bool)
        reward = self.rng.normal(size=self.num_envs).astype(np.float32)
        self.obs = np.concatenate([self.obs[:, 1:], self._frame(everyone)[:, None]], 1)
        invalid = self.rng.random(self.num_envs) < 0.7
        self.replay.step(reward, self.obs, invalid=invalid)
        self.left -= 1
        terminated = self.rng.random(self.num_envs) < 0.05
        done = terminated | (self.rng.random(self.num_envs) < 0.05)
        option_done = done | (self.left == 0)
        self.left[option_done] = 0
        next_available = self.rng.random((self.num_envs, OPTIONS)) < 0.8
        self.replay.end_decision(option_done, End(terminated, done, available, next_available))
        for n in np.arange(self.num_envs):
            self.naive.running[n]["rewards"].append(reward[n])
            self.naive.running[n]["futile"] &= bool(invalid[n])
        for n in np.flatnonzero(option_done):
            decision = self.naive.running[n]
            decision |= {"end_obs": self.obs[n], "terminated": terminated[n], "next_available": next_available[n]}
            decision |= {"env": n, "done": done[n]}
            number = len(self.naive.decisions)
            self.naive.decisions.append(decision)
            if self.naive.previous[n] >= 0:
                self.naive.decisions[self.naive.previous[n]]["next"] = number
            self.naive.previous[n] = -1 if done[n] else number
        if done.any():
            self._begin(done)


def check(film: Film, batch: Decisions, n_step: int = 1) -> None:
    assert all(value.device.type == "cpu" for value in vars(batch).values() if value is not None)
    for i, number in enumerate(batch.id.tolist()):
        first = last = film.naive.decisions[number]
        rewards = list(first["rewards"])
        for _ in range(n_step - 1):
            if last["next"] < 0:
                break
            last = film.naive.decisions[last["next"]]
            rewards += last["rewards"]
        assert batch.length[i] == len(rewards)
        np.testing.assert_array_equal(batch.rewards[i, : len(rewards)], rewards)
        assert not batch.rewards[i, len(rewards) :].any()
        assert batch.option[i] == first["option"]
        assert (batch.terminated[i], batch.done[i]) == (last["terminated"], last["done"])
        assert batch.continuation[i] == 0, "each was carried out to its end"
        np.testing.assert_array_equal(batch.frames[batch.start[i]], first["obs"])
        np.testing.assert_array_equal(batch.frames[batch.end[i]], last["end_obs"])
        np.testing.assert_array_equal(batch.available[i], first["available"])
        np.testing.assert_array_equal(batch.next_available[i], last["next_available"])
        np.testing.assert_array_equal(batch.record[batch.start[i]], first["record"])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("priority", [0.0, 0.6])
@pytest.mark.parametrize("n_step", [1, 3])
def test_samples_are_what_was_written(seed: int, priority: float, n_step: int) -> None:
    film = Film(num_envs=1 + seed, capacity=40 * (1 + seed), seed=seed, priority=priority)
    for turn in range(160):
        film.step()
        if turn > 20 and turn % 7 == 0:
            batch = film.replay.sample(16, n_step)
            check(film, batch, n_step)
            if priority:
                film.replay.set_priority(batch.id, torch.from_numpy(film.rng.normal(size=16)))


@given(seed=st.integers(0, 2**32), num_envs=st.integers(1, 5), n_step=st.integers(1, 3), steps=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_sequences_are_what_was_written(seed: int, num_envs: int, n_step: int, steps: int) -> None:
    """Each holds all decisions that began in its rows and are still whole, and what its environment showed, step by step."""
    film = Film(num_envs, num_envs * 40, seed)
    for _ in range(60):
        film.step()
    number, sequence, drawn = film.replay.near(4, steps)
    assert set(drawn) == set(sequence)
    batch = film.replay.sequences(number, sequence, n_step)
    check(film, batch, n_step)
    assert batch.begins is not None
    length, width = batch.begins.shape
    assert width == len(set(drawn))
    column = batch.start % width
    for one in range(width):
        (env,) = set(batch.env[column == one].tolist())
        shown = batch.frames.unflatten(0, (length, width))[:, one, -1]
        steps_in = batch.start[column == one] // width
        assert int(steps_in.max() - steps_in.min()) < steps
        assert int(steps_in.min()) == 0, "it begins with a decision"
        for i in np.flatnonzero(column == one):
            decision = film.naive.decisions[int(batch.id[i])]
            assert decision["env"] == env
            row = int(batch.start[i]) // width
            np.testing.assert_array_equal(shown[row], decision["obs"][-1])
            if row and bool(batch.begins[row, one]):
                assert int(batch.id[i]) not in {one["next"] for one in film.naive.decisions}


@given(seed=st.integers(0, 2**32), num_envs=st.integers(1, 5), rows=st.integers(24, 40), every=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_fresh_gives_each_decision_once_in_order(seed: int, num_envs: int, rows: int, every: int) -> None:
    film = Film(num_envs, num_envs * rows, seed)
    seen: list[int] = []
    for turn in range(60):
        film.step()
        if turn % every == 0:
            batch = film.replay.fresh()
            check(film, batch)
            told = batch.id.tolist()
            for number, following in zip(told, batch.following.tolist(), strict=True):
                after = film.naive.decisions[number]["next"]
                assert (told[following] if following >= 0 else -1) == (after if after in told else -1)
            assert batch.fresh.all()
            seen += told
    seen += film.replay.fresh().id.tolist()
    assert seen == list(range(len(film.naive.decisions)))


@pytest.mark.parametrize("most", [5, 1000])
def test_tries_are_some_of_each_option(most: int) -> None:
    """Fetched now and then, from a replay that forgets in between: those with the largest draws that there ever were, each once."""
    film = Film(num_envs=3, capacity=3 * 60, seed=5)
    tries = film.replay.tries(most)
    for turn in range(100):
        film.step()
        if turn % 20 == 19:
            tries = (film.replay.tries(most) | tries).largest(most)
    assert film.replay.oldest > 0
    drawn = np.random.default_rng(0).random(film.replay.made)
    for option in range(OPTIONS):
        naive = [(d["obs"].tobytes(), d["futile"]) for d in film.naive.decisions if d["option"] == option]
        mine = tries[np.flatnonzero(tries.option == option)]
        same = [(frame.tobytes(), signal) for frame, signal in zip(mine.frames, mine.signal, strict=True)]
        assert len(set(same)) == len(same) == min(most, len(naive))
        assert set(same) <= set(naive)
        made = [number for number, d in enumerate(film.naive.decisions) if d["option"] == option]
        assert set(mine.number) == set(sorted(made, key=lambda number: -drawn[number])[:most])


def test_what_is_kept_of_tries_is_a_uniform_sample() -> None:
    rng, kept = np.random.default_rng(6), np.zeros(60)
    for _ in range(400):
        tries = None
        for part in np.split(np.arange(60), 6):
            new = Reservoir(part.astype(np.uint8)[:, None, None, None], part % 2, part < 0, part, rng.random(10))
            tries = (tries | new).largest(5) if tries else new
        assert tries is not None
        assert len(tries.option) == 10
        kept[tries.number] += 1 / 400
    assert abs(kept - 1 / 6).max() < 0.08  # over four standard deviations


def test_successful_episodes_come_back_whole_and_newest() -> None:
    """A fifth of each fresh batch is of episodes that terminated; of those, only the newest 30 decisions are kept apart."""
    film = Film(num_envs=3, capacity=3 * 400, seed=4, successes=30)
    wins: list[list[int]] = []
    running: list[list[int]] = [[] for _ in range(3)]
    told = 0
    for _ in range(300):
        film.step()
        for number in range(told, len(film.naive.decisions)):
            decision = film.naive.decisions[number]
            running[decision["env"]].append(number)
            if decision["done"]:
                wins += [running[decision["env"]]] if decision["terminated"] else []
                running[decision["env"]] = []
        new = set(range(told, len(film.naive.decisions)))
        told = len(film.naive.decisions)
        kept = list(wins)
        while sum(map(len, kept)) > 30:
            kept.pop(0)
        batch = film.replay.fresh(0.2)
        check(film, batch)
        again = set(batch.id.tolist()) - new
        assert set(batch.id[batch.fresh].tolist()) == new
        assert new <= set(batch.id.tolist())
        assert again <= {number for episode in kept for number in episode}
        assert len(again) <= round(len(new) * 0.25)
        if kept and len(new) >= 4 and not new & {number for episode in kept for number in episode}:
            assert again
    drawn = film.replay.sample(200, success=0.5).id.numpy()
    assert np.isin(drawn[:100], [number for episode in kept for number in episode]).sum() >= 1


def test_a_decision_is_drawn_as_often_whatever_its_length() -> None:
    film = Film(num_envs=4, capacity=4 * 300, seed=1)
    for _ in range(250):
        film.step()
    lengths = np.array([len(decision["rewards"]) for decision in film.naive.decisions])
    batch = film.replay.sample(40_000)
    for length in range(1, 6):
        share, drawn = (lengths == length).mean(), (batch.length.numpy() == length).mean()
        assert drawn == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 40_000))


def test_old_decisions_are_forgotten_and_recent_ones_kept() -> None:
    film = Film(num_envs=3, capacity=3 * 30, seed=2)
    for _ in range(500):
        film.step()
    drawn = film.replay.sample(2000).id
    made = len(film.naive.decisions)
    assert drawn.min() > made - 3 * 30
    assert set(range(made - 10, made)) <= set(drawn.tolist())


def test_new_decisions_get_the_largest_priority_and_weights_stay_below_one() -> None:
    film = Film(num_envs=2, capacity=200, seed=3, priority=1.0)
    for _ in range(40):
        film.step()
    old = film.replay.sample(64)
    film.replay.set_priority(old.id, torch.full((64,), 5.0))
    made = film.replay.made
    while film.replay.made == made:
        film.step()
    slots = np.arange(made, film.replay.made) % film.replay.slots
    assert film.replay._tree.weights[slots] == pytest.approx(5.0, rel=1e-4)
    assert film.replay.sample(64).weight.max() == 1.0


def test_state_goes_on_bit_for_bit() -> None:
    film, other = Film(2, 80, seed=4, priority=0.5), Film(2, 80, seed=5, priority=0.5)
    for _ in range(50):
        film.step()
    other.replay.load_state_dict(film.replay.state_dict())
    for _ in range(3):
        a, b = film.replay.sample(8), other.replay.sample(8)
        for name in vars(a):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


class NaiveSumTree:
    def __init__(self, size: int) -> None:
        self.weights = [0.0] * size

    def find(self, at: float) -> int:
        for index, weight in enumerate(self.weights):
            if at < weight:
                return index
            at -= weight
        return max(i for i, weight in enumerate(self.weights) if weight > 0)


@given(data=st.data(), size=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_sum_tree_against_a_loop(data: st.DataObject, size: int) -> None:
    tree, naive = SumTree(size), NaiveSumTree(size)
    for _ in range(data.draw(st.integers(1, 6))):
        index = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size, unique=True))
        weight = data.draw(st.lists(st.integers(0, 9), min_size=len(index), max_size=len(index)))
        tree.set(np.array(index), np.array(weight, float))
        for i, w in zip(index, weight, strict=True):
            naive.weights[i] = float(w)
        np.testing.assert_array_equal(tree.weights, naive.weights)
        assert tree.total == sum(naive.weights)
        if tree.total:
            points = np.array([data.draw(st.floats(0, 1, exclude_max=True)) * tree.total for _ in range(5)])
            assert tree.find(points).tolist() == [naive.find(point) for point in points]


def test_sum_tree_refuses_bad_weights() -> None:
    for index, weight in ((3, 1.0), (0, -1.0), (0, np.nan), (-1, 1.0)):
        with pytest.raises(ValueError, match="weights must be"):
            SumTree(3).set(np.array([index]), np.array([weight]))
