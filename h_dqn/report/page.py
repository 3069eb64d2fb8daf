"""A page is the shell, the template of its kind, and data: all pages of the project are made here.

``templates/shell.html`` is what pages have in common: colours (dark and light), type, tables. ``templates/shell.js`` are the
parts that scripts of pages use: elements, charts, tables, colours. ``templates/KIND.html`` is the body of one kind of page and
``KIND.js`` its script, which reads ``DATA``. The result asks for nothing: it is one file, without modules, fonts or requests.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATES = Path(__file__).parent / "templates"
SLOT = re.compile(r"\{\{(\w+)\}\}")


def page(kind: str, title: str, data: Any) -> str:
    """The whole of a page as text.

    Args:
        kind: a template's name.
        title: of the window and of the heading; any text.
        data: what :func:`plain` takes.
    """
    parts = {
        "title": html.escape(title),
        "shell": _template("shell.js"),
        "body": _template(f"{kind}.html"),
        "script": "".join(_template(path.name) for path in sorted(TEMPLATES.glob(f"{kind}*.js"))),
        "data": in_script(data),
    }
    return SLOT.sub(lambda slot: parts[slot.group(1)], _template("shell.html"))


def in_script(data: Any) -> str:
    """JSON that can stand in a ``<script>``: no ``<``, so that no text ends it, and ASCII alone; NaN and infinity become null."""
    return json.dumps(plain(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def plain(data: Any) -> Any:
    """``data`` of dicts, lists, tuples, NumPy's arrays and numbers, as JSON has it; what is no finite number becomes None."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, np.ndarray | np.generic):
        return plain(data.tolist())
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
