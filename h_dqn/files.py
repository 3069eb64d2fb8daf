"""Files that appear whole or not at all: written apart, synced, and put in their place by one rename, which is the commit.

What is not committed has a name that begins with :data:`TEMPORARY`; a process that is killed leaves it, :func:`sweep` removes it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EEXIST, ELOOP, EPERM
from pathlib import Path

from filelock import FileLock, Timeout

TEMPORARY, LOCK = ".tmp-h-dqn-", ".lock"


class Locked(RuntimeError):
    """Another process is at work in a folder; the message says in which."""


@contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """A file in ``folder`` to write to, for :func:`commit`; else nothing of it is left."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=suffix, dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def commit(temporary: Path, path: Path) -> None:
    """Put a temporary file in the place of ``path``, in the same folder; the disk has it when this returns."""
    temporary.chmod(0o666 & ~_umask())  # as any new file, which what mkstemp makes is not
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to: at the end it becomes ``path``; after an error nothing of it is left.

    Raises OSError where it cannot be written.
    """
    with temporary_file(path.parent, path.suffix) as temporary:
        yield temporary
        commit(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a file as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_folder(folder: Path, files: Mapping[str, bytes], replace: bool = False) -> None:
    """Write files, named from ``folder`` on, into a temporary folder, then make it ``folder``.

    ``replace``: an older one is put out of the way and removed, if it holds nothing but files of these names; else OSError is
    raised where there is one.
    """
    if replace and folder.exists() and (other := {path.name for path in folder.iterdir()} - set(files)):
        raise FileExistsError(EEXIST, f"is not replaced, as '{min(other)}' is in it", str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
    old = temporary / "old"
    try:
        new = temporary / "new"
        new.mkdir()
        for name, data in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(data)
        for inside in [*new.rglob("*"), new]:
            _sync(inside)
        if replace and folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_own(path: Path) -> None:
    """Raises OSError for what would be another file if it were written to: a link, or a file with several names, and a device."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
        raise OSError(ELOOP, "is a link, through which nothing is written", str(path))
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(EPERM, "is neither a file nor a folder", str(path))


def _umask() -> int:
    """The rights that new files of this process lack; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sweep(folder: Path, older_than_s: float = 0.0) -> None:
    """Remove what killed processes left in ``folder``: temporary files and folders that nobody has touched for so long."""
    for left in folder.glob(f"{TEMPORARY}*"):
        try:
            if left.lstat().st_mtime <= time.time() - older_than_s:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        except OSError:
            continue  # somebody else removes it


def lock(folder: Path, wait_s: float = 0.0) -> FileLock:
    """Lock a folder; the lock is free again when the process is gone, however it ended.

    Raises :class:`Locked` if another process has it and does not give it back in time, OSError as :func:`check_own` does.
    """
    check_own(folder / LOCK)
    held = FileLock(folder / LOCK)
    try:
        held.acquire(timeout=wait_s)
    except Timeout:
        raise Locked(f"{folder}: another process is at work here; wait until it is done") from None
    return held


def _sync(path: Path) -> None:
    """Have the disk hold what was written; of a folder, its names. Where folders cannot be opened (Windows), they need no sync."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
