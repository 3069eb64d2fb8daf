"""Messages between a worker and its parent over a pair of sockets: a JSON object and raw bytes, both with their lengths."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

HEAD = struct.Struct("!II")


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
        """Raises TimeoutError after ``seconds``, and EOFError if the other side is gone."""
        end = None if seconds is None else time.monotonic() + seconds
        text, body = HEAD.unpack(self._exactly(HEAD.size, end))
        doc: dict[str, Any] = json.loads(self._exactly(text, end))
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
