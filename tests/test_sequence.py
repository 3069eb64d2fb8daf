"""Sequences of tasks: what they say, and that each mistake is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs.oracle import Oracle
from envs.sequence import SEQUENCES, load_sequence
from envs.task import TaskError
from envs.task_file import load_task
from envs.voxel.vector import VoxelVectorEnv

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
        (PHASE + PHASE.replace("navigation1", "break"), "phase 2: task 'break' has other actions or items than phase 1"),
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
