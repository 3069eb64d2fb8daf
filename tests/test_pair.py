"""Two runs at the same time learn what they learn one after the other, and end together."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from h_dqn.experiment import pair
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.training import preset
from h_dqn.experiment.watch import Moment, Watcher

PLAN = Plan("flat", "navigation1", preset("smoke", env_steps=256), "smoke", 1, 4)
OTHER = replace(PLAN, seed=2)


@pytest.fixture(autouse=True)
def two_cores(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "CORES", 2)


def weights(folder: str) -> bytes:
    return (Path(folder) / "agent" / "model.safetensors").read_bytes()


def test_two_at_once_learn_what_they_learn_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    results = pair.learn_both((PLAN, Path("a")), (OTHER, Path("b")), Watcher())
    assert [result["env_steps"] for result in results] == [256, 256]
    assert pair.learn_both((PLAN, Path("a")), (OTHER, Path("b")), Watcher()) == results  # they are over
    monkeypatch.setattr(pair, "CORES", 1)
    pair.learn_both((PLAN, Path("c")), (OTHER, Path("d")), Watcher())
    assert (weights("a"), weights("b")) == (weights("c"), weights("d"))
    assert weights("a") != weights("b")


def test_what_the_one_beside_cannot_do_is_told() -> None:
    RunFolder(Path("b")).begin({"plan": {"kind": "flat"}}, {})
    said, say = multiprocessing.Pipe(duplex=False)
    pair._learn_beside(OTHER, Path("b"), 1, say)
    assert said.recv().startswith("b/run.json: not what this version of h-dqn writes")


def test_where_the_one_here_ends_so_does_the_other() -> None:
    class Enough(Watcher):
        def progress(self, moment: Moment) -> None:
            raise KeyboardInterrupt

    endless = replace(OTHER, config=preset("smoke", env_steps=10**9))
    with pytest.raises(KeyboardInterrupt):
        pair.learn_both((PLAN, Path("a")), (endless, Path("b")), Enough())
    assert not multiprocessing.active_children()


BEGINS_ANOTHER = """
import multiprocessing, time
from h_dqn.experiment.processes import end_with_parent

def child(say):
    end_with_parent()
    say.send(multiprocessing.current_process().pid)
    time.sleep(600)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    said, say = spawn.Pipe(duplex=False)
    spawn.Process(target=child, args=(say,)).start()
    print(said.recv(), flush=True)
    time.sleep(600)
"""


def test_one_whose_parent_is_killed_ends(tmp_path: Path) -> None:
    """What both print to is closed by the last of them that ends."""
    script = tmp_path / "begins.py"
    script.write_text(BEGINS_ANOTHER)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) != parent.pid
    parent.kill()
    parent.communicate(timeout=60)
