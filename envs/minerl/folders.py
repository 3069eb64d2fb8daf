"""Private folders of the workers, and the sweep of those that a killed run left behind.

A folder belongs to whoever holds the lock on its file ``lock``; the kernel lets go of it when that process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path
from typing import IO

from envs.lock import check_system, lock

PREFIX = "h-dqn-minerl-"


class Folder:
    """A new private folder, removed by :meth:`remove`."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock: IO[str] | None = (self.path / "lock").open("w")
        lock(self._lock)

    def note_group(self, group: int) -> None:
        """Write down the process group that works here, with its start, since process numbers are used again."""
        (self.path / "group").write_text(f"{group} {started(group)}")

    def remove(self) -> None:
        if self._lock is not None:
            remove(self.path)
            self._lock.close()
            self._lock = None


def sweep() -> int:
    """Remove the folders, and end the processes, of runs that were killed. Returns how many there were.

    Raises :class:`WorldError` on a system where none can run.
    """
    check_system()
    swept = 0
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue  # somebody else's
            file = (path / "lock").open("r+")
        except OSError:
            continue  # being made, or being removed
        with file:
            if not lock(file, wait=False):
                continue  # in use
            with contextlib.suppress(OSError, ValueError):
                group, start = (path / "group").read_text().split()
                if started(int(group)) == int(start):
                    end_group(int(group))
            remove(path)
            swept += 1
    return swept


def remove(path: Path) -> None:
    """Remove a folder in which a process that is just ending may still write."""
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.05)


def started(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 if there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def members(group: int) -> list[int]:
    """The processes of a group, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and int(fields[2]) == group and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def memory(group: int) -> int:
    """Bytes of memory that the processes of a group hold."""
    pages = 0
    for pid in members(group):
        with contextlib.suppress(OSError, IndexError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def end_group(group: int, seconds: float = 2.0) -> None:
    """SIGKILL to every process of a group; returns when they are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    end = time.monotonic() + seconds
    while members(group) and time.monotonic() < end:
        time.sleep(0.01)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
