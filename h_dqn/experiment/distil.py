"""Several skills of the library become one network with a head each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from h_dqn.evaluation import Evaluation
from h_dqn.experiment.agent import AGENT, SKILLS, Agent, agent_of, measured
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.run_folder import MISFITS, RunFolder, keep, new_folder
from h_dqn.experiment.watch import Moment, Stop, Watcher, stop_on_signal
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.settings import Count, CountOrZero, check
from skills_library.distill import DistillConfig, Distiller
from skills_library.library import Library, check_name
from skills_library.policy import SavedPolicy, policy_files
from skills_library.skill import Skill, count_weights


@dataclass(frozen=True)
class DistillPlan:
    """Everything that decides a distillation; written to ``run.json``."""

    skills: tuple[str, ...]
    """the teachers; a distilled network stands for all its heads"""
    name: str = "multi"
    """of the network in the library; its skills are called ``NAME/SKILL``"""
    config: DistillConfig = field(default_factory=DistillConfig)
    seed: CountOrZero = 1
    episodes: Count = 500
    """unseen episodes of each evaluation"""
    library: str = "skills"

    def __post_init__(self) -> None:
        check(self)
        check_name(self.name)
        if not self.skills:
            raise UserError("--skills must name at least one skill")
        if self.name in self.skills:
            raise UserError(f"--name {self.name} is one of the skills to distil; give another")

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> DistillPlan:
        """What ``asdict`` gave. Raises ConfigError, KeyError or TypeError for anything else."""
        if set(entry) != {one.name for one in fields(cls)} or not all(isinstance(name, str) for name in entry["skills"]):
            raise KeyError("plan")
        return cls(**{**entry, "skills": tuple(entry["skills"]), "config": DistillConfig(**entry["config"])})


class Distillation:
    """One distillation, in a folder that is enough to go on with it.

    Args:
        plan: what is distilled, and how.
        folder: where its state is kept.
        teachers: the skills, if they were read already.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for a plan that cannot be.
    """

    def __init__(self, plan: DistillPlan, folder: Path, teachers: Sequence[Skill] | None = None) -> None:
        self.plan = replace(plan, library=str(Path(plan.library).absolute()))
        self.teachers = teachers or Library(Path(plan.library)).skills(plan.skills)
        self.agents = [agent_of(teacher) for teacher in self.teachers]
        self.envs = [agent.envs() for agent in self.agents]
        for agent, make in zip(self.agents, self.envs, strict=True):
            if masked := agent.masked(make):
                raise UserError(
                    f"'{agent.head.name}' uses the action '{masked[0]}', which its task '{make.task.name}' no longer has"
                )
        options = [agent.options(make) for agent, make in zip(self.agents, self.envs, strict=True)]
        self.distiller = Distiller(self.teachers, self.envs, options, plan.config, plan.seed)
        self.folder, self._files, self._seconds = folder, RunFolder(folder), 0.0

    @classmethod
    def resume(cls, folder: Path, library: Path | None = None) -> Distillation:
        """A distillation that was stopped; see :meth:`h_dqn.experiment.run.Run.resume`."""
        files = RunFolder(folder)
        entry = files.read()
        try:
            plan = DistillPlan.from_json({name: value for name, value in entry["plan"].items() if name != "kind"})
            own = Library(folder / SKILLS, shipped=folder / "none")
            return cls(replace(plan, library=str(library)) if library else plan, folder, own.skills(plan.skills))
        except MISFITS as error:
            raise files.misfit(error) from error

    def learn(self, watcher: Watcher | None = None) -> dict[str, Any]:
        """Distil to the end, measure each head and its teacher on the same unseen episodes, and keep the network in the library.

        Returns: success of each head and its teacher, weights before and after, seconds.
        """
        watcher = watcher or Watcher()
        if not self._files.begun:
            Library(Path(self.plan.library)).create()
            policies = {teacher.policy.name: teacher.policy for teacher in self.teachers}
            files = {f"{SKILLS}/{name}/{file}": data for name, one in policies.items() for file, data in policy_files(one).items()}
            self._files.begin({"plan": {"kind": "distill", **asdict(self.plan)}}, files)
        with self._files.at_work(self._load):
            try:
                with stop_on_signal() as stop:
                    for _ in self._rounds(watcher):
                        if stop.number or self._files.checkpoints.due:
                            self._save(watcher)
                        stop.check()
                    self._save(watcher)
                    return self._finish(stop, watcher)
            except BaseException as error:
                self._files.leave(error, self.distiller.env_steps, watcher)
                raise

    def _rounds(self, watcher: Watcher) -> Iterator[None]:
        before = self._seconds
        for seconds in taught(self.distiller, self.plan.name, watcher):
            self._seconds = before + seconds
            yield

    def _save(self, watcher: Watcher) -> None:
        state = {"distiller": self.distiller.state_dict(), "seconds": self._seconds}
        self._files.save(state, self.distiller.env_steps, watcher)

    def _load(self, state: Any) -> None:
        self.distiller.load_state_dict(state["distiller"])
        self._seconds = float(state["seconds"])

    def _finish(self, stop: Stop, watcher: Watcher) -> dict[str, Any]:
        """Measure what was distilled, and keep it."""
        plan, student = self.plan, self.distiller.student(self.plan.name)
        watcher.say(f"evaluating heads and teachers on {plan.episodes} unseen episodes each ...")
        rows, heads = {}, []
        for agent, head, (before, after) in zip(
            self.agents,
            student.heads,
            side_by_side(student, self.agents, self.envs, plan.episodes, plan.seed, watcher),
            strict=True,
        ):
            stop.check()
            rows[agent.head.name] = {**measured(after, plan.seed), "teacher": before.success_rate}
            heads.append(replace(head, card={**head.card, "measured": measured(after, plan.seed)}))
        training = {
            "env_steps": plan.config.env_steps,
            "seconds": round(self._seconds, 1),
            "seed": plan.seed,
            "teachers": list(plan.skills),
            "config": asdict(plan.config),
        }
        policy = replace(student, heads=tuple(heads), card={"training": training})
        keep(policy, self.folder / AGENT, Library(Path(plan.library)), watcher)
        weights, teachers = count_weights([student.network]), count_weights(teacher.network for teacher in self.teachers)
        result = {"heads": rows, "weights": weights, "teacher_weights": teachers, "seconds": self._seconds, "seed": plan.seed}
        self._files.finish(result)
        return result


def taught(distiller: Distiller, name: str, watcher: Watcher) -> Iterator[float]:
    """Distil to the end; yields the seconds so far after each round, between which it may be left."""
    first, began = distiller.env_steps, time.perf_counter()
    for _ in distiller.run():
        seconds = time.perf_counter() - began
        speed = (distiller.env_steps - first) / seconds
        watcher.progress(Moment(f"distill {name}", distiller.env_steps, distiller.config.env_steps, speed, None))
        yield seconds


def side_by_side(
    student: SavedPolicy, teachers: Sequence[Agent], envs: Sequence[TaskEnvs], episodes: int, seed: int, watcher: Watcher
) -> Iterator[tuple[Evaluation, Evaluation]]:
    """Each teacher and the head that learned from it, on the same unseen episodes of its task."""
    for teacher, head, make in zip(teachers, student.heads, envs, strict=True):
        original, own = (evaluate_agent(one, make, episodes, seed, watcher) for one in (teacher, Agent(student, head)))
        yield original, own


def distil(
    library: Library, names: Sequence[str], name: str = "multi", config: DistillConfig | None = None, **how: Any
) -> dict[str, Any]:
    """Distil skills, measure each head and its teacher on the same unseen episodes, and keep the network in the library.

    Args:
        library: where skills are taken from and kept.
        names: the teachers.
        name: of the network in the library; its skills are called ``NAME/SKILL``.
        config: settings.
        how: ``seed`` and ``episodes`` as :class:`DistillPlan` has them; ``runs``, where its state is kept in a folder of its own;
            and ``watcher``, which is told how it goes on.
    Returns: success of each head and its teacher, weights before and after, seconds.
    """
    runs, watcher = Path(how.pop("runs", "runs")), how.pop("watcher", None)
    plan = DistillPlan(tuple(names), name, config or DistillConfig(), library=str(library.folder), **how)
    return Distillation(plan, new_folder(runs, None, f"distill-{name}-s{plan.seed}")).learn(watcher)
