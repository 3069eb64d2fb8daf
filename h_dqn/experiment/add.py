"""Add a skill to a library by one call: choose how it begins, train it, let it through only if it is good and the others stay good.

runs/add-TASK-sSEED/   run.json, and result.json when it is over
  train/               the training run, with checkpoints of its own
  start.json           how the run began, and what the trials cost

The library changes once, at the very end, or not at all.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from h_dqn.config import change
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.add_plan import AddPlan
from h_dqn.experiment.agent import AGENT, Agent, agent_of, measured
from h_dqn.experiment.beside import beside
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.gate import bar_of, fresh_seed, passes
from h_dqn.experiment.inputs import gather_inputs
from h_dqn.experiment.multi import Taught, teach
from h_dqn.experiment.race import Began, Trial, fitting, learns, most_alike, run_from, zero_shot
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.tasks import longest_solution
from h_dqn.experiment.watch import Moment, Stop, Watcher, stop_on_signal
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.files import write_text
from h_dqn.reading import read_json
from skills_library.library import Library, Overtaken
from skills_library.policy import SavedPolicy, better, load_policy
from skills_library.skill import Skill

TRAIN, START, SCRATCH = "train", "start.json", "scratch"
GIVE_UP, UNTIL = 0.1, 0.99  # settings of training, where nothing else is said
SOLVED, ROUGHLY = 50, 100  # episodes that the solver plays before, and that are played after training: the gate measures well
OVERTAKEN = 5  # times that others may change the library meanwhile
FIRST_LOOK = 300  # episodes at least, before and after which a start from a skill is compared


class Addition:
    """One addition, in a folder that is enough to go on with it.

    Args:
        plan: what is added, and how.
        folder: where its state is kept.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for a plan that cannot be.
    """

    def __init__(self, plan: AddPlan, folder: Path) -> None:
        library = str(Path(plan.train.library).absolute())
        given = plan.train.config
        config = change(given, give_up=given.give_up or GIVE_UP, until=given.until or UNTIL)
        self.plan = replace(plan, train=replace(plan.train, library=library, config=config))
        self.folder, self._files, self.library = folder, RunFolder(folder), Library(Path(library))
        self._trainer = RunFolder(folder / TRAIN)
        self.name = ""  # of the skill, once it is trained

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Addition:
        """An addition that was stopped; see :meth:`h_dqn.experiment.run.Run.resume`."""
        return cls(AddPlan.kept(folder, library), folder)

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it; None while it is not over. Raises :class:`UserError` as before where the skill was refused."""
        result = self._files.result
        if result is not None and "refused" in result:
            raise UserError(result["refused"])
        return result

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Do what is not done yet.

        Returns: the new skill's success, how it began, and of each skill its original's and its head's success, before and after.
        Raises :class:`UserError` where the skill is refused; the library is then as it was.
        """
        watcher = watcher or Watcher()
        if not self._files.begun:
            self._check(watcher)
            self._files.begin({"plan": self.plan.to_json()}, {})
        with self._files.at_work(lambda _: None):
            try:
                began = self._train(watcher)
                with stop_on_signal() as stop:
                    return self._keep(began, Checking(watcher, stop))
            except UserError:
                raise
            except BaseException:
                watcher.say(f"the addition goes on with: {self._files.go_on}")
                raise

    def _check(self, watcher: Watcher) -> None:
        """Raises for a task that cannot be learned, before anything is begun."""
        steps, task = longest_solution(self.plan.train.task, SOLVED, self.plan.train.place)
        watcher.say(f"'{task.name}' can be solved: the scripted solver needs at most {steps} of {task.step_limit} steps")

    # --- the start and training ---

    def _train(self, watcher: Watcher) -> dict[str, Any]:
        """Train to the end, from the best start; returns how it began."""
        if self._trainer.result is None:
            if self._trainer.begun:
                run = Run.resume(self.folder / TRAIN)
            else:
                with stop_on_signal() as stop:
                    run, began = self._start(Checking(watcher, stop))
                write_text(self.folder / START, json.dumps(asdict(began), indent=2) + "\n")
            run.learn(watcher)
        entry: dict[str, Any] = read_json(self.folder / START, 1 << 20)
        return entry

    def _start(self, watcher: Watcher) -> tuple[Run, Began]:
        """The run that is trained, and how it began: from chance, or from a skill that succeeds and soon does so more often."""
        scratch = self._run(None)
        envs, config, began = scratch.envs, self.plan.train.config, Began(self.plan.train.start or SCRATCH)
        most = int(self.plan.gate.trials * config.env_steps)
        network: Any = scratch.trainer.learner.network
        skills = fitting(self.library, network.spec, envs.task.name) if self.plan.train.start is None else []
        if not skills or not most:
            return scratch, began
        watcher.say(f"looking for a start: {len(skills)} skills play '{envs.task.name}' ...")
        helper, tried = zero_shot(skills, envs, fresh_seed(self.plan.train.seed, 0), most, watcher)
        began = began.after(tried)
        if helper is not None:
            watcher.say(f"begins from '{helper.name}', which succeeds in {began.zero_shot[helper.name]:.0%} without training")
            run = self._run(agent_of(helper))
            if self._pays(run, most - began.trial_steps, watcher):
                return run, replace(began, start=helper.name)
            watcher.say(f"'{helper.name}' does not get better; begins from chance instead")
            return scratch, replace(began, trial_steps=began.trial_steps + run.trainer.env_steps)
        if (alike := most_alike(skills, envs.actions)) is not None:
            watcher.say(f"no skill surely succeeds more often than chance: begins with the layers of '{alike.name}'")
            return self._run(agent_of(alike), outputs=False), replace(began, start=f"layers of {alike.name}")
        watcher.say("no skill surely succeeds more often than chance: begins from chance")
        return scratch, began

    def _run(self, helper: Agent | None, outputs: bool = True) -> Run:
        """The training run from a skill, or its layers alone, or as the plan has it."""
        plan = replace(self.plan.train, kind="skill", episodes=ROUGHLY)
        # What it learns is kept in a library of its own until it has passed the gate.
        alone = replace(plan, library=str(self.folder / "own"))
        return run_from(alone, gather_inputs(plan), self.folder / TRAIN, helper, outputs)

    def _pays(self, run: Run, most: int, watcher: Watcher) -> bool:
        """Whether a run that began from a skill gets better within so many steps."""
        statistics, first = run.trainer.statistics, None
        what, total = f"start {run.envs.task.name}", run.plan.config.env_steps
        for _ in run.trainer.run():
            watcher.progress(Moment(what, run.trainer.env_steps, total, 0.0, statistics.success))
            newest = Trial("newest", round(statistics.success * FIRST_LOOK), FIRST_LOOK) if statistics.settled else None
            if newest and first is None:
                first = newest
            if newest and first and learns(first, newest):
                return True
            if run.trainer.env_steps >= most:
                break
        return False

    # --- the gate and the library ---

    def _keep(self, began: dict[str, Any], watcher: Watcher) -> dict[str, Any]:
        plan, trained = self.plan, self._trainer.result or {}
        policy = load_policy(self.folder / TRAIN / AGENT)
        name = self.name = policy.name
        if not trained.get("success_rate") and trained.get("env_steps", 0) < plan.train.config.env_steps:
            self._refuse(
                f"'{name}' is refused: no episode reached the goal in {trained.get('env_steps', 0):,} steps, so it stopped there. "
                "By chance the goal is not found: try a task that is nearer to it (a smaller map, a start beside the goal, a "
                "longer step_limit), or name the stages of its goal in all_of"
            )
        agent = agent_of(Skill(policy, policy.head))
        envs = agent.envs(place=plan.train.place)
        episodes, seed = plan.train.episodes, fresh_seed(plan.train.seed, 1)
        watcher.say(f"the gate: '{name}' plays {episodes:,} unseen episodes ...")
        outcome = evaluate_agent(agent, envs, episodes, seed, watcher)
        given = plan.gate.bar
        bar = bar_of(self.library, name, envs.task.hash, envs.place.world) if given is None else given
        if not passes(outcome, bar):
            self._refuse(
                f"'{name}' is refused: it succeeds in {outcome.success_rate:.1%} of {episodes:,} unseen episodes, and the lower "
                f"end of its interval, {outcome.ci95[0]:.1%}, is below --bar {bar:.3g}. Train it longer (--env-steps, "
                "--until 1), or lower the bar; the library is as it was"
            )
        policy = replace(policy, heads=(replace(policy.head, card={**policy.head.card, "measured": measured(outcome, seed)}),))
        taught, began_teaching = None, time.perf_counter()
        for _ in range(OVERTAKEN):
            try:
                taught = self._commit(policy, envs, outcome, watcher)
                break
            except Overtaken:
                watcher.say("another process has changed the library meanwhile; teaching what is there now ...")
        if taught is None:
            raise UserError(f"{self.library.folder}: other processes change it all the time; go on later: {self._files.go_on}")
        found = {
            "skill": {**measured(outcome, seed), "env_steps": trained["env_steps"], "seconds": trained["seconds"]},
            "began": began,
            "heads": {name: _row(*pair, taught.before.get(name)) for name, pair in taught.heads.items()},
            "multi": taught.why,
            "seconds": time.perf_counter() - began_teaching,
        }
        self._files.finish(found)
        return found

    def _commit(self, policy: SavedPolicy, envs: TaskEnvs, outcome: Evaluation, watcher: Watcher) -> Taught:
        """Teach the multi-skill network what is current, and keep both at once.

        Raises :class:`Overtaken` where another process has changed the library meanwhile; nothing is kept then.
        """
        plan, library, seed = self.plan, self.library, fresh_seed(self.plan.train.seed, 1)
        seen = {name: library.current(name) for name in (plan.multi.multi, policy.name)}
        judge = beside(library, policy.name, envs, outcome, seed, watcher.evaluated) or better if library.exists else better
        if seen[policy.name] and judge(library.policy(policy.name), policy):
            library.add_together([policy], {policy.name: judge}, seen)
            return Taught(None, "the version before did better and stays current, in the network too", {}, {})
        taught = teach(library, Skill(policy, policy.head), plan.multi, plan.train.seed, watcher)
        library.add_together([policy, *([taught.policy] if taught.policy else [])], {}, seen)
        return taught

    def _refuse(self, why: str) -> None:
        self._files.finish({"refused": why})
        raise UserError(why)


class Checking(Watcher):
    """A watcher that ends the work where a signal asked for it, as soon as it is told how that goes on."""

    def __init__(self, watcher: Watcher, stop: Stop) -> None:
        self._watcher, self._stop = watcher, stop

    def progress(self, moment: Moment) -> None:
        self._stop.check()
        self._watcher.progress(moment)

    def evaluated(self, episodes: int) -> None:
        self._stop.check()
        self._watcher.evaluated(episodes)

    def say(self, text: str) -> None:
        self._watcher.say(text)


def _row(original: Evaluation, head: Evaluation, before: float | None) -> dict[str, Any]:
    """A head beside its skill's own network, and as it was."""
    return {
        "success_rate": head.success_rate, "ci95": list(head.ci95), "episodes": head.episodes, "teacher": original.success_rate,
        "before": before,
    }  # fmt: skip
