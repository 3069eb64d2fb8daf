"""What `h-dqn explain` finds out of agents."""

from __future__ import annotations

from typing import Any

from benchmarks.explained import windows_that_help
from benchmarks.planted_cue import first_cue
from benchmarks.tables import results
from benchmarks.tables.table import Cell, Table, cell, row
from h_dqn.statistics import wilson

COMMAND = "`python -m benchmarks.explained`, 300 unseen episodes each"
Rows = list[tuple[Cell, ...]]


def models() -> Table:
    """The models over clusters, and the cues that shift the choice most."""
    rows: Rows = []
    for name, one in results.figures("explained").items():
        chosen, cues = one["chosen"], [cause for cause in one["causes"] if not cause["matters"]]
        textures = [number for number, cue in enumerate(cues, 1) if cue["cause"].startswith("texture of ")]
        shown = (
            f"{chosen['k']}, {chosen['window']}",
            f"{chosen['vmse']:.3f}",
            f"{chosen['correlation']:.3f}",
            "{} of {}".format(*windows_that_help(one["criteria"])),
            ", ".join(f"{value:.2f}" for value in one["stability"]),
            "; ".join(f"{cue['cause']} {cue['shift']:.1%}" for cue in cues[:2]),
            str(textures[0]) if textures else "none",
        )
        rows.append(row(name, *(cell(text, one) for text in shown)))
    head = ("agent", "clusters, window", "VMSE", "correlation of values", "numbers of clusters at which a window helps",
            "agreement with two other seeds", "strongest cues that the task is not about", "first texture's place")  # fmt: skip
    return Table(COMMAND, head, rows)


def alarms() -> Table:
    """Alarms on fresh episodes."""
    rows: Rows = []
    for name, one in results.figures("explained").items():
        alarm: dict[str, Any] | None = one["alarm"]
        if alarm is None:
            rows.append(row(name, cell("none: all episodes ended alike", one), "", "", "", ""))
            continue
        low, high = alarm["interval"]
        shown = (
            f"{alarm['success']:.1%}",
            *("no failure" if alarm[part] is None else f"{alarm[part]:.3f}" for part in ("area", "area_clock", "area_half")),
            f"{100 * alarm['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}){'' if alarm['of_use'] else ', of no use'}",
        )
        rows.append(row(name, *(cell(text, one) for text in shown)))
    head = ("agent", "success in 1,000 fresh episodes", "area, three steps before the end", "of the clock alone",
            "area at a quarter of the time limit", "points of success by handing over")  # fmt: skip
    return Table(COMMAND, head, rows)


def subgoals() -> Table:
    """Moves between clusters against true events, of agents on whose way something happens."""
    rows: Rows = []
    for name, one in results.figures("explained").items():
        found = one["subgoals"]
        for event in found["events"]:
            rows.append(row(f"{name}: {event['event']}", *(cell(text, one) for text in (str(event["moves"]), *_match(event)))))
        if found["events"]:
            rows.append(row(f"{name}: all of these", *(cell(text, one) for text in ("", *_match(found["together"])))))
            rows.append(row(f"{name}: every change", *(cell(text, one) for text in ("", *_match(found["every_change"])))))
    head = ("what becomes true", "moves that go with it", "how often", "precision", "recall", "F1")
    return Table(f"{COMMAND}, within two steps, in the held-out fifth", head, rows)


def _match(one: dict[str, Any]) -> tuple[str, ...]:
    return str(one["true"]), *(f"{one[part]:.2f}" for part in ("precision", "recall", "f1"))


def planted() -> Table:
    """The planted cue in the table of cues."""
    rows: Rows = []
    for seed, one in results.figures("planted_cue").items():
        first, second = first_cue(one["causes"])
        low, high = wilson(round(200 * one["success_elsewhere"]), 200)
        shown = (
            f"{one['success']:.1%}",
            f"{one['success_elsewhere']:.1%} ({low:.1%} to {high:.1%})",
            f"{first['cause']}, {first['shift']:.1%}",
            f"{second['cause']}, {second['shift']:.1%}",
        )
        rows.append(row(seed, *(cell(text, one) for text in shown)))
    head = ("seed", "success", "success where that wall has other textures", "first cue, shift of the choice", "second")
    return Table("`python -m benchmarks.planted_cue`, 150,000 steps, 200 unseen episodes", head, rows)
