"""Files that the user names and we write: refused in one line before any work is done, and never half written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from h_dqn.experiment.errors import UserError


def check_output(path: Path, flag: str, endings: Sequence[str]) -> None:
    """Raises :class:`UserError`, naming ``flag``, unless ``path`` is a regular file or a new name in a folder that can be written.

    ``endings``: of which its name must have one. A link, pipe, device or folder is never replaced.
    """
    if path.suffix.lower() not in endings:
        raise UserError(f"{flag} {path}: must end in {' or '.join(endings)}")
    try:
        if not path.parent.is_dir():
            raise UserError(f"{flag} {path}: there is no folder {path.parent}")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no regular file"
            raise UserError(f"{flag} {path}: is {kind}, which is not replaced; give another name")
    except OSError as error:  # such as a name that is too long
        raise UserError(f"{flag} {path}: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{flag} {path}: the folder {path.parent} cannot be written")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to: at the end it becomes ``path``; after an error nothing of it is left.

    Raises OSError where it cannot be written.
    """
    number, name = tempfile.mkstemp(prefix=".h-dqn-", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(number)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # readable by others, as any new file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
