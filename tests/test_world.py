"""The rules, on rooms small enough to follow by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.task import ACTIONS
from envs.task_file import parse_task
from envs.voxel.rules import cell_ahead
from envs.voxel.vector import VoxelVectorEnv

ROOM = """
#######
#.....#
#.D.c.#
#..p..#
#######
"""


def room(text: str = ROOM, **changes: Any) -> VoxelVectorEnv:
    doc: dict[str, Any] = {
        "step_limit": 50,
        "map": text,
        "legend": {
            "#": "stone",
            "D": ["door", "door", "stone"],
            "c": {"item": "crate"},
            "p": {"floor": "pad"},
            "w": ["stone"],
            "C": ["crate"],
        },
        "goal": {"placed_at": "p", "item": "crate"},
    }
    envs = VoxelVectorEnv(1, parse_task({**doc, **changes}, "room"), size=8)
    envs.reset(seed=0)
    return envs


def stand(envs: VoxelVectorEnv, x: int, z: int, heading: int) -> None:
    """Column x and row z of the map, heading in units of 30 degrees."""
    envs.worlds.pose[0] = x + 1, z + 1, heading


def do(envs: VoxelVectorEnv, *actions: str) -> tuple[float, bool, bool, bool]:
    """Play the actions; the last one's reward, termination, truncation and whether it had no effect."""
    for action in actions:
        _, reward, terminated, truncated, info = envs.step(np.array([ACTIONS.index(action)]))
    return float(reward[0]), bool(terminated[0]), bool(truncated[0]), bool(info["invalid_action"][0])


def pose(envs: VoxelVectorEnv) -> list[int]:
    return [int(n) for n in envs.worlds.pose[0] - [1, 1, 0]]


@pytest.mark.parametrize("heading", range(12))
def test_the_cell_ahead_is_the_first_that_the_line_of_sight_enters(heading: int) -> None:
    angle = np.radians(30 * heading)
    point, here = np.array([0.5, 0.5]), (0, 0)
    while here == (0, 0):  # walk along the line in small steps
        point = point + 1e-3 * np.array([np.sin(angle), -np.cos(angle)])
        here = (int(np.floor(point[0])), int(np.floor(point[1])))
    assert cell_ahead(0, 0, heading) == here


def test_walking_and_turning() -> None:
    envs = room()
    stand(envs, 1, 1, 3)
    assert do(envs, "forward") == (-1.0, False, False, False)
    assert pose(envs) == [2, 1, 3]
    do(envs, "turn_left", "turn_left", "turn_left", "turn_left")
    assert pose(envs) == [2, 1, 11]
    assert do(envs, "forward")[3]  # a wall
    assert pose(envs) == [2, 1, 11]
    do(envs, "turn_right", "turn_right")
    assert pose(envs) == [2, 1, 1]


def test_a_door_blocks_until_it_breaks_whole() -> None:
    envs = room()
    stand(envs, 1, 2, 3)
    assert do(envs, "forward")[3]
    assert not do(envs, "break")[3]
    assert envs.worlds.blocks[0, 3, 3].tolist() == [0, 0, envs.spec_task.number("stone")]
    assert not envs.worlds.items[0, 3, 3]
    assert do(envs, "break")[3]
    assert not do(envs, "forward")[3]
    assert pose(envs) == [2, 2, 3]


def test_stone_does_not_break_and_low_walls_block() -> None:
    envs = room("#####\n#.w.#\n#.p.#\n#c..#\n#####")
    stand(envs, 1, 1, 3)
    assert do(envs, "break")[3]
    assert do(envs, "forward")[3]


def test_pick_up_ahead_and_underfoot() -> None:
    for x, z, heading in ((3, 2, 3), (4, 2, 0)):
        envs = room()
        stand(envs, x, z, heading)
        assert not do(envs, "pick_up")[3]
        assert envs._observe()["inventory"]["crate"][0] == 1
        assert do(envs, "pick_up")[3]


def test_place_and_the_goal() -> None:
    envs = room()
    stand(envs, 3, 2, 6)
    assert do(envs, "place")[3]  # empty hands
    stand(envs, 3, 2, 3)
    do(envs, "pick_up")
    stand(envs, 3, 2, 6)
    assert do(envs, "place") == (0.0, True, False, False)
    assert envs._observe()["inventory"]["crate"][0] == 0


def test_a_placed_crate_breaks_into_an_item() -> None:
    envs = room("#####\n#.C.#\n#.p.#\n#c..#\n#####")
    stand(envs, 1, 1, 3)
    assert do(envs, "pick_up")[3]
    do(envs, "break")
    assert not do(envs, "pick_up")[3]
    stand(envs, 1, 2, 0)
    do(envs, "place")
    assert envs.worlds.blocks[0, 2, 2, 0] == envs.spec_task.number("crate")


def test_place_needs_a_free_cell() -> None:
    envs = room(inventory={"crate": 1})
    for x, z, heading in ((1, 2, 3), (3, 2, 3), (1, 1, 0)):  # a door, an item, a wall
        stand(envs, x, z, heading)
        assert do(envs, "place")[3]


def test_subgoals_count_in_order() -> None:
    envs = room(goal={"all_of": [{"hold": "crate"}, {"broken": "D"}, {"reach": "p"}]})
    stand(envs, 3, 2, 6)
    assert not do(envs, "forward")[1]  # on the pad, but nothing held yet
    stand(envs, 1, 2, 3)
    do(envs, "break")
    assert envs.worlds.subgoal[0] == 0
    stand(envs, 3, 2, 3)
    assert not do(envs, "pick_up")[1]
    assert envs.worlds.subgoal[0] == 2  # the broken door counts at once
    stand(envs, 3, 2, 6)
    assert do(envs, "forward")[:2] == (0.0, True)


def test_the_limit_truncates_and_success_on_the_last_step_terminates() -> None:
    envs = room(step_limit=2, goal={"reach": "p"})
    stand(envs, 1, 1, 0)
    assert do(envs, "turn_left") == (-1.0, False, False, False)
    assert do(envs, "turn_left") == (-1.0, False, True, False)
    envs.reset(seed=0)
    stand(envs, 3, 2, 6)
    do(envs, "turn_left")
    assert do(envs, "forward") == (0.0, True, False, False)


def test_rewards_of_the_file() -> None:
    envs = room(goal={"reach": "p"}, reward={"step": -0.5, "success": 3})
    stand(envs, 3, 2, 6)
    assert do(envs, "turn_left")[0] == -0.5
    assert do(envs, "forward")[0] == 3.0


def test_places_of_one_goal_may_be_worth_more_or_less() -> None:
    legend = {"#": "stone", "n": {"floor": "pad", "reward": 1}, "f": {"floor": "exit", "reward": 7.5}, "p": {"floor": "pad"}}
    text = "#####\n#n.f#\n#.p.#\n#####"
    for x, heading, expected in ((1, 6, (-1.0, False)), (2, 9, (1.0, True)), (2, 3, (7.5, True))):
        envs = room(text, legend=legend, goal={"reach": "nf"}, reward={"success": 3})
        stand(envs, x, 1, heading)
        assert do(envs, "forward")[:2] == expected
    envs = room(text, legend=legend, goal={"reach": "nfp"}, reward={"success": 3})
    stand(envs, 2, 1, 6)
    assert do(envs, "forward")[:2] == (3.0, True)  # what has no reward of its own


def test_the_compass_points_to_the_target() -> None:
    envs = room(compass="p")
    for x, z, heading, angle in (
        (3, 2, 6, 0),
        (3, 2, 0, -180),
        (3, 2, 3, 90),
        (3, 2, 9, -90),
        (4, 3, 9, 0),
        (4, 2, 6, 45),
        (3, 3, 5, 0),
    ):
        stand(envs, x, z, heading)
        assert envs.worlds.compass()[0] == pytest.approx(angle)


def test_a_compass_without_a_target_in_this_episode_is_still() -> None:
    envs = room(legend={"#": "stone", "D": "door", "c": {"item": "crate"}, "p": {"choose": 0}}, compass="p", goal={"hold": "crate"})
    assert envs.worlds.target[0].tolist() == [-1, -1]
    assert envs.worlds.compass()[0] == 0


def test_actions_of_the_file_are_renumbered() -> None:
    envs = room(actions=["turn_right", "forward"], goal={"reach": "p"})
    stand(envs, 1, 1, 2)
    envs.step(np.array([0]))
    envs.step(np.array([1]))
    assert pose(envs) == [2, 1, 3]
    with pytest.raises(ValueError, match="actions must be"):
        envs.step(np.array([2]))
