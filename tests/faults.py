"""Faults at every call of what writes, syncs or renames, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from h_dqn import checkpoint, files


class Fault(Exception):
    """What stands for the end of the process."""


class Faults:
    """Ends the work at the n-th call of what writes, syncs or renames; counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = self.calls = 0
        writers = [(os, "replace"), (os, "rename"), (files, "_sync"), (Path, "write_bytes"), (checkpoint, "save_file")]
        for holder, name in [*writers, (Path, "unlink"), (Path, "symlink_to")]:
            monkeypatch.setattr(holder, name, self._or_fault(getattr(holder, name)))

    def _or_fault(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            self.left -= 1
            if self.left == 0:
                raise Fault
            return real(*args, **kwargs)

        return call

    def at_each(self, work: Callable[[], Any], check: Callable[[bool], None]) -> int:
        """Do ``work`` with a fault at its first call, its second and so on; ``check`` after each, with whether it ended well."""
        number = 0
        while True:
            number += 1
            self.left = number
            try:
                work()
            except Fault:
                self.left = 0
                check(False)
            else:
                self.left = 0
                check(True)
                return number - 1
