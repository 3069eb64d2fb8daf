"""Measure the MineRL adapter through MineRL's real client: ``python -m benchmarks.minerl [evaluate|faults|cost|scaling ...]``.

Minecraft's place is taken by the stand-in of the tests, so nothing here says how fast or how well Minecraft itself runs. Each part
writes its figures to benchmarks/results/minerl.json.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import measured
from envs.minerl.drawing import draw
from envs.minerl.folders import PREFIX
from envs.minerl.instance import Instance
from envs.minerl.settings import Settings
from envs.minerl.vector import MineRLVectorEnv
from envs.oracle import Oracle
from envs.task_file import load_task
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.files import write_text
from tests.minerl_standin import FAULTS, StandIn

RESULT = Path(__file__).parent / "results" / "minerl.json"
ROOT = Path(__file__).parents[1]
STEP_S, RESET_S, LAUNCH_S = 1.0, 3.0, 20.0
LAUNCHER = Path("tests") / "minerl_launcher"


def addresses(stands: list[StandIn]) -> tuple[tuple[str, int], ...]:
    return tuple(("127.0.0.1", stand.port) for stand in stands)


# --- a skill of the embedded world, evaluated in both ------------------------------------------------------------------


def evaluate(episodes: int = 200) -> dict[str, Any]:
    """Success of the shipped or freshly trained skill navigation1 in the embedded world and through the client."""
    stand = StandIn("navigation1")
    with tempfile.TemporaryDirectory() as folder:
        common = ["--library", f"{folder}/skills", "--json"]
        train = ["train", "skill", "navigation1", "--env-steps", "150000", "--runs", f"{folder}/runs", "--episodes", "100"]
        h_dqn([*train, *common])
        play = ["evaluate", "navigation1", "--task", "navigation1", "--episodes", str(episodes), *common]
        there = ["--world", "minerl", "--minerl-address", f"127.0.0.1:{stand.port}"]
        embedded, minerl = h_dqn(play), h_dqn([*play, *there])
        short = ["train", "skill", "navigation1", "--preset", "smoke", "--env-steps", "2000", "--name", "there"]
        trained = h_dqn([*short, "--runs", f"{folder}/runs", "--episodes", "10", *common, *there])
    stand.close()
    keys = ("success_rate", "ci95", "episodes", "env_steps")
    return {
        "embedded": {key: embedded[key] for key in keys},
        "minerl": {key: minerl[key] for key in keys},
        "trained_steps": trained["env_steps"],
    }


def h_dqn(arguments: list[str]) -> dict[str, Any]:
    binary = Path(sys.executable).with_name("h-dqn")
    done = subprocess.run([binary, *arguments], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- faults ------------------------------------------------------------------------------------------------------------


class Faults:
    """Draws faults of the protocol at random."""

    def __init__(self, seed: int, chances: dict[str, float]) -> None:
        self.rng, self.chances = np.random.default_rng(seed), chances

    def __call__(self, phase: str) -> str | None:
        if self.rng.random() >= self.chances.get(phase, 0.0):
            return None
        # A hang costs its whole deadline, so it is drawn less often than the others.
        names = [name for name in FAULTS[phase] if name != "hang" or self.rng.random() < 0.3]
        return str(self.rng.choice(names))


CHANCES = {"hello": 0.02, "quit": 0.02, "mission": 0.03, "peek": 0.03, "step": 0.002}


class Watch:
    """How late instances were declared failed, as a share of the deadline that had passed."""

    def __init__(self) -> None:
        self.worst, self.timeouts, self.reasons = 0.0, 0, dict[str, int]()
        fail = Instance._fail

        def watched(instance: Instance, reason: str, ended: bool, fatal: bool = False) -> None:
            allowed = {"starting": LAUNCH_S, "resetting": RESET_S, "acting": STEP_S}.get(instance.state, LAUNCH_S)
            if "in time" in reason:
                self.timeouts += 1
                self.worst = max(self.worst, (time.monotonic() - instance._deadline) / allowed)
            kind = reason.partition(":")[0]
            self.reasons[kind] = self.reasons.get(kind, 0) + 1
            fail(instance, reason, ended, fatal)

        Instance._fail = watched  # type: ignore[method-assign, assignment]


def play(env: MineRLVectorEnv, episodes: int, seed: int, violence: float = 0.0) -> dict[str, Any]:
    """Play whole episodes beside an embedded world with the same seeds and actions; returns what was counted.

    ``violence``: chance a step that a worker process is killed or stopped by us.
    """
    n, rng = env.num_envs, np.random.default_rng(seed)
    embedded = VoxelVectorEnv(n, env.spec_task, size=8)
    oracle = Oracle(env.worlds)
    given = iter(range(10**9, 10**9 + 10**6))
    seeds: list[int | None] = [next(given) for _ in range(n)]
    _, info = env.reset(seed=list(seeds))
    embedded.reset(seed=list(seeds))
    away = info["lost"].copy()
    done = steps = lost = violent = differences = 0
    slowest = 0.0
    while done < episodes:
        actions = np.where(rng.random(n) < 0.1, rng.integers(0, env.single_action_space.n, n), oracle.act())  # type: ignore[attr-defined]
        if violence and rng.random() < violence:
            process = env.instances[int(rng.integers(n))]._process
            if process is not None:
                os.kill(process.pid, signal.SIGKILL if rng.random() < 0.5 else signal.SIGSTOP)
                violent += 1
        began = time.monotonic()
        _, reward, terminated, truncated, info = env.step(actions)
        slowest = max(slowest, time.monotonic() - began)
        _, t_reward, t_terminated, t_truncated, t_info = embedded.step(actions)
        whole = ~info["lost"]
        same = (reward == t_reward) & (terminated == t_terminated) & (truncated == t_truncated)
        same &= (info["pose"] == t_info["pose"]).all(1) & (info["invalid_action"] == t_info["invalid_action"])
        differences += int((whole & ~same).sum())
        steps += int(whole.sum())
        lost += int((info["lost"] & ~away).sum())
        done += int(((terminated | truncated) & whole).sum())
        over = terminated | truncated
        if over.any():
            for i in np.flatnonzero(over & whole):
                seeds[i] = next(given)
            _, reset = env.reset(seed=[seed if end else None for seed, end in zip(seeds, over, strict=True)],
                                 options={"reset_mask": over})  # fmt: skip
            away = over & reset["lost"]
            embedded.reset(
                seed=[seed if end else None for seed, end in zip(seeds, over, strict=True)], options={"reset_mask": over}
            )
    return {
        "episodes": done,
        "transitions": steps,
        "lost_transitions": lost,
        "processes_killed_or_stopped": violent,
        "differences_from_embedded": differences,
        "slowest_step_s": round(slowest, 3),
    }


def leftovers() -> dict[str, int]:
    time.sleep(0.5)
    folders = len([path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if path.is_dir()])
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return {"folders": folders, "processes": sum(b"envs.minerl.worker" in line or b"minerl_launcher" in line for line in lines)}


def faults(protocol: int = 700, launches: int = 300) -> dict[str, Any]:
    """Episodes with faults: in attach mode by the protocol, in launch mode by the process."""
    watch = Watch()
    stands = [StandIn("three_rooms", Faults(seed, CHANCES)) for seed in range(4)]
    limits = {"step_s": STEP_S, "reset_s": RESET_S, "launch_s": LAUNCH_S, "restarts": 50}
    env = MineRLVectorEnv(4, "three_rooms", 32, settings=Settings(addresses=addresses(stands), **limits))  # type: ignore[arg-type]
    early = play(env, 100, seed=0)
    first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    late = play(env, protocol - 100, seed=1)
    last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attached: dict[str, Any] = {key: early[key] + late[key] for key in early}
    attached["slowest_step_s"] = max(early["slowest_step_s"], late["slowest_step_s"])
    counted = sum(instance.ticks for instance in env.instances)
    answered = sum(mission["answered"] for stand in stands for mission in stand.missions)
    injected: dict[str, int] = {}
    for stand in stands:
        for phase, name in stand.faults:
            injected[f"{phase}: {name}"] = injected.get(f"{phase}: {name}", 0) + 1
    env.close()
    for stand in stands:
        stand.close()
    attached |= {
        "ticks_counted": counted,
        "ticks_answered": answered,
        "faults_injected": sum(injected.values()),
        "faults_seen": sum(watch.reasons.values()) + sum(count for name, count in injected.items() if name.endswith("busy")),
        "injected": injected,
        "memory_growth_mib": round((last - first) / 1024, 1),
    }
    os.environ |= {"STANDIN_PYTHON": sys.executable, "STANDIN_TASK": "navigation1", "STANDIN_START": "random"}
    minecraft = str(ROOT / LAUNCHER)
    env = MineRLVectorEnv(2, "navigation1", 32, settings=Settings(addresses=(), minecraft=minecraft, episodes=100, **limits))  # type: ignore[arg-type]
    launched = play(env, launches, seed=2, violence=0.01)
    launched["starts"] = sum(instance.starts for instance in env.instances)
    env.close()
    return {
        "attached": attached,
        "launched": launched,
        "reasons": watch.reasons,
        "timeouts": watch.timeouts,
        "latest_overrun": round(watch.worst, 3),
        "left_behind": leftovers(),
    }


# --- cost --------------------------------------------------------------------------------------------------------------


def cost(episodes: int = 100) -> dict[str, Any]:
    """Processor time of a step in the parent and its worker, and what the client alone needs for as many ticks.

    Processor time, since that of the clock depends on what else the machine does; the stand-in is a process of its own.
    """
    command = [sys.executable, "-m", "tests.minerl_standin", "--cheap"]
    stand = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert stand.stdout is not None
    place = stand.stdout.readline().strip()
    env = MineRLVectorEnv(1, "navigation1", address=place)
    oracle = Oracle(env.worlds)
    env.reset(seed=0)
    env.step(oracle.act())
    spent, cpu, ticks, steps = 0.0, 0.0, 0, 0
    worker = env.instances[0]._process
    assert worker is not None
    for seed in range(episodes):
        env.reset(seed=seed)
        over = False
        while not over:
            action = oracle.act()
            began, cpu_began = time.perf_counter(), time.process_time() + used(worker.pid)
            _, _, terminated, truncated, info = env.step(action)
            spent += time.perf_counter() - began
            cpu += time.process_time() + used(worker.pid) - cpu_began
            steps, ticks, over = steps + 1, ticks + int(info["ticks"][0]), bool(terminated[0] | truncated[0])
    env.close()
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        tick_ms = 1e3 * process.submit(client_tick, int(place.rpartition(":")[2])).result()
    stand.terminate()
    stand.wait()
    step_ms, ticks_per_step = 1e3 * cpu / steps, ticks / steps
    return {
        "step_ms": round(step_ms, 3),
        "step_ms_by_the_clock": round(1e3 * spent / steps, 3),
        "ticks_per_step": round(ticks_per_step, 2),
        "client_tick_ms": round(tick_ms, 3),
        "beyond_client_ms": round(step_ms - ticks_per_step * tick_ms, 3),
        "steps": steps,
    }


def client_tick(port: int, ticks: int = 3000) -> float:
    """Seconds of processor time that a tick takes of the client alone, in a process that does nothing else."""
    from envs.minerl.client import Client  # which imports minerl: in that process alone

    spec = load_task("navigation1")
    client = Client("127.0.0.1", port, 20, 20)
    client.reset(draw(spec, spec.sample(np.random.default_rng(0)), (84, 84)))
    env, action = client._env, client._env.action_space.no_op()
    for _ in range(100):
        env.step(action)
    began = time.process_time()
    for _ in range(ticks):
        env.step(action)
    return (time.process_time() - began) / ticks


def used(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    return float(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def scaling(tick_s: float = 0.02, seconds: float = 15.0) -> dict[str, Any]:
    """Steps per second of one and of four Minecrafts whose ticks take 20 ms; the stand-ins are processes of their own."""
    rates = {}
    for count in (1, 4):
        command = [sys.executable, "-m", "tests.minerl_standin", "--count", str(count), "--tick", str(tick_s), "--cheap"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as stands:
            assert stands.stdout is not None
            places = stands.stdout.readline().split()
            env = MineRLVectorEnv(count, "navigation1", address=places)
            env.reset(seed=1)
            steps, began = 0, time.monotonic()
            while time.monotonic() - began < seconds:
                # All turn, so that every action is as many ticks and no world waits for another's longer one.
                _, _, terminated, truncated, _ = env.step(np.full(count, 1))
                steps += count
                if (over := terminated | truncated).any():
                    pause = time.monotonic()
                    env.reset(options={"reset_mask": over})
                    began += time.monotonic() - pause
            rates[count] = steps / (time.monotonic() - began)
            env.close()
            stands.terminate()
    return {"one": round(rates[1], 2), "four": round(rates[4], 2), "ratio": round(rates[4] / rates[1], 2)}


SEEDS: dict[str, int | list[int]] = {"evaluate": 1, "faults": [0, 1, 2], "cost": list(range(100)), "scaling": 1}


def main() -> None:
    parts: dict[str, Callable[[], dict[str, Any]]] = {"evaluate": evaluate, "faults": faults, "cost": cost, "scaling": scaling}
    for name in sys.argv[1:] or parts:
        began = time.monotonic()
        figures = parts[name]()
        found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        who = measured(f"python -m benchmarks.minerl {name}", SEEDS[name])
        found[name] = {**figures, "seconds": round(time.monotonic() - began, 1), "measured": who}
        print(name, json.dumps(found[name], indent=1), flush=True)
        write_text(RESULT, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
