"""What ran: versions of the packages that decide results, and the revision of the code."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import h_dqn

ROOT = Path(__file__).parents[2]
NOT_CODE = (":(exclude)*.md", ":(exclude)benchmarks/results", ":(exclude)benchmarks/pictures")


@cache
def versions() -> dict[str, str]:
    """Versions by name; the revision is "unknown" outside of a checkout."""
    packages = {name: version(name) for name in ("torch", "numpy", "numba")}
    return {"h-dqn": h_dqn.__version__, "revision": revision(), "python": platform.python_version(), **packages}


def revision() -> str:
    """The code that runs now: a short commit, and "-dirty" if tracked files of the code differ from it."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    try:
        commit = git("rev-parse", "--short", "HEAD").stdout.strip() if (ROOT / ".git").exists() else ""
    except OSError:  # there is no git
        commit = ""
    if not commit:
        return "unknown"
    return commit + "-dirty" * bool(git("diff", "--quiet", "HEAD", "--", ".", *NOT_CODE).returncode)
