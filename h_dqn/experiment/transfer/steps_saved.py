"""What a start from a skill saves: environment steps to 95 % success in validation, with it and from chance.

S = 1 - T_with / T_scratch, of medians over seeds; trials are part of T_with. Below 0 the skill harms.

train/TASK/scratch-sSEED/      a run from chance, as any run; so is each other folder here
train/TASK/from-SKILL-sSEED/   a run from the skill; from-SKILL-sSEED.json says how it began
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import Any

from envs.sequence import Phase
from h_dqn.config import Config
from h_dqn.experiment.gate import fresh_seed
from h_dqn.experiment.inputs import Inputs as RunInputs
from h_dqn.experiment.place import Place
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.race import Began, fits, run_from, zero_shot
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.training import preset
from h_dqn.experiment.transfer.plan import TASKS, Inputs, TrainingPlan
from h_dqn.experiment.watch import Watcher
from h_dqn.files import write_text
from h_dqn.reading import read_json
from h_dqn.state import whole
from skills_library.skill import Skill

TRAIN, SCRATCH, LAYERS = "train", "scratch", "layers"
GOAL, HARM = 0.95, -0.05  # success at which the count of steps ends; what is saved below which a skill harms
EVERY = 5_000  # environment steps between two validations, at most
EPISODES = 100  # after training; no part of what is told


def saved(with_skill: Sequence[int | None], scratch: Sequence[int | None], budget: int) -> dict[str, Any]:
    """What a start saves: medians, never means, as a run that did not get there (None) has no number.

    Returns: medians ``with_skill`` and ``scratch`` (None: more than the budget); ``saved`` and ``ratio``, which are exact where
    ``bound`` is "=", and hold at least (">") or at most ("<") where one median was not reached; None where both were not.
    """
    mine, theirs = (median(inf if one is None else one for one in each) for each in (with_skill, scratch))
    found: dict[str, Any] = {"with_skill": _reached(mine), "scratch": _reached(theirs), "saved": None, "ratio": None, "bound": "="}
    if isfinite(mine) or isfinite(theirs):
        bound = "=" if isfinite(mine) and isfinite(theirs) else ">" if isfinite(mine) else "<"
        mine, theirs = min(mine, budget) if bound == "<" else mine, min(theirs, budget) if bound == ">" else theirs
        found |= {"saved": 1 - mine / theirs, "ratio": theirs / mine, "bound": bound}
    return found


def _reached(steps: float) -> float | None:
    return steps if isfinite(steps) else None


@dataclass(frozen=True)
class Training:
    """All runs of a measurement, each of which goes on where it was stopped.

    Args:
        folder: of the whole.
        inputs: skills and tasks.
        plan: how they are trained.
        place: which world plays.
        watcher: is told how it goes on; what it raises ends the work.
    """

    folder: Path
    inputs: Inputs
    plan: TrainingPlan
    place: Place
    watcher: Watcher

    @property
    def config(self) -> Config:
        """Settings of all runs: those of the preset, but validated often enough to know when 95 % was reached, and over then."""
        given = preset(self.plan.preset)
        every = min(given.validation.evaluate_every, EVERY)
        return preset(self.plan.preset, env_steps=self.plan.env_steps or given.env_steps, until=GOAL, evaluate_every=every)

    def measure(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Train in the task of each pair (skill, task) from the skill and from chance, with all seeds.

        Returns for each what :func:`saved` does, beside the steps of each seed and how each began (``starts``: the skill, or
        "layers"); or ``cannot``, which says why nothing can begin from it.
        """
        rows = []
        for skill, task in pairs:
            row: dict[str, Any] = {"skill": skill, "task": task}
            if (why := self._misfit(skill, task)) is not None:
                rows.append({**row, "cannot": why})
                continue
            seeds = range(1, self.plan.seeds + 1)
            scratch = [self._scratch(task, seed) for seed in seeds]
            began, steps = zip(*(self._from_skill(skill, task, seed) for seed in seeds), strict=True)
            row |= {"starts": [one.start for one in began], "trial_steps": [one.trial_steps for one in began]}
            each = {"with_skill": list(steps), "scratch": scratch}
            rows.append({**row, "by_seed": each, **saved(steps, scratch, self.config.env_steps)})
        return rows

    def _misfit(self, skill: str, task: str) -> str | None:
        """Why no run of these settings can begin from a skill; None if one can."""
        policy, learner = self.inputs.agents[skill].saved, self._run(task, 1).trainer.learner
        spec: Any = learner.network
        if fits(policy, spec.spec):
            return None
        if len(policy.heads) > 1:
            return f"'{skill}' is a head of a network with several"
        return f"'{skill}' has a network of another form than the preset '{self.plan.preset}'"

    def _scratch(self, task: str, seed: int) -> int | None:
        folder = self._folder(task, SCRATCH, seed)
        return self._learned(folder, lambda: self._run(task, seed))

    def _from_skill(self, skill: str, task: str, seed: int) -> tuple[Began, int | None]:
        """How a run from a skill began, and after how many steps it was there, trials included."""
        folder = self._folder(task, f"from-{skill}", seed)
        note = folder.with_name(f"{folder.name}.json")

        def begin() -> Run:
            run, began = self._start(skill, task, seed)
            write_text(note, json.dumps(asdict(began)) + "\n")
            return run

        steps = self._learned(folder, begin)
        kept = read_json(note, 1 << 20)
        began = Began(str(kept["start"]), whole(kept["trial_steps"], "trial_steps", 0))
        return began, None if steps is None else steps + began.trial_steps

    def _start(self, skill: str, task: str, seed: int) -> tuple[Run, Began]:
        """A run from a skill's layers; from its outputs too where it surely succeeds more often than chance without training."""
        agent, run = self.inputs.agents[skill], self._run(task, seed)
        most = int(self.plan.trials * self.config.env_steps)
        helper, tried = zero_shot([Skill(agent.saved, agent.head)], run.envs, fresh_seed(seed, 0), most, self.watcher)
        began = Began(LAYERS if helper is None else skill).after(tried)
        self.watcher.say(f"'{task}' from {began.start if helper is None else 'all'} of '{skill}', seed {seed}")
        return self._run(task, seed, skill, outputs=helper is not None), began

    def _run(self, task: str, seed: int, skill: str | None = None, outputs: bool = False) -> Run:
        file, config = self.folder / TASKS / f"{task}.toml", self.config
        plan = Plan("flat", str(file), config, self.plan.preset, seed, EPISODES, place=self.place)
        inputs = RunInputs((Phase(self.inputs.tasks[task], config.env_steps),))
        helper = None if skill is None else self.inputs.agents[skill]
        name = SCRATCH if skill is None else f"from-{skill}"
        return run_from(plan, inputs, self._folder(task, name, seed), helper, outputs)

    def _folder(self, task: str, what: str, seed: int) -> Path:
        return self.folder / TRAIN / task / f"{what}-s{seed}"

    def _learned(self, folder: Path, begin: Callable[[], Run]) -> int | None:
        """Environment steps to 95 % of the run in this folder, which is begun, gone on with or over; None if it never got there."""
        files = RunFolder(folder)
        if (result := files.result) is None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            run = Run.resume(folder) if files.begun else begin()
            result = run.learn(self.watcher)
        steps: int | None = result.get("env_steps_to_95")
        return steps


def harmful(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Pairs (skill, task) of which the start costs steps: S < -0.05."""
    return [(row["skill"], row["task"]) for row in rows if row.get("saved") is not None and row["saved"] < HARM]
