"""``h-dqn sequences``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from h_dqn.cli.flags import Folder, JsonFlags, Switch, Task
from h_dqn.cli.output import emit_json, show
from h_dqn.cli.presets import Preset
from h_dqn.cli.terminal import visible
from h_dqn.cli.world import WorldFlags


@dataclass
class SequencesList(JsonFlags):
    """List the shipped sequences."""

    def run(self) -> None:
        from envs.sequence import load_sequence, sequence_names
        from h_dqn.experiment.sequences import facts

        found = {name: load_sequence(name) for name in sequence_names()}
        if self.json:
            emit_json({name: facts(sequence) for name, sequence in found.items()})
            return
        show(
            ("sequence", "what it is", "phases", "env steps"),
            [(name, one.title, str(len(one.phases)), f"{one.env_steps:,}") for name, one in found.items()],
        )


@dataclass
class SequencesShow(JsonFlags):
    """Print a sequence's phases: which task when, for how long, and what is changed.

    Example: h-dqn sequences show drift
    """

    sequence: Task
    """a sequence's name or the path of its file"""

    def run(self) -> None:
        from envs.sequence import load_sequence
        from h_dqn.experiment.sequences import facts, rows

        sequence = load_sequence(self.sequence)
        if self.json:
            emit_json(facts(sequence))
            return
        print(visible(f"{sequence.name}: {sequence.title}"))
        print(visible(f"actions: {', '.join(sequence.actions)}; {sequence.env_steps:,} environment steps"))
        show(("phase", "begins at", "env steps", "task", "announced", "changed"), rows(sequence))


@dataclass
class SequencesCheck(JsonFlags, WorldFlags):
    """Check a sequence's file, and prove with the oracle that each of its tasks can be solved in time.

    Example: h-dqn sequences check my_sequence.toml
    """

    sequence: Task
    """the path of a sequence's file, or a sequence's name"""
    episodes: int = 100
    """how many drawn episodes of each task the oracle plays"""
    measure: Switch = False
    """also measure whether it is a test of lifelong learning: scratch learns each of its tasks, one network all at once, and
    fine-tuning forgets. Takes three times as long as a life; goes on where it was stopped"""
    runs: Folder = Path("runs")
    """with --measure: where these lives are kept"""
    seed: int = 1
    """with --measure: decides everything random"""
    preset: Preset = "life"

    def run(self) -> None:
        if self.measure:
            self._measure()
        else:
            self._check()

    def _measure(self) -> None:
        from dataclasses import asdict

        from h_dqn.cli.output import ProgressBar, percent
        from h_dqn.experiment.errors import UserError
        from h_dqn.experiment.sequences import check_sequence
        from h_dqn.experiment.valid import measure

        sequence, _ = check_sequence(self.sequence, self.episodes, self.place)
        with ProgressBar.shown() as bar:
            found = measure(self.sequence, self.runs / f"check-{sequence.name}-s{self.seed}", self.seed, bar, preset=self.preset)
        if self.json:
            emit_json({**asdict(found), "wrong": found.wrong})
        else:
            rows = [(f"scratch on {task}", percent(rate)) for task, rate in found.scratch.items()]
            rows += [("joint", percent(found.joint)), ("fine-tuning forgets", f"{found.forgetting:.2f}")]
            show(("what", "measured"), rows)
        if found.wrong:
            raise UserError(f"{self.sequence}: is no test of lifelong learning: {'; '.join(found.wrong)}")

    def _check(self) -> None:
        from h_dqn.experiment.sequences import check_sequence

        sequence, solved = check_sequence(self.sequence, self.episodes, self.place)
        if self.json:
            emit_json({
                "sequence": sequence.name, "phases": len(sequence.phases), "episodes": self.episodes,
                "tasks": [{"task": one.task.name, "longest": one.longest, "step_limit": one.task.step_limit} for one in solved],
            })  # fmt: skip
            return
        spare = min(one.task.step_limit - one.longest for one in solved)
        print(visible(f"{self.sequence}: good. {len(sequence.phases)} phases of {len(solved)} tasks. The oracle solves "
                      f"{self.episodes} of {self.episodes} episodes of each, with at least {spare} steps to spare."))  # fmt: skip
