"""One running engine: a virtual screen, the game with server and client in one process, and a folder that holds all it needs."""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import re
import select
import signal
import struct
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.lock import lock
from envs.luanti.compile import MARKER, Compiler
from envs.luanti.folders import PREFIX, free_port, remove, sweep, write_authority
from envs.luanti.programs import LuantiError, programs

START_S, STEP_S = 30.0, 10.0  # deadlines: from the start of the programs to their first answer, and for any command
POLL_S = 0.0002  # between two looks at the screen; to look without a pause would take the engine's time
ATTEMPTS = 3
LONGEST, LOG_BYTES = 1 << 16, 1 << 16  # bytes of an answer, and of the end of a log that is looked at


class EngineDied(Exception):
    """The engine died or did not answer in time; it can be started again."""


class Engine:
    """Plays the rooms of one task; each room has a slot, and one is seen at a time.

    The processes stand still (SIGSTOP) outside :meth:`awake`, so that a learner has the processors to itself.

    Raises :class:`LuantiError` if it cannot be started.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._owner = os.getpid()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._open: list[int] = []
        self._screen: mmap.mmap | None = None
        self.folder: Path | None = None
        self._display = ""
        self.compiler = compiler
        self._id = 0
        self._buffer = b""
        _alive.add(self)
        self.start()

    # --- commands ----------------------------------------------------------------------------------------------------

    def build(self, slot: int, world: str) -> tuple[NDArray[np.uint8], list[str]]:
        """Build a room in a slot and look into it."""
        return self._command("R", slot, world)

    def act(self, slot: int, action: int) -> tuple[NDArray[np.uint8], list[str]]:
        """One action in a slot, numbered as in the task."""
        return self._command("A", slot, str(action))

    def _command(self, kind: str, slot: int, rest: str) -> tuple[NDArray[np.uint8], list[str]]:
        """Frame (H, W, 3) and the words of the answer. Raises :class:`EngineDied`."""
        if self.folder is None:
            raise EngineDied("it could not be started anew before")
        self._id += 1
        deadline = time.monotonic() + STEP_S
        line = f"{kind} {self._id} {slot} {rest}\n".encode()
        self._write(line, deadline)
        code = 1 + self._id % 63  # 0, black, is what stands there before the first
        marker = (code % 4 * 85, code // 4 % 4 * 85, code // 16 * 85)
        looks = 0
        while tuple(self._pixels[-1, 0, 2::-1]) != marker:
            looks += 1
            if looks % 256 == 0:
                self._check(deadline)
            time.sleep(POLL_S)
        picture = self.picture()
        while True:
            number, *words = self._read_line(deadline).split() or [""]
            if not number.isdecimal():
                raise EngineDied("it answered what is no answer")
            if number == str(self._id):  # else to a command whose sender was interrupted
                return picture, words

    def picture(self) -> NDArray[np.uint8]:
        """What is on the screen now, (H, W, 3) RGB."""
        return self._pixels[MARKER:-MARKER, :, 2::-1].copy()

    def _write(self, data: bytes, deadline: float) -> None:
        while data:
            try:
                data = data[os.write(self._commands, data) :]
            except BlockingIOError:
                self._check(deadline)
                time.sleep(POLL_S)

    def _read_line(self, deadline: float) -> str:
        while b"\n" not in self._buffer:
            self._check(deadline)
            if len(self._buffer) > LONGEST:
                raise EngineDied("its answer has no end")
            if select.select([self._answers], [], [], 0.05)[0]:
                self._buffer += os.read(self._answers, 1 << 16)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def _check(self, deadline: float) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise EngineDied(f"{name} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise EngineDied("no answer in time")
        self._signal(signal.SIGCONT)  # should someone else have stopped it

    # --- processes ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Within this the engine runs; outside it stands still."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    def start(self) -> None:
        """Start, or start anew; what stood in the slots is lost."""
        minetest, xvfb = programs()
        sweep()
        reason = ""
        for _ in range(ATTEMPTS):
            self.stop()
            try:
                self._start(minetest, xvfb)
                return
            except EngineDied as error:
                reason = f"{error}{self._last_log_line()}"
            except OSError as error:
                self.stop()
                where = error.filename or tempfile.gettempdir()
                raise LuantiError(f"{where}: cannot be written: {error.strerror or error}") from error
            except BaseException:
                self.stop()
                raise
        self.stop()
        raise LuantiError(f"Luanti does not start: {reason}")

    def _start(self, minetest: str, xvfb: str) -> None:
        folder = self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # While the lock is held, the folder is in use; it must never be there unlocked.
        descriptor = os.open(folder / "new-lock", os.O_CREAT | os.O_RDWR, 0o600)
        self._open.append(descriptor)
        lock(descriptor)
        (folder / "new-lock").rename(folder / "lock")
        deadline = time.monotonic() + START_S
        self.compiler.write(folder, free_port())
        (folder / "screen").mkdir()
        height, width = self.compiler.window
        read, write = os.pipe()
        self._open += [read, write]
        write_authority(folder / "authority")  # else every user of this machine could look at the screen, and press keys
        screen = [
            xvfb,
            "-auth",
            str(folder / "authority"),
            "-displayfd",
            str(write),
            "-screen",
            "0",
            f"{width}x{height}x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]
        self._spawn([*screen, "-fbdir", str(folder / "screen")], {}, (write,))
        display = b""
        while not display.endswith(b"\n"):
            self._check(deadline)
            if len(display) > 16:
                raise EngineDied("Xvfb told no number")
            if select.select([read], [], [], 0.05)[0]:
                display += os.read(read, 16)
        number = display.decode().strip()
        (folder / "display").write_text(number)
        self._display = number
        for name in ("commands", "answers"):
            os.mkfifo(folder / "world" / name, 0o600)
        # Opened for both directions, so that nobody waits for the other side. Only we can write commands: when we end, so does it.
        self._commands, self._answers = (
            os.open(folder / "world" / name, os.O_RDWR | os.O_NONBLOCK) for name in ("commands", "answers")
        )
        self._open += [self._commands, self._answers]
        self._buffer = b""
        environment = {"HOME": str(folder / "home"), "DISPLAY": f":{number}", "XAUTHORITY": str(folder / "authority")}
        environment |= {"LP_NUM_THREADS": "0", "LIBGL_ALWAYS_SOFTWARE": "1"}
        game = [minetest, "--go", "--gameid", "hdqn", "--name", "agent", "--config", str(folder / "minetest.conf")]
        self._spawn([*game, "--logfile", str(folder / "log"), "--world", str(folder / "world")], environment)
        if self._read_line(deadline) != "ready":
            raise EngineDied("it began with an answer")
        self._map_screen(folder / "screen" / "Xvfb_screen0")
        self._signal(signal.SIGSTOP)

    def _spawn(self, command: list[str], environment: dict[str, str], descriptors: tuple[int, ...] = ()) -> None:
        assert self.folder
        keep = {key: os.environ[key] for key in ("PATH", "LANG", "TZ", "TMPDIR") if key in os.environ}
        with (self.folder / "output").open("ab") as output:
            # Dies with us, whatever ends us.
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**keep, **environment}, cwd=self.folder, pass_fds=descriptors, start_new_session=True,
            )  # fmt: skip
        self._processes[Path(command[0]).name] = process
        with (self.folder / "processes").open("a") as file:
            file.write(f"{process.pid}\n")

    def _map_screen(self, path: Path) -> None:
        with path.open("rb") as file:
            self._screen = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        # An X window dump: big-endian words; the picture follows the header and the colour map (12 bytes a colour).
        header = struct.unpack(">25I", self._screen[:100])
        start, width, height, stride = header[0] + 12 * header[19], header[4], header[5], header[12]
        rows = np.frombuffer(self._screen, np.uint8, height * stride, start).reshape(height, stride)
        self._pixels = rows[:, : 4 * width].reshape(height, width, 4)  # blue, green, red, nothing

    def _last_log_line(self) -> str:
        """The last line of what the programs wrote, for an error message."""
        lines = []
        for name in ("log", "output"):
            with contextlib.suppress(OSError):
                lines += _end_of(self.folder / name).splitlines() if self.folder else []
        errors = [line for line in lines if re.search("error", line, re.IGNORECASE)] or lines
        return f" ({errors[-1].strip()[:200]})" if errors else ""

    def stop(self) -> None:
        """End the processes and remove the folder; safe to call again."""
        if os.getpid() != self._owner:
            return  # a copy in a forked process
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()
        self._pixels = np.zeros((2 * MARKER + 1, 1, 4), np.uint8)
        if self._screen is not None:
            self._screen = None  # unmapped when nothing refers to it any more
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        if self.folder is not None:
            remove(self.folder, self._display)
            self.folder, self._display = None, ""

    def __del__(self) -> None:
        self.stop()


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return file.read(LOG_BYTES).decode(errors="replace")


_alive: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def stop_all() -> None:
    """End every engine of this process."""
    for engine in list(_alive):
        engine.stop()
