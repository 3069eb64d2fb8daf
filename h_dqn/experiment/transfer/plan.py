"""What decides a measurement of transfer, and what it is made of: skills and tasks, gathered once and kept in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from envs.task import TaskError, TaskSpec
from envs.task_file import load_task, task_names
from h_dqn.experiment.agent import SKILLS, Agent, agent_of
from h_dqn.experiment.errors import FOR_PEOPLE, UserError
from h_dqn.experiment.place import VOXEL, Place
from h_dqn.experiment.training import preset
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import Shape
from h_dqn.settings import Count, CountOrZero, Share, check
from skills_library.library import Library, check_name
from skills_library.manifest import SkillError
from skills_library.policy import policy_files

KIND, TASKS = "transfer", "tasks"


@dataclass(frozen=True)
class TrainingPlan:
    """How it is found out what a start from a skill saves."""

    preset: str = "fast"
    """settings of all runs"""
    env_steps: CountOrZero = 0
    """environment steps after which a run is given up (0: those of the preset)"""
    seeds: Count = 3
    """runs of each kind, with the seeds 1 to this; what is told is their median"""
    trials: Share = 0.05
    """most of a run's environment steps that finding out how it begins may take, which are counted"""


@dataclass(frozen=True)
class TransferPlan:
    """Everything that decides a measurement of transfer; written to ``run.json``."""

    skills: tuple[str, ...] = ()
    """skills of the library (none: all that can be read but the heads of networks with several)"""
    tasks: tuple[str, ...] = ()
    """names or files (none: the tasks of these skills)"""
    worlds: tuple[str, ...] = (VOXEL.world,)
    """which worlds play; the others are compared with the first"""
    episodes: Count = 100
    """unseen episodes of each skill in each task, the same for all skills"""
    seed: CountOrZero = 90001
    """decides which"""
    controllers: tuple[str, ...] = ()
    """folders of controllers whose use of skills is looked at"""
    training: TrainingPlan | None = None
    """what is trained; None: nothing is"""
    library: str = "skills"
    jobs: Count = 1
    """processes that play the matrix side by side; the outcome does not depend on it"""

    def __post_init__(self) -> None:
        check(self)
        if self.training:
            preset(self.training.preset)
        for world in self.worlds:
            Place(world)  # raises for one that is unknown
        if not self.worlds or len(set(self.worlds)) < len(self.worlds):
            raise UserError("--worlds must name each world once")

    def to_json(self) -> dict[str, Any]:
        return {"kind": KIND, **asdict(self)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> TransferPlan:
        """What :meth:`to_json` gave. Raises ConfigError, KeyError or TypeError for anything else."""
        if set(entry) != {"kind", *(one.name for one in fields(cls))}:
            raise KeyError("plan")
        entry = {name: value for name, value in entry.items() if name != "kind"}
        lists = {name: tuple(entry[name]) for name in ("skills", "tasks", "worlds", "controllers")}
        if not all(isinstance(text, str) for text in (entry["library"], *(one for each in lists.values() for one in each))):
            raise TypeError("a name is no text")
        training = TrainingPlan(**entry["training"]) if entry["training"] else None
        return cls(**{**entry, **lists, "training": training})


@dataclass(frozen=True)
class Inputs:
    """Who plays, and what: the skills and the tasks by the names that they have in all tables."""

    agents: Mapping[str, Agent]
    tasks: Mapping[str, TaskSpec]

    @property
    def shape(self) -> Shape:
        """(S, H, W) of what the first skill sees, where it does not matter what is seen."""
        return next(iter(self.agents.values())).shape

    def own(self, skill: str) -> str | None:
        """The task that a skill was trained on; None where it is not among the tasks."""
        try:
            mine = self.agents[skill].task().hash
        except TaskError:
            return None
        return next((name for name, task in self.tasks.items() if task.hash == mine), None)

    def files(self) -> dict[str, bytes]:
        """What :func:`kept_inputs` reads again."""
        policies = {agent.saved.name: agent.saved for agent in self.agents.values()}
        files = {f"{SKILLS}/{name}/{file}": data for name, one in policies.items() for file, data in policy_files(one).items()}
        return {**files, **{f"{TASKS}/{name}.toml": task.text.encode() for name, task in self.tasks.items()}}


def gather(plan: TransferPlan, watcher: Watcher) -> Inputs:
    """The skills and tasks that a plan names.

    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for what is unknown or wrong.
    """
    library = Library(Path(plan.library))
    agents = {skill.name: agent_of(skill) for skill in library.skills(plan.skills)} if plan.skills else _all(library, watcher)
    if not agents:
        raise UserError(f"{plan.library}: there is no skill to try; train one with: h-dqn train skill navigation1")
    specs = [_task(name, agents) for name in plan.tasks] if plan.tasks else _own_tasks(agents, watcher)
    tasks: dict[str, TaskSpec] = {}
    for spec in specs:
        if spec.hash not in {one.hash for one in tasks.values()}:
            names = (spec.name, *(f"{spec.name}-{number}" for number in range(2, len(specs) + 2)))
            tasks[check_name(next(name for name in names if name not in tasks))] = spec
    if not tasks:
        raise UserError("the tasks of these skills are not known; name some: --tasks navigation1")
    return Inputs(agents, tasks)


def kept_inputs(plan: TransferPlan, folder: Path) -> Inputs:
    """The inputs that were kept in a folder when the work began. Raises as :func:`gather`."""
    own = Library(folder / SKILLS, shipped=folder / "none")
    agents = {skill.name: agent_of(skill) for skill in own.skills(plan.skills)}
    return Inputs(agents, {name: load_task(folder / TASKS / f"{check_name(name)}.toml") for name in plan.tasks})


def _all(library: Library, watcher: Watcher) -> dict[str, Agent]:
    found = {}
    for name in library.names():
        try:
            skills = library.skills([name])
        except SkillError as error:
            watcher.say(f"left out: {error}")
            continue
        if len(skills) == 1:
            found[skills[0].name] = agent_of(skills[0])
    return found


def _own_tasks(agents: Mapping[str, Agent], watcher: Watcher) -> list[TaskSpec]:
    found = []
    for name, agent in agents.items():
        try:
            found.append(agent.task())
        except FOR_PEOPLE as error:
            watcher.say(f"the task of '{name}' is left out: {error}")
    return found


def _task(name: str, agents: Mapping[str, Agent]) -> TaskSpec:
    """A task by its name or path: one of the shipped, or one that a skill has kept."""
    if name not in task_names():
        for agent in agents.values():
            if agent.trained_on == name:
                return agent.task()
    return load_task(name)
