"""Private folders of the engines, and the sweep of those that killed programs left behind.

A folder belongs to whoever holds the lock on its file ``lock``; the kernel lets go of it when that process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import struct
import tempfile
from pathlib import Path

from envs.lock import lock

PREFIX = "h-dqn-luanti-"


def free_port() -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_authority(file: Path) -> None:
    """A file that names the one key to a screen, for any display (the format of xauth); whoever cannot read it cannot connect."""
    parts = (b"", b"", b"MIT-MAGIC-COOKIE-1", secrets.token_bytes(16))
    record = struct.pack(">H", 0xFFFF) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(record)


def sweep() -> None:
    """End what engines left behind whose owners were killed, and remove their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue  # somebody else's
            descriptor = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue  # just being made, or removed
        try:
            if not lock(descriptor, wait=False):
                continue  # its owner lives
            _kill_those_of(folder)
            with contextlib.suppress(OSError):
                remove(folder, (folder / "display").read_text())
            remove(folder, "")
        finally:
            os.close(descriptor)


def _kill_those_of(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (folder / "processes").read_text().split():
            with contextlib.suppress(OSError):
                # A number may have been given to another process since.
                if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)


def remove(folder: Path, display: str) -> None:
    """Remove an engine's folder, and what its killed Xvfb left in the places that all displays share."""
    with contextlib.suppress(OSError, ValueError):
        number = int(display)
        lock = Path(f"/tmp/.X{number}-lock")
        if not (lock.exists() and Path(f"/proc/{int(lock.read_text())}").exists()):  # else a new Xvfb has this number now
            lock.unlink(missing_ok=True)
            Path(f"/tmp/.X11-unix/X{number}").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
