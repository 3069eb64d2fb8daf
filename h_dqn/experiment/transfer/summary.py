"""What a measurement of transfer says: who helps where, who never does, how worlds differ. Pure functions of what was played."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from h_dqn.experiment.transfer.matrix import Cell, Cells
from h_dqn.experiment.transfer.plan import Inputs

# Success above that of chance, and share of a controller's decisions or steps, from which on a skill is of use.
MORE, USED = 0.05, 0.01


def cell_json(cell: Cell, inputs: Inputs) -> dict[str, Any]:
    """A cell as ``transfer.json`` has it."""
    if cell.cannot:
        return {"cannot": cell.cannot}
    found = {"success_rate": cell.rate, "ci95": list(cell.ci95), "successes": cell.successes, "episodes": cell.episodes,
             "env_steps": cell.env_steps}  # fmt: skip
    if cell.skill is None:
        return found
    theirs, own = inputs.tasks[cell.task].all_actions, inputs.agents[cell.skill].actions
    masked, not_learned = [one for one in own if one not in theirs], [one for one in theirs if one not in own]
    return {**found, "masked": masked, "not_learned": not_learned}


def matrix_json(cells: Cells, inputs: Inputs, world: str) -> dict[str, Any]:
    """The matrix of one world: of chance and of each skill, every task."""

    def row(skill: str | None) -> dict[str, Any]:
        return {task: cell_json(cells[world, skill, task], inputs) for task in inputs.tasks}

    return {"random": row(None), "skills": {skill: row(skill) for skill in inputs.agents}}


def differences(cells: Cells, inputs: Inputs, world: str, first: str) -> list[dict[str, Any]]:
    """Success in ``world`` less that in ``first``, wherever both were played; chance is the skill None."""
    found = []
    for skill in (None, *inputs.agents):
        for task in inputs.tasks:
            here, there = cells[world, skill, task], cells[first, skill, task]
            if here.rate is not None and there.rate is not None:
                apart = here.ci95[0] > there.ci95[1] or here.ci95[1] < there.ci95[0]
                found.append({"skill": skill, "task": task, "success_rate": here.rate, "first": there.rate,
                              "difference": here.rate - there.rate, "sure": apart})  # fmt: skip
    return found


def helps(
    cells: Cells, inputs: Inputs, world: str, saved: Sequence[Mapping[str, Any]], reuse: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, list[str]]]:
    """Where each skill is of use.

    Elsewhere than in its own task it is so in one where it succeeds without training at least 5 points more than chance
    (``zero_shot``), or a start from it saves steps (``steps_saved``); and for a controller of whose decisions or steps in
    successful episodes it is at least 1 % (``controllers``), also as a head of a distilled network.
    """
    found = {}
    for skill in inputs.agents:
        own = inputs.own(skill)
        others = [task for task in inputs.tasks if task != own]
        found[skill] = {
            "zero_shot": [task for task in others if _above_chance(cells, world, skill, task)],
            "steps_saved": [row["task"] for row in saved if row["skill"] == skill and (row.get("saved") or 0) > 0],
            "controllers": [name for name, one in reuse.items() if _share(one["skills"], skill) >= USED],
        }
    return found


def never(found: Mapping[str, Mapping[str, Iterable[str]]]) -> list[str]:
    """Skills that help nowhere, of what was looked at."""
    return [skill for skill, where in found.items() if not any(map(list, where.values()))]


def _above_chance(cells: Cells, world: str, skill: str, task: str) -> bool:
    rate, chance = cells[world, skill, task].rate, cells[world, None, task].rate
    return rate is not None and chance is not None and round(rate - chance, 9) >= MORE


def _share(skills: Mapping[str, Mapping[str, float]], name: str) -> float:
    """Of a controller's decisions, or of its steps, those of this skill, whichever is more; also as a head: ``multi/NAME``."""
    return sum(max(one["decisions"], one["frames"]) for skill, one in skills.items() if name in (skill, skill.partition("/")[2]))
