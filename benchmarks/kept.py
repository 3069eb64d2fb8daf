"""Results of single runs, kept so that the same command goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from h_dqn.files import write_text


def kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is kept at this path; where nothing is, what ``measure`` returns, which is kept from then on."""
    if path.exists():
        return dict(json.loads(path.read_text()))
    result = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(result) + "\n")
    return result
