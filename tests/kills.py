"""Kill work with -9 at random moments, let it go on, and compare what came of it with work that nobody killed.

    python -m tests.kills KILLS [SCENARIO ...]

Each process is a fork of this one, so that no time goes into imports; it runs the command line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from h_dqn import checkpoint
from h_dqn.cli import run
from h_dqn.experiment.share import export_skill
from skills_library.library import Library, Versions
from tests.helpers import policy_of

LIBRARY = "library"  # the scenario of changes of a library
SMOKE = "--preset smoke --episodes 8 --seed 3"
LONG = f"{SMOKE} --env-steps 4000 --validation-episodes 16 --evaluate-every 500"
RECURRENT = "--preset smoke --episodes 8 --seed 3 --core 16 --success-memory 0"
SEQUENCE = """
repeat = 2
[[phase]]
task = "near_and_far"
env_steps = 1000
[[phase]]
task = "near_and_far"
env_steps = 1000
change = { step_limit = 13 }
"""  # short.toml; a sequence says its steps itself
SCENARIOS = {  # name: commands, of which the last one is killed, and the folder of its run
    "skill": ([f"train skill navigation1 {LONG} --name run"], "runs/run"),
    "small": (["train flat navigation1 --preset small --env-steps 8000 --episodes 8 --seed 3 --name run"], "runs/run"),
    "replay": (["train flat pickup --preset smoke_replay --env-steps 1500 --episodes 8 --seed 3 --name run"], "runs/run"),
    "eliminate": ([f"train flat pickup {LONG} --eliminate --tune-discount --name run"], "runs/run"),
    "controller": (
        [f"train skill navigation1 {SMOKE}",
         f"train controller two_rooms {LONG} --skills navigation1 --from navigation1 --name run"],
        "runs/run",
    ),
    "recurrent": (
        [f"train skill navigation1 {RECURRENT}",
         f"train controller two_rooms {LONG} {RECURRENT} --skills navigation1 --interrupt --intra-option all --name run"],
        "runs/run",
    ),
    "sequence": ([f"train flat short.toml {LONG} --name run"], "runs/run"),
    "distill": (
        [f"train skill navigation1 {SMOKE}", f"train skill break {SMOKE}",
         "distill --skills navigation1 break --env-steps 4096 --num-envs 16 --memory 900 --updates 4 --episodes 8"],
        "runs/distill-multi-s1",
    ),
    "demo": ([f"demo {SMOKE} --name run"], "runs/run"),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What is left of work that is over."""

    weights: dict[str, str]
    rows: dict[str, list[dict[str, float]]]
    results: dict[str, Any]


def start(work: str | Callable[[], object], folder: Path) -> int:
    """Run a command, or call what is given, in a process of its own, in ``folder``; returns its number."""
    if (child := os.fork()) == 0:
        os.setsid()
        os.chdir(folder)
        quiet = os.open(os.environ.get("KILLS_LOG", os.devnull), os.O_WRONLY | os.O_APPEND)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        checkpoint.EVERY_S = 0.02
        checkpoint.SHARE = 0.5
        code = 1
        try:
            code = run(work.split()) if isinstance(work, str) else int(work() is None)
        finally:
            os._exit(code)
    return child


def wait(child: int) -> int:
    """Exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(folder: Path, run_folder: str) -> Outcome:
    """Weights, rows and results below the folder, without what a clock says."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(item) for key, item in value.items() if not key.startswith("seconds")}
        return value

    root = folder / run_folder
    weights = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.safetensors")}
    rows = {
        str(path.relative_to(folder)): [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        for path in root.rglob("metrics.jsonl")
    }
    results = {str(path.relative_to(folder)): timeless(json.loads(path.read_text())) for path in root.rglob("result.json")}
    return Outcome(weights, rows, results)


class Killer:
    """One scenario: done once whole, then killed as often as is asked for."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        (*before, self.line), self.run_folder = SCENARIOS[name]
        self.template = root / f"{name}-template"
        self.template.mkdir()
        (self.template / "short.toml").write_text(SEQUENCE)
        for line in before:
            assert wait(start(line, self.template)) == 0, line
        folder = self._copy("whole")
        began = time.monotonic()
        assert wait(start(self.line, folder)) == 0, self.line
        self.seconds = time.monotonic() - began
        self.whole = outcome(folder, self.run_folder)
        assert self.whole.results

    def _copy(self, name: str) -> Path:
        folder = self.root / f"{self.name}-{name}"
        shutil.copytree(self.template, folder, symlinks=True)
        return folder

    def kill(self, rng: random.Random, kills: int) -> str:
        """Kill it so many times, then let it end. Returns what is wrong; nothing if it ended as the whole one did."""
        folder = self._copy("cut")
        try:
            done = 0
            while True:
                begun = (folder / self.run_folder / "run.json").exists()
                child = start(f"resume {self.run_folder}" if begun else self.line, folder)
                if done == kills:
                    if code := wait(child):
                        over = (folder / self.run_folder / "result.json").exists()
                        return "" if over and done else f"ended with {code} after {done} kills"
                    break
                time.sleep(rng.uniform(0, self.seconds))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                wait(child)
                done += 1
                if (folder / self.run_folder / "result.json").exists():
                    break
            return "" if outcome(folder, self.run_folder) == self.whole else f"ended otherwise after {done} kills"
        finally:
            shutil.rmtree(folder)


class LibraryKiller:
    """Changes of a library, each killed once on a copy; what is there then must be the old or the new, and whole."""

    def __init__(self, root: Path) -> None:
        self.template, self.root = root / "template", root
        library = self._library(self.template)
        for number in range(3):
            library.add(policy_of(number))
        export_skill("walk", self.template / "walk.zip", library)
        library.add(policy_of(7))
        self.changes: list[Callable[[Library], object] | str] = [
            lambda library: library.add(policy_of(9)),
            lambda library: library.remove("walk") and True,
            "skills import walk.zip --name new",
            "skills remove walk",
            "skills rename walk stride",
            "skills use walk 1",
        ]

    @staticmethod
    def _library(folder: Path) -> Library:
        return Library(folder / "skills", shipped=folder / "none")

    def kill(self, rng: random.Random) -> str:
        """Kill one change at a random moment. Returns what is wrong; nothing if nothing is."""
        change = rng.choice(self.changes)
        began, new = time.monotonic(), self._changed(change, "whole", None)
        found = self._changed(change, "cut", rng.uniform(0, time.monotonic() - began))
        wrong = "" if found in (new, self._library(self.template).index()) else "it is neither the old nor the new; "
        library = self._library(self.root / "cut")
        wrong += "".join(one["problem"] for name in library.names() for one in library.verify(name))
        library.add(policy_of(11))  # the next writer is not disturbed
        return wrong

    def _changed(self, change: Callable[[Library], object] | str, name: str, seconds: float | None) -> dict[str, Versions]:
        """The index after a change that was killed so late, or not at all."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.template, folder, symlinks=True)
        library = self._library(folder)
        child = start(change if isinstance(change, str) else partial(change, library), folder)
        if seconds is not None:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = wait(child)
        assert seconds is not None or code == 0, change
        return library.index()


def kill_libraries(kills: int) -> int:
    """As :func:`main`, for a library."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as root:
        killer = LibraryKiller(Path(root))
        wrong = [said for said in (killer.kill(rng) for _ in range(kills)) if said]
    print(f"{LIBRARY:12} {kills} changes killed, {len(wrong)} not as they should be {wrong[:3]}", flush=True)
    return len(wrong)


def main(kills: int, names: list[str]) -> int:
    """Print a row for each scenario; returns how many ended otherwise."""
    rng, failed = random.Random(1), kill_libraries(kills) if LIBRARY in names else 0
    with tempfile.TemporaryDirectory() as root:
        for name in (name for name in names if name != LIBRARY):
            killer, wrong = Killer(name, Path(root)), []
            for _ in range(kills):
                if said := killer.kill(rng, rng.randint(1, 3)):
                    wrong.append(said)
            failed += len(wrong)
            print(f"{name:12} {kills} runs killed, {len(wrong)} not as the whole one {wrong[:3]}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:] or [LIBRARY, *SCENARIOS])))
