"""Machines that lack what a Unix developer's has: a home, a place for compiled functions, and the modules of Unix."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import h_dqn

ROOT = Path(h_dqn.__file__).parents[1]
NOWHERE = "/proc/nowhere"  # where not even root can make a folder


def python(code: str, folder: Path, **changes: str | None) -> Any:
    """Run ``code`` in another process, in ``folder``, with these changes of the environment (None: unset)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **{name: value for name, value in changes.items() if value is not None}}
    for name in (name for name, value in changes.items() if value is None):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False
    )


# --- no place for compiled functions ---------------------------------------------------------------------------------

# As in a package that is read-only: only the user's folder is left.
READ_ONLY = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator,UserWideCacheLocator", "NUMBA_CACHE_DIR": None}
NO_HOME = {"HOME": NOWHERE, "XDG_CACHE_HOME": None, "XDG_CONFIG_HOME": None, "MPLCONFIGDIR": None}


@pytest.mark.parametrize("home", [NOWHERE, None])
def test_without_a_home_compiled_functions_are_kept_privately_and_not_left(home: str | None, tmp_path: Path) -> None:
    code = """if True:
        import os, pwd, sys
        def unknown(uid):
            raise KeyError
        pwd.getpwuid = unknown  # a user without an entry, as in many containers
        os.access = lambda *_, **__: False
        import envs.voxel.render, envs.oracle, h_dqn.experiment.bench.world
        from numba import config
        assert os.environ["NUMBA_CACHE_DIR"] == config.CACHE_DIR
        print(config.CACHE_DIR, oct(os.stat(config.CACHE_DIR).st_mode & 0o777), os.listdir())
        if not os.fork():
            sys.exit()  # a child that ends takes nothing away
        os.wait()
        assert os.path.isdir(config.CACHE_DIR)
    """
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    done = python(code, work, **READ_ONLY, **{**NO_HOME, "HOME": home}, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr[-2000:]
    folder, mode, there = done.stdout.split(maxsplit=2)
    assert Path(folder).parent == temporary
    assert (mode, there) == (oct(stat.S_IRWXU), "[]\n")
    assert not list(temporary.iterdir())
    assert not list(work.iterdir())


def test_a_folder_that_others_prepared_is_not_used(tmp_path: Path) -> None:
    """What is kept is executed when it is read."""
    code = "import envs.compiled; from numba import config; print(config.CACHE_DIR)"
    folders = {python(code, tmp_path, **READ_ONLY, **NO_HOME, TMPDIR=str(tmp_path)).stdout for _ in range(2)}
    assert len(folders) == 2


def test_a_place_that_can_be_written_is_used(tmp_path: Path) -> None:
    code = "import envs.compiled; from numba import config; print(repr(config.CACHE_DIR))"
    assert python(code, tmp_path, **READ_ONLY, **{**NO_HOME, "HOME": str(tmp_path)}).stdout == "''\n"
    given = {**READ_ONLY, **NO_HOME, "NUMBA_CACHE_DIR": str(tmp_path / "given")}
    assert python(code, tmp_path, **given).stdout == f"{str(tmp_path / 'given')!r}\n"


def test_where_nothing_can_be_written_one_line_says_so() -> None:
    code = "import tempfile; tempfile.tempdir = '/proc/nowhere'; from h_dqn.cli import run; exit(run(['tasks', 'check', 'break']))"
    done = python(code, Path("/"), **READ_ONLY, **NO_HOME)
    assert done.returncode == 2
    assert done.stderr == "h-dqn: error: no folder can be written to keep compiled functions in; let TMPDIR name one\n"


def test_a_picture_is_drawn_without_a_home_and_without_a_word(tmp_path: Path) -> None:
    code = """if True:
        from pathlib import Path
        from h_dqn.experiment.plots import learning_curve
        Path("metrics.jsonl").write_text("")
        learning_curve({"run": Path(".")}, Path("curve.png"))
        assert Path("curve.png").stat().st_size > 1000
    """
    done = python(code, tmp_path, **NO_HOME)
    assert (done.returncode, done.stderr) == (0, "")


# --- no Unix ---------------------------------------------------------------------------------------------------------

NO_UNIX = """
import importlib.abc, os, signal, sys
import filelock, torch  # which count on some of it where sys.platform is "linux"
class Hidden(importlib.abc.MetaPathFinder):
    names = {"fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "curses", "readline", "syslog"}
    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in Hidden.names & set(sys.modules):
    del sys.modules[name]
sys.meta_path.insert(0, Hidden())
for name in ("fork", "forkpty", "register_at_fork", "getuid", "geteuid", "setsid", "sync", "nice", "mkfifo", "killpg", "fchmod",
             "chown"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM", "SIGQUIT", "pause"):
    if hasattr(signal, name):
        delattr(signal, name)
from h_dqn.cli import run
def h_dqn(line):
    try:
        return run(line.split())
    except SystemExit as end:
        return end.code
"""


def test_worlds_and_learner_work_where_there_is_no_unix(tmp_path: Path) -> None:
    code = f"""{NO_UNIX}
import h_dqn as package
assert package.train_skill
for line in ("--help", "tasks list", "tasks show break", "tasks check break --episodes 4", "skills list", "doctor",
             "train skill navigation1 --preset smoke --episodes 4",
             "evaluate navigation1 --episodes 4 --video episode.mp4",
             "train controller two_rooms --skills navigation1 --preset smoke --episodes 4"):
    assert h_dqn(line) == 0, line
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "episode.mp4").stat().st_size > 1000


def test_what_needs_unix_says_so_in_one_line(tmp_path: Path) -> None:
    code = f"""{NO_UNIX}
class Terminal:
    def isatty(self):
        return True
sys.stdin = Terminal()
os.environ.pop("DISPLAY", None)
for line in ("play break --terminal", "evaluate navigation1 --world luanti", "train flat break --preset smoke --world luanti",
             "train flat break --preset smoke --world minerl"):
    print(h_dqn(line), flush=True)
"""
    done = python(code, tmp_path)
    said = [line for line in done.stderr.splitlines() if line]
    assert all(line.startswith("h-dqn: error: ") for line in said), done.stderr[-2000:]
    assert len(said) == 4, done.stderr
    assert "play reads keys from a terminal on Unix only" in said[0]
    assert all("as Linux allows" in line for line in said[2:])
