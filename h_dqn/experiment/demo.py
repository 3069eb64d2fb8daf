"""The whole idea in a few minutes: learn a skill, keep it, solve a task with it, beside an agent that has no skills."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.evaluate import film
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.plots import learning_curve
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import MISFITS, RunFolder
from h_dqn.experiment.training import preset as named_preset
from h_dqn.experiment.watch import Watcher
from h_dqn.files import write_text
from h_dqn.metrics import read_metrics
from h_dqn.presets import PRESETS
from h_dqn.settings import Count, CountOrZero, check

SKILL, TASK = "navigation1", "two_rooms"
PARTS: dict[str, tuple[str, str, tuple[str, ...]]] = {  # kind of run, task, skills
    SKILL: ("skill", SKILL, ()),
    "controller": ("controller", TASK, (SKILL,)),
    "flat": ("flat", TASK, ()),
}
STEPS = {"skill": 300_000, "controller": 400_000, "flat": 400_000}  # enough for one room, and for two with the skill


@dataclass(frozen=True)
class DemoPlan:
    """Everything that decides a demo; written to ``run.json``."""

    seed: CountOrZero = 1
    preset: str = "fast"
    episodes: Count = 500
    """unseen episodes of each evaluation"""
    library: str = "skills"
    """where the skill is kept"""


class Demo:
    """Learn the skill navigation1, then two_rooms with it, then two_rooms without it for as many environment steps.

    Args:
        plan: how.
        folder: where everything is written, a film and a picture of the learning curves too.
    """

    def __init__(self, plan: DemoPlan, folder: Path) -> None:
        check(plan)
        named_preset(plan.preset)
        self.plan, self.folder = replace(plan, library=str(Path(plan.library).absolute())), folder
        self._files = RunFolder(folder)

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Demo:
        """A demo that was stopped; see :meth:`h_dqn.experiment.run.Run.resume`."""
        files = RunFolder(folder)
        entry = files.read()
        try:
            plan = DemoPlan(**{name: value for name, value in entry["plan"].items() if name != "kind"})
            return cls(replace(plan, library=str(library)) if library else plan, folder)
        except MISFITS as error:
            raise files.misfit(error) from error

    def learn(self, watcher: Watcher | None = None) -> dict[str, dict[str, Any]]:
        """Do what is not done yet. Returns: the result of each of the three runs."""
        watcher = watcher or Watcher()
        if not self._files.begun:
            self._files.begin({"plan": {"kind": "demo", **asdict(self.plan)}}, {})
        with self._files.at_work(lambda _: None):
            try:
                results = {part: self._part(part, *of, watcher) for part, of in PARTS.items()}
            except BaseException:
                watcher.say(f"the whole demo goes on with: {self._files.go_on}")
                raise
            learning_curve(
                {f"{TASK}, primitives and {SKILL}": self.folder / "controller", f"{TASK}, primitives only": self.folder / "flat"},
                self.folder / "curve.png",
                title="the same learner, with and without a skill",
            )
            rows = [{"run": part, **row} for part in PARTS for row in read_metrics(self.folder / part)]
            write_text(self.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            self._files.finish(results)
        return results

    def _part(self, part: str, kind: str, task: str, skills: tuple[str, ...], watcher: Watcher) -> dict[str, Any]:
        """Learn one part, or go on with it; its result."""
        folder, plan = self.folder / part, self.plan
        if (result := RunFolder(folder).result) is None:
            if RunFolder(folder).begun:
                run = Run.resume(folder)
            else:
                config = named_preset(plan.preset, env_steps=min(STEPS[kind], PRESETS[plan.preset].env_steps))
                start = SKILL if skills else None  # the controller sees with the skill's layers from the beginning
                run = Run(Plan(kind, task, config, plan.preset, plan.seed, plan.episodes, skills, start, plan.library), folder)
            result = run.learn(watcher)
        if not {"success_rate", "ci95", "env_steps", "seconds"} <= set(result):
            raise UserError(f"{folder}: its result is none of a run")
        if part == "controller" and not (film_of := self.folder / "controller.mp4").exists():
            agent = load_agent(folder)
            film(agent, agent.envs(task), film_of, plan.seed)
        return result


def demo(
    folder: Path,
    seed: int = 1,
    preset: str = "fast",
    episodes: int = 500,
    library: str = "skills",
    watcher: Watcher | None = None,
) -> dict[str, dict[str, Any]]:
    """Run a demo in a new folder; the arguments are those of :class:`DemoPlan`. Returns the result of each of the three runs."""
    return Demo(DemoPlan(seed, preset, episodes, library), folder).learn(watcher)
