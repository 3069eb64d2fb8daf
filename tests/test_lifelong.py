"""Lives: an agent through a sequence, evaluated on all of it; the figures, and that it goes on wherever it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import lifelong as benchmark
from envs.sequence import Phase
from envs.task_file import load_task
from h_dqn.config import to_json
from h_dqn.continual.config import ContinualConfig
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong import Lifelong
from h_dqn.experiment.lifelong_agent import Pause
from h_dqn.experiment.lifelong_envs import stages
from h_dqn.experiment.lifelong_library import Librarian
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_result import LIFELONG, Curve, Seen, curve, figures, read_lifelong, scratch_curves
from h_dqn.experiment.lives import against_scratch, lifelong, new_life
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.runs import resume
from h_dqn.experiment.valid import Validity, measure
from h_dqn.metrics import EpisodeStatistics
from h_dqn.mixed_envs import MixedEnvs
from h_dqn.presets import PRESETS
from tests.conftest import Corridor
from tests.helpers import Capture, Ends, h_dqn, last_json, refused

PHASES = """
[[phase]]
task = "exit"
env_steps = 128

[[phase]]
task = "crate"
env_steps = 128

[[phase]]
task = "exit"
env_steps = 64
"""
FEW = ContinualConfig(
    ewc_samples=4, rehearsal=64, rehearsal_round=8, lesson_envs=2, lesson_steps=8, distil_updates=4, trial_episodes=1
)
TINY: dict[str, Any] = {"preset": "smoke", "measure_every": 64, "episodes": 2, "end_episodes": 4, "continual": FEW}


@pytest.fixture
def tiny(in_tmp: Path) -> Path:
    path = in_tmp / "tiny.toml"
    path.write_text(PHASES)
    return path


# --- the harness ---


def test_a_life_is_evaluated_on_all_tasks_and_every_step_is_counted(tiny: Path) -> None:
    result = lifelong(tiny, "finetune", **TINY, name="one")
    life = read_lifelong(Path("runs/one"))
    assert [task["name"] for task in life["tasks"]] == ["exit", "crate"]
    assert [phase["task"] for phase in life["phases"]] == [0, 1, 0]
    assert np.array(life["matrix"]).shape == (4, 2)
    seen = life["seen"]
    assert [(one.phase, one.phase_steps, one.end) for one in seen] == [
        (-1, 0, True), (0, 64, False), (0, 128, True), (1, 64, False), (1, 128, True), (2, 64, True),
    ]  # fmt: skip
    assert result["env_steps"] == seen[-1].env_steps == 320
    assert result["updates"] == life["ledger"]["updates"] > 0
    assert RunFolder(Path("runs/one")).result == result
    assert {"average_performance", "forgetting", "zero_shot_transfer", "areas"} <= set(life["metrics"])


def test_scratch_forgets_nothing_and_grows(tiny: Path) -> None:
    lifelong(tiny, "scratch", **TINY, name="alone")
    life = read_lifelong(Path("runs/alone"))
    matrix = np.array(life["matrix"])
    assert (matrix[1, 0], matrix[2, 1]) == (matrix[2, 0], matrix[3, 1])  # what is not learned stays as it was, to the bit
    one = lifelong(tiny, "finetune", **TINY, name="one")["weights"]
    assert one < 1.1 * life["ledger"]["weights"] / 2 < 1.1 * one
    curves = scratch_curves(life, [task["hash"] for task in life["tasks"]])
    assert sorted(curves) == [0, 1]
    assert curves[1].env_steps.tolist() == [0, 64, 128]
    assert {"forward_transfer", "newest_task_slope"} <= set(against_scratch(Path("runs/one"), Path("runs/alone")))
    itself = against_scratch(Path("runs/alone"), Path("runs/alone"))
    assert itself["forward_transfer"][:2] == [0.0, 0.0]


def without_times(folder: Path) -> dict[str, Any]:
    life = json.loads((folder / LIFELONG).read_text())
    for name in ("seconds", "evaluation_seconds", "probe_seconds"):
        del life["ledger"][name]
    return dict(life)


def pauses(agent: Librarian, statistics: EpisodeStatistics, env_steps: int) -> Pause | None:
    """As if it had something to keep, then noticed something, again and again, where nothing is told."""
    if agent.setting.regime == "hidden" and env_steps >= 64:
        agent.paused = "keep" if statistics.episodes % 2 else "changed"
    return agent.paused


@pytest.mark.parametrize(
    ("agent", "regime", "skill_options"),
    [(name, "id", "no") for name in ("clear", "joint", "library", "packnet", "scratch")]
    + [("library", "announced", "no"), ("library", "hidden", "no"), ("library", "id", "learned"), ("library", "hidden", "random")],
)
def test_a_life_goes_on_bit_for_bit(
    agent: str, regime: str, skill_options: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h_dqn.checkpoint.EVERY_S", 0.0)
    monkeypatch.setattr("h_dqn.checkpoint.SHARE", 1e9)
    monkeypatch.setattr(Librarian, "pauses", pauses)
    settings = {**TINY, "continual": replace(FEW, skill_options=skill_options)}
    plan = LifelongPlan(str(tiny), agent, PRESETS["smoke"], regime, **settings)
    new_life(plan, Path("runs"), "whole").learn()
    life: Any = new_life(plan, Path("runs"), "parts")
    for rounds in (2, 1, 0):
        with pytest.raises(KeyboardInterrupt):
            life.learn(Ends(rounds))
        life = resume(Path("runs/parts"))
        assert isinstance(life, Lifelong)
    life.learn()
    assert without_times(Path("runs/whole")) == without_times(Path("runs/parts"))


def test_what_is_no_life_is_refused(tiny: Path, capsys: Capture) -> None:
    refused(capsys, "lifelong nowhere", "unknown sequence 'nowhere'")
    refused(capsys, f"lifelong {tiny} --agent finetun", "unknown agent 'finetun'", "did you mean 'finetune'?")
    refused(capsys, f"lifelong {tiny} --regime told", "unknown regime 'told'")
    refused(capsys, f"lifelong {tiny} --agent scratch --regime hidden", "needs the task's number")
    refused(capsys, f"lifelong {tiny} --measure-every 0", "--measure-every")
    with pytest.raises(UserError, match="cannot be read"):
        read_lifelong(Path("runs"))


def test_the_command(tiny: Path, capsys: Capture) -> None:
    line = "--preset smoke --measure-every 64 --episodes 2 --end-episodes 2 --name x --regime hidden --json"
    assert h_dqn(f"lifelong {tiny} {line}") == 0
    assert last_json(capsys)["env_steps"] == 320


def test_the_command_has_the_settings_of_its_own_preset() -> None:
    from h_dqn.cli import parse

    assert to_json(parse(["lifelong", "voxel10"]).config) == to_json(PRESETS["life"]) != to_json(PRESETS["fast"])


# --- whether a sequence is a test ---


def test_what_is_no_test_is_named() -> None:
    assert Validity({"a (1)": 0.95}, 0.9, 0.3).wrong == []
    wrong = Validity({"a (1)": 0.96, "b (2)": 0.5}, 0.8, float("nan")).wrong
    assert [line.split(":")[0] for line in wrong] == [
        "scratch does not learn 'b (2)'", "one network does not learn all tasks at once", "fine-tuning forgets too little",
    ]  # fmt: skip


def test_a_sequence_is_measured_by_three_lives_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: value for name, value in TINY.items() if name != "continual"}
    found = measure(tiny, Path("runs/check"), **few)
    assert list(found.scratch) == ["exit (1)", "crate (2)"]
    assert found.wrong  # nothing is learned by a smoke test
    monkeypatch.setattr(Lifelong, "learn", None)
    assert measure(tiny, Path("runs/check"), **few) == found


def test_the_command_that_measures_says_what_is_wrong(tiny: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Validity({"exit (1)": 1.0}, 1.0, 0.9), Validity({"exit (1)": 0.2}, 1.0, 0.9)]
    monkeypatch.setattr("h_dqn.experiment.valid.measure", lambda *args, **how: found.pop(0))
    line = f"sequences check {tiny} --measure --episodes 2 --json"
    assert h_dqn(line) == 0
    assert last_json(capsys)["wrong"] == []
    assert h_dqn(line) == 2
    assert "scratch does not learn 'exit (1)'" in capsys.readouterr().err


# --- its parts ---


def test_boundaries_are_where_they_are_told() -> None:
    task = load_task("exit")
    phases = [Phase(task, 10, told) for told in (True, False, True, False)]
    assert stages(phases, "id") == [[0], [1], [2], [3]]
    assert stages(phases, "announced") == [[0, 1], [2, 3]]
    assert stages(phases, "hidden") == [[0, 1, 2, 3]]


def seen(*rows: tuple[int, int, bool, tuple[float, ...]]) -> list[Seen]:
    return [Seen(0, phase, steps, end, success) for phase, steps, end, success in rows]


def test_figures_by_hand() -> None:
    """Tasks a, b, a; scratch learns a in 100 steps evenly, b not at all in the first half."""
    life = seen(
        (-1, 0, True, (0.0, 0.0)),
        (0, 50, False, (0.5, 0.0)), (0, 100, True, (1.0, 0.2)),
        (1, 50, False, (0.9, 0.6)), (1, 100, True, (0.8, 1.0)),
        (2, 50, True, (1.0, 0.9)),
    )  # fmt: skip
    steps = np.array([0, 50, 100])
    scratch = {0: Curve(steps, np.array([0.0, 0.5, 1.0])), 1: Curve(steps, np.array([0.0, 0.0, 1.0]))}
    found = figures(life, [0, 1, 0], [100, 100, 50], scratch)
    assert found["average_performance"] == pytest.approx(0.95)
    assert found["forgetting"] == pytest.approx((0.0 + 0.1) / 2)  # of the first two phases: 1 -> 1 and 1 -> .9
    assert found["areas"] == pytest.approx([0.5, (0.4 + 0.8) / 2, 0.9])
    # Of scratch in as many steps: .5, .25 and, in 50 steps, .25.
    assert found["forward_transfer"] == pytest.approx([0.0, (0.6 - 0.25) / 0.75, (0.9 - 0.25) / 0.75])
    assert found["forward_transfer_new"] == pytest.approx((0.6 - 0.25) / 0.75)
    assert found["forward_transfer_again"] == pytest.approx((0.9 - 0.25) / 0.75)
    assert found["newest_task_areas"] == pytest.approx([1.0, 2.4, 3.6])
    assert found["performance_of_scratch"] == pytest.approx(0.95)
    assert found["savings"] == {"2": None}  # a time of three evaluations is not known from two


def test_a_curve_begins_where_the_phase_before_ended() -> None:
    life = seen((-1, 0, True, (0.1, 0.2)), (0, 9, True, (0.5, 0.3)), (1, 4, False, (0.4, 0.6)), (1, 9, True, (0.4, 0.9)))
    assert [part.tolist() for part in curve(life, 1, 1)] == [[0, 4, 9], [0.3, 0.6, 0.9]]
    assert [part.tolist() for part in curve(life, 1, 1).until(2)] == [[0, 2], [0.3, pytest.approx(0.45)]]
    assert [part.tolist() for part in curve(life, 1, 1).until(20)] == [[0, 4, 9, 20], [0.3, 0.6, 0.9, 0.9]]


def test_mixed_environments_are_each_their_own() -> None:
    """Beside the parts alone: the same observations, rewards and ends, also where only some begin anew; and from a state."""
    one, parts = MixedEnvs([Corridor(2, limit=3), Corridor(3, limit=5)]), [Corridor(2, limit=3), Corridor(3, limit=5)]
    obs, _ = one.reset(seed=list(range(5)))
    apart = np.concatenate([parts[0].reset(seed=[0, 1])[0], parts[1].reset(seed=[2, 3, 4])[0]])
    rng = np.random.default_rng(1)
    for _ in range(12):
        assert np.array_equal(obs, apart)
        actions = rng.integers(0, 2, 5)
        saved = one.state_dict()
        obs, *rest, _ = one.step(actions)
        one.load_state_dict(saved)
        assert np.array_equal(one.step(actions)[0], obs)
        made = [part.step(own) for part, own in zip(parts, (actions[:2], actions[2:]), strict=True)]
        apart = np.concatenate([each[0] for each in made])
        for number, array in enumerate(rest, 1):
            assert np.array_equal(array, np.concatenate([each[number] for each in made]))
        if (done := rest[1] | rest[2]).any():
            obs, _ = one.reset(options={"reset_mask": done})
            masks = done[:2], done[2:]
            resets = [part.reset(options={"reset_mask": mask})[0] for part, mask in zip(parts, masks, strict=True)]
            apart = np.concatenate(resets)
    with pytest.raises(ValueError, match="differ"):
        MixedEnvs([Corridor(1), Corridor(1, size=9)])
    assert torch.get_num_threads() == 1


# --- the whole table ---


@pytest.mark.slow
def test_the_table_goes_on_a_cell_at_a_time(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands can be parsed; what is done is not done again; what is relative to scratch is worked out."""
    from h_dqn.cli import parse

    lines = {cell.line.partition(" --seed")[0].partition(" --regime")[2] for cell in benchmark.cells(list(benchmark.TABLES))}
    for line in sorted(line for line in lines if line.count("--") > 2 or line.startswith(" id")):
        parse(f"lifelong voxel10 --regime{line}".split())
    (in_tmp / "tiny.toml").write_text(PHASES)
    monkeypatch.setattr(benchmark, "RUNS", in_tmp / "runs")
    monkeypatch.setattr(benchmark, "RESULTS", in_tmp / "lifelong.json")
    table = benchmark.Table(str(in_tmp / "tiny.toml"), "id", {"scratch": "--agent scratch", "finetune": "--agent finetune"}, "tiny")
    monkeypatch.setattr(benchmark, "TABLES", {"tiny": table})
    monkeypatch.setattr(benchmark, "BASELINE", 1)
    lived: list[str] = []

    def run(cell: benchmark.Cell) -> None:
        lived.append(cell.arm)
        lifelong(table.sequence, cell.arm, **TINY, runs=cell.folder.parent, name=cell.folder.name)

    monkeypatch.setattr(benchmark.Cell, "run", run)
    monkeypatch.setattr("sys.argv", ["lifelong"])
    benchmark.main()
    benchmark.main()
    assert lived == ["scratch", "finetune"]
    found = json.loads((in_tmp / "lifelong.json").read_text())["tiny"]["finetune"]
    assert {"iqm", "low", "high"} == set(found["summary"]["forward_transfer_again"])
    assert found["runs"]["1"]["measured"]["command"].endswith("--agent finetune --seed 1")
