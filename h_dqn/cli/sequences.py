"""``h-dqn sequences``."""

from __future__ import annotations

from dataclasses import dataclass

from h_dqn.cli.flags import JsonFlags, Task
from h_dqn.cli.output import emit_json, show
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

    def run(self) -> None:
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
