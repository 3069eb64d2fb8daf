"""One broken file of a format, and what becomes of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from h_dqn.cli.terminal import visible
from h_dqn.experiment.errors import explanation
from tests.hostile.cases import FORMATS

MOST_LETTERS = 4200


def snapshot(folder: Path) -> dict[str, str]:
    """All that is in it, and the rights of it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        said = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path)] = f"{said} {path.lstat().st_mode:o}"
    return found


@contextlib.contextmanager
def quiet(said: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        yield


def outcome(name: str, seed: int, template: Path, root: Path, begin: Callable[[], object] = int) -> tuple[int, str]:
    """(exit code, what is wrong): 0 where it was accepted, 2 where it was refused as it should be; else what is wrong says why.

    ``begin`` is called when the broken file is there, and before it is read.
    """
    case = root / f"{name}-{seed}"
    inside, outside = case / "inside", case / "outside"
    inside.mkdir(parents=True)
    (outside / "folder").mkdir(parents=True)
    for canary in (outside / "canary", outside / "folder" / "canary"):
        canary.write_text('{"not": "yours"}\n')
    rng, said, before, at = random.Random(f"{name} {seed}"), io.StringIO(), snapshot(outside), Path.cwd()
    try:
        read = FORMATS[name](template, inside, rng)
        os.chdir(inside)
        begin()
        code = refusal(read, said)
        wrong = "it wrote or deleted outside" if snapshot(outside) != before else ""
        return code, wrong or (_one_line(said.getvalue()) if code == 2 else "" if code == 0 else f"code {code}: {said.getvalue()}")
    except Exception as error:
        return 1, f"{type(error).__name__}: {error}"
    finally:
        os.chdir(at)
        shutil.rmtree(case, ignore_errors=True)


def refusal(read: object, said: io.StringIO) -> int:
    """The exit code of a reader, as the command line gives it to an error of a call."""
    from h_dqn.cli import _refuse

    assert callable(read)
    with quiet(said):
        try:
            return int(read() or 0)
        except Exception as error:
            if (reason := explanation(error)) is None:
                raise
            return _refuse(reason)


def _one_line(said: str) -> str:
    """What is wrong with how it was said: not one line, not printable, or too long."""
    lines = [line for line in said.splitlines() if line.startswith("h-dqn: error: ")]
    if len(lines) != 1 or not said.endswith("\n"):
        return f"not one line: {said[:500]!r}"
    if visible(lines[0]) != lines[0] or len(lines[0]) > MOST_LETTERS:
        return f"no line for people: {lines[0][:500]!r}"
    return ""
