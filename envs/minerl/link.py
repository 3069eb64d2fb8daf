"""Messages between a worker and its parent over a pair of sockets: a JSON object and raw bytes, both with their lengths."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

HEAD = struct.Struct("!II")
LARGEST, LARGEST_BODY = 4 << 20, 64 << 20  # bytes of a message's two parts: a task, and a picture
FROM_MINECRAFT = 4 << 20  # bytes of a message of its: a picture, or what it says in JSON, which takes much more where it is read


class Link:
    """One end. Nothing on this link is pickled, so neither side can make the other run anything."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, doc: dict[str, Any], body: bytes = b"") -> None:
        """Raises OSError if the other side is gone."""
        text = json.dumps(doc).encode()
        self.sock.settimeout(None)
        self.sock.sendall(HEAD.pack(len(text), len(body)) + text + body)

    def receive(self, seconds: float | None = None) -> tuple[dict[str, Any], bytes]:
        """Raises TimeoutError after ``seconds``, EOFError if the other side is gone, and ValueError for what is no message."""
        end = None if seconds is None else time.monotonic() + seconds
        text, body = HEAD.unpack(self._exactly(HEAD.size, end))
        if text > LARGEST or body > LARGEST_BODY:
            raise ValueError(f"a message of {text} and {body} bytes")
        try:
            doc = json.loads(self._exactly(text, end))
        except RecursionError:
            doc = None
        if not isinstance(doc, dict):
            raise ValueError("a message that is no object")
        return doc, self._exactly(body, end)

    def _exactly(self, count: int, end: float | None) -> bytes:
        parts = []
        while count:
            if end is not None:
                self.sock.settimeout(max(1e-4, end - time.monotonic()))
            part = self.sock.recv(count)
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self.sock.close()


def receive_message(sock: socket.socket) -> bytes | None:
    """A message of Minecraft: its length and so many bytes; None if the other side is gone. Raises ValueError for one too large."""
    head = _bytes(sock, 4)
    if head is None:
        return None
    (length,) = struct.unpack("!I", head)
    if length > FROM_MINECRAFT:
        raise ValueError(f"Minecraft announces a message of {length:,} bytes")
    return _bytes(sock, length)


def _bytes(sock: socket.socket, count: int) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        part = sock.recv(min(count - len(found), 1 << 20))
        if not part:
            return None
        found += part
    return bytes(found)
