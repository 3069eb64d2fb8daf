"""Rooms of any shape: drawn plans, several maps in a task, and step limits by what the oracle needs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.grid import flood
from envs.oracle import Oracle, steps_needed
from envs.rooms import draw_plan
from envs.task import SHAPES, TaskError
from envs.task_file import load_task, parse_task
from envs.voxel.vector import VoxelVectorEnv
from envs.voxel.world import Worlds
from tests.helpers import DRAWN_ROOMS, ROOM

ONE_ROOM = ("navigation1", "navigation2", "pickup", "break", "placement")
CORRIDOR, HALL = "#######\n#....e#\n#######", "#####\n#...#\n#.e.#\n#...#\n#####"


def any_rooms(name: str, **layout: Any) -> Any:
    """A shipped task in drawn rooms, with time for the longest way."""
    return load_task(name, {"step_limit": 60, "vary": {"layout": layout or "any"}})


def task(**changes: Any) -> Any:
    return parse_task({**copy.deepcopy(ROOM), **changes}, "room")


# --- plans ---


def turns(plan: Any) -> int:
    """Blocks of two by two cells of which one or three are floor: the corners of the outline."""
    edged = np.pad(plan, 1).astype(int)
    return int((((edged[1:, 1:] + edged[:-1, 1:] + edged[1:, :-1] + edged[:-1, :-1]) % 2) == 1).sum())


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=st.integers(0, 2**32 - 1), side=st.tuples(st.integers(3, 16), st.integers(3, 16)).map(sorted))
@settings(max_examples=60, deadline=None)
def test_a_plan_is_in_one_piece_and_of_its_shape(shape: str, seed: int, side: list[int]) -> None:
    least, most = side
    plan = draw_plan(SHAPES.index(shape), least, most, np.random.default_rng(seed))
    cells = np.argwhere(plan)
    spans = cells.max(0) - cells.min(0) + 1
    assert plan.shape == (most, most)
    assert (flood(plan, *cells[0]) == plan).all()
    assert ((spans >= least) & (spans <= most)).all()
    box = plan[tuple(slice(first, last + 1) for first, last in zip(cells.min(0), cells.max(0), strict=True))]
    if shape == "rectangle":
        assert box.all()
    elif shape in ("joined", "corridor"):
        assert turns(plan) >= 6  # an L has six corners
    elif shape == "chambers":
        assert not box.all()
    else:
        wall = np.pad(~box, 1)
        for z, x in np.argwhere(wall):
            assert wall[z - 1 : z + 2, x - 1 : x + 2].sum() == 1
    if shape == "corridor":  # no more than two wide: a part of two by two, or two of them side by side
        assert box.size < 9 or not box.all()


def test_a_generator_makes_the_same_plans_and_all_shapes_are_different() -> None:
    one, other = (
        [draw_plan(shape, 3, 14, np.random.default_rng(seed)).tobytes() for shape in range(len(SHAPES)) for seed in range(50)]
        for _ in range(2)
    )
    assert one == other
    assert len(set(one)) > 200


# --- tasks in drawn rooms ---


@pytest.mark.parametrize("name", ONE_ROOM)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_oracle_solves_every_drawn_room(name: str, shape: str) -> None:
    envs = VoxelVectorEnv(150, any_rooms(name, shapes=[shape]), size=4)
    assert None not in Oracle(envs.worlds).play(envs, seed=5)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(ONE_ROOM), least=st.integers(3, 14))
@settings(max_examples=150, deadline=None)
def test_a_drawn_room_is_closed_and_can_be_solved_from_its_start(seed: int, name: str, least: int) -> None:
    spec = any_rooms(name, side=[least, 14])
    worlds = Worlds(spec, 1)
    episode = worlds.reset(0, np.random.default_rng(seed))
    assert steps_needed(worlds, 0) is not None
    assert (episode.marks > 0).sum() == (0 if name == "pickup" else 1)
    assert (episode.items > 0).sum() == (1 if name == "pickup" else 0)
    assert episode.blocks.shape == (18, 18, 3)
    free, solid = episode.blocks[:, :, 0] == 0, np.array([False, *(each.solid for each in spec.materials.values())])
    assert not free[[0, -1]].any()
    assert not free[:, [0, -1]].any()
    assert solid[episode.blocks[[0, -1], :, 0]].all()


def test_an_exit_is_in_a_wall_beside_the_floor_and_in_all_of_them() -> None:
    spec = any_rooms("navigation1", shapes=["chambers", "pillars"])
    inner = 0
    for seed in range(200):
        episode = spec.sample(np.random.default_rng(seed))
        (z, x), free = np.argwhere(episode.marks > 0)[0], episode.blocks[:, :, 0] == 0
        beside = [free[z - 1, x], free[z + 1, x], free[z, x - 1], free[z, x + 1]]
        assert any(beside)
        inner += sum(beside) > 1
    assert inner > 20


def test_drawn_cells_are_those_of_the_map_as_often() -> None:
    """Half of the map's floor is of pads, and a quarter of its walls beside the floor are doors; its pillar stands on the floor."""
    spec = task(
        map="#DD####\n#..ppo#\n#..pp.#\n#######",
        legend={"#": "stone", "D": ["door", "door", "stone"], "p": {"floor": "pad"}, "o": {"column": ["pillar"], "choose": 1}},
        goal={"reach": "p"}, vary={"layout": {"side": [8, 8], "shapes": ["rectangle"]}},
    )  # fmt: skip
    pads = doors = pillars = 0
    for seed in range(200):
        episode = spec.sample(np.random.default_rng(seed))
        pads += int((episode.floor == spec.number("pad")).sum())
        doors += int((episode.blocks[..., 0] == spec.number("door")).sum())
        pillars += int((episode.blocks[..., 0] == spec.number("pillar")).sum())
    assert 0.36 < pads / (200 * 64) < 0.44  # four of ten
    assert 0.11 < doors / (200 * 32) < 0.18  # two of fourteen
    assert 190 <= pillars <= 200  # one in each room


def test_rooms_are_those_of_the_seeds_however_many_worlds_there_are() -> None:
    spec = any_rooms("pickup")
    many, one = VoxelVectorEnv(5, spec, size=8), VoxelVectorEnv(1, spec, size=8)
    many.reset(seed=11)
    for n in range(5):
        one.reset(seed=11 + n)
        alone = one.worlds.state_dict()
        for name, whole in many.worlds.state_dict().items():
            np.testing.assert_array_equal(whole[n], alone[name][0])


def test_a_saved_world_goes_on_with_the_same_rooms() -> None:
    spec = load_task("pickup", DRAWN_ROOMS)
    a, b = VoxelVectorEnv(4, spec, size=8), VoxelVectorEnv(4, spec, size=8)
    a.reset(seed=1), b.reset(seed=2)
    for _ in range(3):
        a.reset()
    b.load_state_dict(a.state_dict())
    for _ in range(3):
        a.reset(), b.reset()
        for one, other in zip(a.worlds.state, b.worlds.state, strict=True):
            np.testing.assert_array_equal(one, other)


# --- several maps ---


def test_each_episode_draws_one_of_the_maps() -> None:
    spec = task(map=[CORRIDOR, HALL])
    assert spec.shape == (7, 9, 3)
    found = set()
    for seed in range(40):
        episode = spec.sample(np.random.default_rng(seed))
        free = episode.blocks[..., 0] == 0
        assert not free[[0, -1]].any()
        found.add(int(free.sum()))
        assert episode.blocks[free == 0].all()
    assert found == {5, 9}
    assert spec.sample(np.random.default_rng(3)).start == spec.sample(np.random.default_rng(3)).start


def test_a_list_of_one_map_is_that_map() -> None:
    one, other = task(map=CORRIDOR), task(map=[CORRIDOR])
    for seed in range(20):
        assert one.sample(np.random.default_rng(seed)).start == other.sample(np.random.default_rng(seed)).start


# --- step limits by the oracle ---


def test_the_oracle_says_how_long_an_episode_lasts() -> None:
    """From the west end of the corridor, with its back to the exit, the oracle turns three times and walks four cells."""
    limit = {"oracle": 2, "least": 5, "most": 12}
    spec = task(map=CORRIDOR, step_limit=limit)
    worlds, wanted = Worlds(spec, 1), {}
    for seed in range(300):
        worlds.reset(0, np.random.default_rng(seed))
        x, _, heading = worlds.pose[0].tolist()
        off = min((heading - 3) % 12, (3 - heading) % 12)
        needed = max(off - 1, 0) + 6 - x if x < 6 else 0  # ahead is east for the headings 2, 3 and 4
        wanted[x, heading] = min(max(5, 2 * needed), 12)
        assert worlds.limit[0] == wanted[x, heading]
        assert steps_needed(worlds, 0) == needed
    assert {5, 12} < set(wanted.values())


def test_an_episode_is_cut_off_at_its_own_limit() -> None:
    spec = load_task("navigation1", {"step_limit": {"oracle": 1.5, "least": 4, "most": 40}})
    envs = VoxelVectorEnv(6, spec, size=8)
    envs.reset(seed=3)
    limits, lasted = envs.worlds.limit.copy(), np.zeros(6, int)
    for step in range(1, 41):
        *_, truncated, _ = envs.step(np.full(6, 1))  # turns on the spot
        lasted[truncated & (lasted == 0)] = step
    assert lasted.tolist() == limits.tolist()
    assert len(set(limits.tolist())) > 2
    state = envs.worlds.state_dict()
    state["limit"][0] = 41
    with pytest.raises(ValueError, match="limit"):
        envs.worlds.load_state_dict(state)


def test_a_number_is_the_limit_of_every_episode() -> None:
    envs = VoxelVectorEnv(3, "navigation1", size=8)
    envs.reset(seed=1)
    assert envs.worlds.limit.tolist() == [60, 60, 60]


# --- mistakes ---

MANY = "map: a list has 1 to 100 maps"
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no maps": ({"map": []}, f"{MANY}, not 0"),
    "many maps": ({"map": [CORRIDOR] * 10_000}, f"{MANY}, not 10,000"),
    "a map of numbers": ({"map": [CORRIDOR, 3]}, "map 2: must be text, not 3"),
    "an empty second map": ({"map": [CORRIDOR, ""]}, "map 2: is empty"),
    "an unknown letter": ({"map": [CORRIDOR, "####\n#.?#\n####"]}, "map 2: row 2, column 3: '?' is not in the legend"),
    "a ragged second map": ({"map": [CORRIDOR, "####\n#.e#\n###"]}, "map 2: row 3 has 3 characters, row 1 has 4"),
    "a second map without a goal": ({"map": [CORRIDOR, "####\n#..#\n####"]}, "map 2: goal: cannot be reached"),
    "a second map without a start": ({"map": [CORRIDOR, "####\n#ee#\n####"]}, "map 2: start: no free cell"),
    "a layout of a word": ({"vary": {"layout": "some"}}, 'vary.layout: must be "any" or a table, not \'some\''),
    "a layout of a number": ({"vary": {"layout": 3}}, "vary.layout: must be text or a table, not 3"),
    "no cells": ({"vary": {"layout": {"side": [0, 3]}}}, "vary.layout.side: must be the least and the most"),
    "many cells": ({"vary": {"layout": {"side": [3, 10**9]}}}, "vary.layout.side: must be the least and the most"),
    "more than the most": ({"vary": {"layout": {"side": [9, 4]}}}, "vary.layout.side: must be the least and the most"),
    "one side": ({"vary": {"layout": {"side": [9]}}}, "vary.layout.side: must be the least and the most"),
    "an unknown shape": ({"vary": {"layout": {"shapes": ["ring"]}}}, "vary.layout.shapes: unknown shape 'ring'"),
    "a shape of no word": ({"vary": {"layout": {"shapes": [[]]}}}, "vary.layout.shapes: unknown shape"),
    "no shape": ({"vary": {"layout": {"shapes": []}}}, "vary.layout.shapes: must name each shape once"),
    "a shape twice": ({"vary": {"layout": {"shapes": ["joined"] * 2}}}, "vary.layout.shapes: must name each shape once"),
    "an unknown key": ({"vary": {"layout": {"size": 3}}}, "vary.layout.size: unknown key"),
    "shrunk": ({"vary": {"layout": "any", "shrink": [1, 1]}}, "vary.shrink: leaves out lines of a map"),
    "no floor": ({"vary": {"layout": "any"}, "map": "####\n#fe#\n####", "legend": {"#": "stone", "e": "exit", "f": "exit"},
                  "start": "ef", "goal": {"reach": "e"}}, "vary.layout: no cell of the map is open floor"),
    "half the oracle's time": ({"step_limit": {"oracle": 0.5, "least": 1, "most": 9}}, "step_limit.oracle: must be from 1 to 1000"),
    "no most": ({"step_limit": {"oracle": 2, "least": 1}}, "step_limit.most: is missing"),
    "least above most": ({"step_limit": {"oracle": 2, "least": 10, "most": 9}}, "step_limit.least: must be at most"),
    "endless": ({"step_limit": {"oracle": 2, "least": 1, "most": 2**40}}, "step_limit.most: must be at most 1,000,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_in_one_line(name: str) -> None:
    changes, message = MISTAKES[name]
    with pytest.raises(TaskError) as error:
        task(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
