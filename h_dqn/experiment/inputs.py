"""What a run is made of: its tasks, the skills that may be chosen, and what it begins from.

They are gathered once, by names and paths, and kept in the run's folder; a run that goes on takes its own, whatever became of the
others meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.registry import WORLDS
from envs.sequence import Phase, is_sequence, load_sequence
from envs.task import TaskError
from envs.task_file import load_task, read_task
from h_dqn.experiment.agent import SKILLS, Agent, load_agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.plan import Plan
from skills_library.library import Library, check_name
from skills_library.manifest import MANIFEST
from skills_library.policy import SavedPolicy, load_policy, policy_files
from skills_library.skill import Skill

START = "start"  # folder of a run, beside SKILLS


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run, all of them read."""

    phases: tuple[Phase, ...]
    skills: tuple[Skill, ...] = ()
    start: Agent | None = None
    start_outputs: bool = False
    """whether the outputs of ``start`` are taken over by name though they were learned on another task"""

    @property
    def policies(self) -> dict[str, SavedPolicy]:
        """The policies that the skills are heads of, by name."""
        return {skill.policy.name: skill.policy for skill in self.skills}

    def to_json(self) -> dict[str, Any]:
        """What :func:`kept_inputs` reads again, beside :meth:`files`."""
        phases = [
            {"env_steps": one.env_steps, "task": one.task.name, "hash": one.task.hash, "text": one.task.text,
             "change": dict(one.task.change), "announced": one.announced}
            for one in self.phases
        ]  # fmt: skip
        start = self.start and {"policy": self.start.saved.name, "head": self.start.head.name, "outputs": self.start_outputs}
        return {"phases": phases, "skills": [skill.name for skill in self.skills], "start": start}

    def files(self) -> dict[str, bytes]:
        """The policies as files of the run's folder."""
        policies = {f"{SKILLS}/{name}": policy for name, policy in self.policies.items()}
        if self.start:
            policies[f"{START}/{self.start.saved.name}"] = self.start.saved
        return {f"{folder}/{name}": data for folder, policy in policies.items() for name, data in policy_files(policy).items()}


def gather_inputs(plan: Plan) -> Inputs:
    """The inputs that a plan names. Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for what is unknown or wrong."""
    library = Library(Path(plan.library))
    phases = _phases(plan)
    start = load_agent(plan.start, library) if plan.start is not None else None
    return Inputs(phases, tuple(library.skills(plan.skills)), start)


def _phases(plan: Plan) -> tuple[Phase, ...]:
    if not is_sequence(plan.task):
        task = load_task(plan.task)
        if plan.kind == "skill":
            check_name(task.name)
        WORLDS[plan.place.world].check(task)
        return (Phase(task, plan.config.env_steps),)
    if plan.kind == "skill":
        raise UserError(f"{plan.task} is a sequence: a skill is trained on one task; use train flat or train controller")
    if not WORLDS[plan.place.world].plays_sequences:
        raise TaskError(f"--world {plan.place.world}: '{plan.task}' is a sequence; this world plays single tasks")
    phases = load_sequence(plan.task).phases
    for phase in phases:
        WORLDS[plan.place.world].check(phase.task)
    return phases


def kept_inputs(entry: Any, folder: Path) -> Inputs:
    """The inputs that were kept in a run's folder. Raises as :func:`gather_inputs`, or KeyError, TypeError or ValueError."""
    phases = tuple(_kept_phase(one) for one in entry["phases"])
    if not phases:
        raise ValueError("it has no phase")
    own = Library(folder / SKILLS, shipped=folder / "none")
    start, outputs = None, False
    if entry["start"] is not None:
        outputs = entry["start"].get("outputs") is True
        name = check_name(entry["start"]["policy"])
        saved = load_policy(folder / START / name, name)
        start = Agent(saved, saved.find(entry["start"]["head"]))
    return Inputs(phases, tuple(own.skills(_names(entry["skills"]))), start, outputs)


def _kept_phase(entry: Any) -> Phase:
    if type(entry["env_steps"]) is not int or entry["env_steps"] < 1:
        raise ValueError("a phase has no number of steps")
    announced = entry.get("announced", True) is True  # what an older version wrote does not say
    return Phase(read_task(entry["text"], check_name(entry["task"]), entry["change"]), entry["env_steps"], announced)


def _names(entry: Any) -> Sequence[str]:
    if not isinstance(entry, list) or not all(isinstance(name, str) for name in entry):
        raise ValueError("its skills are no list of names")
    return entry


def differences(kept: Inputs, plan: Plan) -> list[str]:
    """What is not today as it was when the run began, a line each; the run goes on with what it kept."""
    try:
        now = gather_inputs(plan)
    except Exception as error:
        return [f"what it was made of is not all there any more ({error})"]
    found = []
    if [phase.task.hash for phase in kept.phases] != [phase.task.hash for phase in now.phases]:
        found.append(f"task {plan.task} has changed")
    new = now.policies
    found += [
        f"skill '{name}' of the library has changed"
        for name, policy in kept.policies.items()
        if name not in new or policy_files(policy)[MANIFEST] != policy_files(new[name])[MANIFEST]
    ]
    return found
