"""Start Minecraft in the worker: in its process group and its folder, one launch at a time on the whole machine.

MineRL's own launcher is not used: it would read the output of a silent Minecraft for ever, leave the process in a group of its own,
and start a watcher of 385 MB beside it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from envs.lock import lock

PORT, READY = "***** Start MalmoEnvServer on port ", "CLIENT enter state: DORMANT"
SCRIPT, JAR = "launchClient.sh", Path("build/libs/MalmoMod-0.37.0-fat.jar")
FIRST_PORT, PORTS = 9000, 1000
LOG_BYTES = 1 << 16  # of what Minecraft says, read at once


class LaunchError(Exception):
    """Minecraft cannot be started; one line says why and what to do."""


def package() -> Path:
    """The folder of Minecraft in the installed ``minerl``, found without importing it. Raises :class:`LaunchError`."""
    spec = importlib.util.find_spec("minerl")
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(
            "minerl is not installed here; use the Docker target minerl, or see envs/minerl/README.md for its Python part"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "Malmo" / "Minecraft"


def launch(folder: Path, minecraft: str | None, begun: Callable[[], None]) -> int:
    """Start Minecraft from a copy in ``folder`` and return its port once it is ready.

    The parent sets the deadline, which begins when ``begun`` is called, and ends the whole process group if it passes.
    """
    source = Path(minecraft) if minecraft else package()
    script = source / SCRIPT
    if not script.is_file():
        raise LaunchError(f"{script}: is not there")
    if "gradlew" in script.read_text(errors="replace") and not (source / JAR).is_file():
        raise LaunchError(f"{source / JAR}: is missing: only the Python part of minerl is installed; use the Docker target minerl, "
                          "or attach to a Minecraft with --minerl-address")  # fmt: skip
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        # Several launches at once are known to take each other's ports and to run out of memory.
        lock(descriptor)
        begun()
        shutil.copytree(source, folder / "Minecraft", ignore=shutil.ignore_patterns("**.lock"))
        if (source.parent / "Schemas").is_dir():
            shutil.copytree(source.parent / "Schemas", folder / "Schemas")
        (folder / "Minecraft" / "run").mkdir(exist_ok=True)
        log = folder / "minecraft.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [folder / "Minecraft" / SCRIPT, "-port", str(free_port()), "-env", "-runDir", folder / "Minecraft" / "run"],
                cwd=folder / "Minecraft",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return _wait(process, log)
    finally:
        os.close(descriptor)


def _wait(process: subprocess.Popen[bytes], log: Path) -> int:
    port = 0
    with log.open(encoding="utf-8", errors="replace") as lines:
        rest, last = "", "it said nothing"
        while True:
            ended = process.poll()
            new = lines.read(LOG_BYTES)
            *whole, rest = (rest + new).split("\n")
            rest = rest[-LOG_BYTES:]
            for line in whole:
                if PORT in line:
                    said = line.split(PORT)[-1].strip()
                    port = int(said) if re.fullmatch(r"\d{1,5}", said) else 0
                if READY in line:
                    if not port:
                        raise LaunchError("Minecraft is ready but opened no port for MineRL; see its log")
                    return port
                last = line.strip()[:200] or last
            if ended is not None and not new:
                why = "; ".join(problems())
                raise LaunchError(f"Minecraft ended with code {ended} before it was ready: {why or rest.strip()[:200] or last}")
            time.sleep(0.0 if new else 0.05)


def problems() -> list[str]:
    """What this machine lacks to run Minecraft, each with the way out."""
    found = []
    java = shutil.which("java")
    if java is None:
        found.append("there is no java; install a JDK 8 (Ubuntu: apt-get install openjdk-8-jdk)")
    else:
        said = subprocess.run([java, "-version"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False).stderr
        version = said.split('"')[1] if said.count('"') >= 2 else "unknown"
        if not version.startswith("1.8"):
            found.append(f"java is version {version}, but MineRL 0.4.4 needs 1.8; install openjdk-8-jdk and put it first in PATH")
    if not os.environ.get("DISPLAY") and os.environ.get("MINERL_HEADLESS") != "1":
        found.append("there is no display; run under xvfb-run, or set MINERL_HEADLESS=1 where xvfb-run is installed")
    if os.environ.get("MINERL_HEADLESS") == "1" and shutil.which("xvfb-run") is None:
        found.append("MINERL_HEADLESS=1, but there is no xvfb-run (apt-get install xvfb xauth)")
    return found


def free_port() -> int:
    """A port that nothing listens on. Minecraft says which one it took, should another be quicker."""
    for port in range(FIRST_PORT + os.getpid() % PORTS, FIRST_PORT + 2 * PORTS):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise LaunchError(f"no free port from {FIRST_PORT} to {FIRST_PORT + 2 * PORTS}")
