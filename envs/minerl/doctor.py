"""What Minecraft needs, and what this machine has of it."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from envs.lock import check_system
from envs.minerl.launch import FIRST_PORT, JAR, LaunchError, package, problems
from envs.verdict import GOOD, LACKS, NOTE, Verdict

MEMORY, DISK = 4.0, 3.0  # GiB a Minecraft: Java's heap and its surroundings; a copy of its folder


def checks(addresses: tuple[tuple[str, int], ...]) -> Iterator[Verdict]:
    """One verdict each; with addresses, of the Minecrafts there, else of what a Minecraft needs to be started here."""
    check_system()
    try:
        minecraft = package()
        yield GOOD, "minerl, the Python client"
    except LaunchError as error:
        yield LACKS, str(error)
        minecraft = None
    if addresses:
        yield from map(_answers, addresses)
        return
    if minecraft is not None:
        there = (minecraft / JAR).is_file()
        yield (GOOD, "Minecraft with MineRL's mod") if there else (
            LACKS, f"Minecraft itself is not installed ({minecraft / JAR} is missing); use the Docker target minerl, or give "
            "--minerl-address",
        )  # fmt: skip
    found = problems()
    yield from ((LACKS, problem) for problem in found)
    if not found:
        yield GOOD, "Java 1.8 and a display"
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", FIRST_PORT)) == 0
    yield (NOTE, f"port {FIRST_PORT} is taken; another is chosen by itself") if taken else (GOOD, f"port {FIRST_PORT} is free")
    free = int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) / 2**20
    yield (GOOD if free > MEMORY else LACKS), f"{free:.1f} GiB of memory are free; each Minecraft needs about {MEMORY:.0f}"
    disk = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    text = f"{disk:.1f} GiB are free in {tempfile.gettempdir()}, where each Minecraft keeps a copy of {DISK:.0f}"
    yield (GOOD, text) if disk > DISK else (LACKS, f"{text}; let TMPDIR name a larger disk")
    yield (GOOD if (os.cpu_count() or 1) > 2 else NOTE), f"{os.cpu_count()} processor cores; a Minecraft uses one to three"


def _answers(address: tuple[str, int]) -> Verdict:
    """Whether Minecraft answers there; says goodbye properly, since a mere hang-up would end a running mission."""
    name = f"{address[0]}:{address[1]}"
    try:
        with socket.create_connection(address, 5) as sock:
            for message in (b"<MalmoEnv0.37.0/>", b"<Status/>"):
                sock.sendall(struct.pack("!I", len(message)) + message)
            answer = sock.recv(4)
            sock.sendall(struct.pack("!I", 13) + b"<Disconnect/>")
    except OSError as error:
        return LACKS, f"{name}: no Minecraft answers there ({error}); start one, or mend the address"
    return (GOOD, f"{name}: a Minecraft answers") if answer else (LACKS, f"{name}: hangs up; is it MineRL 0.4.4?")
