"""Files that the user names and we write, refused in one line before any work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
