"""``h-dqn skills add``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import tyro

from h_dqn.cli.flags import Task, library_words, optional
from h_dqn.cli.output import ProgressBar, emit_json, hint, percent, show, success
from h_dqn.cli.terminal import visible
from h_dqn.cli.train import Train
from h_dqn.experiment.add import Addition
from h_dqn.experiment.add_plan import EPISODES, AddPlan, GateConfig
from h_dqn.experiment.adding import new_addition
from h_dqn.experiment.multi import MultiConfig
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.shell import command, path_word
from h_dqn.experiment.stages import Staged


@dataclass
class SkillsAdd(Train):
    """Learn a task and add it to the library as a skill.

    One command from a task's file to a skill that others can use. It checks the task, looks for the skill of the library that it
    is best begun from, trains, and measures: only a skill that is surely good enough is kept. Then the multi-skill network learns
    it, while the skills that it has are rehearsed from their own networks; where one of them would lose by it, the network stays
    as it was. Whatever happens, the library changes once or not at all. Where nothing succeeds in a tenth of the steps, it stops.

    A goal of several stages (all_of) that chance hardly ever reaches is learned a stage at a time: for each of them a skill of the
    library is found, or one is learned from where the stage begins and added; then a controller over these skills.

    Example: h-dqn skills add my_room.toml
    """

    task: Task
    """the path of a task file, or a task's name (see: h-dqn tasks list)"""
    episodes: int = EPISODES
    """unseen episodes on which the skill is measured; the more, the surer"""
    bar: Annotated[float | None, optional("SHARE")] = GateConfig.bar
    """the skill is kept if the lower end of its 95 % interval of success is at least this (default: 95 % of what the best version
    that the library has of it did in the same task; 0.8 where it has none)"""
    trials: float = GateConfig.trials
    """most of the run's environment steps that finding a start may take, as a share"""
    network_of_all: Annotated[MultiConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = field(default_factory=MultiConfig)

    kind: ClassVar[str] = "skill"

    def run(self) -> None:
        place = replace(self.place, ray=self.ray, ray_actors=self.ray_actors)
        config = self.config  # type: ignore[attr-defined]
        plan = Plan(
            self.kind,
            self.task,
            config,
            self.preset,
            self.seed,
            self.episodes,
            start=self.start,
            library=str(self.library),
            place=place,
        )
        finish_addition(
            new_addition(AddPlan(plan, GateConfig(self.bar, self.trials), self.network_of_all), self.runs, self.name), self.json
        )


def finish_addition(addition: Addition | Staged, as_json: bool) -> None:
    """Let an addition go to its end; print what came of it and what to do next."""
    with ProgressBar.shown() as bar:
        result = addition.learn(bar)
    if as_json:
        emit_json(result)
    elif "stages" in result:
        show_stages(result)
    else:
        show_added(result, addition.name)
    words = library_words(addition.plan.train.library)
    if "stages" in result:
        what = path_word(addition.folder / "controller")
        hint(f"see it play:    {command('evaluate', what, '--video', 'controller.mp4')}")
        hint(f"what it knows:  {command('skills', 'list', *words)}")
    else:
        name = addition.name
        hint(f"see it play:    {command('evaluate', name, *words, '--video', f'{name}.mp4')}")
        hint(f"use it:         {command('train', 'controller', 'TASK', '--skills', name, *words, '--skill-share', '0.5')}")
        hint(f"give it away:   {command('skills', 'export', name, f'{name}.zip', *words)}")


def show_stages(result: dict[str, Any]) -> None:
    """Print how each stage is done, and how well the controller does all of them."""
    rows = [(one["about"], one["origin"], one["option"], f"{one['env_steps']:,}") for one in result["stages"].values()]
    show(("stage", "from", "skill", "steps"), rows)
    controller = result["controller"]
    print(f"the controller over them: {success(controller)} of {controller['episodes']:,} unseen episodes, after "
          f"{controller['env_steps']:,} steps")  # fmt: skip


def show_added(result: dict[str, Any], name: str) -> None:
    """Print an addition's result."""
    skill, began = result["skill"], result["began"]
    print(f"{visible(name)} is kept: {success(skill)} of {skill['episodes']:,} unseen episodes")
    print(f"it began from {visible(began['start'])} and took {skill['env_steps']:,} steps, and {began['trial_steps']:,} of trials")
    if result["multi"]:
        print(f"the multi-skill network stays as it was: {visible(result['multi'])}")
    if result["heads"]:
        rows = [
            (head, percent(row["teacher"]), "new" if row["before"] is None else percent(row["before"]), success(row))
            for head, row in result["heads"].items()
        ]
        show(("skill", "its own network", "its head before", "its head now"), rows)
