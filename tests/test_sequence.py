"""Sequences of tasks: what they say, and that each mistake is one clear line."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from envs.drift import unroll
from envs.oracle import Oracle
from envs.registry import WORLDS
from envs.sequence import SEQUENCES, is_sequence, load_sequence
from envs.single import first_of
from envs.task import TaskError
from envs.task_file import load_task, read_task
from envs.voxel.vector import VoxelVectorEnv
from tests.helpers import h_dqn, last_json, refused

PHASE = '[[phase]]\ntask = "navigation1"\nenv_steps = 100\n'


@pytest.mark.parametrize("name", sorted(path.stem for path in SEQUENCES.glob("*.toml")))
def test_shipped_sequences_load(name: str) -> None:
    sequence = load_sequence(name)
    assert sequence.env_steps == sum(phase.env_steps for phase in sequence.phases) > 0


@pytest.mark.parametrize("name", sorted(path.stem for path in SEQUENCES.glob("*.toml")))
def test_an_exit_can_be_reached_in_time_in_each_phase(name: str) -> None:
    for task in {phase.task.hash: phase.task for phase in load_sequence(name).phases}.values():
        envs = VoxelVectorEnv(12, task, size=8)
        assert None not in Oracle(envs.worlds).play(envs, seed=5)


def test_phases_change_their_task_and_come_again(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(f"repeat = 2\n{PHASE}{PHASE}change = {{ step_limit = 7, vary = {{ tint = 0.0 }} }}\n")
    phases = load_sequence(path).phases
    assert [phase.task.step_limit for phase in phases] == 2 * [load_task("navigation1").step_limit, 7]
    plain, changed = phases[0].task, phases[1].task
    assert (plain.tint, changed.tint) == (load_task("navigation1").tint, 0.0)
    assert changed.textures == plain.textures  # what is not named stays
    assert changed.hash != plain.hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "phase: is missing"),
        ("phase = []", "phase: at least one is needed"),
        ("phase = [3]", "phase 1: must be a table"),
        ("repeat = 0\n" + PHASE, "repeat: must be from 1 to 1000, not 0"),
        (PHASE + "[[phase]]\nenv_steps = 3\n", "phase 2: task: is missing"),
        (PHASE.replace("100", "0"), "phase 1: env_steps: must be at least 1, not 0"),
        (PHASE.replace("navigation1", "nowhere"), "phase 1: unknown task 'nowhere'"),
        (PHASE + "change = { step_limit = -1 }\n", "step_limit: must be at least 1, not -1"),
        (PHASE + "when = 3\n", "phase 1: when: unknown key"),
        ("phase = [", "Invalid value"),
    ],
)
def test_a_mistake_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(TaskError) as refusal:
        load_sequence(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(TaskError, match="unknown sequence 'nothing'"):
        load_sequence("nothing")


# --- what may be written since there is more than one task after the other -----------------------------------------------


def write(tmp_path: Path, text: str, name: str = "one.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_boundaries_are_announced_or_hidden(tmp_path: Path) -> None:
    for start, told in (("", [True, False]), ("announce = false\n", [False, False]), ("announce = true\n", [True, False])):
        path = write(tmp_path, f"{start}{PHASE}{PHASE}announce = false\n")
        assert [phase.announced for phase in load_sequence(path).phases] == told
    path = write(tmp_path, f"announce = false\n{PHASE}announce = true\n{PHASE}")
    assert [phase.announced for phase in load_sequence(path).phases] == [True, False]


def test_a_sequence_may_have_the_phases_of_another(tmp_path: Path) -> None:
    ten, twenty = load_sequence("voxel10"), load_sequence("voxel20")
    assert twenty.phases == ten.phases * 2
    assert len(ten.tasks) == len(twenty.tasks) == 10
    hidden = load_sequence(write(tmp_path, 'phases_of = "voxel10"\nannounce = false\n'))
    assert [phase.env_steps for phase in hidden.phases] == [phase.env_steps for phase in ten.phases]
    assert not any(phase.announced for phase in hidden.phases)
    one = write(tmp_path, PHASE)
    assert is_sequence(other := write(tmp_path, f'phases_of = "{one}"\nrepeat = 3\n', "other.toml"))
    assert len(load_sequence(other).phases) == 3


def drifting(drift: str, env_steps: int = 100, change: str = "") -> str:
    return f'[[phase]]\ntask = "navigation1"\nenv_steps = {env_steps}\n{change}\ndrift = {{ {drift} }}\n'


def test_drift_is_unrolled_into_pieces_that_nobody_announces(tmp_path: Path) -> None:
    """Numbers go evenly and to the very end; what is neither number nor texture jumps in the middle."""
    drift = 'step_limit = [30, 20], "reward.success" = [0.0, 1.0], "vary.mirror" = [false, true], pieces = 3'
    phases = load_sequence(write(tmp_path, drifting(drift, 100, "change = { vary = { tint = 0.0 } }"))).phases
    assert [phase.env_steps for phase in phases] == [33, 33, 34]
    assert [phase.announced for phase in phases] == [True, False, False]
    assert [phase.task.step_limit for phase in phases] == [30, 25, 20]
    assert [phase.task.reward_success for phase in phases] == [0, 0.5, 1]
    assert [phase.task.mirror for phase in phases] == [False, False, True]
    assert {phase.task.tint for phase in phases} == {0}
    assert len({phase.task.hash for phase in phases}) == 3


def test_a_texture_drifts_by_how_often_each_is_drawn(tmp_path: Path) -> None:
    phases = load_sequence(write(tmp_path, drifting('"vary.textures.stone" = ["stone", "brick"], pieces = 5'))).phases
    for piece, phase in enumerate(phases):
        task = phase.task
        drawn = [task.sample(np.random.default_rng(seed)).texture_id[task.number("stone")] for seed in range(200)]
        assert np.mean(np.array(drawn) == task.number("brick")) == pytest.approx(piece / 4, abs=0.12)
        assert task.textures["oak_floor"] == load_task("navigation1").textures["oak_floor"]


@given(st.integers(2, 40), st.integers(0, 1000), st.integers(1, 60), st.integers(1, 60))
def test_pieces_add_up_and_go_from_the_first_value_to_the_last(pieces: int, more: int, first: int, last: int) -> None:
    assume(first != last)
    found = unroll({"step_limit": [first, last], "pieces": pieces}, {}, pieces + more)
    assert len(found) == pieces
    assert sum(steps for _, steps in found) == pieces + more
    assert min(steps for _, steps in found) >= 1
    limits = [change["step_limit"] for change, _ in found]
    assert (limits[0], limits[-1]) == (first, last)
    assert limits == sorted(limits, reverse=first > last)


def test_the_shipped_drift_has_no_boundary() -> None:
    """Nothing is announced, and each phase begins as the one before ended: only one piece changes what the goal is."""
    phases = load_sequence("drift").phases
    assert not any(phase.announced for phase in phases)
    goals = [phase.task.goal[0].char for phase in phases]
    assert sum(one != other for one, other in pairwise(goals)) == 1
    for one, other in pairwise(phases):
        before, after = one.task, other.task
        assert abs(before.reward_success - after.reward_success) < 1.2
        assert abs(before.step_limit - after.step_limit) <= 3
        assert abs(before.tint - after.tint) < 0.03
        shares = [task.textures["stone"].count("brick") / len(task.textures["stone"]) for task in (before, after)]
        assert abs(shares[0] - shares[1]) <= 0.125


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (drifting("step_limit = [30, 20]"), "phase 1: drift.pieces: must be a whole number from 2 to 1,000, not None"),
        (drifting("step_limit = [30, 20], pieces = 1"), "drift.pieces: must be a whole number from 2"),
        (drifting("step_limit = [30, 20], pieces = 101"), "drift.pieces: 101 of 100 environment steps leave some without any"),
        (drifting("pieces = 2"), "drift: names no entry"),
        (drifting("step_limit = [30, 30], pieces = 2"), "drift.step_limit: goes from 30 to 30, and so nowhere"),
        (drifting("step_limit = 30, pieces = 2"), "drift.step_limit: must be [first, last], not 30"),
        (drifting('step_limit = [30, "few"], pieces = 2'), "drift.step_limit: goes from 30 to few, which is of another kind"),
        (drifting("step_limit = [30, true], pieces = 2"), "drift.step_limit: goes from 30 to True, which is of another kind"),
        (drifting("step_limit = [30, 0], pieces = 3"), "step_limit: must be at least 1, not 0"),
        (drifting("stepLimit = [30, 20], pieces = 2"), "stepLimit: unknown key"),
        (drifting('"vary.textures.stone" = ["stone", "gold"], pieces = 2'), "unknown material 'gold'"),
        (drifting('"vary.textures.stone" = [1, 2], pieces = 2'), "drift.vary.textures.stone: must go from the name of a material"),
        (
            drifting("step_limit = [30, 20], pieces = 2", change="change = { step_limit = 9 }"),
            "drift.step_limit: contradicts change, which says 'step_limit'",
        ),
        (
            drifting('"vary.tint" = [0.0, 0.5], vary = [{ tint = 0.1 }, { tint = 0.2 }], pieces = 2'),
            "drift.vary: contradicts drift.vary.tint: one is a part of the other",
        ),
        (
            drifting('"step_limit.most" = [30, 20], pieces = 2', change="change = { step_limit = 9 }"),
            "drift.step_limit.most: contradicts change, which says 'step_limit'",
        ),
        (PHASE + "announce = 1\n", "announce: must be true or false"),
        (f'phases_of = "voxel10"\n{PHASE}', "phases_of: takes the place of phase"),
        ('phases_of = "voxel20"\n', "phases_of: 'voxel20' has no phases of its own"),
        ('phases_of = "nothing"\n', "unknown sequence 'nothing'"),
        (f"repeat = 1000\n{drifting('step_limit = [30, 20], pieces = 2')}", "phase: at most 1,000 when"),
        (PHASE + "change = { shared = { actions = [] } }\n", "change.shared: a sequence finds out by itself"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError) as refusal:
        load_sequence(write(tmp_path, text))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


# --- tasks with different actions ------------------------------------------------------------------------------------


MIXED = PHASE + PHASE.replace("navigation1", "workshop") + PHASE.replace("navigation1", "key_and_lock")


def test_tasks_with_different_actions_share_all_of_them(tmp_path: Path) -> None:
    sequence = load_sequence(write(tmp_path, MIXED))
    walk, craft, lock = sequence.tasks
    own = [load_task(name) for name in ("navigation1", "workshop", "key_and_lock")]
    assert sequence.actions[:5] == ("forward", "turn_left", "turn_right", "break", "pick_up")
    assert set(sequence.actions) == {action for task in own for action in task.all_actions}
    assert {task.all_actions for task in sequence.tasks} == {sequence.actions}
    assert walk.all_items == craft.all_items == lock.all_items
    assert {"crate", "key", "furnace"} <= set(walk.all_items)
    assert all(task.hotbar for task in sequence.tasks), "what one of them needs to show, all do"
    for task, alone in zip(sequence.tasks, own, strict=True):
        assert [name for name, has in zip(task.all_actions, task.available, strict=True) if has] == [
            name for name in sequence.actions if name in alone.all_actions
        ]
        assert task.hash == alone.hash, "it is the same task"
        for seed in range(3):
            one, other = (each.sample(np.random.default_rng(seed)) for each in (task, alone))
            for field in dataclasses.fields(one):
                np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_an_action_of_another_task_has_no_effect_and_is_said_to_have_none(tmp_path: Path) -> None:
    walk = load_sequence(write(tmp_path, MIXED)).tasks[0]
    shared, alone = VoxelVectorEnv(2, walk, 20), VoxelVectorEnv(2, "navigation1", 20)
    assert shared.single_action_space == gym.spaces.Discrete(len(walk.all_actions))
    obs, _ = shared.reset(seed=1)
    assert shared.single_observation_space.contains({**first_of(obs), "pov": obs["pov"][0]})
    alone.reset(seed=1)
    for action in ("turn_left", "break", "craft furnace", "forward", "pick_up", "forward"):
        before = shared.worlds.pose.copy()
        number = np.full(2, walk.all_actions.index(action))
        obs, reward, *_, info = shared.step(number)
        if action in walk.own_actions:
            seen, expected, *_ = alone.step(np.full(2, alone.spec_task.all_actions.index(action)))
            np.testing.assert_array_equal(obs["pov"], seen["pov"])
            assert reward.tolist() == expected.tolist()
        else:
            assert info["invalid_action"].all()
            np.testing.assert_array_equal(shared.worlds.pose, before)
            assert reward.tolist() == [walk.reward_step] * 2, "it takes its time all the same"
    assert shared.worlds.steps.tolist() == [6, 6]


def test_the_oracle_plays_tasks_that_share_actions(tmp_path: Path) -> None:
    for task in load_sequence(write(tmp_path, MIXED)).tasks:
        envs = VoxelVectorEnv(20, task, 4)
        assert None not in Oracle(envs.worlds).play(envs, seed=1)


def test_a_task_that_shares_is_read_again_as_it_was(tmp_path: Path) -> None:
    """As a run that was stopped does, from the file's text and what was changed."""
    for task in load_sequence(write(tmp_path, MIXED)).tasks:
        assert read_task(task.text, task.name, json.loads(json.dumps(task.change))) == task


def test_old_sequences_are_as_they_were() -> None:
    """Where all tasks have the same actions and items, nothing is shared."""
    for phase in load_sequence("switching_horizon").phases:
        assert phase.announced
        assert phase.task.shared is None
        assert phase.task == load_task("near_and_far", phase.task.change)


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ({"actions": [], "items": ["crate"], "hotbar": False}, "shared.actions: lacks 'forward', which the task has"),
        ({"actions": ["forward", "turn_left", "turn_right"], "items": [], "hotbar": False}, "shared.items: lacks 'crate'"),
        ({"actions": ["forward"] * 2, "items": [], "hotbar": False}, "shared.actions: must name each once"),
        ({"actions": [], "items": [3], "hotbar": False}, "shared.items: must name each once"),
        ({"actions": [], "items": []}, "shared.hotbar: is missing"),
        ({"actions": [], "items": [], "hotbar": 1}, "shared.hotbar: must be true or false"),
    ],
)
def test_what_is_shared_is_checked(shared: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as refusal:
        load_task("navigation1", {"shared": shared})
    assert message in str(refusal.value)


def test_minecraft_plays_no_task_that_shares(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="shared: MineRL plays single tasks"):
        WORLDS["minerl"].check(load_sequence(write(tmp_path, MIXED)).tasks[0])


# --- the command line ------------------------------------------------------------------------------------------------


def test_sequences_are_listed_shown_and_checked(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert h_dqn("sequences list") == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("voxel10", "voxel20", "long_life", "revisit", "drift", "switching_horizon"))
    assert h_dqn("sequences list --json") == 0
    assert last_json(capsys)["voxel20"]["env_steps"] == 2 * load_sequence("voxel10").env_steps
    assert h_dqn("sequences show drift") == 0
    told = capsys.readouterr().out
    assert "goal.reach = e" in told
    assert "4 stone or 4 brick" in told
    assert h_dqn("sequences show voxel10 --json") == 0
    doc = last_json(capsys)
    assert [phase["task"] for phase in doc["phases"]] == doc["tasks"]
    assert h_dqn("sequences check revisit --episodes 20") == 0
    assert "good. 13 phases of 4 tasks" in capsys.readouterr().out
    assert h_dqn("sequences check revisit --episodes 5 --json") == 0
    assert [one["task"] for one in last_json(capsys)["tasks"]] == ["exit", "crate", "door", "pad"]


def test_a_wrong_sequence_is_one_line_from_every_command(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = write(in_tmp, PHASE.replace("100", "0"), "wrong.toml")
    short = write(in_tmp, PHASE + "change = { step_limit = 2 }\n", "short.toml")
    for verb in ("show", "check"):
        refused(capsys, f"sequences {verb} {wrong}", "wrong.toml", "phase 1: env_steps: must be at least 1")
        refused(capsys, f"sequences {verb} voxle10", "did you mean 'voxel10'?")
    refused(capsys, f"sequences check {short}", "phase 1: the oracle cannot solve", "of 'navigation1' in 2 steps")
    refused(capsys, "sequences check revisit --world minerl", "is a sequence; this world plays single tasks")


def test_an_agent_learns_through_tasks_with_different_actions(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And goes on through them from what a run's folder keeps."""
    mixed = PHASE.replace("100", "64") + PHASE.replace("100", "64").replace("navigation1", "key_and_lock")
    path = write(in_tmp, mixed, "mixed.toml")
    assert h_dqn(f"train flat {path} --preset smoke --episodes 4 --json") == 0
    assert last_json(capsys)["env_steps"] >= 128
