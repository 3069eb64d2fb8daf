"""The worker process: holds one Minecraft client, does what the parent asks, and never outlives the parent.

Started by ``instance.py`` as ``python -m envs.minerl.worker FD SETTINGS``, in a process group and a folder of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from envs.minerl.drawing import Mission
from envs.minerl.folders import members
from envs.minerl.link import Link

VERBS = ("wait", "turn", "forward", "smash", "collect", "place")


def serve(link: Link, settings: dict[str, Any]) -> None:
    """Answer requests until the parent closes the link."""
    from envs.minerl.client import Client  # 400 MB

    if settings["address"] is None:
        from envs.minerl.launch import launch

        host, port = "127.0.0.1", launch(Path.cwd(), settings["minecraft"], lambda: link.send({"launching": True}))
    else:
        host, port = settings["address"]
    client = Client(host, port, settings["reset_s"], settings["step_s"])
    link.send({"ready": True, "port": port})
    while True:
        request, _ = link.receive()
        before = client.hands.ticks if client.hands and "act" in request else 0
        try:
            if "reset" in request:
                client.reset(Mission.from_json(request["reset"]))
                did = True
            else:
                assert client.hands is not None
                verb, *arguments = request["act"]
                assert verb in VERBS
                did = getattr(client.hands, verb)(*arguments)
        except Exception as problem:
            error: BaseException = problem
            if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
                error = error.__context__  # the client hides a refused connection behind its wish to start a Minecraft
            ticks = client.hands.ticks - before if client.hands else 0
            client.drop()
            link.send({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", "ticks": ticks})
            continue
        assert client.hands is not None
        sight = client.hands.sight
        pov = np.ascontiguousarray(sight.pov)
        told = {"did": bool(did), "pose": sight.pose.tolist(), "counts": sight.counts, "shape": pov.shape}
        link.send({**told, "ticks": client.hands.ticks - before}, pov.tobytes())


def die_with_parent(lifeline: int, folder: Path) -> None:
    """When the parent is gone, however it went, the lifeline closes: end the group, Minecraft first, and remove the folder."""

    def watch() -> None:
        os.read(lifeline, 1)
        for pid in members(os.getpid()):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    link_fd, lifeline = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(lifeline, Path.cwd())
    link = Link(socket.socket(fileno=link_fd))
    try:
        serve(link, json.loads(sys.argv[3]))
    except (EOFError, BrokenPipeError):
        signal.pause()  # the parent is gone: the lifeline ends this
    except Exception as error:
        traceback.print_exc()  # to the log in the private folder
        reason = str(error) if type(error).__name__ == "LaunchError" else f"{type(error).__name__}: {error}"
        link.send({"error": " ".join(reason.split()), "fatal": True})


if __name__ == "__main__":
    main()
