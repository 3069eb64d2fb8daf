"""A policy as one file, to be given away: a ZIP archive of its manifest and its weights, not compressed.

There is one archive of a policy, byte for byte: names in order, no time of day, the same rights. Nothing else is taken, so whatever
a ZIP can hold beside two files (links, paths, more files, the same file twice, compressed or encrypted ones, comments, room before,
between and behind) is refused without a look at it.
"""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

from h_dqn.files import replacing
from h_dqn.reading import Unreadable, read_bytes
from skills_library import manifest
from skills_library.manifest import MANIFEST, MODEL, Files, SkillError

LARGEST = 12 << 20  # bytes; to check it takes five times as much memory
MEMBERS = {MODEL: LARGEST, MANIFEST: manifest.LARGEST}  # bytes that each may have, in the order of names
_BEGIN, _SIZE_AT, _HEADER = b"PK\3\4", 22, 30  # of a file in a ZIP: its first bytes, where its size stands, bytes before its name


def pack(files: Files) -> bytes:
    """The archive of a policy's manifest and weights."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in MEMBERS:
            info = zipfile.ZipInfo(name)  # of 1980
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, files[name])
    return out.getvalue()


def unpack(data: bytes) -> Files:
    """Manifest and weights in an archive, not checked further. Raises :class:`h_dqn.reading.Unreadable` for anything else."""
    if not data.startswith(_BEGIN):
        raise Unreadable("is no ZIP archive")
    at, files = 0, {}
    for name, most in MEMBERS.items():
        begin = at + _HEADER + len(name)
        if data[at + _HEADER : begin] != name.encode():
            raise Unreadable(f"has no {name} where an exported skill has it")
        size = int.from_bytes(data[at + _SIZE_AT : at + _SIZE_AT + 4], "little")
        if size > most:
            raise Unreadable(f"announces {size:,} bytes of {name}; {most:,} at most")
        at = begin + size
        files[name] = data[begin:at]
    if pack(files) != data:
        raise Unreadable("is damaged, or something was added to it")
    return files


def write_archive(files: Files, path: Path) -> None:
    """Write the archive of a policy. Raises :class:`SkillError` for one that would be too large, OSError where writing fails."""
    data = pack(files)
    if len(data) > LARGEST or len(files[MANIFEST]) > MEMBERS[MANIFEST]:
        raise SkillError(f"{path}: is not written: {len(data):,} bytes are too much for an archive ({LARGEST:,} at most)")
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def read_archive(path: Path) -> Files:
    """Manifest and weights in an archive, not checked further. Raises :class:`SkillError` in one line for anything else."""
    try:
        return unpack(read_bytes(path, LARGEST))
    except OSError as error:
        raise SkillError(f"{path}: cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise SkillError(f"{path}: {error}; only what 'h-dqn skills export' writes is taken") from error
