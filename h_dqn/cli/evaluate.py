"""``h-dqn evaluate``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from h_dqn.cli.flags import JsonFlags, LibraryFlags, Name, WorldFlags
from h_dqn.cli.output import ProgressBar, emit, hint, out
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.evaluate import evaluate_agent, film
from skills_library.library import Library


@dataclass
class Evaluate(JsonFlags, LibraryFlags, WorldFlags):
    """Measure how often a skill or a run's agent reaches the goal on unseen episodes.

    Examples:
      h-dqn evaluate navigation1 --task navigation1 --episodes 500 --seed 90001 --json
      h-dqn evaluate runs/demo/controller --task two_rooms --video episode.mp4
    """

    what: Name
    """a skill of the library, or the folder of a run"""
    task: tuple[str, ...] = ()
    """the tasks to play, names or files; default: the one it was trained on"""
    episodes: int = 500
    """how many"""
    seed: int = 90001
    """decides which episodes; never those of training, whatever the number"""
    video: Path | None = None
    """also write one episode (of the last task) to this mp4 file, with the running option written on each frame"""

    def run(self) -> None:
        agent = load_agent(self.what, Library(self.library))
        results = {}
        for task in self.task or (None,):
            envs = agent.envs(task, self.place)
            outcome = evaluate_agent(agent, envs, self.episodes, self.seed, ProgressBar())
            name = envs.task.name if envs.task.name not in results else str(task)  # of two files of one name
            results[name] = {**asdict(outcome), "ci95": list(outcome.ci95), "task": envs.task.name, "seed": self.seed}
            results[name]["temperature"] = agent.head.temperature
        if len(results) == 1:
            emit(next(iter(results.values())), self.json)
        elif self.json:
            print(json.dumps({"tasks": results}))
        else:
            table = Table("task", "success", "95 % interval")
            for name, result in results.items():
                low, high = result["ci95"]
                table.add_row(name, f"{result['success_rate']:.1%}", f"{low:.1%} to {high:.1%}")
            out.print(table)
        if self.video:
            film(agent, envs, self.video, self.seed)
            hint(f"wrote {self.video}")
