"""``h-dqn evaluate``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, argument, optional
from h_dqn.cli.output import ProgressBar, emit, emit_json, hint, show, success
from h_dqn.cli.terminal import visible
from h_dqn.cli.world import WorldFlags
from h_dqn.evaluation import Evaluation
from h_dqn.experiment.agent import Agent, load_agent
from h_dqn.experiment.errors import FOR_PEOPLE, UserError
from h_dqn.experiment.evaluate import VIDEOS, evaluate_tasks, film
from h_dqn.experiment.files import check_output
from skills_library.library import Library

MANY = 6  # names that are listed one by one


@dataclass
class Evaluate(JsonFlags, LibraryFlags, WorldFlags):
    """Measure how often a skill or a run's agent reaches the goal.

    The episodes are unseen: none of them was trained on.

    It is played without actions that the task lacks, and never takes those that it has not learned; both are said. A task that it
    cannot play at all is one line at the end, with exit code 2, beside the results of the others.

    Examples:
      h-dqn evaluate navigation1 --task navigation1 --episodes 500 --seed 90001 --json
      h-dqn evaluate runs/demo/controller --task three_rooms --video episode.mp4 --film failure
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
    """also write one episode (of the last task that is played) to this mp4 file, with the running option written on each frame"""
    film: Literal["first", "success", "failure"] = "first"
    """which episode --video shows: the first, or the first of --episodes that ends so"""

    def run(self) -> None:
        agent = load_agent(self.what, Library(self.library))
        if self.video:
            check_output(self.video, "--video", VIDEOS)
        elif self.film != "first":
            raise UserError(f"--film {self.film} needs --video and the name of a file")
        tasks: tuple[str | None, ...] = self.task or (None,)
        results: dict[str, dict[str, Any]] = {}
        refused: dict[str, Exception] = {}
        last: str | None = None
        try:
            outcomes = evaluate_tasks(agent, tasks, self.episodes, self.seed, self.place, ProgressBar())
            for task, (name, outcome) in zip(tasks, outcomes, strict=True):
                if isinstance(outcome, Evaluation):
                    results[name], last = self._result(agent, agent.task(task).name, outcome), task
                else:
                    refused[name] = outcome
        finally:  # what was played is told, also where the rest was interrupted
            self._show(results, {name: str(error) for name, error in refused.items()})
        errors = list(refused.values())
        if self.video and results:
            try:
                film(agent, agent.envs(last, self.place), self.video, self.seed, self.film, self.episodes)
                hint(f"wrote {self.video}")
            except FOR_PEOPLE as error:
                errors.append(error)
        for one in errors[:-1]:
            hint(f"h-dqn: error: {visible(str(one))}")
        if errors:
            raise errors[-1]

    def _result(self, agent: Agent, task: str, outcome: Evaluation) -> dict[str, Any]:
        entry = {key: value for key, value in asdict(outcome).items() if key not in ("by_episode", "used")}
        lists = {key: list(value) for key, value in entry.items() if isinstance(value, tuple)}
        return {**entry, **lists, "task": task, "seed": self.seed, "temperature": agent.head.temperature}

    def _show(self, results: dict[str, dict[str, Any]], refused: dict[str, str]) -> None:
        for name, result in results.items():
            for actions, why in (
                (result["masked"], "which the task lacks"),
                (result["not_learned"], "which the agent never learned"),
            ):
                if actions:
                    more = f" and {len(actions) - MANY} more" if len(actions) > MANY else ""
                    hint(f"{name}: played without {', '.join(actions[:MANY])}{more}, {why}")
        if len(self.task) < 2:
            for result in results.values():
                emit(result if self.json else {key: value for key, value in result.items() if value != []}, self.json)
        elif self.json:
            emit_json({"tasks": results, "refused": refused})
        elif results:
            rows = [
                (name, success(result), f"{result['mean_return']:.2f}", str(result["episodes"])) for name, result in results.items()
            ]
            show(("task", "success", "mean return", "unseen episodes"), rows)
