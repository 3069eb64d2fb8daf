"""A task's own actions: how they are read, what they do, how what is carried is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.luanti.compile import Compiler
from envs.minerl.drawing import check_task
from envs.oracle import Oracle
from envs.task import TaskError
from envs.task_file import load_task, parse_task, task_names
from envs.verbs import Verb, within_reach
from envs.voxel.vector import VoxelVectorEnv
from envs.wrappers import SHADES, GreyStack, grey
from h_dqn.experiment.worlds import task_envs

ITEMS = {name: {"color": [90, 90, 90], "item": True} for name in ("log", "plank", "bench", "gate")}
VERBS: dict[str, Any] = {
    "saw": {"takes": {"log": 1}, "gives": {"plank": 2}},
    "craft bench": {"takes": {"plank": 2}, "gives": {"bench": 1}},
    "craft gate": {"takes": {"plank": 1}, "gives": {"gate": 1}, "near": "bench"},
    "put *": {"takes": {"*": 1}, "puts": "*"},
    "equip *": {"holds": "*"},
}


def doc(**changes: Any) -> dict[str, Any]:
    return {
        "map": "#####\n#...#\n#...#\n#...#\n#####", "legend": {"#": "stone"}, "goal": {"hold": "gate"}, "step_limit": 20,
        "actions": ["turn_left", "turn_right"], "inventory": {"log": 2}, "materials": ITEMS, "verbs": VERBS, **changes,
    }  # fmt: skip


class Toy:
    """One world of the toy, in its middle and facing north, whose actions are called by name."""

    def __init__(self) -> None:
        self.spec = parse_task(doc(), "toy")
        self.env = VoxelVectorEnv(1, self.spec, size=16)
        self.env.reset(seed=1)
        self.env.worlds.pose[0] = 3, 3, 0

    def do(self, name: str) -> bool:
        """Whether it had an effect."""
        return not self.env.step(np.array([self.spec.all_actions.index(name)]))[4]["invalid_action"][0]

    @property
    def carried(self) -> dict[str, int]:
        return {item: int(count[0]) for item, count in self.env._observe()["inventory"].items() if count[0]}


def test_a_verb_for_each_item() -> None:
    spec = parse_task(doc(), "toy")
    assert len(spec.items) == 4 + 1  # and the standard crate
    assert len(spec.all_actions) == 2 + 3 + 2 * len(spec.items)
    assert {"put crate", "put gate", "equip log"} <= set(spec.all_actions)


def test_what_verbs_do() -> None:
    toy = Toy()
    assert not toy.do("craft bench")  # no planks yet
    assert toy.carried == {"log": 2}
    assert toy.do("saw")
    assert toy.do("saw")
    assert not toy.do("saw")
    assert toy.carried == {"plank": 4}
    assert not toy.do("craft gate")  # no bench near
    assert toy.do("craft bench")
    assert not toy.do("craft gate")  # it is carried, not near
    assert toy.do("put bench")
    assert toy.carried == {"plank": 2}
    assert not toy.do("put plank")  # there is a block already
    assert toy.env.worlds.blocks[0, 2, 3, 0] == toy.spec.number("bench")
    toy.do("turn_left"), toy.do("turn_left"), toy.do("turn_left")
    assert not toy.do("craft gate")  # it is beside
    toy.do("turn_right"), toy.do("turn_right"), toy.do("turn_right")
    assert toy.do("craft gate")
    assert toy.env.worlds.subgoal[0] == 1  # the goal


def test_what_is_equipped_is_in_the_hand() -> None:
    toy = Toy()
    assert not toy.do("equip plank")
    assert not toy.do("equip log")  # already there, as the first that is carried
    toy.do("saw")
    before = toy.env._pov.copy()
    assert toy.do("equip plank")
    assert not toy.do("equip plank")
    assert (toy.env._pov != before).any()
    again = VoxelVectorEnv(1, toy.spec, size=16)
    again.reset(seed=2)
    again.load_state_dict(toy.env.state_dict())
    assert again.worlds.hand[0] == toy.spec.number("plank")
    toy.do("craft bench")
    assert toy.do("put bench")
    assert toy.do("turn_left")
    assert not toy.do("equip log")  # planks are used up, and the hand has gone back to the first that is carried


def test_no_more_can_be_carried_than_can_be_shown() -> None:
    toy = Toy()
    toy.env.worlds.inventory[0, toy.spec.number("plank")] = 998
    assert not toy.do("saw")
    assert toy.carried == {"log": 2, "plank": 998}


def test_the_hotbar_shows_what_is_carried() -> None:
    toy = Toy()
    envs = GreyStack(VoxelVectorEnv(2, toy.spec, size=16), stack=1, hotbar=True)
    obs, _ = envs.reset(seed=1)
    log = toy.spec.items.index("log")
    bar = obs[0, 0, -2:, :]
    assert (bar[:, 2 * log : 2 * log + 2] == 2 * (255 // SHADES)).all()
    assert np.delete(bar, [2 * log, 2 * log + 1], 1).sum() == 0
    obs = envs.step(np.array([toy.spec.all_actions.index("saw"), 0]))[0]
    plank = toy.spec.items.index("plank")
    assert (obs[0, 0, -2:, 2 * plank] == 2 * (255 // SHADES)).all()
    assert (obs[1, 0, -2:, 2 * plank] == 0).all()


def test_a_frame_of_odd_width_has_a_hotbar_too() -> None:
    toy = Toy()
    obs, _ = GreyStack(VoxelVectorEnv(1, toy.spec, size=17), stack=1, hotbar=True).reset(seed=1)
    log = toy.spec.items.index("log")
    assert (obs[0, 0, -2:, 2 * log : 2 * log + 2] == 2 * (255 // SHADES)).all()
    assert not obs[0, 0, -2:, 16].any()


def test_within_reach() -> None:
    verbs = [
        Verb("a", {"x": 1}, {"y": 1}),
        Verb("b", {"y": 1}, {"z": 1}, near="w"),
        Verb("c", {"y": 2}, puts="w"),
        Verb("d", {"q": 1}, {"r": 1}),
    ]
    assert within_reach(verbs, ["x"], []) == {"x", "y", "z"}
    assert within_reach(verbs[:2], ["x"], []) == {"x", "y"}
    assert within_reach(verbs[:2], ["x"], ["w"]) == {"x", "y", "z"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verbs": {"saw": 3}}, "verbs.saw: must be a table"),
        (
            {"verbs": {"saw": {"takes": {"log": 0}, "gives": {"plank": 1}}}},
            "verbs.saw.takes.log: must be a whole number",
        ),
        ({"verbs": {"saw": {"takes": {"stone": 1}}}}, "verbs.saw.takes: 'stone' cannot be an item"),
        ({"verbs": {"saw": {"puts": "nothing"}}}, "verbs.saw.puts: unknown material 'nothing'"),
        ({"verbs": {"saw": {"near": "bench"}}}, "verbs.saw: has no effect"),
        ({"verbs": {"saw": {"give": {"plank": 1}}}}, "verbs.saw.give: unknown key"),
        ({"verbs": {"break": {"gives": {"plank": 1}}}}, "verbs.break: this name is taken"),
        ({"inventory": {}}, "goal: cannot be reached"),
        ({"verbs": {name: verb for name, verb in VERBS.items() if name != "put *"}}, "goal: cannot be reached"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as refusal:
        parse_task(doc(**changes), "toy")
    assert message in str(refusal.value)


def test_other_worlds_refuse_by_name() -> None:
    spec = load_task("workshop")
    with pytest.raises(TaskError, match="workshop: verbs: Luanti"):
        Compiler(spec, (64, 64), 70.0)
    with pytest.raises(TaskError, match="workshop: verbs: MineRL"):
        check_task(spec)


def test_the_workshop_has_hundreds_of_verbs_and_can_be_solved() -> None:
    spec = load_task("workshop")
    assert len(spec.verbs) >= 200
    envs = VoxelVectorEnv(200, spec, size=4)
    lengths = Oracle(envs.worlds).play(envs, seed=1)
    assert max(length or 999 for length in lengths) <= spec.step_limit / 2


# --- all that is carried is seen, also without verbs -----------------------------------------------------------------

GEMS: dict[str, Any] = {
    "map": "#####\n#...#\n#.g.#\n#####", "legend": {"#": "stone", "g": {"item": "gem"}}, "goal": {"hold": "gem"}, "step_limit": 20,
    "materials": {"gem": {"color": [40, 200, 90], "item": True}}, "start": ".",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "carriable"),
    [
        ({}, {"gem"}),
        ({"inventory": {"crate": 1}}, {"gem", "crate"}),
        ({"inventory": {"crate": 0}}, {"gem"}),
        ({"legend": {**GEMS["legend"], ".": {"item": "crate", "choose": 1, "otherwise": "g"}}, "start": "g"}, {"gem", "crate"}),
        ({"legend": {**GEMS["legend"], "x": {"item": "crate"}}}, {"gem"}),  # which is not on the map
        ({"legend": {**GEMS["legend"], "#": ["crate"]}}, {"gem", "crate"}),  # it drops itself
        ({"legend": {**GEMS["legend"], "#": ["crate"]}, "actions": ["forward", "turn_left", "pick_up"]}, {"gem"}),
        ({"materials": {"gem": {"color": [1, 2, 3], "item": True, "breakable": True, "drops": "crate"}}}, {"gem", "crate"}),
        ({"verbs": {"pack": {"takes": {"gem": 2}, "gives": {"crate": 1}}}}, {"gem", "crate"}),
        ({"actions": ["forward", "turn_left"], "inventory": {"gem": 1}, "goal": {"hold": "gem"}}, {"gem"}),
    ],
)
def test_what_an_episode_may_give_to_carry(changes: dict[str, Any], carriable: set[str]) -> None:
    spec = parse_task({**GEMS, **changes}, "gems")
    assert spec.carriable == carriable
    assert spec.hotbar == (len(carriable) > 1 or "verbs" in changes)


def test_two_kinds_of_items_are_told_apart_without_verbs() -> None:
    """Crate and gem carried look unlike the crate alone, which is what the hand shows of both."""
    spec = parse_task({**GEMS, "inventory": {"crate": 1}}, "gems")
    seen = []
    for more in (0, 1):
        envs = task_envs(spec, (1, 72, 64))(1)
        envs.reset(seed=1)
        worlds = envs.unwrapped.worlds  # type: ignore[attr-defined]
        worlds.inventory[0, spec.number("gem")] = more
        worlds.pose[0] = 2, 2, 0
        obs, *_, info = envs.step(np.array([spec.actions.index("turn_left")]))
        seen.append((obs[0, 0], info["observation"]["pov"][0]))
    np.testing.assert_array_equal(seen[0][1], seen[1][1])
    changed = np.argwhere(seen[0][0] != seen[1][0])
    slot = 2 * spec.items.index("gem")
    assert {tuple(place) for place in changed.tolist()} == {(z, x) for z in (70, 71) for x in (slot, slot + 1)}


@pytest.mark.parametrize("name", [name for name in task_names() if name not in ("workshop", "key")])
def test_tasks_of_one_kind_of_item_are_seen_as_ever(name: str) -> None:
    task = load_task(name)
    assert not task.hotbar
    obs, info = task_envs(task, (1, 64, 64))(2).reset(seed=1)
    np.testing.assert_array_equal(obs[:, 0], grey(info["observation"]["pov"]))
