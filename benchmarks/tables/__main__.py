"""Write the tables from the result files: ``python -m benchmarks.tables`` (``--check`` only compares)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping

from benchmarks.provenance import ROOT
from benchmarks.tables.explained import alarms, models, planted, subgoals
from benchmarks.tables.lifelong import LIVES
from benchmarks.tables.methods import grid_world, horizon, workshop
from benchmarks.tables.paper import ablations, any_rooms, controllers, costs, flat, maps, preset_paper, rooms, skills
from benchmarks.tables.speed import cuda, demo, peers, speed
from benchmarks.tables.summary import summary
from benchmarks.tables.table import Table, markdown
from benchmarks.tables.worlds import luanti, luanti_skills, minerl
from h_dqn.files import write_text

# page -> marker -> table
TABLES: Mapping[str, Mapping[str, Callable[[], Table | str]]] = {
    "README.md": {"results": summary},
    "benchmarks/README.md": {
        "demo": demo,
        "skills": skills,
        "controllers": controllers,
        "flat": flat,
        "maps": maps,
        "rooms": rooms,
        "any-rooms": any_rooms,
        "preset-paper": preset_paper,
        "ablations": ablations,
        "costs": costs,
        "elimination": grid_world,
        "workshop": workshop,
        "horizon": horizon,
        "explained": models,
        "planted-cue": planted,
        "subgoals": subgoals,
        "alarms": alarms,
        **LIVES,
        "speed": speed,
        "peers": peers,
        "cuda": cuda,
        "luanti": luanti,
        "luanti-skills": luanti_skills,
        "minerl": minerl,
    },
}


def render(page: str, text: str) -> str:
    """``text`` of a page with each table between its markers written anew."""
    for name, make in TABLES[page].items():
        table = make()
        written = markdown(table) if isinstance(table, Table) else table
        parts = re.split(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", text, flags=re.DOTALL)
        if len(parts) != 2:
            raise SystemExit(f"{page}: the markers of the table '{name}' must be there once")
        text = f"{parts[0]}{written}\n{parts[1]}"
    return text


def main() -> None:
    for page in TABLES:
        path = ROOT / page
        text = path.read_text()
        written = render(page, text)
        if "--check" in sys.argv and written != text:
            raise SystemExit(f"{page} differs from benchmarks/results; run: make results")
        if "--check" not in sys.argv:
            write_text(path, written)


if __name__ == "__main__":
    main()
