"""``h-dqn lifelong``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from h_dqn.cli.flags import Folder, JsonFlags, OptionalName, Task, argument, optional
from h_dqn.cli.output import ProgressBar, emit, hint
from h_dqn.cli.presets import Preset
from h_dqn.config import Config
from h_dqn.continual.config import ContinualConfig
from h_dqn.experiment.lifelong_agent import REGIMES
from h_dqn.experiment.lifelong_agents import AGENTS
from h_dqn.experiment.lifelong_plan import LifelongPlan
from h_dqn.experiment.lives import new_life

_AGENT = "who lives through it\n" + "\n".join(f"{name}: {(kind.__doc__ or '').splitlines()[0]}" for name, kind in AGENTS.items())
_REGIME = "what is told\n" + "\n".join(f"{name}: {about}" for name, about in REGIMES.items())


@dataclass
class Lifelong(JsonFlags):
    """Let one agent live through a sequence of tasks, evaluated on all of them.

    Example: h-dqn lifelong voxel10 --agent finetune
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
    name: OptionalName = None
    """folder of the life below --runs; must not exist"""
    runs: Folder = Path("runs")
    """where runs are kept"""
    continual: Annotated[ContinualConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = field(
        default_factory=ContinualConfig
    )
    learner: Annotated[str | None, optional("NAME")] = None
    """which learner, if not the preset's: q_lambda or dqn; each has its own flags below"""

    def run(self) -> None:
        config: Config = self.config  # type: ignore[attr-defined]
        plan = LifelongPlan(self.sequence, self.agent, config, self.regime, self.preset, self.seed, self.measure_every,
                            self.episodes, self.end_episodes, self.continual)  # fmt: skip
        life = new_life(plan, self.runs, self.name)
        with ProgressBar.shown() as bar:
            result = life.learn(bar)
        show_life(result, self.json)


def show_life(result: dict[str, Any], as_json: bool) -> None:
    """Print what came of a life."""
    emit(result, as_json)
    hint(f"all of it is in {result['run']}/lifelong.json")
