"""Verbs: actions that a task file adds to walking and handling, such as to craft, put down or equip one thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

EACH = "*"  # in a verb's name and entries: one verb for each thing that can be carried


@dataclass(frozen=True)
class Verb:
    """One action. It has an effect only if all that it asks for is there; then all of its effects come about."""

    name: str
    takes: Mapping[str, int] = field(default_factory=dict)
    """items that are used up"""
    gives: Mapping[str, int] = field(default_factory=dict)
    """items that are had afterwards"""
    near: str = ""
    """block that must stand in the cell ahead"""
    puts: str = ""
    """block that appears on the floor of the cell ahead, which must be free"""
    holds: str = ""
    """item that comes to the hand; it must be carried, and not be there already"""


def read_verbs(tables: Mapping[str, Any], items: Sequence[str]) -> Iterator[Verb]:
    """The verbs of a file's ``[verbs]``, those for each of ``items`` spelled out; what they name is not checked here."""
    for name, table in tables.items():
        verb = Verb(name, **table)
        yield from (_of(verb, item) for item in items) if EACH in name else [verb]


def _of(verb: Verb, item: str) -> Verb:
    def counts(of: Mapping[str, int]) -> dict[str, int]:
        return {name.replace(EACH, item): count for name, count in of.items()}

    near, puts, holds = (text.replace(EACH, item) for text in (verb.near, verb.puts, verb.holds))
    return replace(
        verb,
        name=verb.name.replace(EACH, item),
        takes=counts(verb.takes),
        gives=counts(verb.gives),
        near=near,
        puts=puts,
        holds=holds,
    )


def within_reach(verbs: Iterable[Verb], items: Iterable[str], blocks: Iterable[str]) -> set[str]:
    """All items that can be had by these verbs, from ``items`` that can be had without them, among ``blocks`` that stand there."""
    # (is it an item?, name) of what there is; each is looked at once, so that long chains of verbs take no longer than short ones.
    todo = [*((True, item) for item in items), *((False, block) for block in blocks)]
    lacks: dict[int, set[tuple[bool, str]]] = {}
    asked: dict[tuple[bool, str], list[int]] = {}
    verbs = list(verbs)
    for number, verb in enumerate(verbs):
        lacks[number] = {*((True, item) for item in verb.takes), *([(False, verb.near)] if verb.near else [])}
        for need in lacks[number]:
            asked.setdefault(need, []).append(number)
    able = [number for number in lacks if not lacks[number]]
    found = set[tuple[bool, str]]()
    while todo or able:
        for number in able:
            todo += [
                *((True, item) for item in verbs[number].gives),
                *([(False, verbs[number].puts)] if verbs[number].puts else []),
            ]
        able = []
        while todo:
            if (one := todo.pop()) not in found:
                found.add(one)
                for number in asked.get(one, ()):
                    lacks[number].discard(one)
                    able += [] if lacks[number] else [number]
    return {name for is_item, name in found if is_item}
