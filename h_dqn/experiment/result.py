"""What ``result.json`` of a run may say: figures by name; those of heads and of a demo's parts are in objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from h_dqn.reading import LARGEST, Unreadable, short


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e15


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_share, value))


_KNOWN: dict[str, Callable[[Any], bool]] = {
    "success_rate": _share,
    "teacher": _share,
    "ci95": _interval,
    "episodes": _count,
    "seed": _count,
    "env_steps": _count,
    "decisions": _count,
    "weights": _count,
    "teacher_weights": lambda value: _count(value) and value > 0,
    "mean_return": _number,
    "temperature": _number,
    "seconds": _number,
    "seconds_to_95": lambda value: value is None or _number(value),
    "env_steps_to_95": lambda value: value is None or _count(value),
    "zero_shot": lambda value: isinstance(value, Mapping) and all(map(_share, value.values())),
    "before": lambda value: value is None or _share(value),
    **dict.fromkeys(("run", "start", "multi", "refused", "origin", "option", "about"), lambda value: isinstance(value, str)),
    "average_performance": _share,
    "forgetting": _number,
    "trial_steps": _number,
    "evaluation_steps": _number,
    "evaluation_seconds": _number,
    "probe_steps": _number,
    "probe_seconds": _number,
    "updates": _count,
    "kept_bytes": _count,
}


def check_result(result: Any, depth: int = 0) -> dict[str, Any]:
    """The result itself. Raises :class:`h_dqn.reading.Unreadable` for a figure that cannot be."""
    if not isinstance(result, Mapping) or depth > 3:
        raise Unreadable("is no result")
    for name, value in result.items():
        if name in _KNOWN:
            if not _KNOWN[name](value):
                raise Unreadable(f"'{name}' cannot be {short(value)}")
        elif isinstance(value, Mapping):
            check_result(value, depth + 1)
        else:
            raise Unreadable(f"'{short(name)}' is no figure of a run")
    return dict(result)
