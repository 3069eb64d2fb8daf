"""A task in stages: what chance never does in a row is learned a stage at a time, then a controller over these skills.

runs/add-TASK-sSEED/   run.json, and result.json when it is over
  stages.json          what was found out of each stage
  tasks/               a task file for each stage: it begins where the ones before it are done
  stage-N/             the addition of the skill of stage N, where one had to be learned
  controller/          the run of the controller
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from envs.task import TaskSpec
from envs.task_file import load_task
from envs.toml_file import parse_toml, toml_text
from h_dqn.config import Config, change
from h_dqn.experiment.add import Addition, Checking
from h_dqn.experiment.add_plan import AddPlan
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.gate import fresh_seed
from h_dqn.experiment.race import RANDOM, Trial, play, playing, survivors
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.tasks import stage_in_words
from h_dqn.experiment.watch import Watcher, stop_on_signal
from h_dqn.experiment.worlds import TaskEnvs, shape_of, task_envs
from h_dqn.files import write_text
from h_dqn.reading import read_json
from h_dqn.statistics import wilson
from skills_library.library import Library

TRIED, MANY = 100, 20  # episodes that chance plays of the whole task, and that everybody plays of a stage
WHOLE = 0.05  # success of chance in the whole task from which on it is learned as one skill
REACHED = 0.3  # success of chance in a stage from which on no skill is needed
FOUND = 0.5  # the lower end of a skill's success in a stage from which on none is learned
UNTIL = 0.95  # of a stage's skill: what it lacks, the controller makes good
OWN, STAGES = "stages.json", "tasks"


@dataclass(frozen=True)
class Stage:
    """What is known of a stage: its skill (``""``: chance does it), and where that is from."""

    name: str
    about: str
    skill: str
    origin: str
    env_steps: int = 0
    """that finding it, or learning it, has taken"""


def stage_text(task: TaskSpec, number: int) -> str:
    """The file of a task's stage (0 is the first): it begins where those before it are done, and is over with it."""
    doc = parse_toml(task.text)
    title = f"Stage {number + 1} of {task.title}"[:200]
    return toml_text({**doc, "title": title, "goal": {"all_of": doc["goal"]["all_of"][: number + 1], "begin": number}})


def controller_config(config: Config) -> Config:
    """Settings of a controller over skills of which each is meant for one stage."""
    share = config.learner.exploration.skill_share or 0.5
    found: Config = change(config, skill_share=share, give_up=config.give_up or 0.1, until=config.until or UNTIL)
    return found


class Staged:
    """The addition of a task whose goal has stages, in a folder that is enough to go on with it.

    Args:
        plan: what is added, and how; the settings of training are those of each stage's skill and of the controller.
        folder: where its state is kept.
    """

    def __init__(self, plan: AddPlan, folder: Path) -> None:
        self.plan = replace(plan, train=replace(plan.train, library=str(Path(plan.train.library).absolute())))
        self.folder, self._files, self.library = folder, RunFolder(folder), Library(Path(self.plan.train.library))
        self.name = ""  # of the skill, where the whole could be learned as one

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Staged:
        """One that was stopped; see :meth:`h_dqn.experiment.run.Run.resume`."""
        return cls(AddPlan.kept(folder, library), folder)

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Do what is not done yet. Returns what an addition returns, where chance solves the whole task now and then; otherwise
        the ``stages`` and the controller's success.
        """
        watcher = watcher or Watcher()
        if not self._files.begun:
            text = load_task(self.plan.train.task).text
            self._files.begin({"plan": {**self.plan.to_json(), "kind": "stages"}}, {f"{STAGES}/{self._file.name}": text.encode()})
        with self._files.at_work(lambda _: None):
            try:
                result = self._learn(watcher)
            except UserError:
                raise
            except BaseException:
                watcher.say(f"the addition goes on with: {self._files.go_on}")
                raise
            self._files.finish(result)
        return result

    @property
    def task(self) -> TaskSpec:
        """The whole task, as it was when the work began."""
        return load_task(self._file)

    @property
    def _file(self) -> Path:
        return self.folder / STAGES / f"{Path(self.plan.train.task).stem}.toml"

    def _learn(self, watcher: Watcher) -> dict[str, Any]:
        task = self.task
        stages = [Stage(**one) for one in self._known()]
        if RunFolder(self.folder / "whole").begun:
            return self._whole(watcher)
        if not stages:
            with stop_on_signal() as stop:
                whole = self._trials(task_envs(task, self._shape, self.plan.train.place), [], TRIED, Checking(watcher, stop))[0]
            if whole.successes >= WHOLE * TRIED:
                watcher.say(f"chance solves '{task.name}' in {whole.successes} of {TRIED} episodes: it is learned as one skill")
                return self._whole(watcher)
            watcher.say(
                f"chance solves '{task.name}' in {whole.successes} of {TRIED} episodes: it is learned in {len(task.goal)} stages"
            )
        for number in range(len(stages), len(task.goal)):
            stages.append(self._stage(task, number, watcher))
            write_text(self.folder / OWN, json.dumps([asdict(one) for one in stages], indent=2) + "\n")
        result = self._controller(stages, watcher)
        learned = {}
        for one in stages:
            learned[one.name] = {"origin": one.origin, "option": one.skill, "about": one.about, "env_steps": one.env_steps}
        return {"stages": learned, "controller": result}

    def _known(self) -> list[dict[str, Any]]:
        return list(read_json(self.folder / OWN, 1 << 20)) if (self.folder / OWN).exists() else []

    @property
    def _shape(self) -> tuple[int, int, int]:
        return shape_of(self.plan.train.config)

    def _whole(self, watcher: Watcher) -> dict[str, Any]:
        plan = replace(self.plan, train=replace(self.plan.train, task=str(self._file)))
        addition = self._addition(plan, self.folder / "whole")
        result = addition.learn(watcher)
        self.name = addition.name
        return result

    @staticmethod
    def _addition(plan: AddPlan, folder: Path) -> Addition:
        return Addition.resume(folder) if RunFolder(folder).begun else Addition(plan, folder)

    def _trials(self, envs: TaskEnvs, agents: Any, episodes: int, watcher: Watcher) -> list[Trial]:
        """Chance and these agents, each in so many episodes."""
        seed = fresh_seed(self.plan.train.seed, 0)
        found = [Trial(RANDOM).also(*play(None, envs, episodes, seed, watcher))]
        return found + [Trial(one.head.name).also(*play(one, envs, episodes, seed, watcher)) for one in agents]

    def _stage(self, task: TaskSpec, number: int, watcher: Watcher) -> Stage:
        """Find in the library who does this stage, or learn it."""
        name, about = f"{task.name}-{number + 1}", stage_in_words(task, number)
        file = self.folder / STAGES / f"{name}.toml"
        write_text(file, stage_text(task, number))
        envs = task_envs(str(file), self._shape, self.plan.train.place)
        said = f"stage {number + 1} of {len(task.goal)}, {about}"
        with stop_on_signal() as stop:
            trials = self._trials(envs, playing(self.library, envs), MANY, Checking(watcher, stop))
        spent = sum(trial.env_steps for trial in trials)
        if trials[0].successes >= REACHED * MANY:
            watcher.say(f"{said}: chance does it in {trials[0].successes} of {MANY} episodes; it needs no skill")
            return Stage(name, about, "", "chance", spent)
        best = next(iter(survivors(trials[1:], 1)), None)
        if best is not None and wilson(best.successes, best.episodes)[0] >= FOUND:
            watcher.say(f"{said}: '{best.name}' of the library does it in {best.successes} of {MANY} episodes")
            return Stage(name, about, best.name, "library", spent)
        watcher.say(f"{said}: nobody does it; it is learned from where the stages before it are done ...")
        plan = self.plan
        config = change(plan.train.config, until=plan.train.config.until or UNTIL)
        addition = self._addition(replace(plan, train=replace(plan.train, task=str(file), config=config)),
                                  self.folder / f"stage-{number + 1}")  # fmt: skip
        result = addition.result or addition.learn(watcher)
        steps = spent + result["skill"]["env_steps"] + result["began"]["trial_steps"]
        return Stage(name, about, self._head(name), "learned", steps)

    def _head(self, name: str) -> str:
        """The skill as a head of the multi-skill network, where it is one: heads of one network cost one pass together."""
        multi = self.plan.multi.multi
        heads = [head.name for head in self.library.policy(multi).heads] if multi in self.library.names() else []
        return f"{multi}/{name}" if f"{multi}/{name}" in heads else name

    def _controller(self, stages: list[Stage], watcher: Watcher) -> dict[str, Any]:
        """Learn whom to follow when."""
        folder = self.folder / "controller"
        if RunFolder(folder).result is None:
            if RunFolder(folder).begun:
                run = Run.resume(folder)
            else:
                skills = tuple(dict.fromkeys(one.skill for one in stages if one.skill))
                watcher.say(f"now the controller, which may choose {', '.join(skills)} and each action ...")
                plan = replace(self.plan.train, kind="controller", task=str(self._file), skills=skills)
                run = Run(replace(plan, config=controller_config(plan.config)), folder)
            run.learn(watcher)
        return dict(RunFolder(folder).result or {})
