"""A supervised Minecraft, seen from the parent: a worker process, deadlines, and a replacement for whatever fails.

Nothing here waits for Minecraft; ``pool.py`` does, and only for instances that are expected to answer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.minerl.drawing import Mission
from envs.minerl.folders import Folder, end_group, memory
from envs.minerl.link import Link
from envs.minerl.serve import ask_for_restart
from envs.minerl.settings import Settings

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
DOWN, STARTING, IDLE, RESETTING, PLAYING, ACTING, GIVEN_UP = (
    "down", "starting", "idle", "resetting", "playing", "acting", "given up",
)  # fmt: skip
UNREACHABLE = ("ConnectionRefusedError", "gaierror", "OSError")
MOST_AT_FIRST = 5  # failures after which one that never worked is given up
BROKEN, MOST_RESTARTS = 2, 3  # failures in a row of one that can be reached, after which a new one is asked for; and how many times
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
        self._alive = -math.inf  # when it last did a whole action, or was ended to be started anew
        self._broken = self._restarts = 0  # in a row: failures of one that can be reached, new ones asked for
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
                except (EOFError, OSError, ValueError, LookupError, TypeError):
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
        if self.address is None:
            _say_that_it_is_open()
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
                self._alive, self._broken, self._restarts = time.monotonic(), 0, 0
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
        if self.address and unreachable:
            kind = reason.partition(":")[0]
            self.reason = f"{self.name}: no Minecraft answers there ({kind}); start one, or give the address of one"
        elif self.address:
            self._have_it_restarted()
        most = self.settings.restarts if self._worked else min(MOST_AT_FIRST - 1, self.settings.restarts)
        coming = unreachable and time.monotonic() < self._alive + self.settings.launch_s  # for so long it may take to start
        if (fatal and not self._worked) or (self.failures > most and not coming):
            self.stop()
            self.state = GIVEN_UP
        self._retry = time.monotonic() + (0.0 if self.failures < 2 else min(MOST_DELAY, 0.1 * 2 ** min(self.failures - 2, 9)))
        if not unreachable or self.failures == 1:  # while nothing is there, ``wait`` says so now and then
            then = "given up" if self.state == GIVEN_UP else "it is tried again"
            logger.warning("%s (failure %d in a row); %s", self.reason, self.failures, then)

    def _have_it_restarted(self) -> None:
        """It can be reached and failed once more: hung, or broken. Minecrafts of ``serve.py`` can be ended from here."""
        assert self.address is not None
        self._broken += 1
        if self._broken >= BROKEN and self._restarts < MOST_RESTARTS and ask_for_restart(self.address):
            self.failures, self._broken, self._alive = 0, 0, time.monotonic()
            self._restarts += 1
            self.reason += "; it was ended, to be started anew"

    def __str__(self) -> str:
        doing = {STARTING: "is being started", RESETTING: "begins an episode", ACTING: "acts"}
        last = f" after {self.failures} failures in a row, the last: {self.reason}" if self.failures else ""
        return f"{self.name} {doing.get(self.state, 'is tried again soon')}{last}"


@cache
def _say_that_it_is_open() -> None:
    """Once: of a Minecraft's options none says at which of the machine's addresses it listens."""
    logger.warning("the Minecrafts that are started here listen at all addresses of this machine and ask for no password; let a "
                   "firewall keep others from the ports from 9000 on")  # fmt: skip


def _clean_up(process: subprocess.Popen[bytes], folder: Folder) -> None:
    end_group(process.pid)
    process.wait()
    folder.remove()
