"""The searcher with perfect memory, and the rooms that it plays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import any_rooms
from benchmarks.searcher import Searcher, look, steps_of
from envs.oracle import Oracle
from envs.rooms import draw_plan
from envs.task import SHAPES
from envs.task_file import load_task
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.seeds import episode_seeds

FILES = sorted(any_rooms.ROOMS.glob("any/*.toml")) + sorted(any_rooms.ROOMS.glob("shapes/*.toml"))


def in_sight(opaque: Any, x: int, z: int, heading: int) -> set[tuple[int, int]]:
    """The slow twin of ``look``: along each of many lines of sight, step by small step."""
    found, far = set(), np.arange(0.5, 1.5 * len(opaque), 0.002)
    for angle in np.radians(30 * heading + np.arange(-34.75, 35, 0.5)):
        rows, columns = np.floor(z + 0.5 - np.cos(angle) * far).astype(int), np.floor(x + 0.5 + np.sin(angle) * far).astype(int)
        inside = (rows >= 0) & (columns >= 0) & (rows < len(opaque)) & (columns < len(opaque))
        end = int(opaque[rows[inside], columns[inside]].argmax()) + 1  # the room is closed
        found |= set(zip(rows[:end].tolist(), columns[:end].tolist(), strict=True))
    return found - {(z, x)}


@given(seed=st.integers(0, 2**32 - 1), heading=st.integers(0, 11))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_it_sees_what_lines_of_sight_meet(seed: int, heading: int) -> None:
    rng = np.random.default_rng(seed)
    plan = np.pad(draw_plan(int(rng.integers(len(SHAPES))), 3, 9, rng), 1)
    z, x = rng.choice(np.argwhere(plan)).tolist()
    seen = np.zeros_like(plan)
    assert look(~plan, seen, x, z, heading, True)
    expected = in_sight(~plan, x, z, heading)
    found = {(int(a), int(b)) for a, b in np.argwhere(seen)}
    assert len(found ^ expected) <= 1  # a line that grazes a corner
    again = seen.copy()
    for cell in expected:
        again[cell] = True
    assert not look(~plan, again, x, z, heading, False) or found - expected


def test_it_never_takes_longer_where_it_sees_the_goal_than_who_knows_the_map() -> None:
    """Its first picture shows the exit at the end of a straight corridor, or it has to turn round first."""
    row = {"map": "########\n#.....e#\n########", "vary": {"shrink": [0, 0]}, "step_limit": 60}
    spec = load_task(any_rooms.ROOMS / "paper" / "navigation1.toml", row)
    seeds: Any = list(range(60))
    envs = VoxelVectorEnv(60, spec, size=1)
    envs.reset(seed=seeds)
    searcher = Searcher(envs.worlds)
    searcher.act()
    sees = searcher.seen[:, 2, 7]
    known = np.array(Oracle(envs.worlds).play(envs, seed=0), float)  # world i has the seed i
    took = steps_of(spec, seeds)
    assert 10 < sees.sum() < 50
    np.testing.assert_array_equal(took[sees], known[sees])
    assert (took >= known).all()
    assert np.isfinite(took).all()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_unseen_rooms_can_be_solved_and_nearly_always_be_searched_in_time(path: Path) -> None:
    spec = load_task(path)
    trained = load_task(path.stem)
    assert (spec.actions, spec.goal, spec.textures, spec.tint) == (trained.actions, trained.goal, trained.textures, trained.tint)
    assert len(spec.maps) == (any_rooms.COUNT if path.parent.name == "any" else len(any_rooms.SHAPES)) == len(set(spec.maps))
    envs = VoxelVectorEnv(200, spec, size=1)
    assert None not in Oracle(envs.worlds).play(envs, seed=5)
    assert np.isfinite(steps_of(spec, episode_seeds("evaluate", 1, 40))).mean() > 0.9


def test_the_files_are_what_the_generator_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(any_rooms, "ROOMS", tmp_path)
    any_rooms.make()
    for path in FILES:
        assert (tmp_path / path.parent.name / path.name).read_text() == path.read_text()


def test_rooms_are_played_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    corridor = '"""\n#######\n#....e#\n#######\n"""'
    far = corridor.replace("....", "." * 60).replace("#######", "#" * 63)
    text = (any_rooms.ROOMS / "shapes" / "navigation1.toml").read_text()
    before, _, after = text.partition("map = [")
    (tmp_path / "rooms.toml").write_text(f"{before}map = [{corridor}, {far}]{after.partition(']')[2]}".replace("= 60", "= 20"))
    monkeypatch.setattr("sys.argv", ["any_rooms", "play", str(tmp_path / "rooms.toml"), "navigation1", "--episodes", "4"])
    any_rooms.main()
    *lines, last = capsys.readouterr().out.splitlines()
    said = json.loads(last)
    assert [line.partition(":")[0] for line in lines] == ["room 1", "room 2"]
    assert said["rooms"][0]["searcher"] == 1.0
    for who in ("searcher", "agent"):
        rates = [room[who] for room in said["rooms"]]
        assert said[who] == {"mean": sum(rates) / 2, "worst": min(rates)}
    assert said["searcher"]["worst"] < 1
    assert said["measured"]["seed"] == 90001
