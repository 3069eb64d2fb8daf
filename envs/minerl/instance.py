"""Supervised Minecrafts, seen from the parent: a worker process each, deadlines, and a replacement for whatever fails.

Nothing here blocks but :func:`wait`, and that only for instances that are expected to answer.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.minerl.drawing import Mission
from envs.minerl.folders import Folder, end_group, memory, sweep
from envs.minerl.link import Link
from envs.minerl.settings import MineRLError, Settings

__all__ = ["Instance", "MineRLError", "Pool", "Reply", "Settings", "close_pools", "shared_pool", "wait"]

ROOT = Path(__file__).parents[2]
DOWN, STARTING, IDLE, RESETTING, PLAYING, ACTING, GIVEN_UP = (
    "down", "starting", "idle", "resetting", "playing", "acting", "given up",
)  # fmt: skip
UNREACHABLE = ("ConnectionRefusedError", "gaierror", "OSError")
MOST_REFUSALS = 5  # failures after which an address that never answered is given up
MOST_DELAY = 15.0  # seconds between two attempts to start it


@dataclass(frozen=True)
class Reply:
    """What an action or the beginning of an episode showed."""

    did: bool
    pose: tuple[float, ...]  # x, y, z, yaw, pitch
    counts: dict[str, int]
    pov: NDArray[np.uint8]
    ticks: int


class Instance:
    """The state of one Minecraft; :meth:`pump` moves it on, without waiting.

    ``state`` goes DOWN -> STARTING -> IDLE -> RESETTING -> PLAYING <-> ACTING, back to IDLE or DOWN at any failure, and to GIVEN_UP
    when there were too many. ``reason`` says what failed last.
    """

    def __init__(self, settings: Settings, address: tuple[str, int] | None) -> None:
        self.settings, self.address = settings, address
        self.state, self.reason, self.failures = DOWN, "", 0
        self.healthy = True  # it never failed, or has worked since
        self.reply: Reply | None = None
        self.owner: object = None  # whose episode it plays
        self.ticks = 0  # of Minecraft, whole ones, in all that it ever played
        self.starts = 0
        self.cleanups: list[threading.Thread] = []  # of processes and folders that this instance no longer uses
        self._mission: Mission | None = None  # to be begun as soon as possible
        self._beginning: Mission | None = None  # being begun
        self._worked = False
        self._episodes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Folder | None = None
        self._link: Link | None = None
        self._lifeline = -1
        self._deadline = self._retry = 0.0

    @property
    def name(self) -> str:
        return f"{self.address[0]}:{self.address[1]}" if self.address else "Minecraft"

    def begin(self, mission: Mission, owner: object) -> None:
        """Start an episode as soon as the instance can; it is PLAYING then."""
        self.owner, self._mission = owner, mission
        if self.state in (ACTING, RESETTING):
            self.stop()  # no way to call it back
        elif self.state == PLAYING:
            self.state = IDLE
        if self.state == IDLE and self._process is not None:
            grown = self._episodes % 10 == 9 and memory(self._process.pid) > self.settings.memory
            if grown or (self.address is None and self._episodes >= self.settings.episodes):
                self.stop()
                self.healthy = False  # nobody needs to wait for it
        self.pump()

    def act(self, request: list[Any]) -> None:
        """Carry out one action of the running episode; the instance is PLAYING again when it is done."""
        self.state, self.reply = ACTING, None
        self._ask({"act": request}, self.settings.step_s)

    def pump(self) -> None:
        """Take what has come, and go on to what comes next."""
        if self.busy and self._link is not None:
            while self.busy and select.select([self._link.sock], [], [], 0)[0]:
                try:
                    self._take(*self._link.receive(max(0.1, self._deadline - time.monotonic())))
                except (EOFError, OSError, ValueError):
                    self._fail("the worker process ended", ended=True)
                    return
            if self.busy and time.monotonic() > self._deadline:
                what = {STARTING: "did not start", RESETTING: "did not begin an episode", ACTING: "did not answer"}[self.state]
                self._fail(f"{what} in time", ended=True)
        if self._mission is None or time.monotonic() < self._retry:
            return
        if self.state == DOWN:
            self._start()
        elif self.state == IDLE:
            mission, self._mission = self._mission, None
            self.state, self.reply = RESETTING, None
            self._episodes += 1
            self._beginning = mission
            self._ask({"reset": mission.to_json()}, self.settings.reset_s)

    def next_event(self) -> float:
        """The time at which it must be looked at again, whatever comes: its deadline, or when it may be tried again."""
        return self._deadline if self.busy else self._retry if self._mission is not None else math.inf

    @property
    def busy(self) -> bool:
        return self.state in (STARTING, RESETTING, ACTING)

    def stop(self) -> None:
        """End the worker and its Minecraft and remove their folder."""
        if self._process is not None and self._folder is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            # Minecraft's folder is large: nobody waits for its removal but the end of all.
            cleanup = threading.Thread(target=_clean_up, args=(self._process, self._folder), daemon=True)
            cleanup.start()
            self.cleanups = [*(thread for thread in self.cleanups if thread.is_alive()), cleanup]
            self._process = self._folder = None
        if self._link is not None:
            self._link.close()
            os.close(self._lifeline)
            self._link = None
        if self.state != GIVEN_UP:
            self.state = DOWN

    # --- the worker process ---

    def _start(self) -> None:
        self._folder = Folder()
        ours, theirs = socket.socketpair()
        end, self._lifeline = os.pipe()
        settings = {
            "address": self.address,
            "minecraft": self.settings.minecraft,
            "reset_s": self.settings.reset_s,
            "step_s": self.settings.step_s,
        }
        folder = str(self._folder.path)
        with (self._folder.path / "worker.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "envs.minerl.worker", str(theirs.fileno()), str(end), json.dumps(settings)],
                cwd=folder,
                env={**os.environ, "TMPDIR": folder, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
                pass_fds=[theirs.fileno(), end],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        theirs.close()
        os.close(end)
        self._folder.note_group(self._process.pid)
        self._link = Link(ours)
        self.starts += 1
        self._episodes = 0
        self.state = STARTING
        # Launches wait for each other; the worker says when its own begins.
        self._deadline = time.monotonic() + self.settings.launch_s * (1 if self.address else 16)

    def _ask(self, request: dict[str, Any], seconds: float) -> None:
        assert self._link is not None
        self._deadline = time.monotonic() + seconds
        try:
            self._link.send(request)
        except OSError:
            self._fail("the worker process ended", ended=True)

    def _take(self, told: dict[str, Any], body: bytes) -> None:
        if "launching" in told:
            self._deadline = time.monotonic() + self.settings.launch_s
        elif "ready" in told:
            self.state = IDLE
        elif "error" in told:
            self.ticks += told.get("ticks", 0)
            self._fail(told["error"], ended="fatal" in told or self.address is None, fatal="fatal" in told)
        else:
            pov = np.frombuffer(body, np.uint8).reshape(told["shape"])
            self.ticks += told["ticks"]
            self.reply = Reply(told["did"], tuple(told["pose"]), told["counts"], pov, told["ticks"])
            if self.state == ACTING:
                self.failures, self.healthy, self._worked = 0, True, True
            self.state = PLAYING

    def _fail(self, reason: str, ended: bool, fatal: bool = False) -> None:
        """Give the running request up; ``ended``: with the process, else the worker makes itself a new client."""
        if self.state == RESETTING and self._mission is None:
            self._mission = self._beginning  # once more
        self.reason, self.healthy = f"{self.name}: {reason}", False
        self.failures += 1
        if ended:
            self.stop()
        else:
            self.state = IDLE
        unreachable = reason.startswith(UNREACHABLE)
        final = not self._worked and (fatal or (unreachable and self.failures >= MOST_REFUSALS))
        if final or self.failures > self.settings.restarts:
            if unreachable and self.address:
                kind = reason.partition(":")[0]
                self.reason = f"{self.name}: no Minecraft answers there ({kind}); start one, or give the address of one"
            self.stop()
            self.state = GIVEN_UP
        self._retry = time.monotonic() + (0.0 if self.failures < 2 else min(MOST_DELAY, 0.1 * 2 ** (self.failures - 2)))


class Pool:
    """Minecrafts that vector environments share: each instance plays for whoever began its last episode."""

    def __init__(self, count: int, settings: Settings) -> None:
        if settings.addresses and count > len(settings.addresses):
            raise MineRLError(f"{count} worlds need {count} addresses of Minecrafts, not {len(settings.addresses)}")
        sweep()
        addresses = settings.addresses or (None,) * count
        self.instances = [Instance(settings, address) for address in addresses[:count]]
        _open.add(self)

    def __deepcopy__(self, memo: Any) -> Pool:
        """The same Minecrafts: Gymnasium copies an environment's arguments with its ``spec``."""
        return self

    @property
    def usable(self) -> bool:
        """Whether it is open, and not all of its Minecrafts have been given up."""
        return self in _open and not all(instance.state == GIVEN_UP for instance in self.instances)

    def close(self) -> None:
        _open.discard(self)
        for instance in self.instances:
            instance.stop()
        for instance in self.instances:
            for thread in instance.cleanups:
                thread.join(30)


def _clean_up(process: subprocess.Popen[bytes], folder: Folder) -> None:
    end_group(process.pid)
    process.wait()
    folder.remove()


_open: set[Pool] = set()
_shared: dict[tuple[int, Settings], Pool] = {}


def shared_pool(count: int, settings: Settings) -> Pool:
    """The pool that all who ask for the same in this process share; made at the first call, and anew where it is used up."""
    pool = _shared.get((count, settings))
    if pool is None or not pool.usable:
        if pool is not None:
            pool.close()
        pool = _shared[count, settings] = Pool(count, settings)
    return pool


@atexit.register
def close_pools() -> None:
    """End all that is still open, as when a command or the program ends."""
    for pool in list(_open):
        pool.close()
    _shared.clear()


def wait(instances: Sequence[Instance], done: Callable[[], bool]) -> None:
    """Move the instances on until ``done``; raises :class:`MineRLError` if all of them have been given up."""
    while True:
        for instance in instances:
            instance.pump()
        if done():
            return
        if all(instance.state == GIVEN_UP for instance in instances):
            raise MineRLError(instances[0].reason)
        waiting = [instance for instance in instances if instance.state != GIVEN_UP]
        links = [instance._link.sock for instance in waiting if instance.busy and instance._link is not None]
        soonest = min(instance.next_event() for instance in waiting) - time.monotonic()
        select.select(links, [], [], min(1.0, max(0.001, soonest)))
