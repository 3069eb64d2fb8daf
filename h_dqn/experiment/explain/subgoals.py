"""What happens where clusters change, and what of it can be a goal: candidates for skills, each a task's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import OneLineError
from envs.task import TaskSpec
from envs.task_file import read_task
from envs.toml_file import parse_toml, toml_text
from h_dqn.experiment.explain.look import facts
from h_dqn.experiment.explain.predicates import predicates
from h_dqn.experiment.tasks import solutions, stage_in_words
from h_dqn.files import write_text
from h_dqn.introspection.choice import Clustering, held_out
from h_dqn.introspection.events import becomes, comes_before, crossings, first_steps, match, surest
from h_dqn.introspection.record import Record
from h_dqn.options import Bools

STEPS = 2  # between a change of cluster and an event that goes with it
STRONG, CROSSED = 0.2, 10  # probability of a move, and how often it was made, from which on it is asked what goes with it
SURE = 0.5  # share of a move's crossings at which the event happens, from which on the two go together
COMMON, BEFORE = 0.5, 0.9  # shares of successes: in which a sub-goal happens, and in which another one happens before it
SOLVED = 20  # episodes that the scripted solver plays of each candidate
MOST_PARTS = 8  # predicates of a goal

Goal = Mapping[str, str]


@dataclass(frozen=True)
class Candidate:
    """A goal that could be a skill's."""

    name: str
    says: str
    toml: str
    """the task's file; empty where there is a problem"""
    problem: str
    """why it can be no task"""


def subgoals_of(
    seen: Record, best: Clustering, task: TaskSpec, options: list[str]
) -> tuple[dict[str, Any], dict[tuple[int, int], Any]]:
    """Events beside changes of clusters, and candidates; and of each strong move of the model, the event that goes with it.

    What goes with what is found in the episodes that the model is of; how well that foretells is told of the others.
    """
    goals = {one.says: one.goal for one in predicates(task)}
    events = {name: becomes(true, seen.episode) for name, true in _true(seen, goals, options).items()}
    events = {name: rows for name, rows in events.items() if rows.any()}
    fitted = ~held_out(seen)[seen.episode]
    together: dict[tuple[int, int], Any] = {}
    for edge in strong_edges(best):
        crossed = crossings(best.labels, seen.episode, edge)[fitted]
        known = surest(crossed, {name: rows[fitted] for name, rows in events.items()}, seen.episode[fitted], STEPS)
        if known is not None and known[1] >= SURE:
            together[edge] = {"event": known[0], "share": known[1], "base": known[2], "goal": goals.get(known[0])}
    firsts = {name: first_steps(rows, seen.episode, len(seen.seeds)) for name, rows in events.items() if name in goals}
    common = {name: first for name, first in firsts.items() if seen.success.any() and _share(first[seen.success]) >= COMMON}
    judged = ~fitted if not fitted.all() else fitted
    return {
        "steps": STEPS,
        **_agreement(seen, best, {name: events[name] for name in common}, together, judged),
        "candidates": [asdict(one) for one in candidates(task, seen, common, goals, _named(together, common))],
        "no_word_for": sorted({one["event"] for one in together.values() if one["goal"] is None}),
    }, together


def strong_edges(best: Clustering) -> list[tuple[int, int]]:
    """Moves from one cluster to another, ends aside, that are likely and were made often."""
    k = best.k
    found = np.argwhere((best.model.p[:k, :k] >= STRONG) & (best.model.counts[:k, :k] >= CROSSED))
    return [(int(i), int(j)) for i, j in found]


def _true(seen: Record, goals: Mapping[str, Goal], options: list[str]) -> dict[str, Bools]:
    """What is true of each row: predicates of goals, and other facts, for which goals have no word."""
    others = facts(seen.truth, options, seen.option)
    own = {name: np.asarray(seen.truth[name] > 0) for name in goals}
    return {**own, **{name: true for name, true in others.items() if name not in own and not name.startswith("subgoal ")}}


def _share(first: Any) -> float:
    return float((~np.isnan(first)).mean())


def _named(together: Mapping[Any, Any], common: Mapping[str, Any]) -> list[str]:
    return sorted({one["event"] for one in together.values()} & set(common))


def _agreement(seen: Record, best: Clustering, events: Mapping[str, Bools], together: Mapping[tuple[int, int], Any],
               judged: Bools) -> dict[str, Any]:  # fmt: skip
    """Moves against true events, in the rows ``judged``: of each event those that go with it, of all events these, and all."""
    episode, none = seen.episode[judged], np.zeros(len(seen), bool)
    rows, found_any, true_any = [], none.copy(), none.copy()
    for name, true in events.items():
        moves = [edge for edge, one in together.items() if one["event"] == name]
        found = none.copy()
        for edge in moves:
            found |= crossings(best.labels, seen.episode, edge)
        rows.append({"event": name, "moves": len(moves), **match(found[judged], true[judged], episode, STEPS)._asdict()})
        found_any, true_any = found_any | found, true_any | true
    every = crossings(best.labels, seen.episode)
    return {
        "events": rows,
        "together": match(found_any[judged], true_any[judged], episode, STEPS)._asdict(),
        "every_change": match(every[judged], true_any[judged], episode, STEPS)._asdict(),
        "held_out": bool(not judged.all()),
    }


def candidates(task: TaskSpec, seen: Record, common: Mapping[str, Any], goals: Mapping[str, Goal], named: Sequence[str]
               ) -> list[Candidate]:  # fmt: skip
    """A task for each event that goes with a strong move and is common in successes, and for the end of a goal in stages.

    It begins where those are done that nearly always come before it.
    """
    won = {name: first[seen.success] for name, first in common.items()}
    order = sorted(won, key=lambda name: float(np.nanmean(won[name])))
    found = []
    for name in [one for one in order if one in named]:
        before = [other for other in order if other != name and comes_before(won[name], won[other]) >= BEFORE]
        found.append(_candidate(task, name, [goals[one] for one in (*before, name)]))
    last = parse_toml(task.text)["goal"].get("all_of", [])[-1:]
    always = [goals[one] for one in order if _share(won[one]) >= BEFORE]
    if seen.success.any() and (last or always):
        last = last or [parse_toml(task.text)["goal"]]
        says = stage_in_words(task, len(task.goal) - 1)
        found.append(_candidate(task, says, [*(goal for goal in always if goal != last[0]), *last]))
    return found


def _candidate(task: TaskSpec, says: str, parts: Sequence[Goal]) -> Candidate:
    """The task whose goal are these parts, and that begins where all but the last are done."""
    name = f"{task.name}-" + "-".join("".join(c if c.isalnum() else " " for c in says).split())
    goal = {"all_of": [dict(one) for one in parts], "begin": len(parts) - 1} if len(parts) > 1 else dict(parts[0])
    text = toml_text({**parse_toml(task.text), "title": f"{says}, a part of: {task.title}"[:200], "goal": goal})
    try:
        if len(parts) > MOST_PARTS:
            return Candidate(name, says, "", f"more than {MOST_PARTS} parts come before it")
        if len(solutions(read_task(text, name), SOLVED)) < SOLVED:
            return Candidate(name, says, "", "the scripted solver cannot solve it in time")
    except OneLineError as error:
        return Candidate(name, says, "", str(error))
    return Candidate(name, says, text, "")


def export(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the candidates of an explanation's data as task files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for one in found["subgoals"]["candidates"]:
        if one["toml"]:
            paths.append(folder / f"{one['name']}.toml")
            write_text(paths[-1], one["toml"])
    return paths
