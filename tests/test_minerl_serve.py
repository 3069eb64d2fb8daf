"""One Minecraft alone in its container: it is ended when it hangs, its logs stay small, and the learner takes the new one back."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from envs.minerl import pool, serve
from envs.minerl.instance import GIVEN_UP, Instance
from envs.minerl.launch import SCRIPT
from envs.minerl.serve import BESIDE, LOG_BYTES, ask_for_restart, shorten
from envs.minerl.settings import MineRLError, Settings
from tests.helpers import h_dqn
from tests.minerl_standin import StandIn

ROOT = Path(__file__).parents[1]
with_client = pytest.mark.skipif(
    importlib.util.find_spec("minerl") is None, reason="make test-minerl installs MineRL's Python part"
)


def free_port() -> int:
    """One with a free port BESIDE it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port + BESIDE < 65536:
            return port


def eventually(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@contextmanager
def served(folder: Path, port: int, start: str = "well") -> Iterator[subprocess.Popen[str]]:
    """``python -m envs.minerl.serve`` with the launcher of the tests."""
    shutil.copytree(ROOT / "tests" / "minerl_launcher", folder, dirs_exist_ok=True)
    environment = {**os.environ, "STANDIN_PYTHON": sys.executable, "STANDIN_START": start, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "envs.minerl.serve", "--port", str(port), "--minecraft", str(folder)]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as one:
        try:
            yield one
        finally:
            one.terminate()


# --- one Minecraft -----------------------------------------------------------------------------------------------------


def test_a_minecraft_is_ended_when_a_learner_asks_for_it_and_not_otherwise(tmp_path: Path) -> None:
    port = free_port()
    assert not ask_for_restart(("127.0.0.1", port))
    with served(tmp_path, port) as minecraft:
        assert eventually(lambda: serve.listens(port))
        with socket.create_connection(("127.0.0.1", port + BESIDE)) as other:
            other.sendall(b"GET / HT")
            assert other.recv(8) == b""
        assert minecraft.poll() is None
        assert ask_for_restart(("127.0.0.1", port), 10)
        said, _ = minecraft.communicate(timeout=60)
        assert minecraft.returncode == 1
        assert "127.0.0.1 says that this Minecraft hangs; it is ended" in said
        assert not serve.listens(port)


def test_it_ends_with_minecraft_and_with_docker_stop(tmp_path: Path) -> None:
    with served(tmp_path, free_port(), "early") as minecraft:
        said, _ = minecraft.communicate(timeout=60)
    assert minecraft.returncode == 3
    assert "no display" in said
    port = free_port()
    with served(tmp_path, port) as minecraft:
        assert eventually(lambda: serve.listens(port))
        minecraft.send_signal(signal.SIGTERM)
        minecraft.communicate(timeout=60)
        assert minecraft.returncode == 143
    assert eventually(lambda: not serve.listens(port))


def test_one_that_never_listens_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "tests" / "minerl_launcher", tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(serve, "START_S", 0.1)
    monkeypatch.setenv("STANDIN_PYTHON", sys.executable)
    monkeypatch.setenv("STANDIN_START", "silent")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert serve.serve(tmp_path, free_port()) == 1
    assert "does not listen" in capsys.readouterr().out


def test_what_minecraft_writes_stays_small(tmp_path: Path) -> None:
    """A file that is written to at its own place in it, as Java does, shrinks all the same; those put aside go."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "2026-11-29-1.log.gz").write_bytes(b"old")
    with (logs / "latest.log").open("wb", buffering=0) as log:
        for _ in range(4):
            log.write(b"x" * (LOG_BYTES + 1))
            os.fsync(log.fileno())
            shorten(logs)
            assert (logs / "latest.log").stat().st_blocks * 512 <= LOG_BYTES
    assert [path.name for path in logs.iterdir()] == ["latest.log"]


def test_what_is_left_of_the_start_before_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    for name in ("logs", "saves/world", "crash-reports"):
        (run / name).mkdir(parents=True)
    (run / "options.txt").write_text("gamma:5")
    (tmp_path / SCRIPT).write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / SCRIPT).chmod(0o755)
    assert serve.serve(tmp_path, free_port()) == 7
    assert [path.name for path in run.iterdir()] == ["options.txt"]


# --- the learner -------------------------------------------------------------------------------------------------------


def failing(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, granted: bool, **limits: float
) -> tuple[Instance, list[int]]:
    """An instance that can be told to fail, and how many failures had come when a new Minecraft was asked for."""
    asked: list[int] = []
    instance = Instance(Settings(addresses=(address,), **limits), address)  # type: ignore[arg-type]

    def ask(where: tuple[str, int]) -> bool:
        assert where == address
        asked.append(instance.failures)
        return granted

    monkeypatch.setattr("envs.minerl.instance.ask_for_restart", ask)
    return instance, asked


def test_a_new_one_is_asked_for_after_two_failures_and_not_where_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    instance, asked = failing(("there", 9000), monkeypatch, granted=True)
    for _ in range(4):
        instance._fail("ConnectionRefusedError: no", ended=False)
    assert asked == []
    instance, asked = failing(("there", 9000), monkeypatch, granted=True)
    instance._fail("did not answer in time", ended=True)
    assert asked == []
    instance._fail("TimeoutError: timed out", ended=False)
    assert asked == [2]
    assert instance.failures == 0
    assert "ended, to be started anew" in instance.reason
    for _ in range(30):  # it is on its way
        instance._fail("ConnectionRefusedError: no", ended=False)
    assert instance.state != GIVEN_UP
    for _ in range(20):
        instance._fail("did not answer in time", ended=True)
    assert len(asked) == 3, "one that never works is not ended for ever"
    assert instance.state == GIVEN_UP


def test_one_that_worked_may_take_as_long_to_come_back_as_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    instance, _ = failing(("there", 9000), monkeypatch, granted=False, launch_s=1000.0)
    instance._worked, instance._alive = True, time.monotonic()
    for _ in range(100):
        instance._fail("ConnectionRefusedError: no", ended=False)
    assert instance.state != GIVEN_UP
    instance._alive -= 1000
    instance._fail("ConnectionRefusedError: no", ended=False)
    assert instance.state == GIVEN_UP


def test_what_is_waited_for_is_said_and_all_reasons_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "TELL_S", 0.0)
    settings = Settings(addresses=(("a", 1), ("b", 2)), restarts=1)
    instances = [Instance(settings, address) for address in settings.addresses]
    monkeypatch.setattr("envs.minerl.instance.ask_for_restart", lambda where: False)
    with caplog.at_level(logging.WARNING):
        instances[0]._fail("did not begin an episode in time", ended=False)
        calls = iter([False, True])
        pool.wait(instances, lambda: next(calls))
        assert "a:1: did not begin an episode in time (failure 1 in a row); it is tried again" in caplog.text
        assert re.search(
            r"waiting for Minecraft for 0 s: a:1 .* after 1 failures in a row, the last: a:1: did not begin", caplog.text
        )
        for instance in instances:
            instance._fail("did not answer in time", ended=False)
            instance._fail("ConnectionRefusedError", ended=False)
    with pytest.raises(MineRLError) as raised:
        pool.wait(instances, lambda: False)
    assert "a:1: no Minecraft answers" in str(raised.value)
    assert "b:2: no Minecraft answers" in str(raised.value)
    assert "\n" not in str(raised.value)


@with_client
def test_a_minecraft_that_hangs_is_replaced_and_played_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with Docker: what ends is started anew on the same port, by whoever started it."""
    from envs.minerl.vector import MineRLVectorEnv

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    port, hangs, over = free_port(), [False], threading.Event()
    started = []

    def container() -> None:
        while not over.is_set():
            stand = StandIn("navigation1", lambda _: "hang" if hangs[0] else None, port=port, cheap=True)
            started.append(stand)
            with socket.create_server(("127.0.0.1", port + BESIDE)) as asked:
                asked.settimeout(0.1)
                while not over.is_set() and not serve._asked(asked):
                    pass
            stand.close()
            hangs[0] = False

    docker = threading.Thread(target=container)
    docker.start()
    assert eventually(lambda: bool(started))
    limits = {"reset_s": 3.0, "step_s": 2.0}
    env = MineRLVectorEnv(1, "navigation1", 16, settings=Settings(addresses=(("127.0.0.1", port),), **limits))  # type: ignore[arg-type]
    env.reset(seed=1)
    hangs[0] = True
    *_, info = env.step(np.array([1]))
    assert info["lost"][0]
    env.reset(seed=1)
    *_, info = env.step(np.array([1]))
    assert not info["lost"][0]
    assert len(started) == 2
    env.close()
    over.set()
    docker.join()


# --- the page ----------------------------------------------------------------------------------------------------------


@with_client
def test_the_python_of_the_page_trains_there(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "envs/minerl/README.md").read_text().partition("<!-- minerl -->\n```python\n")[2].partition("```")[0]
    assert "localhost:9000" in text
    stand = StandIn("navigation1", cheap=True)
    text = text.replace("localhost:9000", f"127.0.0.1:{stand.port}").replace("60_000", "64").replace("episodes=100", "episodes=2")
    text = text.replace("until=", 'preset="smoke", episodes=2, validation_episodes=2, until=')
    exec(compile(text, "README.md", "exec"), {})
    assert stand.missions
    assert (in_tmp / "skills" / "navigation1").is_dir()
    stand.close()


@with_client
def test_evaluate_says_what_it_waits_for_and_ends_with_one_line(
    in_tmp: Path,
) -> None:
    assert h_dqn("train skill navigation1 --preset smoke --episodes 2 --env-steps 64") == 0
    stand = StandIn("navigation1", lambda _: "drop", cheap=True)
    there = f"127.0.0.1:{stand.port}"
    command = [sys.executable, "-m", "h_dqn", *f"evaluate navigation1 --world minerl --minerl-address {there}".split()]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()
    assert len(said) > 1
    assert all(there in line for line in said)
    assert said[-1].startswith("h-dqn: error: ")
    stand.close()
