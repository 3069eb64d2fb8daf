"""Archives of skills that break one rule each, by name."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load, save

MANIFEST, MODEL = "policy.json", "model.safetensors"
Files = dict[str, bytes]
Entry = tuple[zipfile.ZipInfo | str, bytes]


def archive(entries: list[Entry], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """A ZIP of these entries; what is only named has the date and rights that an export gives it."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as made:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in entries:
            made.writestr(info(name) if isinstance(name, str) else name, data, method)
        made.comment = comment
    return out.getvalue()


def info(name: str, mode: int = stat.S_IFREG | 0o644, **how: Any) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, mode << 16
    for key, value in how.items():
        setattr(made, key, value)
    return made


def entries(files: Files) -> list[Entry]:
    return [(name, files[name]) for name in sorted(files)]


def added(*more: Entry) -> Callable[[Files], bytes]:
    """What an export writes, and more."""
    return lambda files: archive([*entries(files), *more])


def instead(name: str, entry: zipfile.ZipInfo | str, data: bytes | None = None) -> Callable[[Files], bytes]:
    """Another entry in the place of ``name``."""
    return lambda files: archive([(entry, files[name] if data is None else data) if one == name else (one, files[one])
                                  for one in sorted(files)])  # fmt: skip


def patched(at: int, new: bytes) -> Callable[[Files], bytes]:
    """Other bytes at this place of what an export writes."""
    return lambda files: archive(entries(files))[:at] + new + archive(entries(files))[at + len(new) :]


def said(change: Callable[[dict[str, Any]], Any]) -> Callable[[Files], bytes]:
    """Well packed, but the manifest says something else."""

    def made(files: Files) -> bytes:
        manifest = json.loads(files[MANIFEST])
        return archive(entries({**files, MANIFEST: json.dumps(change(manifest) or manifest).encode()}))

    return made


def weighed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Files], bytes]:
    """Well packed, and the hash is right, but the weights are others."""
    return lambda files: hashed(files, save(change(dict(load(files[MODEL])))))


def raw(change: Callable[[bytes], bytes]) -> Callable[[Files], bytes]:
    """The same for the bytes of their file."""
    return lambda files: hashed(files, change(files[MODEL]))


def hashed(files: Files, model: bytes) -> bytes:
    manifest = {**json.loads(files[MANIFEST]), "model_sha256": hashlib.sha256(model).hexdigest()}
    return archive(entries({MANIFEST: json.dumps(manifest).encode(), MODEL: model}))


def header(data: bytes, change: Callable[[str], str]) -> bytes:
    """Safetensors with another header."""
    size = struct.unpack("<Q", data[:8])[0]
    text = change(data[8 : 8 + size].decode()).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def tar(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            one = tarfile.TarInfo(name)
            one.size = len(data)
            made.addfile(one, io.BytesIO(data))
    return out.getvalue()


def bomb(files: Files) -> bytes:
    return archive([(MODEL, bytes(300 << 20)), (MANIFEST, files[MANIFEST])], zipfile.ZIP_DEFLATED)


def many_empty(files: Files) -> bytes:
    return archive([*entries(files), *((f"{n}", b"") for n in range(20_000))])


def zip64(files: Files) -> bytes:
    """The end says that another end, which names a directory of millions of entries, is the true one."""
    data = archive(entries(files))
    at = len(data) - 22
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, at, 0)
    return data[:at] + end64 + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) + data[at:]


def first(value: Any) -> Any:
    """A change of weights: a number of the first of them."""

    def change(tensors: dict[str, Any]) -> dict[str, Any]:
        name = min(tensors)
        new = tensors[name].copy()
        new.reshape(-1)[0] = value
        return {**tensors, name: new}

    return change


def deep(manifest: dict[str, Any]) -> None:
    for _ in range(40):
        manifest["training"] = {"config": manifest["training"]}


LINK, FIFO, DEVICE, FOLDER = (kind | 0o777 for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR))
HOSTILE: dict[str, Callable[[Files], bytes]] = {
    # names
    "a path upwards": added(("../canary", b"x")),
    "a path upwards within": added(("a/../../canary", b"x")),
    "an absolute path": added(("/tmp/canary", b"x")),
    "a path of Windows": added((info("..\\canary"), b"x")),
    "a file in a folder": instead(MODEL, f"walk/{MODEL}"),
    "an unknown file": added(("run.py", b"import os")),
    "a file less": lambda files: archive([(MODEL, files[MODEL])]),
    "no file": lambda files: archive([]),
    "the same file twice": added((MANIFEST, b"{}")),
    "the same file twice, in another case": added((MANIFEST.upper(), b"{}")),
    "another order": lambda files: archive(entries(files)[::-1]),
    "a name with an end in it": lambda files: archive(entries(files)).replace(b"policy.json", b"policy.j\0on"),
    "a name for a terminal": added((info("\x1b[2J"), b"")),
    # kinds of files
    "a link": instead(MODEL, info(MODEL, LINK), b"/etc/passwd"),
    "a link beside": added((info("x", LINK), b"../../canary")),
    "a pipe": instead(MODEL, info(MODEL, FIFO)),
    "a device": instead(MODEL, info(MODEL, DEVICE)),
    "a folder": added((info("folder/", FOLDER), b"")),
    "rights of root": instead(MODEL, info(MODEL, stat.S_IFREG | 0o6777)),
    # what a ZIP can do
    "compressed": lambda files: archive(entries(files), zipfile.ZIP_DEFLATED),
    "packed by bzip2": lambda files: archive(entries(files), zipfile.ZIP_BZIP2),
    "packed by lzma": lambda files: archive(entries(files), zipfile.ZIP_LZMA),
    "a bomb": bomb,
    "twenty thousand empty files": many_empty,
    "encrypted": patched(6, b"\1\0"),
    "a comment": lambda files: archive(entries(files), comment=b"hello"),
    "a comment on a file": instead(MODEL, info(MODEL, comment=b"hello")),
    "an extra field": instead(MODEL, info(MODEL, extra=b"\1\2\2\0xx")),
    "another date": instead(MODEL, info(MODEL, date_time=(2024, 1, 1, 0, 0, 0))),
    "something before it": lambda files: b"#!/bin/sh\n" + archive(entries(files)),
    "something behind it": lambda files: archive(entries(files)) + b"x",
    "a second archive behind it": lambda files: archive(entries(files)) * 2,
    "an end of 64 bits": zip64,
    "a wrong checksum": patched(14, b"\1\2\3\4"),
    "a length that is too small": patched(22, b"\5\0\0\0"),
    "a length of 4 GiB": patched(22, b"\xff\xff\xff\xff"),
    "a length behind the end": patched(22, b"\0\0\xf0\0"),
    "cut off": lambda files: archive(entries(files))[:-30],
    "its end alone": lambda files: archive(entries(files))[-22:],
    "a file of 13 MiB": lambda files: archive(entries({**files, MODEL: bytes(13 << 20)})),
    "a tar": tar,
    "empty": lambda files: b"",
    # the manifest
    "no JSON": lambda files: archive(entries({**files, MANIFEST: b"{"})),
    "a number that is none": said(lambda m: m["heads"][0].update(temperature=float("nan"))),
    "an endless number": said(lambda m: m["heads"][0]["termination"].update(last_above=float("inf"))),
    "a whole number of 300 digits": said(lambda m: m["training"].update(env_steps=10**300)),
    "true in place of a number": said(lambda m: m["heads"][0]["termination"].update(steps=True)),
    "nested": said(deep),
    "a manifest of 5 MiB": said(lambda m: m["training"].update(note="x" * (5 << 20))),
    "a newer schema": said(lambda m: m.update(schema=3)),
    "a schema that is true": said(lambda m: m.update(schema=True)),
    "a name that is a path": said(lambda m: m.update(name="../walk")),
    "a name that is the index": said(lambda m: m.update(name="library.json")),
    "a name for the terminal": said(lambda m: m.update(name="walk\x1b[2J")),
    "another hash": said(lambda m: m.update(model_sha256="0" * 64)),
    "a huge network": said(lambda m: [m[part].update(shape=[512, 512, 512]) for part in ("network", "observation")] and None),
    "another kind of observation": said(lambda m: m["observation"].update(kind="rgb")),
    "an unknown network": said(lambda m: m["network"].update(network="os.system")),
    "a part of a network that is unknown": said(lambda m: m["network"].update(depth=3)),
    "two actions of one name": said(lambda m: m["heads"][0].update(outputs=["forward"] * 3)),
    "an action less": said(lambda m: m["heads"][0]["outputs"].pop() and None),
    # the weights
    "weights: not finite": weighed(first(np.nan)),
    "weights: endless": weighed(first(np.inf)),
    "weights: whole numbers": weighed(lambda t: {**t, min(t): t[min(t)].astype(np.int64)}),
    "weights: of 64 bits": weighed(lambda t: {**t, min(t): t[min(t)].astype(np.float64)}),
    "weights: one less": weighed(lambda t: {name: value for name, value in t.items() if name != min(t)}),
    "weights: one more": weighed(lambda t: {**t, "more": np.zeros(3, np.float32)}),
    "weights: another shape": weighed(lambda t: {name: value.reshape(-1) for name, value in t.items()}),
    "weights: thousands of empty ones": weighed(lambda t: {**t, **{f"n{n}": np.zeros(0, np.float32) for n in range(100_000)}}),
    "weights: cut off": raw(lambda data: data[:-4]),
    "weights: more behind": raw(lambda data: data + bytes(4)),
    "weights: a pickle": raw(lambda data: b"\x80\4cos\nsystem\n(S'touch canary'\ntR."),
    "weights: empty": raw(lambda data: b""),
    "weights: a long header": raw(lambda data: struct.pack("<Q", 1 << 60) + data[8:]),
    "weights: a hole": raw(lambda data: header(data, lambda text: text.replace('"data_offsets":[0,', '"data_offsets":[4,', 1))),
    "weights: an unknown type": raw(lambda data: header(data, lambda text: text.replace("F32", "X32", 1))),
    "weights: a negative shape": raw(lambda data: header(data, lambda text: text.replace('"shape":[', '"shape":[-', 1))),
}
