"""Base classes of errors that are shown to users, and how they speak of a name that is none."""

from collections.abc import Iterable
from difflib import get_close_matches


class OneLineError(Exception):
    """An error whose message is always one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class WorldError(OneLineError):
    """A world failed and cannot go on, such as an engine that does not start any more; the message says what to do."""


def short(value: object, most: int = 80) -> str:
    """``value`` as a message shows it: of a long one the beginning."""
    text = str(value[: 2 * most]) if isinstance(value, str) else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """ "unknown task 'brake'; did you mean 'break'? (known: ...)": the message for a name that is none of those known."""
    names, name = list(known), short(name)
    near = get_close_matches(name, names, 1)
    return f"unknown {kind} '{name}'{f'; did you mean {near[0]!r}?' if near else ''} (known: {', '.join(names)})"
