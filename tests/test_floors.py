"""Floors that are pits, and floors that send back: the rules, the draw of episodes, the oracle, and the worlds that refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.materials import MaterialError
from envs.oracle import Oracle
from envs.registry import WORLDS
from envs.task import ACTIONS, TaskError, TaskSpec
from envs.task_file import load_task, parse_task, task_names
from envs.voxel.vector import VoxelVectorEnv

TEN = ("exit", "crate", "door", "pad", "portal", "dig", "key", "bridge", "mire", "fetch")
LEGEND: dict[str, Any] = {
    "#": "stone",
    "P": {"floor": "chasm"},
    "M": {"floor": "mire"},
    "c": {"item": "crate"},
    "k": {"item": "key"},
    "L": ["lock", "lock", "stone"],
    "e": {"floor": "pad"},
    "s": {},
}


def room(text: str, **changes: Any) -> TaskSpec:
    doc = {"map": text, "legend": LEGEND, "goal": {"reach": "e"}, "step_limit": 60, "start": "s", **changes}
    return parse_task(doc, "room")


def world(spec: TaskSpec, x: int, z: int, heading: int) -> VoxelVectorEnv:
    """One world, its agent in column x and row z of the map, which is where its episode began."""
    envs = VoxelVectorEnv(1, spec, size=8)
    envs.reset(seed=1)
    envs.worlds.pose[0] = envs.worlds.start[0] = x + 1, z + 1, heading
    return envs


def do(envs: VoxelVectorEnv, *actions: str) -> dict[str, Any]:
    """The info of the last of these actions."""
    for action in actions:
        info = envs.step(np.array([envs.spec_task.all_actions.index(action)]))[4]
    return info


def solved(spec: TaskSpec, n: int = 40) -> list[int | None]:
    envs = VoxelVectorEnv(n, spec, size=4)
    return Oracle(envs.worlds).play(envs, seed=1)


EAST, WEST = 3, 9


def test_nobody_walks_into_a_pit_until_something_was_placed_there() -> None:
    envs = world(room("######\n#sPse#\n######", inventory={"crate": 1}), 1, 1, EAST)
    assert do(envs, "forward")["invalid_action"][0]
    info = do(envs, "place")
    assert not info["invalid_action"][0]
    worlds = envs.worlds
    assert worlds.floor[0, 2, 3] == envs.spec_task.number("crate")
    assert not worlds.blocks[0, 2, 3].any(), "it is the floor, not a block on it"
    assert worlds.inventory[0].sum() == 0
    assert do(envs, "place")["invalid_action"][0], "nothing is left"
    info = do(envs, "forward", "forward", "forward")
    assert info["success"][0]
    assert info["pose"][0].tolist() == [4, 1, EAST]


def test_what_fills_a_pit_cannot_be_had_again() -> None:
    envs = world(room("######\n#sPse#\n######", inventory={"crate": 1}), 1, 1, EAST)
    do(envs, "place")
    for action in ("break", "pick_up"):
        assert do(envs, action)["invalid_action"][0]
    next_episode = envs.reset(seed=1)[1]
    assert not next_episode["success"][0]
    assert envs.worlds.floor[0, 2, 3] == envs.spec_task.number("chasm")


def test_a_verb_that_puts_something_down_fills_a_pit_too() -> None:
    verbs = {"lay stone": {"takes": {"crate": 1}, "puts": "stone"}}
    envs = world(room("######\n#sPse#\n######", inventory={"crate": 1}, verbs=verbs), 1, 1, EAST)
    assert not do(envs, "lay stone")["invalid_action"][0]
    assert do(envs, "forward", "forward", "forward")["success"][0]


def test_whoever_steps_there_stands_at_the_start_again_and_the_episode_goes_on() -> None:
    envs = world(room("######\n#ssMe#\n#....#\n######"), 1, 1, WEST)
    do(envs, "turn_right", "turn_right", "turn_right", "turn_right", "turn_right")
    before = do(envs, "turn_right", "forward")
    assert before["pose"][0].tolist() == [2, 1, EAST]
    assert not before["sent_back"][0]
    obs, reward, terminated, truncated, info = envs.step(np.array([ACTIONS.index("forward")]))
    assert info["pose"][0].tolist() == [1, 1, WEST], "in the heading of the start, too"
    assert info["sent_back"][0]
    assert not info["invalid_action"][0], "it had an effect"
    assert (reward[0], terminated[0], truncated[0]) == (-1, False, False)
    assert envs.worlds.steps[0] == 8, "time goes on"
    assert not do(envs, "turn_left")["sent_back"][0]
    assert obs["pov"].any()


def test_no_episode_begins_on_such_a_floor() -> None:
    spec = room("######\n#sPMe#\n######", start="sPM", inventory={"crate": 1}, goal={"hold": "crate"})
    assert {spec.sample(np.random.default_rng(seed)).start[:2] for seed in range(30)} == {(2, 2)}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("#######\n#s.M.e#\n#..M..#\n#.....#\n#######", {}),  # round the mire
        ("#######\n#s.P.e#\n#..P..#\n#.c.P.#\n#######", {}),  # the crate must be fetched first
        ("#######\n#scP.e#\n##.P.##\n##c####\n#######", {"inventory": {}}),  # more than one lies there
        ("########\n#s.PkP.#\n#c.####e\n#c....L#\n########", {"goal": {"broken": "L"}}),  # the way to the key is filled
        ("########\n#skP.Le#\n#.c#####\n########", {}),  # the key is in the hand as well, and is kept
    ],
)
def test_the_oracle_fills_and_walks_round(text: str, changes: dict[str, Any]) -> None:
    assert None not in solved(room(text, **changes))


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("######\n#sP.e#\n######", {}),  # nothing to place
        ("######\n#sM.e#\n######", {}),  # no way round
        ("######\n#sPce#\n######", {}),  # it lies on the other side
        ("######\n#skPe#\n######", {}),  # a key is kept
        ("######\n#scPe#\n######", {"actions": ["forward", "turn_left", "pick_up"]}),
    ],
)
def test_a_room_without_a_way_is_refused(text: str, changes: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match="goal: cannot be reached"):
        room(text, **changes)


def test_mistakes_are_named() -> None:
    own = {"hole": {"color": [1, 2, 3], "pit": True, "back": True}}
    with pytest.raises(MaterialError, match="material 'hole': 'pit' and 'back': nobody can step on a pit"):
        room("####\n#se#\n####", materials=own)
    with pytest.raises(MaterialError, match="material 'hole': 'back' must be a true or false"):
        room("####\n#se#\n####", materials={"hole": {"color": [1, 2, 3], "back": 1}})
    with pytest.raises(TaskError, match=r"goal\.placed_at: 'P' is a pit"):
        room("####\n#sP#\n####", goal={"placed_at": "P", "item": "crate"}, inventory={"crate": 1})


def test_a_state_goes_on_and_one_of_before_is_read() -> None:
    envs, other = (world(room("######\n#ssMe#\n#....#\n######"), 1, 1, EAST) for _ in range(2))
    do(envs, "forward")
    other.load_state_dict(envs.state_dict())
    assert do(envs, "forward")["pose"].tolist() == do(other, "forward")["pose"].tolist() == [[1, 1, EAST]]
    old = VoxelVectorEnv(2, "break", size=8)
    old.reset(seed=3)
    state = old.state_dict()
    for key in ("start", "sent_back"):
        del state["worlds"][key]
    old.load_state_dict(state)
    state["worlds"]["start"] = np.zeros((2, 3), np.int32)
    with pytest.raises(ValueError, match="'start' of the worlds"):
        old.load_state_dict(state)


# --- the ten shipped tasks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEN)
def test_the_ten_tasks_have_all_actions_and_are_solved_in_less_than_their_time(name: str) -> None:
    spec = load_task(name)
    assert (spec.actions, spec.step_limit, spec.reward_step, spec.reward_success) == (ACTIONS, 40, -1, 0)
    lengths = solved(spec, 200)
    assert max(length or 999 for length in lengths) <= 0.8 * spec.step_limit


def test_the_ten_tasks_differ_in_goal_or_in_what_stands_between() -> None:
    asked = set()
    for name in TEN:
        spec = load_task(name)
        cells = [spec.legend[char] for char in sorted(spec.characters)]
        goal = tuple(
            (part.kind, part.item, *((spec.legend[char].column, spec.legend[char].floor) for char in part.char))
            for part in spec.goal
        )
        between = frozenset(
            {block for cell in cells for block in cell.column if block == "earth"}
            | {cell.floor for cell in cells if cell.floor in ("chasm", "mire")}
        )
        asked.add((goal, between))
    assert len(asked) == len(TEN)


def test_each_task_has_looks_of_its_own_but_those_that_are_to_be_told_apart_by_their_goal() -> None:
    looks = {name: (load_task(name).textures["stone"], load_task(name).textures["oak_floor"]) for name in TEN}
    assert looks["portal"] == looks["exit"]
    assert len(set(looks.values())) == len(TEN) - 1


def test_the_straight_way_is_wrong_in_the_mire_and_possible_nowhere_over_the_chasm() -> None:
    """An agent that only walks and turns towards the exit is sent back; one that never places reaches no exit."""
    spec = load_task("bridge")
    envs = VoxelVectorEnv(40, spec, size=4)
    envs.reset(seed=1)
    rng, moves = np.random.default_rng(1), [ACTIONS.index(name) for name in ("forward", "turn_left", "turn_right")]
    for _ in range(spec.step_limit):
        assert not envs.step(rng.choice(moves, 40))[4]["success"].any()
    envs = VoxelVectorEnv(40, "mire", size=4)
    envs.reset(seed=1)
    sent = np.zeros(40, bool)
    for _ in range(spec.step_limit):
        sent |= envs.step(rng.choice(moves, 40))[4]["sent_back"]
    assert sent.mean() > 0.3


def test_minecraft_refuses_by_name_what_it_cannot_play() -> None:
    minerl, luanti = WORLDS["minerl"], WORLDS["luanti"]
    played = [name for name in TEN if name in task_names(minerl.refuses)]
    assert played == [name for name in TEN if name not in ("bridge", "mire")]
    assert set(TEN) <= set(task_names(luanti.refuses))
    for name, said in (("bridge", r"bridge: materials\.chasm: pit"), ("mire", r"mire: materials\.mire: back")):
        with pytest.raises(TaskError, match=said):
            minerl.check(load_task(name))
