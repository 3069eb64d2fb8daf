"""Every registered environment, tested the same way: a new task file is covered the moment it is there."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401
from envs.oracle import Oracle, distances
from envs.registry import WORLDS
from envs.task_file import load_task, task_names
from envs.world import World, camel
from envs.wrappers import GreyStack, grey, grey_stack

IDS = sorted(name for name in gym.registry if name.startswith("Voxel/"))


def vector(task: str, n: int, **kwargs: Any) -> Any:
    return gym.make_vec("envs:Voxel/Task-v0", num_envs=n, task=task, **kwargs)


def same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, tuple):
        for one, other in zip(a, b, strict=True):
            same(one, other)
    else:
        np.testing.assert_array_equal(a, b)


def test_each_task_file_has_an_id() -> None:
    assert len(IDS) == len(task_names()) + 1
    assert "Voxel/TwoRooms-v0" in IDS


@pytest.mark.parametrize("id", IDS)
def test_check_env_is_clean(id: str) -> None:
    env = gym.make(f"envs:{id}").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not passed through gym.make.*|.*render modes but.*")
        check_env(env)


@pytest.mark.parametrize("id", IDS)
def test_two_copies_stay_identical(id: str) -> None:
    a, b = gym.make(f"envs:{id}", size=20), gym.make(f"envs:{id}", size=20)
    same(a.reset(seed=7), b.reset(seed=7))
    rng = np.random.default_rng(7)
    for _ in range(1000):
        action = rng.integers(a.action_space.n)  # type: ignore[attr-defined]
        outcome = a.step(action)
        for one, other in zip(outcome, b.step(action), strict=True):
            same(one, other)
        assert a.observation_space.contains(outcome[0])
        if outcome[2] or outcome[3]:
            same(a.reset(), b.reset())


@pytest.mark.parametrize("task", task_names())
def test_the_vector_is_many_single_worlds(task: str) -> None:
    many, singles = vector(task, 3, size=20), [gym.make("envs:Voxel/Task-v0", task=task, size=20) for _ in range(3)]
    obs, _ = many.reset(seed=5)
    own = [env.reset(seed=5 + n)[0] for n, env in enumerate(singles)]
    rng = np.random.default_rng(0)
    for _ in range(150):
        for n in range(3):
            same(own[n]["pov"], obs["pov"][n])
            assert own[n]["inventory"] == {item: counts[n] for item, counts in obs["inventory"].items()}
        actions = rng.integers(many.single_action_space.n, size=3)
        obs, reward, terminated, truncated, info = many.step(actions)
        outcomes = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        assert reward.tolist() == [outcome[1] for outcome in outcomes]
        assert terminated.tolist() == [outcome[2] for outcome in outcomes]
        assert truncated.tolist() == [outcome[3] for outcome in outcomes]
        assert info["invalid_action"].tolist() == [bool(outcome[4]["invalid_action"]) for outcome in outcomes]
        own = [outcome[0] for outcome in outcomes]
        if (ended := terminated | truncated).any():
            before = obs["pov"].copy()
            obs, _ = many.reset(options={"reset_mask": ended})
            same(obs["pov"][~ended], before[~ended])
            for n in np.flatnonzero(ended).tolist():
                own[n] = singles[n].reset()[0]


def test_what_was_handed_out_stays() -> None:
    many = vector("navigation1", 2, size=20)
    first, _ = many.reset(seed=1)
    kept = first["pov"].copy()
    for _ in range(3):
        many.step(np.array([1, 2]))
    same(first["pov"], kept)


def test_a_saved_world_goes_on() -> None:
    a, b = vector("three_rooms", 4, size=16), vector("three_rooms", 4, size=16)
    a.reset(seed=1), b.reset(seed=9)
    rng = np.random.default_rng(1)
    play = [rng.integers(6, size=4) for _ in range(400)]
    for actions in play[:200]:
        _, _, te, tr, _ = a.step(actions)
        a.reset(options={"reset_mask": te | tr})
    b.load_state_dict(a.state_dict())
    for actions in play[200:]:
        for one, other in zip(a.step(actions), b.step(actions), strict=True):
            same(one, other)
        ended = a.worlds.steps >= 100
        same(a.reset(options={"reset_mask": ended})[0], b.reset(options={"reset_mask": ended})[0])


def test_misuse_is_told() -> None:
    many = vector("navigation1", 2)
    with pytest.raises(gym.error.ResetNeeded):
        many.step(np.array([0, 0]))
    with pytest.raises(ValueError, match="reset_mask"):
        many.reset(options={"reset_mask": np.ones(3, bool)})
    many.reset(seed=1)
    with pytest.raises(ValueError, match="actions must be"):
        many.step(np.array([0, 3]))


def test_render_gives_the_picture() -> None:
    env = gym.make("envs:Voxel/Pickup-v0", render_mode="rgb_array", size=(40, 60))
    obs, _ = env.reset(seed=1)
    picture: Any = env.render()
    assert picture.shape == (40, 60, 3)
    same(picture, obs["pov"])


@pytest.mark.parametrize("task", task_names({"verbs", "reward"}))
def test_the_oracle_solves_every_draw_from_its_worst_start(task: str) -> None:
    """300 seeds; in each, the start (of all that the draw allows) that is farthest from completing the first stage."""
    n = 300
    many = vector(task, n, size=4).unwrapped
    many.reset(seed=0)
    worlds, spec = many.worlds, load_task(task)
    open_starts = [spec.legend[char] for char in spec.start if char in spec.legend]
    assert open_starts
    for i in range(n):
        away = distances(worlds, i)[0]
        first = worlds.pose[i].copy()
        # Starts lie in the region that the drawn start can walk to without opening anything, on the same side of any curtain.
        free = (worlds.blocks[i, :, :, 0] == 0) & (away[:, :, 0] < 1000)
        if task in ("two_rooms", "three_rooms"):
            free[:, 8:] = False
            free[9:] = False
        free[first[1], first[0]] = True  # which may be a curtain
        far = np.where(free[..., None], away, -1)
        z, x, heading = np.unravel_index(far.argmax(), far.shape)
        assert far[z, x, heading] >= away[first[1], first[0], first[2]]
        worlds.pose[i] = x, z, heading
    oracle, over = Oracle(worlds), np.zeros(n, bool)
    while not over.all():
        _, reward, terminated, truncated, _ = many.step(oracle.act())
        assert not (truncated & ~over).any()
        assert (reward[terminated] == spec.reward_success).all()
        over |= terminated


MOVES = ("forward", "turn_left", "turn_right")


def test_the_strip_shows_the_last_actions() -> None:
    many = GreyStack(vector("navigation2", 2, size=24), stack=2, actions=MOVES)
    obs, _ = many.reset(seed=3)
    assert obs.shape == (2, 2, 32, 24)
    assert not obs[:, :, :4].any()
    taken = [(1, 2), (0, 1), (1, 0), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2)]  # two more than there is room for
    for actions in taken:
        obs, *_, info = many.step(np.array(actions))
        same(obs[:, -1, 8:], grey(info["observation"]["pov"]))
    for n in range(2):
        marks = obs[n, -1, :4].reshape(4, 6, 4)
        assert (marks == marks[..., :1]).all()  # a mark is four pixels wide
        assert [int(row) for row in marks[..., 0].argmax(0)] == [actions[n] for actions in taken[-6:]]
        assert (marks[..., 0].sum(0, dtype=int) == 255).all()
    obs, _ = many.reset(options={"reset_mask": np.array([False, True])})
    assert obs[0, -1, :4].any()
    assert not obs[1, :, :4].any()


def test_the_dial_shows_where_was_looked() -> None:
    many = GreyStack(vector("navigation2", 2, size=40), stack=1, actions=MOVES)  # three pixels a direction, two at both edges
    obs, _ = many.reset(seed=3)
    draw = np.random.default_rng(4)
    heading, faced = np.zeros(2, int), np.full((2, 12), -np.inf)
    for now in range(40):
        if now == 20:
            obs, _ = many.reset(options={"reset_mask": np.array([True, False])})
            faced[0] = -np.inf
        faced[np.arange(2), heading] = now
        shown = obs[:, 0, 4:8]
        assert (shown == shown[:, :1]).all()
        assert not shown[..., :2].any()
        assert not shown[..., 38:].any()
        directions = shown[:, 0, 2:38].reshape(2, 12, 3)
        assert (directions == directions[..., :1]).all()
        for n in range(2):
            ahead_in_the_middle = faced[n][(heading[n] + np.arange(12) - 6) % 12]
            np.testing.assert_allclose(directions[n, :, 0], 255 * 0.8 ** (now - ahead_in_the_middle), atol=5)
        actions = draw.integers(0, 3, 2)
        obs, *_ = many.step(actions)
        heading = (heading + np.array([0, -1, 1])[actions]) % 12


def test_grey_stack_is_the_same_for_one_and_many() -> None:
    many = GreyStack(vector("navigation2", 2, size=24), stack=4)
    single = grey_stack(gym.make("envs:Voxel/Navigation2-v0", size=24), stack=4)
    obs, info = many.reset(seed=3)
    own, _ = single.reset(seed=3)
    assert not obs[:, :3].any()
    same(obs[:, 3], grey(info["observation"]["pov"]))
    same(obs[0], own)
    for action in (1, 0, 2, 0, 1):
        obs, *_ = many.step(np.array([action, action]))
        own, *_ = single.step(action)
        same(obs[0], own)
    before = obs.copy()
    obs, _ = many.reset(options={"reset_mask": np.array([False, True])})
    same(obs[0], before[0])
    assert not obs[1, :3].any()
    assert obs[1, 3].any()
    assert single.observation_space.contains(own)
    assert many.observation_space.contains(obs)


@pytest.mark.parametrize(
    "id", sorted(name for name in gym.registry if name.partition("/")[0] in {"Luanti", "LuantiPlain", "MineRL"})
)
def test_only_what_can_be_made_is_registered(id: str) -> None:
    task = gym.registry[id].kwargs.get("task")
    if task is not None:
        world = next(world for world in WORLDS.values() if id.startswith(f"{world.namespace}/"))
        assert load_task(task).special.isdisjoint(world.refuses)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_every_task_that_a_world_plays_has_an_id(world: World) -> None:
    ids = {name for name in gym.registry if name.startswith(f"{world.namespace}/")}
    played = task_names(world.refuses)
    assert ids == {f"{world.namespace}/{camel(name)}-v0" for name in ("task", *played)}


def test_seeds_are_whole_numbers_of_any_kind() -> None:
    env = gym.make("envs:Voxel/TwoRooms-v0", size=20).unwrapped
    both = vector("two_rooms", 2, size=20).unwrapped
    for seed in (0, np.int64(0), np.uint8(0)):
        same(env.reset(seed=int(seed))[0], env.reset(seed=seed)[0])  # type: ignore[arg-type]
        same(both.reset(seed=0)[0], both.reset(seed=seed)[0])
    same(both.reset(seed=0)[0], both.reset(seed=np.arange(2))[0])
    for odd in (-1, [1], [1, 2, 3], [1, -1]):
        with pytest.raises(ValueError, match="seed must be"):
            both.reset(seed=odd)


@pytest.mark.parametrize("actions", [np.zeros(2), np.zeros(2, bool), np.array(["a", "b"]), np.zeros(3, int), np.full(2, -1), None])
def test_odd_actions_do_not_reach_compiled_code(actions: Any) -> None:
    made = vector("navigation1", 2, size=8)
    made.reset(seed=1)
    with pytest.raises(ValueError, match="actions must be"):
        made.step(actions)


@pytest.mark.parametrize("fov", [float("nan"), 0.0, -5.0, 180.0, float("inf")])
def test_an_odd_field_of_view_is_refused(fov: float) -> None:
    with pytest.raises(ValueError, match="fov must be"):
        vector("navigation1", 1, size=8, fov=fov)


@pytest.mark.parametrize("size", [0, -1, 8.5, (8,), (8, 0), (8, 8, 8), 10**9, "84"])
def test_an_odd_size_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="size must be"):
        vector("navigation1", 1, size=size)


def test_counts_stay_in_their_space() -> None:
    env: Any = gym.make("envs:Voxel/Pickup-v0", size=8).unwrapped
    env.reset(seed=1)
    env.vector.worlds.inventory[:] = 1500
    obs = env.step(np.int64(0))[0]
    assert env.observation_space.contains(obs)


def test_the_end_of_an_episode_says_whether_it_succeeded() -> None:
    env: Any = gym.make("envs:Voxel/Navigation1-v0", size=8).unwrapped
    oracle, seen = Oracle(env.vector.worlds), set()
    for seed in range(4):
        env.reset(seed=seed)
        over = False
        while not over:
            action = oracle.act()[0] if seed % 2 else np.int64(1)
            _, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        assert info["is_success"] == terminated
        seen.add(info["is_success"])
    assert seen == {True, False}
