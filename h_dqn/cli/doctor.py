"""``h-dqn doctor``."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from h_dqn.cli.flags import JsonFlags
from h_dqn.cli.output import emit_json, out
from h_dqn.cli.terminal import visible
from h_dqn.cli.world import WorldFlags


@dataclass
class Doctor(JsonFlags, WorldFlags):
    """Say what this machine has and lacks, and what to do about it."""

    def run(self) -> None:
        from h_dqn.experiment.doctor import COLORS, examine

        verdicts = examine(self.place)
        if self.json:
            emit_json([{"verdict": verdict, "text": text} for verdict, text in verdicts])
            return
        for verdict, text in verdicts:
            out.print(Text.assemble((f"{verdict:>5}", COLORS[verdict]), "  ", visible(text)), soft_wrap=True)
