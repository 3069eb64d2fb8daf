"""Whatever ends a process, what it kept is the old or the new: faults at every write, readers beside writers, kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from h_dqn import checkpoint, files
from h_dqn.checkpoint import Checkpoints, load_state, save_state
from h_dqn.files import Locked, lock, sweep
from h_dqn.state import CheckpointError
from skills_library.library import Library
from skills_library.manifest import SkillError
from skills_library.policy import SavedPolicy
from tests.faults import Faults
from tests.helpers import Capture, h_dqn, policy_of, refused
from tests.kills import Killer

SMOKE = "--preset smoke --episodes 4"


def weights(policy: SavedPolicy) -> torch.Tensor:
    return torch.cat([value.flatten() for value in policy.network.state_dict().values()])


def measured(policy: SavedPolicy, low: float, high: float) -> SavedPolicy:
    card = {"task": {"name": "x", "hash": "0"}, "measured": {"success_rate": high, "ci95": [low, high], "episodes": 9, "seed": 1}}
    (head,) = policy.heads
    return replace(policy, heads=(replace(head, card=card),))


def test_a_library_holds_the_old_or_the_new_after_a_fault_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    old = policy_of(0)
    library.add(old)
    faults = Faults(monkeypatch)
    new = policy_of(1)

    def check(ended: bool) -> None:
        found = weights(library.policy("walk"))
        assert torch.equal(found, weights(new)) or (not ended and torch.equal(found, weights(old)))
        (tmp_path / "library.json").write_text(before)  # as it was, for the next fault

    before = (tmp_path / "library.json").read_text()
    assert faults.at_each(lambda: library.add(new), check) > 6


def test_checkpoints_are_the_old_or_the_new_after_a_fault_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, step = Checkpoints(tmp_path / "checkpoint"), [0]
    kept.save({"n": 0, "tensor": torch.zeros(3)}, 0)
    faults = Faults(monkeypatch)

    def work() -> None:
        kept.save({"n": step[0] + 1, "tensor": torch.ones(3)}, step[0] + 1)

    def check(ended: bool) -> None:
        found = kept.load()["n"]
        assert found == step[0] + 1 or (not ended and found == step[0])
        step[0] = found

    assert faults.at_each(work, check) > 3
    assert len(list((tmp_path / "checkpoint").glob("*.safetensors"))) <= 2


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "checkpoint")
    assert kept.load() is None
    for step in (1, 2, 3):
        kept.save({"n": step, "zeros": torch.zeros(100)}, step)
    newest, before = sorted((tmp_path / "checkpoint").iterdir(), reverse=True)
    data = bytearray(newest.read_bytes())
    data[-7] ^= 1
    newest.write_bytes(data)
    assert kept.load()["n"] == 2
    before.write_bytes(b"")
    with pytest.raises(CheckpointError, match="is damaged"):
        kept.load()


def test_saving_takes_its_share_of_the_time_and_no_more(tmp_path: Path) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1  # so that a save takes one second or two
        return now[0]

    kept = Checkpoints(tmp_path / "checkpoint", every_s=5, clock=clock)
    kept.save({"n": 1}, 1)
    took = 1 / checkpoint.SHARE
    assert not kept.due
    now[0] += took - 3
    assert not kept.due
    now[0] += 3
    assert kept.due


def test_what_stands_twice_is_written_once(tmp_path: Path) -> None:
    many, other = torch.arange(10_000), torch.arange(50)
    file = save_state(tmp_path, "state", {"online": many, "target": many, "views": [other[:10], other[10:20]]})
    assert file.stat().st_size < 90_000
    again = load_state(file)
    assert torch.equal(again["target"], many)
    assert torch.equal(again["views"][1], other[10:20])


def test_a_lock_is_one_processs_and_dies_with_it(tmp_path: Path) -> None:
    code = "import sys, pathlib, h_dqn.files as f; held = f.lock(pathlib.Path(sys.argv[1])); print('held', flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Locked, match="another process is at work here"):
            lock(tmp_path)
        process.kill()
    lock(tmp_path).release()


def test_leftovers_are_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{files.TEMPORARY}x").mkdir()
    (tmp_path / f"{files.TEMPORARY}y").touch()
    (tmp_path / ".tmp-mine").touch()
    (tmp_path / "kept").mkdir()
    (tmp_path / f"{files.TEMPORARY}link").symlink_to(tmp_path / "kept")
    sweep(tmp_path, older_than_s=3600)
    assert len(list(tmp_path.iterdir())) == 5
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".tmp-mine", "kept"}


def test_readers_beside_two_writers_always_find_a_whole_skill(tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(policy_of(0))
    code = (
        "import sys; from pathlib import Path; from skills_library.library import Library; from tests.helpers import policy_of\n"
        f"library = Library(Path({str(tmp_path)!r}))\nfor n in range(12): library.add(policy_of(int(sys.argv[1]) + n))"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    writers = [subprocess.Popen([sys.executable, "-c", code, first], env=here) for first in ("100", "200")]
    reads = 0
    while any(writer.poll() is None for writer in writers) or reads < 50:
        assert library.policy("walk").name == "walk"
        assert library.names() == ["walk"]
        reads += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(library.index()["walk"].ids) == 25


# --- versions ---


def test_a_worse_skill_stays_a_version_and_can_be_used(tmp_path: Path, capsys: Capture) -> None:
    library = Library(tmp_path / "skills", shipped=tmp_path / "none")
    good, bad, as_good = (
        measured(policy_of(0), 0.95, 0.99),
        measured(policy_of(1), 0.05, 0.1),
        measured(policy_of(2), 0.93, 0.98),
    )
    assert library.add(good).current == 1
    assert library.add(bad).current == 1
    assert library.add(as_good).current == 3
    library.use("walk", 1)
    assert torch.equal(weights(library.policy("walk")), weights(good))
    assert h_dqn(f"skills history walk --library {tmp_path / 'skills'}") == 0
    assert "10.0 %" in capsys.readouterr().out
    assert h_dqn(f"skills use walk 2 --library {tmp_path / 'skills'}") == 0
    assert library.index()["walk"].current == 2
    refused(capsys, f"skills use walk 9 --library {tmp_path / 'skills'}", "no version 9 (known: 1 to")
    with pytest.raises(SkillError, match="no versions of 'fly'"):
        library.history("fly")


def test_a_skill_of_an_older_library_becomes_the_first_version(tmp_path: Path) -> None:
    from skills_library.policy import save_policy

    library, old, new = Library(tmp_path, shipped=tmp_path / "none"), policy_of(0), policy_of(1)
    save_policy(old, tmp_path / "walk")
    assert torch.equal(weights(library.policy("walk")), weights(old))
    library.add(new)
    assert torch.equal(weights(library.policy("walk")), weights(new))
    assert len(library.history("walk")) == 2
    library.use("walk", 1)
    assert torch.equal(weights(library.policy("walk")), weights(old))
    assert (tmp_path / "walk").is_symlink()


# --- runs ---


def test_runs_go_on_from_anywhere_with_their_own(in_tmp: Path, capsys: Capture) -> None:
    """Stopped, then the library's skill is another, the task's file is gone, and it goes on from another folder."""
    task = in_tmp / "mine.toml"
    task.write_text((Path(__file__).parents[1] / "envs" / "tasks" / "navigation1.toml").read_text())
    assert h_dqn(f"train skill navigation1 {SMOKE}") == 0
    plan = f"train controller {task} --skills navigation1 --from navigation1 {SMOKE} --env-steps 2000"
    assert h_dqn(f"{plan} --name whole") == 0
    stopped(f"{plan} --name cut", Path("runs/cut"))
    assert h_dqn(f"train skill navigation1 {SMOKE} --seed 9") == 0
    task.unlink()
    (in_tmp / "elsewhere").mkdir()
    os.chdir(in_tmp / "elsewhere")
    capsys.readouterr()
    assert h_dqn("runs list --runs ../runs") == 0
    assert "stopped" in capsys.readouterr().out
    assert h_dqn("resume ../runs/cut") == 0
    assert "not all there any more" in capsys.readouterr().err
    one, other = (in_tmp / "runs" / name / "agent" / "model.safetensors" for name in ("whole", "cut"))
    assert one.read_bytes() == other.read_bytes()
    refused(capsys, "resume ../runs/cut", "this run is over")
    assert not Path("skills").exists()


def stopped(line: str, folder: Path) -> None:
    """Run a command in a process that gets SIGHUP while it learns."""
    code = "import sys; from h_dqn.cli import run; sys.exit(run(sys.argv[1:]))"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", code, *line.split()], stderr=subprocess.PIPE, text=True, env=here)
    while not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").stat().st_size:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    assert f"h-dqn resume {folder}" in error


def test_a_strangers_run_writes_into_no_folder_that_it_names(in_tmp: Path, capsys: Capture) -> None:
    """Not even where a folder of the skill's name is."""
    precious = in_tmp / "precious" / "navigation1"
    precious.mkdir(parents=True)
    (precious / "thesis.txt").write_text("years of work")
    stopped(f"train skill navigation1 {SMOKE} --env-steps 2000 --name odd", Path("runs/odd"))
    entry = json.loads(Path("runs/odd/run.json").read_text())
    entry["plan"]["library"] = str(in_tmp / "precious")
    Path("runs/odd/run.json").write_text(json.dumps(entry))
    assert h_dqn("resume runs/odd") == 0
    assert "is no library, so the skill stays in" in capsys.readouterr().err
    assert [path.name for path in (in_tmp / "precious").rglob("*")] == ["navigation1", "thesis.txt"]
    assert Path("runs/odd/agent/model.safetensors").is_file()


def test_a_disk_that_fills_up_while_it_learns_ends_nothing(in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"train flat navigation1 {SMOKE} --env-steps 1500"
    assert h_dqn(f"{line} --name whole") == 0
    full, real = [True], safetensors.torch.save_file

    def save(*args: Any, **kwargs: Any) -> None:
        if full.pop() if len(full) > 1 else full[0]:
            full.insert(0, False)
            raise OSError(28, "No space left on device")
        real(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "save_file", save)
    capsys.readouterr()
    assert h_dqn(f"{line} --name cut") == 0
    assert "cannot be written (No space left on device); the run goes on" in capsys.readouterr().err
    one, other = (Path("runs") / name / "agent" / "model.safetensors" for name in ("whole", "cut"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("scenario", ["controller"])
def test_a_killed_run_ends_as_one_that_was_not(scenario: str, tmp_path: Path) -> None:
    killer = Killer(scenario, tmp_path)
    assert killer.kill(random.Random(2), 2) == ""


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["skill", "small", "replay", "eliminate", "recurrent", "sequence", "distill", "demo"])
def test_killed_work_ends_as_what_was_not(scenario: str, tmp_path: Path) -> None:
    killer, rng = Killer(scenario, tmp_path), random.Random(3)
    assert [killer.kill(rng, rng.randint(1, 3)) for _ in range(8)] == [""] * 8
