"""One episode in a real Minecraft: ``python -m tests.minerl_smoke HOST:PORT``.

Stands between the client and Minecraft and writes all that both say to ``minerl_transcript.jsonl``, frames as their length, so that
the stand-in of the tests can be held against it.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

from envs.minerl.settings import Settings, read_addresses
from envs.minerl.vector import MineRLVectorEnv
from envs.oracle import Oracle

TRANSCRIPT = Path("minerl_transcript.jsonl")


def relay(source: socket.socket, target: socket.socket, who: str, log: list[str]) -> None:
    while data := source.recv(1 << 16):
        target.sendall(data)
        text = data.decode("ascii", errors="replace")
        log.append(json.dumps({"from": who, "bytes": len(data), "text": text[:4000] if text.isprintable() else text[:200]}))
    target.shutdown(socket.SHUT_WR)


def main() -> None:
    address = read_addresses(sys.argv[1:2])[0]
    log: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            ours, _ = server.accept()
            theirs = socket.create_connection(address)
            for pair in ((ours, theirs, "client"), (theirs, ours, "minecraft")):
                threading.Thread(target=relay, args=(*pair, log), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    solved = 0
    for task in ("navigation1", "pickup", "break", "placement"):
        env = MineRLVectorEnv(1, task, settings=Settings(addresses=(("127.0.0.1", server.getsockname()[1]),)))
        length = Oracle(env.worlds).play(env, seed=1)[0]
        print(f"{task}: {'solved in ' + str(length) + ' steps' if length else 'NOT solved'}")
        solved += length is not None
        env.close()
    TRANSCRIPT.write_text("\n".join(log) + "\n")
    print(f"wrote {TRANSCRIPT}")
    sys.exit(solved < 4)


if __name__ == "__main__":
    main()
