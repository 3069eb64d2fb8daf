"""``h-dqn lifelong``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from h_dqn.cli.flags import Folder, JsonFlags, OptionalName, Switch, Task, argument, optional
from h_dqn.cli.output import ProgressBar, emit, hint
from h_dqn.cli.presets import Preset
from h_dqn.config import Config
from h_dqn.continual.config import ContinualConfig
from h_dqn.experiment.lifelong import Lifelong as Life
from h_dqn.experiment.lifelong_agent import REGIMES
from h_dqn.experiment.lifelong_agents import AGENTS
from h_dqn.experiment.lifelong_page import PAGE
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lifelong_result import LIFELONG
from h_dqn.experiment.lives import begun_life, new_life
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.shell import command, path_word

_AGENT = "who lives through it\n" + "\n".join(f"{name}: {(kind.__doc__ or '').splitlines()[0]}" for name, kind in AGENTS.items())
_REGIME = "what is told\n" + "\n".join(f"{name}: {about}" for name, about in REGIMES.items())

_PLANNED = [one.name for one in fields(LifelongPlan) if one.name not in ("task", "agent", "config")]


@dataclass
class Lifelong(JsonFlags):
    """Let one agent live through a sequence of tasks, evaluated on all of them.

    It ends with a page, life.html in its folder: success on every task over time, metrics, ledger, films. Several lives beside
    each other: h-dqn report FOLDER FOLDER ...

    Examples:
      h-dqn lifelong voxel10 --agent finetune
      h-dqn lifelong voxel10 --agent library --go-on   # the same command again goes on where it was stopped
    """

    sequence: Task
    """a sequence's name (see: h-dqn sequences list) or the path of its file"""
    agent: Annotated[str, argument("NAME", help=_AGENT)] = "finetune"
    regime: Annotated[str, argument("NAME", help=_REGIME)] = "id"
    preset: Preset = "life"
    seed: int = 1
    """decides everything random"""
    measure_every: int = LifelongPlan.measure_every
    """environment steps between two evaluations of all tasks"""
    episodes: int = LifelongPlan.episodes
    """unseen episodes of each task in these"""
    end_episodes: int = LifelongPlan.end_episodes
    """the same where a phase ends"""
    probe_every: int = LifelongPlan.probe_every
    """environment steps between two plasticity probes: a clone with a fresh head learns a task of no phase (0: none)"""
    probe_steps: int = LifelongPlan.probe_steps
    """environment steps for which each of these clones learns; they are counted apart"""
    probe_task: Annotated[str, argument("TASK")] = LifelongPlan.probe_task
    """what it learns, a name or a file"""
    go_on: Switch = False
    """go on with the life in that folder where it was begun before, or show what came of it"""
    name: OptionalName = None
    """folder of the life below --runs; must not exist without --go-on"""
    runs: Folder = Path("runs")
    """where runs are kept"""
    continual: Annotated[ContinualConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = field(
        default_factory=ContinualConfig
    )
    learner: Annotated[str | None, optional("NAME")] = None
    """which learner, if not the preset's: q_lambda or dqn; each has its own flags below"""

    def run(self) -> None:
        config: Config = self.config  # type: ignore[attr-defined]
        plan = LifelongPlan(self.sequence, self.agent, config, **{name: getattr(self, name) for name in _PLANNED})
        life = begun_life(plan, self.runs, self.name) if self.go_on else new_life(plan, self.runs, self.name)
        with ProgressBar.shown() as bar:
            result = RunFolder(life.folder).result or life.learn(bar)
        show_life(life, result, self.json)


def show_life(life: Life, result: dict[str, Any], as_json: bool) -> None:
    """Print what came of a life, and what to do with it."""
    emit(result, as_json)
    if as_json:
        return
    folder, plan = path_word(life.folder), life.plan
    other = "finetune" if plan.agent == "scratch" else "scratch"
    told = ["--seed", plan.seed, *(["--regime", plan.regime] if other != "scratch" else [])]
    hint(f"""
the page          {life.folder / PAGE}
all figures       {life.folder / LIFELONG}

go on with
  {command("lifelong", plan.task, "--agent", other, *told)}   # another agent, to compare it with
  {command("report", folder, "OTHER-FOLDER", "--out", "lives.html")}
  {command("sequences", "list")}""")
