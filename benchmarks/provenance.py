"""Who measured a figure: every cell (an arm with one seed) of a result file has an entry ``measured``.

    revision        the code that ran; with "-dirty" if files of the code differed from it
    date            when the result was written, UTC
    seed            of the run; a list where a cell is made of several; null where nothing is random
    command         which measures this cell again
    temperature     of the softmax by which the agent was evaluated (0: greedy), where the result says so
    notes           what was different from a run of today

Figures from before this file existed have three more entries, found from the git history of the result file:

    revision_from   "history": the revision was not recorded; it is the commit in which the figures entered
                    "arm": it was recorded for the arm, when the last one of several seeds was added
    date_from       "history": the date of the commit in which the figures entered
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from h_dqn.experiment.versions import revision

ROOT = Path(__file__).parents[1]
Measured = dict[str, Any]


def measured(command: str, seed: int | list[int] | None, **more: Any) -> Measured:
    """What to write beside a figure that was measured just now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"revision": revision(), "date": now, "seed": seed, "command": command, **more}


def find(part: Any) -> Iterator[Measured]:
    """All entries ``measured`` below ``part`` of a result file, in its order."""
    if isinstance(part, dict):
        if "measured" in part:
            yield part["measured"]
        for key, value in part.items():
            if key != "measured":
                yield from find(value)
    elif isinstance(part, list):
        for value in part:
            yield from find(value)
