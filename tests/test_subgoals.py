"""Sub-goals: events beside changes of clusters, and what of them becomes a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.oracle import Oracle
from envs.task_file import load_task, read_task
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.experiment.add import Addition
from h_dqn.experiment.add_plan import AddPlan
from h_dqn.experiment.adding import new_addition
from h_dqn.experiment.explain.look import Looker
from h_dqn.experiment.explain.predicates import predicates
from h_dqn.experiment.explain.subgoals import export, subgoals_of
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.stages import Staged
from h_dqn.introspection import events, samdp
from h_dqn.introspection.choice import Clustering, Criteria, paths_of
from h_dqn.introspection.record import Record
from h_dqn.presets import PRESETS
from tests.helpers import h_dqn as cli

ON_THE_WAY = ["on the exit", "carries crate", "no door stands"]


# --- events ---


def test_what_becomes_true_was_not_before_in_its_episode() -> None:
    true, episode = np.array([True, False, True, True, True, False, True]), np.array([0, 0, 0, 0, 1, 1, 1])
    assert events.becomes(true, episode).tolist() == [False, False, True, False, False, False, True]


def test_crossings_are_entries_into_a_cluster() -> None:
    labels, episode = np.array([0, 0, 1, 0, 1, 0, 1]), np.array([0, 0, 0, 0, 1, 1, 1])
    assert np.flatnonzero(events.crossings(labels, episode)).tolist() == [2, 3, 5, 6]
    assert np.flatnonzero(events.crossings(labels, episode, (0, 1))).tolist() == [2, 6]


rows = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=25)


@given(rows, st.integers(0, 3))
def test_near_is_what_its_twin_says(given_rows: list[tuple[bool, bool, int]], steps: int) -> None:
    one, other, episode = (np.array(column) for column in zip(*sorted(given_rows, key=lambda row: row[2]), strict=True))
    close = [any(one[b] and episode[a] == episode[b] and abs(a - b) <= steps for b in range(len(one))) for a in range(len(one))]
    assert events.near(one, episode, steps).tolist() == close
    found = events.match(other, one, episode, steps)
    assert found.precision == pytest.approx(np.mean([close[a] for a in np.flatnonzero(other)] or [False]))
    assert events.match(one, one, episode, steps).f1 == (1 if one.any() else 0)


def test_f1_by_hand() -> None:
    """Three found, two of them near one of the two events; the other event is missed."""
    found, true = np.zeros(12, bool), np.zeros(12, bool)
    found[[1, 3, 9]], true[[2, 6]] = True, True
    assert events.match(found, true, np.zeros(12, int), 1) == pytest.approx((3, 2, 2 / 3, 1 / 2, 4 / 7))


def test_the_surest_event_is_not_the_one_that_is_always_near() -> None:
    episode, crossing = np.zeros(300, int), np.zeros(300, bool)
    crossing[10::30] = True
    often, with_it = np.zeros(300, bool), np.zeros(300, bool)
    often[::3] = True
    with_it[11::30] = True
    known = events.surest(crossing, {"often": often, "with it": with_it, "never": np.zeros(300, bool)}, episode, 2)
    assert known is not None
    assert known[0] == "with it"
    assert known[1:] == pytest.approx((1, 50 / 300))
    assert events.surest(crossing, {"often": often}, episode, 2) is None


def test_what_comes_before() -> None:
    episode = np.array([0, 0, 0, 1, 1, 1])
    first = events.first_steps(np.array([0, 1, 1, 0, 0, 1], bool), episode, 3)
    assert first[:2].tolist() == [1, 2]
    assert np.isnan(first[2])
    assert events.comes_before(first, np.array([0, 3, 0.0])) == 0.5
    assert events.comes_before(np.full(3, np.nan), first) == 0


# --- in the worlds ---


def solved(name: str, episodes: int) -> Record:
    """What the scripted solver does, with nothing that a network would say of it."""
    envs = VoxelVectorEnv(1, load_task(name), size=8)
    look, oracle = Looker(envs), Oracle(envs.worlds)
    seen: list[dict[str, Any]] = []
    episode_of, done_in = [], []
    for episode in range(episodes):
        envs.reset(seed=episode)
        over = False
        while not over:
            seen.append({key: values[0].copy() for key, values in look().items()})
            episode_of.append(episode)
            _, _, terminated, truncated, _ = envs.step(oracle.act())
            over = bool(terminated[0] or truncated[0])
            done_in.append(over)
    n, none = len(seen), np.zeros(len(seen))
    truth = {key: np.stack([row[key] for row in seen]) for key in seen[0]}
    number = np.array(episode_of)
    step = np.arange(n) - np.searchsorted(number, number)
    return Record(
        episode=number, step=step, frames=np.zeros((n, 1, 1, 1), np.uint8), state=np.zeros((n, 0), np.float32),
        features=np.zeros((n, 1), np.float32), q=np.zeros((n, 1), np.float32), option=none.astype(int), due=none == 0,
         action=none.astype(int), reward=none - 1, last=np.array(done_in), success=np.ones(episodes, bool),
        seeds=tuple(range(episodes)), truth=truth,
    )  # fmt: skip


def clustering(seen: Record, labels: Any) -> Clustering:
    """These clusters, with the model that goes with them."""
    k = int(labels.max()) + 1
    model = samdp.model(paths_of(seen, labels, k, 0.1), k + 2, 0.97, {k: 0.0, k + 1: 0.0})
    return Clustering(Criteria(k, 0, 0, 0, 0, 0, 0, 0), labels, np.zeros(len(labels)), model, np.zeros(k))


@pytest.fixture(scope="module")
def three_rooms() -> Record:
    return solved("three_rooms", 25)


def test_predicates_are_what_a_goal_can_say() -> None:
    said = {one.says: one.goal for one in predicates(load_task("three_rooms"))}
    assert said == {
        "carries crate": {"hold": "crate"}, "on the exit": {"reach": "e"}, "on the pad": {"reach": "p"},
        "no door stands": {"broken": "D"}, "crate on the pad": {"placed_at": "p", "item": "crate"},
    }  # fmt: skip
    assert [one.goal for one in predicates(load_task("navigation1"))] == [{"reach": "e"}]


def test_predicates_become_true_as_the_rules_count_them(three_rooms: Record) -> None:
    assert (three_rooms.truth["carries crate"][three_rooms.truth["subgoal"] == 1] > 0).all()
    assert (three_rooms.truth["no door stands"] == (three_rooms.truth["subgoal"] == 2)).all()
    assert not three_rooms.truth["crate on the pad"].any()  # the episode is over then


def test_clusters_that_are_the_stages_give_the_stages_as_tasks(three_rooms: Record, tmp_path: Path) -> None:
    task = load_task("three_rooms")
    passed = np.zeros(len(three_rooms), int)
    for episode in range(len(three_rooms.seeds)):
        rows = three_rooms.episode == episode
        passed[rows] = np.maximum.accumulate(three_rooms.truth["on the exit"][rows])
    found, together = subgoals_of(three_rooms, clustering(three_rooms, passed + three_rooms.truth["subgoal"]), task, ["move"])
    assert [one["event"] for one in together.values()] == ON_THE_WAY
    assert found["together"]["f1"] == found["every_change"]["f1"] == 1
    assert found["held_out"]
    assert [one["says"] for one in found["candidates"]] == [*ON_THE_WAY, "place the crate on the pad"]
    assert [one["problem"] for one in found["candidates"]] == [""] * 4
    paths = export({"subgoals": found}, tmp_path)
    tasks = [load_task(path) for path in paths]
    assert [(one.begin, one.goal[-1].kind) for one in tasks] == [(0, "reach"), (1, "hold"), (2, "broken"), (3, "placed_at")]
    assert all(one.items == task.items for one in tasks)
    for path in paths:
        assert cli(f"tasks check {path}") == 0


def test_clusters_that_change_at_random_give_the_end_alone(three_rooms: Record) -> None:
    labels = np.random.default_rng(1).integers(0, 2, len(three_rooms))
    found, together = subgoals_of(three_rooms, clustering(three_rooms, labels), load_task("three_rooms"), ["move"])
    assert not {one["event"] for one in together.values()} & set(ON_THE_WAY)
    assert found["together"]["f1"] == 0
    assert [one["says"] for one in found["candidates"]] == ["place the crate on the pad"]


def test_what_goals_have_no_word_for_is_named() -> None:
    seen = solved("navigation1", 25)
    labels = (seen.truth["target seen"] > 0).astype(int)
    found, _ = subgoals_of(seen, clustering(seen, labels), load_task("navigation1"), ["move"])
    assert set(found["no_word_for"]) <= {"target in view", "target out of view"}
    assert "target in view" in found["no_word_for"]
    assert found["candidates"] == []  # to reach the exit is the task itself


def test_a_part_that_is_the_last_is_added_as_one_skill(three_rooms: Record, tmp_path: Path) -> None:
    goal = 'all_of = [{ hold = "crate" }, { broken = "D" }]'
    text = f'step_limit = 20\nmap = "..D"\n[legend]\nD = "door"\n[goal]\n{goal}\nbegin = BEGIN\n'
    for begin, kind in ((0, Staged), (1, Addition)):
        path = tmp_path / f"part{begin}.toml"
        path.write_text(f"inventory = {{ crate = 1 }}\n{text.replace('BEGIN', str(begin))}")
        assert read_task(path.read_text(), "part").begin == begin
        plan = AddPlan(Plan("skill", str(path), PRESETS["smoke"], library=str(tmp_path / "skills")))
        assert type(new_addition(plan, tmp_path / "runs")) is kind
