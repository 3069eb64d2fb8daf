"""The command line as a person meets it: tiny runs from end to end, and every bad input in one line with exit code 2."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import ANY

import cv2
import numpy as np
import pytest

from tests.helpers import ROOM, Capture, h_dqn, last_json, refused, toml_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a smoke skill and a smoke controller were trained."""
    folder, here = tmp_path_factory.mktemp("trained"), Path.cwd()
    os.chdir(folder)
    try:
        assert h_dqn("train skill navigation1 --preset smoke --episodes 16 --json") == 0
        assert h_dqn("train controller two_rooms --preset smoke --episodes 8 --skills navigation1 --json --name ctl") == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def test_training_leaves_a_run_and_a_skill(there: Path) -> None:
    folder = there / "runs" / "skill-navigation1-s1"
    found = {path.name for path in folder.iterdir()}
    assert found == {".lock", "agent", "curve.png", "metrics.jsonl", "result.json", "run.json", "tensorboard"}
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["env_steps"] == rows[-1]["decisions"] == 512
    assert {"loss", "epsilon", "train_success", "validation_success", "decisions/forward", "frames/forward"} <= rows[-1].keys()
    assert {path.name for path in (there / "skills" / "navigation1").iterdir()} == {"CARD.md", "model.safetensors", "policy.json"}
    controller = [json.loads(line) for line in (there / "runs" / "ctl" / "metrics.jsonl").read_text().splitlines()]
    assert controller[-1]["decisions"] < controller[-1]["env_steps"] == 512
    assert sum(
        controller[-1][f"frames/{name}"] for name in ("forward", "turn_left", "turn_right", "skill:navigation1")
    ) == pytest.approx(1)


def test_train_prints_the_promised_figures(in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn("train flat pickup --preset smoke_replay --episodes 8 --seed 3 --json --env-steps 256") == 0
    result = last_json(capsys)
    assert {"success_rate", "seconds_to_95", "env_steps_to_95", "env_steps", "seconds"} <= result.keys()
    assert result["env_steps"] == 256
    assert not Path("skills").exists()


def test_evaluate_prints_the_promised_figures_and_repeats(there: Path, capsys: Capture) -> None:
    line = "evaluate navigation1 --task navigation1 --episodes 20 --seed 90001 --json"
    assert h_dqn(line) == 0
    first = last_json(capsys)
    assert {"success_rate", "ci95", "episodes", "env_steps", "mean_return"} <= first.keys()
    assert first["episodes"] == 20
    assert h_dqn(line) == 0
    assert last_json(capsys) == first


def test_a_controller_is_evaluated_as_its_run_was(in_tmp: Path, capsys: Capture) -> None:
    """Also where a skill and a primitive action have the same name."""
    assert h_dqn("train skill break --preset smoke --episodes 4") == 0
    assert h_dqn("train controller three_rooms --skills break --preset smoke --episodes 32 --name ctl --json") == 0
    run = last_json(capsys)
    assert h_dqn("evaluate runs/ctl --episodes 32 --seed 1 --json") == 0
    again = last_json(capsys)
    assert (again["success_rate"], again["mean_return"]) == (run["success_rate"], run["mean_return"])


def test_a_controller_is_evaluated_and_filmed(there: Path, capsys: Capture, tmp_path: Path) -> None:
    assert h_dqn(f"evaluate runs/ctl --episodes 4 --json --video {tmp_path / 'episode.mp4'}") == 0
    assert last_json(capsys)["task"] == "two_rooms"
    video = cv2.VideoCapture(str(tmp_path / "episode.mp4"))
    read = [video.read()[1] for _ in range(int(video.get(cv2.CAP_PROP_FRAME_COUNT)))]
    frames = np.stack(read)
    video.release()
    assert frames.shape[0] > 10
    assert frames.shape[3] == 3
    # The caption's bar is black with white letters.
    assert frames[3, -32:].max() > 200


def test_skills_and_tasks_can_be_looked_at(there: Path, capsys: Capture, tmp_path: Path) -> None:
    for line, part in (
        ("skills list", "navigation1"),
        ("skills show navigation1", "# Skill: navigation1"),
        ("tasks list", "three_rooms"),
        (f"tasks show placement --picture {tmp_path / 'p.png'}", "placed_at crate p"),
        ("doctor", "torch"),
    ):
        assert h_dqn(line) == 0
        assert part in capsys.readouterr().out
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_a_task_file_serves_wherever_a_name_does(there: Path, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "room.toml"
    path.write_text(toml_of(ROOM))
    assert h_dqn(f"tasks check {path} --episodes 20") == 0
    assert h_dqn(f"evaluate navigation1 --task {path} --episodes 4 --json") == 0
    assert last_json(capsys)["task"] == "room"


BAD = {
    "unknown task": ("train skill navigation9", ["unknown task 'navigation9'", "navigation1"]),
    "unknown skill": ("train controller two_rooms --skills fly", ["unknown skill 'fly'"]),
    "no run": ("evaluate /nowhere/at/all --task navigation1", ["/nowhere/at/all: no run is kept here"]),
    "unknown agent": ("evaluate nothing --task navigation1", ["unknown skill 'nothing'"]),
    "unknown preset": ("train skill navigation1 --preset quick", ["unknown preset 'quick'", "fast, long, paper"]),
    "unknown preset, other form": ("train skill navigation1 --preset=quick", ["unknown preset 'quick'"]),
    "existing run": ("train skill navigation1 --name ctl", ["runs/ctl exists already"]),
    "no episodes": ("train skill navigation1 --episodes 0", ["--episodes must be from 1"]),
    "no episodes of a demo": ("demo --episodes 0", ["--episodes must be from 1"]),
    "negative seed": ("train skill navigation1 --seed -1", ["--seed must be from 0 to"]),
    "endless seed": (f"evaluate navigation1 --seed {2**70}", ["--seed must be from 0 to"]),
    "endless rate": ("train skill navigation1 --learning-rate inf", ["--learning-rate must be a number, not inf"]),
    "negative temperature": ("train skill navigation1 --temperature -1", ["--temperature must be at least 0"]),
    "unknown learner": ("train skill navigation1 --learner sarsa", ["unknown learner 'sarsa' (known: q_lambda, dqn)"]),
    "unknown head": ("train skill navigation1 --head hydra", ["unknown head 'hydra'"]),
    "no Minecraft": ("train skill navigation1 --world minerl --minerl-instances 0", ["--minerl-instances must be from 1"]),
    "too many environments": (
        "train skill navigation1 --preset smoke --num-envs 1000000000000",
        ["--num-envs must be at most 10000, not 1000000000000"],
    ),
    "too large a replay": (
        "train skill navigation1 --preset smoke --success-memory 0.2 --capacity 100000000000000",
        ["not enough memory"],
    ),
    "runs in no folder": ("train flat navigation1 --preset smoke --runs skills/navigation1/CARD.md", ["CARD.md", "is a file"]),
    "no checkpoint": ("resume runs/ctl", ["this run is over"]),
    "another size": ("train controller two_rooms --preset fast --skills navigation1", ["sees a frame of 40x32"]),
    "no such file": ("tasks check nowhere.toml", ["nowhere.toml: cannot be read"]),
    "unsolvable limit": ("tasks check short.toml", ["short.toml: step_limit: the oracle cannot solve"]),
    "bad setting": ("train skill navigation1 --num-envs 0", ["--num-envs must be above 0, not 0"]),
    "no picture": ("tasks show navigation1 --picture map.xyz", ["must end in .png or .jpg"]),
    "tiny frames": ("train skill navigation1 --size 8", ["too small"]),
    "unknown network": ("train skill navigation1 --network huge", ["huge"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, there: Path, capsys: Capture) -> None:
    if name == "unsolvable limit":
        (there / "short.toml").write_text(toml_of({**ROOM, "step_limit": 1}))
    line, parts = BAD[name]
    refused(capsys, line, *parts)


def test_a_damaged_skill_is_refused(there: Path, capsys: Capture, tmp_path: Path) -> None:
    shutil.copytree(there / "skills", tmp_path / "skills")
    (model,) = (tmp_path / "skills" / "objects").glob("*/model.safetensors")
    model.write_bytes(model.read_bytes()[:100])
    refused(capsys, f"evaluate navigation1 --library {tmp_path / 'skills'} --episodes 4", "its hash differs")


def test_a_full_disk_loses_nothing(in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up while the result is written: the skill is saved elsewhere, and the message says where."""
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "model.safetensors" and in_tmp in path.resolve().parents:
            raise OSError(28, "No space left on device", str(path))
        return real(path, data)

    rescue = in_tmp.parent / "rescue"
    rescue.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(rescue))
    monkeypatch.setattr(Path, "write_bytes", full)
    assert h_dqn("train skill navigation1 --preset smoke --episodes 4") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "No space left on device" in error
    assert "saved to" in error
    assert (Path(error.split("saved to ")[1]) / "model.safetensors").is_file()


def test_a_missing_peer_names_the_extra(in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyglet", None)
    refused(capsys, "bench world --json", "pip install -e '.[bench]'")


def test_a_name_is_counted_on(in_tmp: Path) -> None:
    for _ in range(2):
        assert h_dqn("train flat navigation1 --preset smoke --episodes 2 --env-steps 64") == 0
    assert {path.name for path in Path("runs").iterdir()} == {"flat-navigation1-s1", "flat-navigation1-s1-2"}


def test_ctrl_c_saves_and_resume_goes_on(in_tmp: Path, capsys: Capture) -> None:
    """A run that is interrupted and resumed ends with the very weights of one that was not."""
    settings = "train flat navigation1 --preset smoke --success-memory 0.2 --env-steps 4000 --episodes 4"
    # Whoever runs the tests in the background of a script has children begin with Ctrl-C ignored, and so it would stay.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from h_dqn.cli import run; sys.exit(run(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *settings.split(), "--name", "cut"], stderr=subprocess.PIPE, text=True, env=environment
    )
    while not Path("runs/cut/metrics.jsonl").exists() or not Path("runs/cut/metrics.jsonl").stat().st_size:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "h-dqn resume runs/cut" in error
    assert Path("runs/cut/agent/model.safetensors").is_file()
    plan = Path("runs/cut/run.json").read_text()
    swaps = [("{", "["), ('"plan"', '"design"'), ('"discount"', '"account"'), ('"q_lambda"', '"sarsa"'), (": 8,", ": {},")]
    for part, damaged in swaps:
        assert part in plan
        Path("runs/cut/run.json").write_text(plan.replace(part, damaged))
        refused(capsys, "resume runs/cut", "runs/cut/run.json: ")
    capacity = next(line.strip(" ,") for line in plan.splitlines() if '"capacity"' in line)
    for setting, odd, says in (
        ('"num_envs": 8', '"num_envs": "8"', "--num-envs must be a whole number, not 8"),
        ('"num_envs": 8', '"num_envs": 4', "does not fit this run"),
        (capacity, '"capacity": 100000000000000', "not enough memory"),
    ):
        assert setting in plan
        Path("runs/cut/run.json").write_text(plan.replace(setting, odd))
        refused(capsys, "resume runs/cut", says)
    Path("runs/cut/run.json").write_text(plan)
    assert h_dqn("resume runs/cut") == 0
    assert h_dqn(f"{settings} --name whole") == 0
    assert not Path("runs/cut/checkpoint").exists()
    cut, whole = (Path("runs") / name / "agent/model.safetensors" for name in ("cut", "whole"))
    assert cut.read_bytes() == whole.read_bytes()


def test_distil_from_end_to_end(there: Path, capsys: Capture) -> None:
    assert h_dqn("train skill break --preset smoke --episodes 4 --json") == 0
    tiny = "--core 16 --env-steps 512 --num-envs 8 --memory 500 --updates 2 --episodes 4"
    assert h_dqn(f"distill --skills navigation1 break --name multi {tiny} --json") == 0
    result = last_json(capsys)
    assert set(result["heads"]) == {"navigation1", "break"}
    assert result["weights"] < result["teacher_weights"]
    assert h_dqn("skills list") == 0
    assert "multi/break" in capsys.readouterr().out
    assert h_dqn("evaluate multi/break --episodes 4 --json") == 0
    assert last_json(capsys)["task"] == "break"
    assert h_dqn("train controller two_rooms --preset smoke --episodes 4 --skills multi/navigation1 --name heads --json") == 0
    assert h_dqn("evaluate runs/heads --episodes 4 --json") == 0
    refused(capsys, "evaluate multi --task break", "holds several skills; name one: multi/navigation1, multi/break")
    assert h_dqn("train controller two_rooms --preset smoke --episodes 4 --skills multi --name masked") == 0
    assert "skill:multi/break is played without break, which 'two_rooms' lacks" in capsys.readouterr().err
    refused(capsys, "distill --skills navigation1 --name navigation1", "--name navigation1")
    refused(capsys, "distill --skills navigation1 --name ../multi", "is no name for a skill")
    refused(capsys, "distill --skills navigation1 fly", "unknown skill 'fly'")
    refused(capsys, "distill --skills navigation1 --tau 0", "--tau must be above 0, not 0")


def test_bench_skills_counts_the_weights_that_training_makes(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many networks as skills, or one with a head each: of four skills a quarter of the weights, and of more hardly more."""
    monkeypatch.setattr("h_dqn.experiment.bench.skills.NUM_ENVS", 4)
    monkeypatch.setattr("h_dqn.experiment.bench.skills.REPEATS", 1)
    monkeypatch.setattr("h_dqn.experiment.bench.skills.ROUNDS", 1)
    assert h_dqn("bench skills --json") == 0
    rows = last_json(capsys)["rows"]
    weights = {(row["kind"], row["skills"]): row["weights"] for row in rows}
    assert all(row["microseconds"] > 0 for row in rows)
    assert weights["array", 16] == 4 * weights["array", 4]
    assert 4 * weights["distilled", 4] <= weights["array", 4]
    assert weights["distilled", 64] < 2 * weights["distilled", 4]


def test_demo_from_end_to_end(in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn("demo --preset smoke --episodes 8") == 0
    said = capsys.readouterr().out
    assert "three_rooms: with skills" in said
    found = {path.name for path in Path("runs/demo").iterdir()}
    assert {"metrics.jsonl", "curve.png", "controller.mp4", "result.json", "navigation1", "controller", "flat"} <= found
    results = json.loads(Path("runs/demo/result.json").read_text())
    assert results["controller"]["env_steps"] == results["flat"]["env_steps"]
    assert {json.loads(line)["run"] for line in Path("runs/demo/metrics.jsonl").read_text().splitlines()} == set(results)


HELP = ["", "demo", "tasks", "tasks show", "play", "train", "train skill", "train flat", "train controller", "distill", "resume",
        "evaluate", "skills", "skills list", "bench", "bench world", "doctor"]  # fmt: skip


@pytest.mark.parametrize("verb", HELP)
def test_help(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        h_dqn(f"{verb} --help")
    assert end.value.code == 0
    assert "usage: h-dqn" in capsys.readouterr().out


SEQUENCE = """
[[phase]]
task = "near_and_far"
env_steps = 256
[[phase]]
task = "near_and_far"
env_steps = 256
change = { step_limit = 13 }
"""


def test_a_sequence_is_trained_on(in_tmp: Path, capsys: Capture) -> None:
    """With meta-parameters that tune themselves; a sequence says its own steps, and its log has them."""
    (in_tmp / "two.toml").write_text(SEQUENCE)
    tuned = "--tune-discount --tune-lambda --tuner update_gradient"
    assert h_dqn(f"train flat two.toml --preset smoke --env-steps 99 {tuned} --episodes 8 --json") == 0
    result = last_json(capsys)
    assert result["env_steps"] == 512
    assert result["run"] == "runs/flat-two-s1"
    row = json.loads((in_tmp / "runs" / "flat-two-s1" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"discount", "discount_slope", "discount_snr", "horizon", "td_lambda", "td_lambda_slope"} <= set(row)
    assert h_dqn("train flat two.toml --preset smoke --tune-discount --episodes 8 --json") == 0
    kept = json.loads(Path(last_json(capsys)["run"], "agent", "policy.json").read_text())
    assert kept["training"]["plays_by"] == {"discounts": [0.8, 0.98], "eta": ANY, "discount": ANY}
    assert (kept["network"]["outputs"], kept["network"]["head"]) == (3, "linear")
    assert "plays by | discount" in (in_tmp / "runs" / "flat-two-s1-2" / "agent" / "CARD.md").read_text()
    assert h_dqn("evaluate runs/flat-two-s1-2 --episodes 4 --json") == 0
    refused(capsys, "train skill two.toml", "two.toml is a sequence")
    refused(capsys, "train flat two.toml --world minerl", "this world plays single tasks")
    refused(capsys, "train flat two.toml --tune-discount --discount 0.999", "--tune-discount: --discount must begin")
    refused(capsys, "train flat two.toml --tune-discount --discounts 0.9 0.8", "--discounts must rise")
    (in_tmp / "two.toml").write_text(SEQUENCE + "when = 3\n")
    refused(capsys, "train flat two.toml", "two.toml: phase 2: when: unknown key")
