"""The paper, reproduced: skills, controllers, what each part does, what rooms that differ cost."""

from __future__ import annotations

from typing import Any

from benchmarks.tables import results
from benchmarks.tables.cells import Arm, covers, difference, rate, steps_to_95, success
from benchmarks.tables.table import Cell, Table, cell, row

THEIRS = "Tessler et al., approximate"
# What Tessler et al. 2017 report, recalled and approximate, in their own rooms: the skills alone and after distillation (tau 0.1).
PAPER_SKILLS = {
    "navigation1": ("about 95 %", "about 82 %"),
    "navigation2": ("about 95 %", "about 82 %"),
    "pickup": ("about 100 %", "about 100 %"),
    "break": ("about 100 %", "about 79 %"),
    "placement": ("about 100 %", "about 79 %"),
}
# arm -> what it is, and what Tessler et al. 2017 report of the nearest agent of theirs, recalled and approximate.
CONTROLLERS = {
    "two_rooms": {
        "h-drln": ("controller with navigation1, Q(λ)", "about 76 % (DQN)"),
        "zero-shot": ("navigation1 alone, not trained here", "between the two"),
        "flat": ("no skills, Q(λ)", ""),
        "flat-dqn": ("no skills, Q(λ) that bootstraps as DQN", "about 50 % (DQN)"),
        "flat-double": ("no skills, Q(λ) that bootstraps as Double DQN", ""),
    },
    "three_rooms": {
        "array": ("controller, a network each skill, Q(λ)", "about 85 % (DQN), 91 % (Double DQN)"),
        "distilled": ("controller, one distilled network, Q(λ)", ""),
        "distilled-dqn": ("the same that bootstraps as DQN, less time", ""),
        "distilled-double": ("the same that bootstraps as Double DQN, less time", "about 94 % (Double DQN)"),
        "flat-double": ("no skills, Q(λ) that bootstraps as Double DQN", "never solves it (Double DQN)"),
    },
}
# arm without a part (or with one more), arm with that part alone -> what the part is.
ABLATIONS = {
    ("everything", ""): "everything that is on by default",
    ("no-success-memory", "only-success-memory"): "without the memory of successes",
    ("gamma-once-a-decision", "only-gamma-once-a-step"): "discount once a decision, not once a step",
    ("no-goal-termination", "only-goal-termination"): "skills end after k steps, not at their goal",
    ("no-intra-option", "only-intra-option"): "steps inside a skill teach nothing",
    ("no-deliberation", "only-deliberation"): "no cost of decisions",
    ("no-start", "only-start"): "no start from the layers of a skill",
    ("grown-from-two-rooms", ""): "start from the controller of two_rooms, its head grown",
    ("intra-option-all", ""): "steps teach every option that agrees",
    ("interruption", "only-interruption"): "skills are interrupted where another option has a higher value",
    ("nothing", ""): "none of these",
}
FLAT = {
    "nothing": "no skills, from nothing",
    "layers": "no skills, from the layers of navigation2",
    "falling epsilon": "no skills, exploration falls with time",
    "one network": "no skills, one network through the skills' tasks, then this",
    "reward at stages": "no skills, with a reward at each stage",
}
TASKS = (*PAPER_SKILLS, *CONTROLLERS)


def skills() -> Table:
    found = results.figures("paper")
    rows = []
    for name, (alone, distilled) in PAPER_SKILLS.items():
        head, skill = (found.get(kind, {}).get(name) for kind in ("distilled", "skills"))
        rows.append(row(name, success(skill), alone, success(head), distilled if head else ""))
    return Table("`make reproduce SEEDS=5`", ("skill", "alone", THEIRS, "distilled", THEIRS), rows)


def controllers() -> Table:
    found, more = results.figures("paper"), results.figures("ablations")
    rows = []
    for task, labels in CONTROLLERS.items():
        arms = {**found.get(task, {}), **more.get(task, {})}
        for arm, (label, theirs) in labels.items():
            if arm in arms:
                steps = next(iter(arms[arm]["runs"].values())).get("env_steps", 0) if arm != "zero-shot" else 0
                rows.append(row(f"{task}: {label}", success(arms[arm]), theirs, f"{steps:,}"))
    command = "`make reproduce SEEDS=5`, `make ablate SEEDS=5`"
    return Table(command, ("task and agent", "success", THEIRS, "environment steps"), rows)


def flat() -> Table:
    """three_rooms with skills, and without in as many steps as controller and skills took together."""
    array, found = results.figures("paper").get("three_rooms", {}).get("array"), results.figures("flat")
    arms = {"controller with four skills": array, **{label: found.get(arm) for arm, label in FLAT.items()}}
    rows = [row(label, success(arm), cell(steps_to_95(arm), arm)) for label, arm in arms.items() if arm]
    head = ("three_rooms", "success", f"environment steps to 95 % ({covers(5)})")
    return Table("`python -m benchmarks.flat`, and for the first row `make reproduce SEEDS=5`", head, rows)


def preset_paper() -> Table:
    found, rows = results.figures("preset_paper"), []
    for task, theirs in (("navigation1", PAPER_SKILLS["navigation1"][0]), ("two_rooms", "about 76 %")):
        if arms := found.get(task):
            (arm,) = arms.values()
            run = next(iter(arm["runs"].values()))
            rows.append(row(task, success(arm), theirs, f"{run['env_steps']:,}", run.get("device", "CPU")))
    command = "`python -m benchmarks.reproduce preset_paper`"
    return Table(command, ("preset `paper`, learner `dqn`", "success", THEIRS, "environment steps", "learned on"), rows)


def ablations() -> Table:
    arms: dict[str, Arm] = results.figures("ablations").get("three_rooms", {})
    control = arms.get("everything")
    rows = []
    for (arm, alone), label in ABLATIONS.items():
        if arm in arms:
            paired = difference(arms[arm], control) if control and arm != "everything" else Cell("")
            steps = cell(steps_to_95(arms[arm]), arms[arm])
            rows.append(row(label, success(arms[arm]), paired, steps, success(arms.get(alone))))
    interval = covers(5)
    head = (
        "three_rooms, a network each skill",
        "success",
        "points more than everything, paired by seed",
        f"environment steps to 95 % ({interval})",
        "success of that part alone",
    )
    return Table("`make ablate SEEDS=5`", head, rows)


def costs() -> Table:
    """What variation and the switches cost in environment steps to 95 %, and in success where the runs went to their end."""
    found = results.figures("costs")
    array = results.figures("paper").get("three_rooms", {}).get("array")
    if array and "three_rooms" in found:
        found["three_rooms"]["as-it-is"] = array
    rows = []
    for task in filter(found.get, TASKS):
        arms = found[task]
        shown = [_cost(arms.get(arm)) for arm in ("as-it-is", "eliminate", "tune-discount", "alike")]
        rows.append(row(task, *shown, success(arms.get("alike-there"))))
    switches = ("as it is", "with `--eliminate`", "with `--tune-discount`", "rooms all alike", "success of these in the task")
    return Table("`python -m benchmarks.reproduce costs --only TASK --seeds N`", ("task", *switches), rows)


def _cost(arm: Arm | None) -> Cell:
    if arm is None:
        return Cell("")
    to_the_end = not any("--until" in run["measured"]["command"] for run in arm["runs"].values())
    return cell(steps_to_95(arm) + (f", {success(arm).text} at the end" if to_the_end else ""), arm)


def maps() -> Table:
    """The skills in the rooms of one map with which the paper's were trained."""
    found = results.figures("paper").get("one-map", {})
    rows = [row(task, success(found[task])) for task in PAPER_SKILLS if task in found]
    return Table("`make reproduce SEEDS=5`", ("skill", "in rooms of one map"), rows)


def any_rooms() -> Table:
    """Mean and worst of single rooms, over seeds: of the generator, and of shapes that it does not draw."""
    rows, found = [], results.figures("any_rooms")
    for task, runs in found.get("any", {}).items():
        cells: list[Cell] = []
        for rooms in (runs, found["shapes"][task]):
            of = list(rooms.values())
            means, worst = [run["agent"]["mean"] for run in of], min(run["agent"]["worst"] for run in of)
            searcher = of[0]["searcher"]
            cells += [cell(rate(means, worst=False), *of), cell(f"{worst:.0%}", *of)]
            cells += [cell(f"{searcher['mean']:.1%}, {searcher['worst']:.0%}", *of)]
        rows.append(row(task, *cells))
    each = ("worst room of any seed", "searcher: mean, worst")
    head = ("skill", "20 rooms of the generator", *each, "6 rooms of other shapes", *each)
    return Table("`python -m benchmarks.any_rooms measure --seeds 5`", head, rows)


def rooms() -> Table:
    found: dict[str, Any] = results.figures("paper").get("rooms", {})
    rows = [
        row(task, *(success(found[f"{task}-{change}"]) for change in ("size", "layout", "texture")))
        for task in TASKS
        if f"{task}-size" in found
    ]
    head = ("trained on", "larger room", "turned, mirrored, a corner walled off", "other textures")
    return Table("`make reproduce SEEDS=5`", head, rows)
