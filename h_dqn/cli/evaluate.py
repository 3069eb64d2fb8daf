"""``h-dqn evaluate``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, argument, optional
from h_dqn.cli.output import emit, emit_json, hint, show, success
from h_dqn.cli.world import WorldFlags
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.evaluate import evaluate_agent, film
from skills_library.library import Library


@dataclass
class Evaluate(JsonFlags, LibraryFlags, WorldFlags):
    """Measure how often a skill or a run's agent reaches the goal.

    The episodes are unseen: none of them was trained on.

    Examples:
      h-dqn evaluate navigation1 --task navigation1 --episodes 500 --seed 90001 --json
      h-dqn evaluate runs/demo/controller --task two_rooms --video episode.mp4
    """

    what: Annotated[str, tyro.conf.Positional, argument("SKILL|FOLDER")]
    """a skill of the library, or the folder of a run"""
    task: Annotated[tuple[str, ...], optional("TASK ...")] = ()
    """the tasks to play, names or files; default: the one it was trained on"""
    episodes: int = 500
    """how many"""
    seed: int = 90001
    """decides which episodes; never those of training, whatever the number"""
    video: Annotated[Path | None, optional("FILE")] = None
    """also write one episode (of the last task) to this mp4 file, with the running option written on each frame"""

    def run(self) -> None:
        agent = load_agent(self.what, Library(self.library))
        results = {}
        for task in self.task or (None,):
            envs = agent.envs(task, self.place)
            outcome = evaluate_agent(agent, envs, self.episodes, self.seed)
            name = envs.task.name if envs.task.name not in results else str(task)  # of two files of one name
            results[name] = {**asdict(outcome), "ci95": list(outcome.ci95), "task": envs.task.name, "seed": self.seed}
            results[name]["temperature"] = agent.head.temperature
        if len(results) == 1:
            emit(next(iter(results.values())), self.json)
        elif self.json:
            emit_json({"tasks": results})
        else:
            rows = [
                (name, success(result), f"{result['mean_return']:.2f}", str(result["episodes"])) for name, result in results.items()
            ]
            show(("task", "success", "mean return", "unseen episodes"), rows)
        if self.video:
            film(agent, envs, self.video, self.seed)
            hint(f"wrote {self.video}")
