"""A table that says who measured it: command, revision, date and evaluation policy, and marks at what differs from the newest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from benchmarks.provenance import Measured, find


@dataclass(frozen=True)
class Cell:
    """A text, and who measured the figures in it; nobody, where it is a label or another's figure."""

    text: str
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True)
class Table:
    """``command`` measures it, said for people; a row is made of cells, of which the first is its label."""

    command: str
    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def cell(text: str, *parts: Any) -> Cell:
    """A text whose figures are from these parts of result files."""
    return Cell(text, tuple(entry for part in parts for entry in find(part)))


def row(label: str, *cells: Cell | str) -> tuple[Cell, ...]:
    return (Cell(label), *(Cell(each) if isinstance(each, str) else each for each in cells))


def policy(entry: Measured) -> tuple[Any, ...]:
    """What makes figures comparable: the code, how the agent was evaluated, what else was different."""
    return entry["revision"], entry.get("temperature"), tuple(entry.get("notes", ()))


def describe(entries: Iterable[Measured]) -> str:
    """Revisions with their days, evaluation policies and notes, each once."""
    entries = sorted(entries, key=lambda entry: entry["date"])
    revisions = dict.fromkeys(entry["revision"] + "\\*" * (entry.get("revision_from") == "history") for entry in entries)
    days = dict.fromkeys(entries[place]["date"][:10] for place in (0, -1))
    temperatures = sorted({entry["temperature"] for entry in entries if "temperature" in entry})
    said = [f"revision{'s' * (len(revisions) > 1)} {', '.join(revisions)} ({' to '.join(days)})"]
    if temperatures:
        said.append(f"evaluated {' and '.join(map(_evaluated, temperatures))}")
    return ", ".join([*said, *dict.fromkeys(note for entry in entries for note in entry.get("notes", ()))])


def _evaluated(temperature: float) -> str:
    return f"by a softmax of temperature {temperature:g}" if temperature else "greedily"


def markdown(table: Table) -> str:
    """Who measured it, the table, and a footnote for each way in which figures differ from the newest ones."""
    entries = [entry for cells in table.rows for each in cells for entry in each.measured]
    newest = policy(max(entries, key=lambda entry: entry["date"])) if entries else None
    notes: dict[tuple[Any, ...], str] = {}  # policies that differ -> letter
    older: dict[str, list[Measured]] = {}  # letter -> who measured so
    lines = []
    for cells in table.rows:
        marks = [_mark(each, newest, notes, older) for each in cells]
        measured = {mark for each, mark in zip(cells, marks, strict=True) if each.measured}
        if len(measured) == 1:  # all alike: said once, at the label
            marks = [*measured, *[""] * (len(marks) - 1)]
        lines.append("| " + " | ".join(f"{each.text}{mark}" for each, mark in zip(cells, marks, strict=True)) + " |")
    said = describe(entry for entry in entries if policy(entry) == newest) if entries else "not measured"
    parts = [
        f"{table.command}: {said}.",
        "\n".join(["| " + " | ".join(table.head) + " |", "|---" * len(table.head) + "|", *lines]),
        *(["<br>\n".join(f"<sup>{letter}</sup> {describe(of)}" for letter, of in older.items())] if older else []),
    ]
    return "\n\n".join(parts)


def _mark(each: Cell, newest: Any, notes: dict[tuple[Any, ...], str], older: dict[str, list[Measured]]) -> str:
    """The footnote's letter, if figures of this cell differ from the newest."""
    differ = [entry for entry in each.measured if policy(entry) != newest]
    if not differ:
        return ""
    letter = notes.setdefault(tuple(sorted(set(map(policy, differ)), key=str)), ascii_lowercase[len(notes)])
    older.setdefault(letter, []).extend(differ)
    return f" <sup>{letter}</sup>"
