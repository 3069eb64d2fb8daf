"""The runs in a folder: what is known of each, and going on with one, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h_dqn.experiment.add import Addition
from h_dqn.experiment.demo import Demo
from h_dqn.experiment.distil import Distillation
from h_dqn.experiment.errors import FOR_PEOPLE
from h_dqn.experiment.lifelong import Lifelong
from h_dqn.experiment.lifelong_plan import KIND
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RUN, RunFolder
from h_dqn.experiment.stages import Staged
from h_dqn.experiment.transfer import Transfer
from h_dqn.files import Locked, lock

Work = Run | Distillation | Demo | Addition | Staged | Lifelong | Transfer
KINDS: dict[str, type[Work]] = {
    "distill": Distillation,
    "demo": Demo,
    "add": Addition,
    "stages": Staged,
    KIND: Lifelong,
    "transfer": Transfer,
}  # all others are of Run


@dataclass(frozen=True)
class KnownRun:
    """What a run's folder says of it."""

    folder: Path
    plan: dict[str, Any]
    versions: dict[str, str]
    began: str
    state: str
    """over, running or stopped"""
    env_steps: int
    """up to which it is saved"""
    result: dict[str, Any] | None

    @property
    def what(self) -> str:
        """What it is a run of, in words."""
        of = self.plan.get("task") or " ".join(self.plan.get("skills", ()))
        return f"{self.plan.get('kind', '')} {of}".strip()


def resume(folder: Path, library: Path | None = None) -> Work:
    """What was stopped in this folder; its ``learn`` goes on.

    Args:
        folder: of the run, distillation, demo or life.
        library: where skills are kept, if not where it began to.
    """
    plan = RunFolder(folder).read().get("plan")
    return KINDS.get(str(plan.get("kind")) if isinstance(plan, dict) else "", Run).resume(folder, library)


def known_run(folder: Path) -> KnownRun:
    """What is known of the run in this folder. Raises UserError where there is none that can be read."""
    files = RunFolder(folder)
    entry, result = files.read(), files.result
    steps, state = files.checkpoints.newest, "over" if result is not None else "stopped"
    if result is None:
        try:
            lock(folder).release()
        except Locked:
            state = "running"
    if result is not None and isinstance(result.get("env_steps"), int):
        steps = result["env_steps"]
    return KnownRun(folder, entry["plan"], entry["versions"], str(entry.get("began", "")), state, steps, result)


def users(runs: Path, library: Path, name: str) -> list[Path]:
    """Folders below ``runs`` of controllers that chose among the skills of this name, or its heads, of this library."""
    found = []
    for file in sorted(runs.rglob(RUN)):
        try:
            plan = RunFolder(file.parent).read()["plan"]
        except FOR_PEOPLE:
            continue
        kind, skills, where = (plan.get(key) for key in ("kind", "skills", "library"))
        if kind == "controller" and isinstance(skills, list) and Path(str(where)).absolute() == library.absolute():
            found += [file.parent] * any(str(skill).partition("/")[0] == name for skill in skills)
    return found


def known_runs(runs: Path) -> Iterator[KnownRun]:
    """All runs below a folder, by name; those that cannot be read are left out."""
    for file in sorted(runs.rglob(RUN)):
        try:
            yield known_run(file.parent)
        except FOR_PEOPLE:
            continue
        except OSError:
            continue
