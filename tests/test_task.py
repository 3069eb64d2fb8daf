"""Task files: every mistake is one clear error, and every draw keeps its promises."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import TASKS
from envs.grid import flood
from envs.materials import MaterialError, standard_materials, texture
from envs.task import TaskError
from envs.task_file import load_task, parse_task, task_names
from tests.conftest import places

GOOD: dict[str, Any] = {
    "step_limit": 20,
    "map": "#####\n#..e#\n#...#\n#####",
    "legend": {"#": "stone", "e": {"floor": "pad"}},
    "goal": {"reach": "e"},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **changes}


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "ragged map": (changed(map="#####\n#..e#\n#..#\n#####"), "map: row 3 has 4 characters, row 1 has 5"),
    "unknown character": (changed(map="#####\n#.?e#\n#...#\n#####"), "map: row 2, column 3: '?' is not in the legend"),
    "no start": (changed(start="x"), "start: no free cell"),
    "start in a wall": (changed(start="#"), "start: no free cell"),
    "unreachable goal": (changed(map="#####\n#.#e#\n#.###\n#####"), "goal: cannot be reached"),
    "goal on no place": (changed(goal={"reach": "ex"}), "goal.reach: 'x' is not on the map"),
    "goal of no place": (changed(goal={"reach": ""}), "goal.reach: names no character of the map"),
    "reward of a word": (changed(legend={"#": "stone", "e": {"reward": "much"}}), "legend.e.reward: must be a number, not 'much'"),
    "negative limit": (changed(step_limit=-3), "step_limit: must be at least 1, not -3"),
    "empty map": (changed(map=""), "map: is empty"),
    "choice of a word": (changed(legend={"#": "stone", "e": {"choose": "few"}}), "legend.e.choose: must be a whole number or a"),
    "endless reward": (changed(reward={"success": float("inf")}), "reward.success: must be a number, not inf"),
    "endless shrinking": (changed(vary={"shrink": [0, 10**9]}), "vary.shrink: must be two whole numbers from 0 to 250"),
    "missing goal": ({key: value for key, value in GOOD.items() if key != "goal"}, "goal: is missing"),
    "unknown key": (changed(stepLimit=3), "stepLimit: unknown key"),
    "wrong kind": (changed(step_limit="many"), "step_limit: must be a whole number"),
    "true is no number": (changed(step_limit=True), "step_limit: must be a whole number"),
    "unknown action": (changed(actions=["fly"]), "actions: unknown action 'fly'"),
    "action twice": (changed(actions=["forward", "forward"]), "actions: must name each action once"),
    "unknown material": (changed(floor="lava"), "floor: unknown material 'lava'"),
    "unknown predicate": (changed(goal={"win": "e"}), "goal.win: unknown key"),
    "two predicates": (changed(goal={"reach": "e", "broken": "e"}), "goal: a predicate is one of"),
    "goal not on the map": (changed(goal={"reach": "z"}), "goal.reach: 'z' is not on the map"),
    "item missing": (changed(goal={"placed_at": "e"}), "goal.item: is missing"),
    "no item": (changed(goal={"hold": "stone"}), "goal.hold: 'stone' cannot be an item"),
    "nothing to hold": (changed(goal={"hold": "crate"}), "goal: cannot be reached"),
    "cannot be broken": (changed(goal={"broken": "#"}), "goal: cannot be reached"),
    "too tall": (changed(legend={"#": ["stone"] * 9, "e": {}}), "legend.#.column: 9 blocks"),
    "too many chosen": (changed(legend={"#": "stone", "e": {"choose": 3}}), "legend.e: choose: 3 of 1 cells"),
    "compass nowhere": (changed(compass="z"), "compass: 'z' is not on the map"),
    "bad textures": (changed(vary={"textures": {"stone": "some"}}), "vary.textures.stone"),
    "bad tint": (changed(vary={"tint": 2}), "vary.tint"),
    "bad shrink": (changed(vary={"shrink": [1]}), "vary.shrink"),
    "steep": (changed(pitch=-90), "pitch: must be"),
    "long key": (changed(legend={"##": "stone"}), "legend.##: a legend key must be one character"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    doc, message = MISTAKES[name]
    with pytest.raises(TaskError) as error:
        parse_task(doc, "room")
    assert message in str(error.value)


def test_a_file_is_named_with_the_mistake(tmp_path: Path) -> None:
    for text, reason in (("map = [", "room.toml"), ("x = 1", "x: unknown key"), ("\udcff", "")):
        path = tmp_path / "room.toml"
        path.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(TaskError) as error:
            load_task(path)
        assert str(path) in str(error.value)
        assert reason in str(error.value)
    with pytest.raises(TaskError, match=r"no\.toml: cannot be read"):
        load_task(tmp_path / "no.toml")
    with pytest.raises(TaskError, match=r"unknown task 'navigation9'; did you mean .*known: .*navigation1"):
        load_task("navigation9")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"colour": [1, 2, 3]}, "unknown key 'colour'"),
        ({"color": [1, 2]}, "'color' must be three"),
        ({"color": [1, 2, 3], "pattern": "dots"}, "unknown pattern 'dots'"),
        ({"color": [1, 2, 3], "solid": 1}, "'solid' must be a true or false"),
        ({"color": [1, 2, 3], "contrast": 3}, "'contrast' must be a number"),
    ],
)
def test_a_bad_material_is_named(table: dict[str, Any], message: str) -> None:
    with pytest.raises(MaterialError, match=message):
        parse_task(changed(materials={"goo": table}), "room")


def test_a_task_can_bring_its_own_material() -> None:
    task = parse_task(changed(materials={"goo": {"color": [10, 200, 10]}}, legend={"#": "goo", "e": {}}), "room")
    assert task.sample(np.random.default_rng(1)).blocks[0, 0, 0] == task.number("goo")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(key=st.sampled_from([*GOOD, "vary", "materials", "reward", "inventory", "actions", "start", "height", "pitch", "compass"]),
       junk=JUNK)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_junk_is_refused_or_read_but_never_breaks(key: str, junk: Any) -> None:
    try:
        task = parse_task(changed(**{key: junk}), "room")
    except (TaskError, MaterialError) as error:
        message = str(error)
    else:
        task.sample(np.random.default_rng(0))
        return
    assert message
    assert "\n" not in message


SHIPPED = {name: tomllib.loads((TASKS / f"{name}.toml").read_text()) for name in task_names()}


@given(place=st.sampled_from([(name, path) for name, doc in SHIPPED.items() for path in places(doc)]),
       junk=JUNK | st.sampled_from(["any", [0, 10**9], [10**30, 0], float("nan"), 10**30]))  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_junk_within_a_task_is_refused_or_read_but_never_breaks(place: tuple[str, tuple[Any, ...]], junk: Any) -> None:
    name, (*path, key) = place
    doc = part = copy.deepcopy(SHIPPED[name])
    for step in path:
        part = part[step]
    part[key] = junk
    try:
        parse_task(doc, name)
    except (TaskError, MaterialError) as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", task_names())
def test_draws_keep_their_promises(name: str) -> None:
    task = load_task(name)
    solid = [task.number(material.name) for material in task.materials.values() if material.solid]
    for seed in range(100):
        episode = task.sample(np.random.default_rng(seed))
        again = task.sample(np.random.default_rng(seed))
        for part in ("blocks", "floor", "items", "marks", "success_reward", "texture_id", "tint"):
            np.testing.assert_array_equal(getattr(episode, part), getattr(again, part))
        assert episode.start == again.start
        x, z, heading = episode.start
        assert not np.isin(episode.blocks[z, x, :2], solid).any()
        assert 0 <= heading < 12
        # The ring around the map is closed.
        for edge in (episode.blocks[0], episode.blocks[-1], episode.blocks[:, 0], episode.blocks[:, -1]):
            assert edge.all()
        if name in ("navigation1", "navigation2", "two_rooms", "pickup"):
            exits = (episode.blocks[..., 0] == task.number("exit")).sum()
            assert exits in ((0, 1) if name == "pickup" else (1,))
            assert (episode.items > 0).sum() == (name == "pickup")


def test_rooms_shrink_and_stay_rooms() -> None:
    task = load_task(TASKS.parents[1] / "benchmarks/rooms/paper/navigation1.toml")
    sizes = set()
    for seed in range(200):
        episode = task.sample(np.random.default_rng(seed))
        free = episode.blocks[..., 0] == 0
        depth, width = free.any(1).sum(), free.any(0).sum()
        assert free.sum() == depth * width
        sizes.add((int(depth), int(width)))
    assert sizes == {(d, w) for d in (5, 6, 7) for w in (5, 6, 7)}


def test_starts_and_headings_cover_the_room() -> None:
    task = replace(load_task("two_rooms"), mirror=False)
    starts = [task.sample(np.random.default_rng(seed)).start for seed in range(600)]
    assert {heading for *_, heading in starts} == set(range(12))
    assert {x for x, *_ in starts} == set(range(2, 8))  # the first room alone


def test_half_of_the_maps_are_mirrored() -> None:
    """The first room of three_rooms is on the left of its file: columns 1 to 6 of 15."""
    task = load_task("three_rooms")
    starts = [task.sample(np.random.default_rng(seed)).start[0] - 1 for seed in range(400)]
    assert set(starts) == {*range(1, 7), *range(8, 14)}
    assert 160 < sum(x > 7 for x in starts) < 240


def test_flood_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        passable = rng.random((9, 7)) < 0.6
        passable[4, 3] = True
        seen, todo = {(4, 3)}, [(4, 3)]
        while todo:
            z, x = todo.pop()
            for near in ((z + 1, x), (z - 1, x), (z, x + 1), (z, x - 1)):
                if 0 <= near[0] < 9 and 0 <= near[1] < 7 and passable[near] and near not in seen:
                    seen.add(near)
                    todo.append(near)
        assert {(int(z), int(x)) for z, x in np.argwhere(flood(passable, 4, 3))} == seen


def test_every_material_is_drawn_and_most_look_unlike() -> None:
    pictures = {name: texture(material) for name, material in standard_materials().items()}
    assert all(picture.shape == (16, 16, 3) and picture.dtype == np.uint8 for picture in pictures.values())
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)


def test_the_hash_tells_tasks_apart() -> None:
    tables = {name: tomllib.loads((TASKS / f"{name}.toml").read_text()) for name in task_names()}
    assert len({load_task(name).hash for name in tables}) == len(tables)
    doc = changed()
    assert parse_task(doc, "a").hash == parse_task({**doc, "title": "other words"}, "b").hash
    assert parse_task(doc, "a").hash != parse_task(changed(step_limit=21), "a").hash


def test_any_building_material_may_give_its_texture() -> None:
    spec = load_task("navigation1")
    used = {spec.material_names[spec.sample(np.random.default_rng(seed)).texture_id[spec.number("stone")]] for seed in range(400)}
    assert used == {name for name, material in spec.materials.items() if material.building}
    assert not used & {"exit", "door", "crate", "pad"}


def test_no_two_parts_have_the_same_texture_where_there_is_a_choice() -> None:
    toy = changed(vary={"textures": {"stone": ["brick", "wood"], "oak_floor": ["brick"], "plaster": ["brick", "wood", "slate"]}})
    spec = parse_task(toy, "toy")
    stone, floor, ceiling = (spec.number(name) for name in ("stone", "oak_floor", "plaster"))
    used = {tuple(spec.sample(np.random.default_rng(seed)).texture_id[[stone, floor, ceiling]].tolist()) for seed in range(60)}
    brick, wood, slate = (spec.number(name) for name in ("brick", "wood", "slate"))
    # The floor has no choice but brick, which the wall may have taken first; the ceiling always finds one that is left.
    assert used == {(brick, brick, wood), (brick, brick, slate), (wood, brick, slate)}
