"""Keys and locks: who may break what, in the rules, in the draw of episodes, for the oracle and in the other worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.materials import MaterialError, standard_materials
from envs.minerl.drawing import check_task, draw, item_types
from envs.oracle import Oracle
from envs.task import ACTIONS, TaskError, TaskSpec
from envs.task_file import load_task, parse_task, task_names
from envs.voxel.vector import VoxelVectorEnv

LEGEND: dict[str, Any] = {
    "#": "stone",
    "L": ["lock", "lock", "stone"],
    "V": ["vault", "vault", "stone"],
    "D": ["chest"],
    "k": {"item": "key"},
    "g": {"item": "gem"},
    "e": {"floor": "pad"},
}
OWN: dict[str, Any] = {
    "gem": {"color": [40, 200, 90], "item": True},
    "vault": {"color": [60, 20, 90], "breakable": True, "needs": "gem"},
    "chest": {"color": [160, 120, 40], "breakable": True, "drops": "key"},
}


def room(text: str, **changes: Any) -> TaskSpec:
    doc = {"map": text, "legend": LEGEND, "materials": OWN, "goal": {"reach": "e"}, "step_limit": 60, "start": ".", **changes}
    return parse_task(doc, "room")


def solved(spec: TaskSpec, n: int = 40) -> list[int | None]:
    envs = VoxelVectorEnv(n, spec, size=4)
    return Oracle(envs.worlds).play(envs, seed=1)


def do(envs: VoxelVectorEnv, *actions: str) -> bool:
    """Whether the last of these actions had an effect."""
    for action in actions:
        info = envs.step(np.array([ACTIONS.index(action)]))[4]
    return not info["invalid_action"][0]


def test_a_lock_breaks_only_for_who_carries_its_key() -> None:
    envs = VoxelVectorEnv(1, room("######\n#k.Le#\n######"), size=8)
    envs.reset(seed=1)
    envs.worlds.pose[0] = 3, 2, 3
    assert not do(envs, "break")
    assert not do(envs, "forward")
    envs.worlds.pose[0, 2] = 9
    assert do(envs, "pick_up")
    envs.worlds.pose[0, 2] = 3
    assert do(envs, "break")
    assert envs._observe()["inventory"]["key"][0] == 1, "the key is not used up"
    assert do(envs, "forward", "forward")
    assert envs.worlds.success[0]


def test_a_key_that_was_put_down_opens_nothing() -> None:
    envs = VoxelVectorEnv(1, room("######\n#..Le#\n######", inventory={"key": 1}), size=8)
    envs.reset(seed=1)
    envs.worlds.pose[0] = 3, 2, 9
    assert do(envs, "place")
    envs.worlds.pose[0, 2] = 3
    assert not do(envs, "break")


@pytest.mark.parametrize(
    "text",
    [
        "######\n#k.Le#\n######",
        "#######\n#k.L.g#\n#..####\n#..V.e#\n#######",  # a key behind the lock of another
        "######\n#D.Le#\n#.####\n######",  # a key that falls out of what is broken
    ],
)
def test_the_oracle_fetches_the_key_first(text: str) -> None:
    assert None not in solved(room(text))


def test_the_oracle_makes_a_key_by_verbs() -> None:
    verbs = {"forge": {"takes": {"gem": 1}, "gives": {"key": 1}}}
    assert None not in solved(room("######\n#..Le#\n######", verbs=verbs, inventory={"gem": 1}))
    with pytest.raises(TaskError, match="goal: cannot be reached"):
        room("######\n#..Le#\n######", verbs=verbs)


def test_the_oracle_puts_down_what_is_in_its_hand_to_place_another() -> None:
    goal = {"placed_at": "e", "item": "gem"}
    assert None not in solved(room("######\n#....#\n#.e..#\n######", goal=goal, inventory={"key": 1, "gem": 1}))


@pytest.mark.parametrize("text", ["#####\n#.Le#\n#####", "######\n#.Lke#\n######", "#######\n#.LgVk#\n#######"])
def test_a_room_without_a_key_within_reach_is_refused(text: str) -> None:
    with pytest.raises(TaskError, match="goal: cannot be reached"):
        room(text, goal={"broken": "L"})


def test_no_episode_hides_the_key_behind_its_own_lock() -> None:
    legend = {**LEGEND, "c": {"item": "key", "choose": 1}}
    spec = room("#######\n#.c.Lc#\n#######", legend=legend, goal={"broken": "L"})
    for seed in range(40):
        episode = spec.sample(np.random.default_rng(seed))
        key_x = int(np.argwhere(episode.items == spec.number("key"))[0, 1])
        assert (key_x < 5) == (episode.start[0] < 5)


@pytest.mark.parametrize(
    ("material", "message"),
    [
        ({"needs": "key"}, "material 'safe': 'needs' goes with breakable = true"),
        ({"breakable": True, "needs": 3}, "material 'safe': 'needs' must be a text"),
        ({"breakable": True, "needs": "magic"}, "'safe' needs 'magic', which is no material that can be an item"),
        ({"breakable": True, "needs": "stone"}, "'safe' needs 'stone', which is no material that can be an item"),
    ],
)
def test_mistakes_are_named(material: dict[str, Any], message: str) -> None:
    with pytest.raises((TaskError, MaterialError)) as refusal:
        room("####\n#.e#\n####", materials={**OWN, "safe": {"color": [1, 2, 3], **material}})
    assert message in str(refusal.value)


def test_materials_on_demand_are_only_where_they_are_named() -> None:
    """What all tasks have decides what episodes draw and which counts are observed, so nothing is added to it."""
    on_demand = {name for name, material in standard_materials().items() if material.on_demand}
    assert on_demand == {"key", "lock", "earth", "chasm", "mire"}
    assert len(standard_materials()) - len(on_demand) == 22
    named = {"key_and_lock": {"key", "lock"}, "key": {"key", "lock"}, "door": {"earth"}, "dig": {"earth"}, "bridge": {"chasm"},
             "mire": {"mire"}}  # fmt: skip
    for name in task_names():
        assert on_demand & set(load_task(name).materials) == named.get(name, set())
    bare = {key: value for key, value in LEGEND.items() if key in "#e"}
    assert "key" not in room("####\n#.e#\n####", legend=bare, materials={}, title="key").items
    assert {"key", "lock"} <= set(room("#####\n#k.L#\n#####", legend=LEGEND, materials=OWN, goal={"broken": "L"}).materials)
    with pytest.raises(TaskError, match=r"unknown material 'lokc'; did you mean 'lock'\?"):
        room("####\n#.e#\n####", floor="lokc")


def test_the_shipped_room_is_solved_in_half_its_time() -> None:
    spec = load_task("key_and_lock")
    assert max(length or 999 for length in solved(spec, 300)) <= 0.75 * spec.step_limit


def test_minecraft_gives_keys_and_locks_blocks_of_their_own() -> None:
    spec = load_task("key_and_lock")
    check_task(spec)
    types = item_types(spec)
    assert len(set(types.values())) == len(types) == 2
    mission = draw(spec, spec.sample(np.random.default_rng(1)), (8, 8))
    assert any(block["type"] == "wool" for _, block in mission.cuboids)
    assert [kind for _, kind in mission.items] == [types["key"]]
