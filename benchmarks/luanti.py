"""Measure the Luanti world against what is promised of it; the results go to benchmarks/results/luanti.json.

    python -m benchmarks.luanti [conformance] [settle] [determinism] [starts] [speed] [speed64] [faults] [skills] [--share 0.1]

--share takes so much of the steps, frames, starts or faults. Nothing else should run meanwhile, as `speed` measures time; `settle`
makes its own noise. `skills` runs the commands of benchmarks/luanti.toml, with the skills and controllers of `make reproduce`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import measured
from benchmarks.reproduce import Summary, add, cells, run_all
from envs.luanti import engine as luanti
from envs.luanti.folders import PREFIX, free_port, sweep
from envs.luanti.programs import LuantiError, version
from envs.luanti.vector import LuantiVectorEnv
from envs.oracle import Oracle
from envs.registry import WORLDS
from envs.task import ACTIONS, TaskError, TaskSpec
from envs.task_file import load_task, parse_task, task_names
from envs.voxel.vector import VoxelVectorEnv
from h_dqn.experiment.bench.steps import steps_speed
from h_dqn.experiment.worlds import Place
from h_dqn.files import write_text

RESULT = Path(__file__).parent / "results" / "luanti.json"
UNLIKE = 2  # of 255: a pixel differs from the embedded world's if a channel does by more


# --- the same play in both worlds ------------------------------------------------------------------------------------


def generated_task(seed: int) -> TaskSpec:
    """A task drawn from a seed: any size up to 24 by 24, any height, any goal, any of the materials."""
    for attempt in range(1000):
        rng = np.random.default_rng([seed, attempt])
        rows, columns = rng.integers(3, 23, 2) if rng.random() < 0.3 else rng.integers(3, 13, 2)
        inside = rng.choice(list("....oOwDcCgpe"), (rows, columns), p=[0.16] * 4 + [0.04] * 9)
        frame = np.pad(inside, 1, constant_values="#")
        frame[rng.integers(1, rows + 1), 0] = "e"
        goals: list[dict[str, Any]] = [
            *({"reach": char} for char in "ep"),
            *({"hold": item} for item in ("crate", "gem")),
            {"broken": "D"},
            {"placed_at": "p", "item": "crate"},
        ]
        chosen = [goals[i] for i in rng.permutation(len(goals))[: rng.integers(1, 4)]]
        doc: dict[str, Any] = {
            "map": "\n".join("".join(row) for row in frame),
            "step_limit": int(rng.integers(20, 120)),
            "height": int(rng.integers(2, 6)),
            "pitch": float(rng.integers(-45, 20)),
            "actions": [ACTIONS[i] for i in rng.permutation(len(ACTIONS))],
            "inventory": {"gem": int(rng.integers(3))},
            "floor": str(rng.choice(["oak_floor", "grass", "slate"])),
            "ceiling": str(rng.choice(["plaster", "wood"])),
            "legend": {
                "#": str(rng.choice(["stone", "brick"])),
                "o": ["pillar"],
                "O": "pillar",
                "w": {"column": ["air", "wood"]},
                "D": ["door", "door"],
                "c": {"item": "crate"},
                "C": ["crate", "crate"],
                "g": {"item": "gem"},
                "p": {"floor": "pad"},
                "e": {"column": ["exit", "exit"], "choose": [1, 2]},
            },
            "goal": {"all_of": chosen},
            "reward": {"step": float(rng.normal()), "success": float(rng.normal())},
            "vary": {
                "shrink": [1, 1],
                "mirror": True,
                "tint": 0.3 * float(rng.random()),
                "textures": {"pillar": ["brick", "cobble"]},
            },
            "materials": {"gem": {"color": [40, 190, 120], "pattern": "rings", "breakable": True, "drops": "gem", "item": True}},
        }
        if rng.random() < 0.5:
            doc["compass"] = "e"
        with contextlib.suppress(TaskError):
            return parse_task(doc, f"generated{seed}")
    raise AssertionError(f"seed {seed}: no task can be drawn")


def differences(embedded: VoxelVectorEnv, real: VoxelVectorEnv, one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
    """How many numbers of an outcome of :meth:`step` and of the whole state differ, pictures and tints apart."""

    def count(a: Any, b: Any) -> int:
        if isinstance(a, dict):
            assert a.keys() == b.keys()
            return sum(count(a[key], b[key]) for key in a if key != "pov")
        return int((np.asarray(a) != np.asarray(b)).sum())

    states = [envs.worlds.state_dict() for envs in (embedded, real)]
    for state in states:
        del state["kind"], state["tint"]  # a table for the ray-caster alone; a tint is rounded to one of the palette
    return sum(count(a, b) for a, b in zip(one, other, strict=True)) + count(*states)


def unlike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Share of pixels that differ between pictures (..., 3)."""
    return float((np.abs(one.astype(np.int16) - other).max(-1) > UNLIKE).mean())


class Pair:
    """The same task and seeds in both worlds, played by an oracle that errs every third step."""

    def __init__(self, spec: TaskSpec, worlds: int, seed: int, kind: type[LuantiVectorEnv] = LuantiVectorEnv) -> None:
        self.embedded, self.real = VoxelVectorEnv(worlds, spec, 84), kind(worlds, spec, 84)
        self.rng, self.oracle = np.random.default_rng(seed), Oracle(self.embedded.worlds)
        self.steps = self.wrong = self.ends = 0
        self.unlike: list[float] = []
        self._reset(seed=seed)

    def _reset(self, **how: Any) -> None:
        self.embedded.reset(**how)
        self.real.reset(**how)
        self.embedded.worlds.tint[:] = self.real.worlds.tint  # which is rounded to what its palette has

    def actions(self) -> NDArray[np.int64]:
        n = self.embedded.num_envs
        at_random = self.rng.integers(len(self.embedded.spec_task.all_actions), size=n)
        return np.where(self.rng.random(n) < 0.67, self.oracle.act(), at_random)

    def step(self) -> None:
        actions = self.actions()
        one, other = self.embedded.step(actions), self.real.step(actions)
        self.steps += len(actions)
        self.wrong += differences(self.embedded, self.real, one, other)
        self.unlike.append(unlike(one[0]["pov"], other[0]["pov"]))
        if (ended := one[2] | one[3]).any():
            self.ends += int(one[2].sum())
            self._reset(options={"reset_mask": ended})


def conformance(
    spec: TaskSpec, steps: int, seed: int, worlds: int = 4, kind: type[LuantiVectorEnv] = LuantiVectorEnv
) -> dict[str, Any]:
    """Differences between the two worlds over so many steps, goals reached meanwhile, and shares of pixels that differ."""
    pair = Pair(spec, worlds, seed, kind)
    while pair.steps < steps:
        pair.step()
    pair.real.close()
    return {
        "steps": pair.steps,
        "differences": pair.wrong,
        "goals": pair.ends,
        "pixels_unlike": float(np.mean(pair.unlike)),
        "most_pixels_unlike": max(pair.unlike),
    }


# --- one exact frame a step ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Within this, so many processes do nothing but count."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def crowded() -> TaskSpec:
    """A room in which most actions that could change a block do."""
    pattern = "c.C.iD."
    rows = ["".join(pattern[(5 * z + 3 * x + z * x) % 7] for x in range(12)) for z in range(12)]
    return parse_task(
        {
            "map": "\n".join(["#" * 14, *(f"#{row}#" for row in rows), "#" * 14]),
            "step_limit": 50,
            "legend": {
                "#": "stone",
                "c": {"item": "crate"},
                "C": ["crate"],
                "i": {"item": "crate"},
                "D": ["door", "door", "stone"],
            },
            "goal": {"placed_at": "D", "item": "crate"},
            "vary": {"tint": 0.15},
        },
        "crowded",
    )


def settle(spec: TaskSpec, steps: int, seed: int, worlds: int = 4, wait_s: float = 0.04) -> dict[str, int]:
    """Frames that differ from what the screen shows ``wait_s`` later, while the engine runs on: none, if steps are exact."""
    envs = LuantiVectorEnv(worlds, spec, 84, engines=1)
    (engine,) = envs.engines
    frames = wrong = edits = 0

    def watched(command: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            nonlocal frames, wrong, edits
            picture, words = command(*arguments)
            time.sleep(wait_s)
            frames += 1
            wrong += bool((engine.picture() != picture).any())
            edits += len(words) > 11 + len(spec.items)
            return picture, words

        return run

    with mock.patch.object(engine, "act", watched(engine.act)), mock.patch.object(engine, "build", watched(engine.build)):
        envs.reset(seed=seed)
        rng = np.random.default_rng(seed)
        while frames < steps:
            _, _, terminated, truncated, _ = envs.step(likely_edits(envs, rng))
            if (ended := terminated | truncated | (rng.random(worlds) < 0.05)).any():
                envs.reset(options={"reset_mask": ended})
    envs.close()
    return {"frames": frames, "wrong": wrong, "edits": edits}


def first_frames(spec: TaskSpec, starts: int, seed: int, worlds: int = 4) -> dict[str, int]:
    """Engines started anew so often, and how many of their first frames differ from an older engine's of the same episodes."""
    envs = LuantiVectorEnv(worlds, spec, 84, engines=1)
    envs.reset(seed=seed)
    expected = envs.reset(seed=seed)[0]["pov"]  # in rooms that were in use before
    wrong = 0
    for _ in range(starts):
        envs.engines[0].start()
        wrong += int((envs.reset(seed=seed)[0]["pov"] != expected).any((1, 2, 3)).sum())
    envs.close()
    return {"starts": starts, "frames": starts * worlds, "wrong": wrong}


def likely_edits(envs: VoxelVectorEnv, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random actions, every third of those that change blocks."""
    actions = rng.integers(len(envs.spec_task.actions), size=envs.num_envs)
    changing = [i for i, name in enumerate(envs.spec_task.actions) if name in ACTIONS[3:]]
    return np.where((rng.random(envs.num_envs) < 0.33) & bool(changing), rng.choice(changing or [0], envs.num_envs), actions)


def digest(spec: TaskSpec, steps: int, seed: int, worlds: int = 4) -> str:
    """A hash of every picture, reward and end of a seeded run."""
    envs, total = LuantiVectorEnv(worlds, spec, 84), hashlib.sha256()
    obs, _ = envs.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(0, steps, worlds):
        total.update(obs["pov"].tobytes())
        obs, reward, terminated, truncated, info = envs.step(likely_edits(envs, rng))
        for part in (obs["pov"], reward, terminated, truncated, info["pose"], info["invalid_action"]):
            total.update(part.tobytes())
        if (ended := terminated | truncated).any():
            obs, _ = envs.reset(options={"reset_mask": ended})
    envs.close()
    return total.hexdigest()


# --- faults ----------------------------------------------------------------------------------------------------------


def kill(program: str, number: int) -> Callable[[Pair], None]:
    def fault(pair: Pair) -> None:
        pair.real.engines[0]._processes[program].send_signal(number)
        pair.step()

    return fault


def deleted_folder(pair: Pair) -> None:
    engine = pair.real.engines[0]
    shutil.rmtree(str(engine.folder))
    pair.step()  # goes on with what is open
    kill("minetest", signal.SIGKILL)(pair)


def taken_port(pair: Pair) -> None:
    """The engine dies, and the port that was free a moment ago is not any more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        ports = iter([other.getsockname()[1], free_port()])
        with mock.patch.object(luanti, "free_port", side_effect=ports):
            kill("minetest", signal.SIGKILL)(pair)


def full_disk(pair: Pair) -> None:
    """The engine dies while there is no room for another one's folder; later there is."""
    state = pair.rng.bit_generator.state
    with tempfile.TemporaryDirectory() as small:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
        try:
            with mock.patch.object(tempfile, "tempdir", small):
                pair.real.engines[0]._processes["minetest"].kill()
                reason = ""
                try:
                    pair.real.step(pair.actions())
                except LuantiError as error:
                    reason = str(error)
                assert "No space left on device" in reason
                assert "\n" not in reason
            assert not os.listdir(small)
        finally:
            subprocess.run(["umount", small], check=True)
    pair.rng.bit_generator.state = state
    pair.step()


OWNER = """
import time
import numpy as np
from envs.luanti.vector import LuantiVectorEnv
envs = LuantiVectorEnv(2, "break", 84)
envs.reset(seed=1)
envs.step(np.array([0, 1]))
print("playing", flush=True)
time.sleep(1000)
"""


def killed_owner(pair: Pair) -> None:
    """Another program that plays is killed: its engine dies with it, and what is left goes when the next one starts."""
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment)
    assert owner.stdout
    assert owner.stdout.readline() == "playing\n"
    owner.kill()
    owner.communicate()
    mine = pair.real.engines[0].folder
    deadline = time.monotonic() + 10
    while any(str(mine) not in line for line in running()):
        assert time.monotonic() < deadline, running()
        time.sleep(0.01)
    assert len(folders()) == 2
    sweep()
    assert folders() == [mine]
    pair.step()


FAULTS: dict[str, Callable[[Pair], None]] = {
    "engine killed": kill("minetest", signal.SIGKILL),
    "screen killed": kill("Xvfb", signal.SIGKILL),
    "engine stopped": kill("minetest", signal.SIGSTOP),
    "screen stopped": kill("Xvfb", signal.SIGSTOP),
    "folder deleted": deleted_folder,
    "port taken": taken_port,
    "disk full": full_disk,
    "owner killed": killed_owner,
}


def running() -> list[str]:
    """Command lines of the processes of all engines whose folders are below the temporary one."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            lines += [line] if f"{tempfile.gettempdir()}/{PREFIX}" in line else []
    return lines


def folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def dead_displays() -> set[Path]:
    """Locks of displays whose server is gone."""
    return {lock for lock in Path("/tmp").glob(".X*-lock") if not Path(f"/proc/{lock.read_text().strip()}").exists()}


def faults(count: int, seed: int, kinds: list[str] | None = None) -> dict[str, Any]:
    """Inject faults in turn into a running pair of worlds; counts what went wrong."""
    names, dead = kinds or list(FAULTS), dead_displays()
    pair = Pair(load_task("three_rooms"), 2, seed)
    injected = dict.fromkeys(names, 0)
    for number in range(count):
        name = names[number % len(names)]
        for _ in range(int(pair.rng.integers(1, 4))):
            pair.step()
        FAULTS[name](pair)
        injected[name] += 1
    pair.real.close()
    return {
        "faults": injected,
        "steps": pair.steps,
        "differences": pair.wrong,
        "most_pixels_unlike": max(pair.unlike),
        "orphans": len(running()),
        "leftovers": len(folders()) + len(dead_displays() - dead),
    }


# --- all of it -------------------------------------------------------------------------------------------------------


def all_conformance(share: float) -> dict[str, Any]:
    specs = [load_task(name) for name in task_names(WORLDS["luanti"].refuses)] + [generated_task(seed) for seed in range(20)]
    each = round(share * 10_000 / len(specs) + 0.5)
    parts = {spec.name: conformance(spec, each, seed=number) for number, spec in enumerate(specs)}
    return {
        "steps": sum(part["steps"] for part in parts.values()),
        "differences": sum(part["differences"] for part in parts.values()),
        "pixels_unlike": float(np.mean([part["pixels_unlike"] for part in parts.values()])),
        "most_pixels_unlike": max(part["most_pixels_unlike"] for part in parts.values()),
        "tasks": parts,
    }


def all_settle(share: float) -> dict[str, Any]:
    result: dict[str, Any] = {"idle": settle(crowded(), round(share * 4000), seed=1)}
    with busy(3):
        result["busy"] = settle(crowded(), round(share * 2000), seed=2)
    return result


def all_determinism(share: float) -> dict[str, Any]:
    spec, steps = crowded(), round(share * 3000)
    digests = [digest(spec, steps, seed=1) for _ in range(2)]
    with busy(3):
        digests.append(digest(spec, steps, seed=1))
    return {"steps": steps, "runs": len(digests), "identical": len(set(digests)) == 1}


def all_starts(share: float) -> dict[str, Any]:
    return {name: first_frames(load_task(name), round(share * 200), seed=1) for name in ("navigation1", "three_rooms")}


def all_faults(share: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as own, mock.patch.object(tempfile, "tempdir", own):
        return faults(round(share * 200), seed=1)


def skills(_: float) -> Summary:
    """What was learned in the embedded world, and what is learned here; an engine takes both cores, so one command at a time."""
    summary: Summary = {}
    for cell in run_all(cells("luanti", 1), episodes=500, side_by_side=1):
        print(cell.name, flush=True)
        add(summary, cell)
    return summary


PARTS: dict[str, Callable[[float], dict[str, Any]]] = {
    "conformance": all_conformance,
    "settle": all_settle,
    "determinism": all_determinism,
    "starts": all_starts,
    "speed": lambda _: steps_speed(Place("luanti"), 1),
    "speed64": lambda _: steps_speed(Place("luanti"), 1, num_envs=64),
    "faults": all_faults,
    "skills": skills,
}


SEEDS: dict[str, int | list[int]] = {"conformance": list(range(27)), "settle": [1, 2]}  # the others have seed 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the Luanti world.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--share", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.parts or PARTS:
        print(name, flush=True)
        part = PARTS[name](arguments.share)
        if name != "skills":  # each cell of which says so itself
            share = f" --share {arguments.share}" if arguments.share != 1 else ""
            part["measured"] = measured(f"python -m benchmarks.luanti {name}{share}", SEEDS.get(name, 1))
        found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        found |= {name: part, "version": version()}
        write_text(RESULT, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
