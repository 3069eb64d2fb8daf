"""The instructions of a Dockerfile, for the tests of it: as much of the format as this project's uses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass
class Stage:
    """One ``FROM``: its name, what it is built on, and its instructions (word, value)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, word: str) -> str:
        """The value of the last such instruction; empty if there is none."""
        return next((value for name, value in reversed(self.steps) if name == word), "")

    def values(self, word: str) -> list[str]:
        """The values of all such instructions."""
        return [value for name, value in self.steps if name == word]

    def settings(self, word: str) -> dict[str, str]:
        """What its ``ENV`` or ``ARG`` instructions set."""
        return {key: quoted or plain for text in self.values(word) for key, quoted, plain in re.findall(PAIR, text)}


PAIR = r'(\w+)=(?:"([^"]*)"|(\S*))'


def read(path: Path = ROOT / "Dockerfile") -> tuple[dict[str, str], dict[str, Stage]]:
    """The arguments before the first stage, and the stages by name."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    steps = [text.split(None, 1) for text in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines() if text.strip()]
    stages: dict[str, Stage] = {}
    before = Stage("", "")
    stage = before
    for word, value in steps:
        if word == "FROM":
            base, _, name = value.split()
            stage = stages[name] = Stage(name, base)
        else:
            stage.steps.append((word, value.strip()))
    return before.settings("ARG"), stages


def commands(text: str) -> list[str]:
    """The commands of a ``RUN``, which are joined by ``&&``."""
    return [command.strip() for command in text.split("&&")]


def words(text: str) -> list[str]:
    """What an instruction in JSON form says."""
    return [str(word) for word in json.loads(text)]
