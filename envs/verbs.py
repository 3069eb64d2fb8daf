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
    have, stand, verbs = set(items), set(blocks), list(verbs)
    while True:
        able = [verb for verb in verbs if have.issuperset(verb.takes) and (not verb.near or verb.near in stand)]
        more = {item for verb in able for item in verb.gives} - have
        built = {verb.puts for verb in able if verb.puts} - stand
        if not more and not built:
            return have
        have |= more
        stand |= built
