"""The programs that Luanti is made of, and where this machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from envs.errors import WorldError
from envs.lock import check_system

TESTED = "Minetest 5.6.1 (Linux)"
INSTALL = "apt-get install minetest xvfb"


class LuantiError(WorldError, RuntimeError):
    """The engine is missing, cannot be started, or died again and again; the message says what to do."""


def programs() -> tuple[str, str]:
    """Paths of minetest and Xvfb. Raises :class:`WorldError` where one is missing."""
    check_system()
    # Debian keeps games in a folder that is not on every user's path.
    path = os.environ.get("PATH", "") + ":/usr/games"
    found = {program: shutil.which(program, path=path) for program in ("minetest", "Xvfb", "setpriv")}
    if missing := [program for program, where in found.items() if where is None]:
        raise LuantiError(f"{' and '.join(missing)} cannot be found; Luanti needs, on Debian: {INSTALL}")
    return str(found["minetest"]), str(found["Xvfb"])


def version() -> str:
    """The engine's name and version. Raises :class:`LuantiError` where it is missing."""
    return _version_of(programs()[0])


@cache
def _version_of(minetest: str) -> str:
    return subprocess.run([minetest, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
