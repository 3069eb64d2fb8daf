"""What a setting may be. Each field of a configuration says its range itself; :func:`check` holds every field to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from math import inf
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from h_dqn.reading import short


class ConfigError(ValueError):
    """A setting cannot be; the message names it, in one line, whatever text was given."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """ "unknown preset 'fats'; did you mean 'fast'? (known: ...)": the message for a name that is none of those known."""
    names, name = list(known), short(name)
    near = get_close_matches(name, names, 1)
    return f"unknown {kind} '{name}'{f'; did you mean {near[0]!r}?' if near else ''} (known: {', '.join(names)})"


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, without ``low`` itself where it is ``above``, without ``high`` itself where it is ``below``."""

    low: float = -inf
    high: float = inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        high_enough = value > self.low if self.above else value >= self.low
        return high_enough and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        if self.high < MOST and not self.above:
            return f"from {self.low:g} to {'below ' * self.below}{self.high:g}"
        return f"{'above' if self.above else 'at least'} {self.low:g}"


MOST = 2**63 - 1  # of whatever is counted
Count = Annotated[int, Range(0, MOST, above=True)]
CountOrZero = Annotated[int, Range(0, MOST)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
ShareBelowOne = Annotated[float, Range(0, 1, below=True)]


def check(settings: Any) -> None:
    """Raises :class:`ConfigError` for a setting of this dataclass, or of one inside it, that is of a wrong type or out of range."""
    for name, hint, value in named_settings(settings):
        flag = f"--{name.replace('_', '-')}"
        if get_origin(hint) is tuple:
            if not isinstance(value, tuple):
                raise ConfigError(f"{flag} must be values, not {short(value)}")
            for each in value:
                _check(flag, get_args(hint)[0], each)
        else:
            _check(flag, hint, value)


def _check(flag: str, hint: Any, value: Any) -> None:
    if NoneType in get_args(hint):  # None: nothing is set
        if value is None:
            return
        hint = get_args(hint)[0]
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{flag} must be one of {', '.join(map(str, get_args(kind)))}, not {short(value)}")
    elif kind in (int, float) and (isinstance(value, bool) or not isinstance(value, (int, kind)) or not -inf < value < inf):
        raise ConfigError(f"{flag} must be a {'whole ' * (kind is int)}number, not {short(value)}")
    elif kind in (bool, str) and not isinstance(value, kind):
        raise ConfigError(f"{flag} must be {'true or false' if kind is bool else 'text'}, not {short(value)}")
    for extra in extras:
        if isinstance(extra, Range) and kind is int and value > extra.high:
            raise ConfigError(f"{flag} must be at most {extra.high}, not {short(value)}")
        if isinstance(extra, Range) and value not in extra:
            raise ConfigError(f"{flag} must be {extra}, not {short(value)}")


def named_settings(settings: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, type, value) of each setting, those of dataclasses inside it in their place."""
    hints = get_type_hints(type(settings), include_extras=True)
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if is_dataclass(value):
            yield from named_settings(value)
        else:
            yield entry.name, hints[entry.name], value
