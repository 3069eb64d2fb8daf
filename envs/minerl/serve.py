"""One Minecraft alone, for learners elsewhere: ``python -m envs.minerl.serve``. Runs as long as it does.

Seen from outside, a Minecraft that hangs is like one in which nobody plays. Those who play can tell: a learner that got no answer
several times says so at a port of its own, :data:`BESIDE` above Minecraft's (see :func:`ask_for_restart`), and this Minecraft is
ended. Whatever started it (Docker: ``restart: unless-stopped``) then starts a new one.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from envs.minerl.folders import end_group
from envs.minerl.launch import SCRIPT, LaunchError, package

BESIDE = 1000  # from Minecraft's port to the one at which a restart is asked for
WORD = b"restart\n"  # whoever comes by for another reason does not say that
LOG_BYTES = 16 * 2**20  # that a log file may hold; Minecraft's standard output has all that is in them
START_S = 600  # seconds until it must listen
KEPT = ("logs", "crash-reports", "saves")  # what Minecraft leaves in its folder, more at each start


def ask_for_restart(address: tuple[str, int], seconds: float = 1.0) -> bool:
    """Have the Minecraft at ``address`` ended; returns whether somebody there does it."""
    try:
        with socket.create_connection((address[0], address[1] + BESIDE), seconds) as sock:
            sock.sendall(WORD)
            return sock.recv(len(WORD)) == WORD
    except (OSError, OverflowError):
        return False


def serve(minecraft: Path, port: int) -> int:
    """Run Minecraft until it ends or a learner asks for that; returns the exit code: its own, or 1."""
    script, run = minecraft / SCRIPT, minecraft / "run"
    if not script.is_file():
        raise LaunchError(f"{script}: is not there")
    for name in KEPT:
        shutil.rmtree(run / name, ignore_errors=True)
    run.mkdir(exist_ok=True)
    with socket.create_server(("", port + BESIDE)) as asked:
        asked.settimeout(1.0)
        process = subprocess.Popen(
            [script, "-port", str(port), "-env", "-runDir", run], cwd=minecraft, stdin=subprocess.DEVNULL, start_new_session=True
        )
        late = time.monotonic() + START_S
        try:
            while process.poll() is None:
                shorten(run / "logs")
                if time.monotonic() > late:
                    if not listens(port):
                        print(f"Minecraft does not listen on port {port} after {START_S} s; it is ended", flush=True)
                        return 1
                    late = math.inf
                if who := _asked(asked):
                    print(f"{who} says that this Minecraft hangs; it is ended", flush=True)
                    return 1
            return process.returncode
        finally:
            end_group(process.pid)
            process.wait()


def _asked(server: socket.socket) -> str:
    """Who asked for a restart within a second; empty if nobody did."""
    with contextlib.suppress(OSError):
        sock, who = server.accept()
        with sock:
            sock.settimeout(1.0)
            if sock.recv(len(WORD)) == WORD:
                sock.sendall(WORD)
                return str(who[0])
    return ""


def listens(port: int) -> bool:
    """Whether anything listens there, asked of the kernel: a connection of ours could end a mission."""
    tables = [path.read_text() for path in Path("/proc/net").glob("tcp*")]  # tcp6 is missing where there is no IPv6
    rows = [row.split() for table in tables for row in table.splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def shorten(logs: Path) -> None:
    """Empty what has grown too long, and remove what was put aside."""
    for path in logs.glob("*"):
        with contextlib.suppress(OSError):
            if path.suffix == ".gz":
                path.unlink()
            elif path.stat().st_blocks * 512 > LOG_BYTES:  # its length does not shrink: Minecraft writes on where it was
                os.truncate(path, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000, help="at which Minecraft listens (9000)")
    parser.add_argument("--minecraft", type=Path, help="folder of launchClient.sh (default: of the installed minerl)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(serve(arguments.minecraft or package(), arguments.port))
    except (LaunchError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
