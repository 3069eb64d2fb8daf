"""The whole idea in a few minutes: learn a skill, keep it, and solve with the skills that are shipped a task that is not solved
without any.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from h_dqn.config import Config, change
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.evaluate import film
from h_dqn.experiment.pair import CORES, learn, learn_both
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.plots import learning_curve
from h_dqn.experiment.run_folder import MISFITS, RunFolder
from h_dqn.experiment.training import preset
from h_dqn.experiment.transfer import Transfer, TransferPlan, new_transfer
from h_dqn.experiment.watch import Watcher
from h_dqn.files import write_text
from h_dqn.metrics import read_metrics
from h_dqn.settings import Count, CountOrZero, check
from skills_library.library import PRETRAINED

SKILL, TASK, WITH, WITHOUT = "navigation1", "three_rooms", "controller", "flat"
SKILLS = ("multi/navigation2", "multi/pickup", "multi/break", "multi/placement")
SKILL_STEPS, TASK_STEPS = 200_000, 350_000  # of environments: enough for the skill, and for the task with skills
MATRIX, MATRIX_EPISODES, TRANSFER = ("multi/navigation1", *SKILLS), 50, "transfer"  # who plays, how long, and where that is written
LONGER = {"fast": "long"}  # preset for the task, by that for the skill; of others it is the same
AS_THE_PACK = {"size": 48, "stack": 1, "memory": True, "network": "slim", "core": 128}  # so that its layers are begun with


@dataclass(frozen=True)
class DemoPlan:
    """Everything that decides a demo; written to ``run.json``."""

    seed: CountOrZero = 1
    preset: str = "fast"
    episodes: Count = 500
    """unseen episodes of each evaluation"""
    library: str = "skills"
    """where the skill is kept"""

    @property
    def runs(self) -> dict[str, Plan]:
        """What is learned, by the name of its folder: the skill, then the task with skills and without, for as many steps."""
        skill = _at_most(SKILL_STEPS, preset(self.preset))
        longer = LONGER.get(self.preset, self.preset)
        task = _at_most(TASK_STEPS, preset(longer, **AS_THE_PACK))
        without = Plan("flat", TASK, task, longer, self.seed, self.episodes)
        return {
            SKILL: Plan("skill", SKILL, skill, self.preset, self.seed, self.episodes, library=self.library),
            WITH: replace(without, kind="controller", skills=SKILLS, start=SKILLS[0], library=str(PRETRAINED)),
            WITHOUT: without,
        }


def _at_most(env_steps: int, config: Config) -> Config:
    changed: Config = change(config, env_steps=min(env_steps, config.env_steps))
    return changed


class Demo:
    """Learn the skill navigation1; then three_rooms with skills of the pack and, at the same time, without any.

    Args:
        plan: how.
        folder: where everything is written, a film and a picture of the learning curves too.
    """

    def __init__(self, plan: DemoPlan, folder: Path) -> None:
        check(plan)
        preset(plan.preset)
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
                results = self._learn(watcher)
                self._show(watcher)
                self._transfer_matrix(watcher)
            except BaseException:
                watcher.say(f"the whole demo goes on with: {self._files.go_on}")
                raise
            self._files.finish(results)
        return results

    def _learn(self, watcher: Watcher) -> dict[str, dict[str, Any]]:
        runs = {name: (plan, self.folder / name) for name, plan in self.plan.runs.items()}
        watcher.say(f"1. a skill from pixels, {SKILL}, which is kept in the library")
        results = {SKILL: learn(*runs[SKILL], watcher)}
        watcher.say(f"2. {TASK} with four skills that are shipped and, at the same time, without any")
        results[WITH], results[WITHOUT] = learn_both(runs[WITH], runs[WITHOUT], watcher)
        for name, result in results.items():
            if not {"success_rate", "ci95", "env_steps", "seconds"} <= set(result):
                raise UserError(f"{self.folder / name}: its result is none of a run")
        return results

    def _show(self, watcher: Watcher) -> None:
        """A film, the picture of both curves, and what all runs logged in one file."""
        watcher.say("3. a film, and the picture of both curves")
        if not (film_of := self.folder / f"{WITH}.mp4").exists():
            agent = load_agent(self.folder / WITH)
            film(agent, agent.envs(TASK), film_of, self.plan.seed)
        labels = {f"{TASK}, with skills": self.folder / WITH, f"{TASK}, without": self.folder / WITHOUT}
        learning_curve(labels, self.folder / "curve.png", title="the same learner, with skills and without")
        rows = [{"run": name, **row} for name in self.plan.runs for row in read_metrics(self.folder / name)]
        write_text(self.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def _transfer_matrix(self, watcher: Watcher) -> None:
        """What the shipped skills do in each other's tasks without training, and which of them the controller uses."""
        watcher.say("4. which of the shipped skills helps where, without training")
        folder, plan = self.folder / TRANSFER, self.plan
        if RunFolder(folder).result is None:
            if RunFolder(folder).begun:
                work = Transfer.resume(folder)
            else:
                asked = TransferPlan(MATRIX, episodes=min(MATRIX_EPISODES, plan.episodes), library=str(PRETRAINED), jobs=CORES)
                work = new_transfer(asked, self.folder, TRANSFER, watcher)
            work.learn(watcher)


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
