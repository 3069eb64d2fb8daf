"""Good files of every format, a way to break each, and what reads them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file
from safetensors.torch import save as save_bytes

from envs import SHIPPED
from envs.sequence import SEQUENCES, load_sequence
from envs.task_file import load_task, read_task
from h_dqn.checkpoint import load_state, save_state
from h_dqn.cli import run as h_dqn
from h_dqn.experiment.demo import DemoPlan
from h_dqn.experiment.distil import Distillation, DistillPlan
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.runs import known_run, resume
from h_dqn.experiment.training import preset
from h_dqn.experiment.watch import Moment, Watcher
from h_dqn.metrics import read_metrics
from h_dqn.networks import NetworkSpec, QNetwork
from skills_library.archive import pack
from skills_library.distill import DistillConfig
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, Termination
from skills_library.share import give
from tests.hostile.archives import HOSTILE, hashed
from tests.hostile.mutate import NASTY, as_json, as_toml, change_bytes, change_document, replace_file

ACTIONS = ("forward", "turn_left", "turn_right", "break", "pick_up", "place")


class Enough(KeyboardInterrupt):
    """A round was learned; that is all that is asked of a run here."""


class Once(Watcher):
    def progress(self, moment: Moment) -> None:
        raise Enough

    def evaluated(self, episodes: int) -> None:
        raise Enough


def build(root: Path) -> None:
    """Write good files below ``root``."""
    torch.manual_seed(1)
    library = Library(root / "library", shipped=root / "none")
    card = {"task": {"name": "navigation1"}, "measured": {"success_rate": 0.9, "ci95": [0.8, 0.95], "episodes": 9, "seed": 1}}
    for name, heads in (("walk", ("walk",)), ("both", ("one", "two"))):
        network = QNetwork(NetworkSpec("scout", (1, 24, 24), 3 * len(heads), eliminate=name == "both"))
        parts = tuple(
            PolicyHead(name if len(heads) == 1 else f"{name}/{head}", ACTIONS[:3], 3 * at, Termination(5, 0.5), card=card)
            for at, head in enumerate(heads)
        )
        library.add(SavedPolicy(name, network, parts, card={"training": {"env_steps": 3, "config": {}}}))
    how = {
        "env_steps": 1024,
        "num_envs": 4,
        "size": 24,
        "stack": 1,
        "network": "scout",
        "round_steps": 4,
        "memory": False,
        "core": 0,
    }
    for name, learner in (("run", "q_lambda"), ("dqn", "dqn")):
        skills = ("walk",) if name == "run" else ()
        settings, start = preset("smoke", learner=learner, **how), skills[0] if skills else None
        plan = Plan("controller" if skills else "flat", "navigation1", settings, "smoke", 1, 2, skills, start, str(library.folder))
        _stopped(Run(plan, root / name), rounds=3)
    config = DistillConfig(env_steps=512, num_envs=4, memory=64, network="scout", core=0)
    distillation = Distillation(DistillPlan(("walk", "both"), "all", config, 1, 2, str(library.folder)), root / "distill")
    try:
        distillation.learn(Once())
    except Enough:
        distillation._save(Watcher())
    RunFolder(root / "demo").begin({"plan": {"kind": "demo", **asdict(DemoPlan(library=str(library.folder)))}}, {})


def _stopped(run: Run, rounds: int) -> None:
    class Later(Once):
        left = rounds

        def progress(self, moment: Moment) -> None:
            self.left -= 1
            if not self.left:
                raise Enough

    run._files.checkpoints.every_s = run._files.checkpoints._next = 0.0
    with contextlib.suppress(Enough):
        run.learn(Later())


def go_on(folder: Path) -> None:
    """What resuming does, but a round or two of learning alone."""
    known_run(folder)
    try:
        resume(folder).learn(Once())
    except Enough:
        return


# --- one way to break each format; returns what reads the files that it wrote below ``inside`` ---

Reader = Callable[[], int | None]
Breaker = Callable[[Path, Path, random.Random], Reader]


def broken_bytes(
    file: Path, rng: random.Random, outside: Path, document: Any = None, write: Callable[[Any], bytes] = as_json
) -> None:
    """Break a file: mostly in what it says, else in its bytes, now and then in what it is."""
    how = rng.random()
    if document is not None and how < 0.75:
        file.write_bytes(write(change_document(document, rng, rng.choice([1, 1, 1, 2, 5]))))
    elif how < 0.95:
        file.write_bytes(change_bytes(file.read_bytes(), rng))
    else:
        replace_file(file, rng, outside)


def _rooms() -> list[dict[str, Any]]:
    """Tasks with several maps, and of drawn rooms, with step limits by the oracle."""
    one = SHIPPED["navigation1"]
    limit = {"oracle": 1.5, "least": 20, "most": 60}
    layout = {"shapes": ["joined", "chambers"], "side": [3, 9]}
    return [
        {**one, "step_limit": limit, "map": [one["map"], "#####\ne...e\n#####"], "vary": {}},
        {**one, "step_limit": limit, "vary": {"layout": layout, "tint": 0.1}},
    ] * 3


def task(template: Path, inside: Path, rng: random.Random) -> Reader:
    document = rng.choice([*SHIPPED.values(), *_rooms()])
    file = inside / "room.toml"
    file.write_bytes(as_toml(document))
    broken_bytes(file, rng, inside.parent / "outside", document, as_toml)

    def read() -> int:
        code = h_dqn(["tasks", "check", str(file), "--episodes", "2"])
        if not code:
            found = load_task(file)
            assert read_task(found.text, found.name).hash == found.hash
        return code

    return read


def sequence(template: Path, inside: Path, rng: random.Random) -> Reader:
    document = tomllib.loads((SEQUENCES / "switching_horizon.toml").read_text())
    document["phase"][0]["change"] = {"step_limit": 9, "reward": {"step": -0.5}}
    file = inside / "order.toml"
    file.write_bytes(as_toml(document))
    broken_bytes(file, rng, inside.parent / "outside", document, as_toml)

    def read() -> None:
        found = load_sequence(file)
        assert found.env_steps == sum(phase.env_steps for phase in found.phases)

    return read


def _library(template: Path, inside: Path) -> Path:
    shutil.copytree(template / "library", inside / "library", symlinks=True)
    return inside / "library"


def _object(library: Path, name: str) -> Path:
    return library / "objects" / Library(library).index()[name].id


def use_library(library: Path, name: str) -> Reader:
    def read() -> int:
        shown = h_dqn(["skills", "show", name, "--library", str(library)])
        return shown or h_dqn(["evaluate", name, "--task", "navigation1", "--episodes", "1", "--library", str(library)])

    return read


def index(template: Path, inside: Path, rng: random.Random) -> Reader:
    file = _library(template, inside) / "library.json"
    broken_bytes(file, rng, inside.parent / "outside", json.loads(file.read_text()))
    verbs = [["list"], ["verify", "walk"], ["remove", "walk"], ["rename", "walk", "run"], ["history", "walk"]]
    line = ["skills", *rng.choice(verbs), "--library", str(file.parent)]
    return rng.choice([use_library(file.parent, "walk"), lambda: h_dqn(line)])


def manifest(template: Path, inside: Path, rng: random.Random) -> Reader:
    library, name = _library(template, inside), rng.choice(["walk", "both"])
    file = _object(library, name) / "policy.json"
    broken_bytes(file, rng, inside.parent / "outside", json.loads(file.read_text()))
    return use_library(library, "walk" if name == "walk" else "both/one")


def weights(template: Path, inside: Path, rng: random.Random) -> Reader:
    library, name = _library(template, inside), rng.choice(["walk", "both"])
    file = _object(library, name) / "model.safetensors"
    if rng.random() < 0.6:
        tensors = load_file(file)
        save_file(_broken_tensors(tensors, rng), file)
    else:
        broken_bytes(file, rng, inside.parent / "outside")
    if file.is_file() and not file.is_symlink() and file.stat().st_size < 2**30:
        said = json.loads((file.parent / "policy.json").read_text())
        said["model_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (file.parent / "policy.json").write_text(json.dumps(said))
    return use_library(library, "walk" if name == "walk" else "both/one")


def _broken_tensors(tensors: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    name = rng.choice(sorted(tensors))
    value = tensors[name]
    flat = value.reshape(-1).clone()
    odd = rng.choice([float("nan"), float("inf"), 1e38, -1e38, 0.0])
    if flat.numel() and flat.dtype.is_floating_point:
        flat[rng.randrange(len(flat))] = odd
    ways: list[Callable[[], Any]] = [
        lambda: {key: one for key, one in tensors.items() if key != name},
        lambda: {**tensors, "odd\x1b": value.clone()},
        lambda: {**tensors, name: value.to(rng.choice([torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]))},
        lambda: {**tensors, name: torch.cat([value.reshape(-1)] * 2)},
        lambda: {**tensors, name: value.reshape(-1)[:-1].clone()},
        lambda: {**tensors, name: flat.reshape(value.shape)},
        lambda: {**tensors, name: value[None].clone()},
    ]
    return dict(rng.choice(ways)())


def archive(template: Path, inside: Path, rng: random.Random) -> Reader:
    """One rule broken by name, or a document or weights within a good archive, or its bytes."""
    files = dict(give(Library(template / "library"), rng.choice(["walk", "both"])))
    file, how = inside / "walk.zip", rng.random()
    file.write_bytes(pack(files))
    if how < 0.3:
        file.write_bytes(rng.choice(list(HOSTILE.values()))(files))
    elif how < 0.5:
        files["policy.json"] = as_json(change_document(json.loads(files["policy.json"]), rng, rng.choice([1, 1, 2])))
        file.write_bytes(pack(files))
    elif how < 0.65:
        file.write_bytes(hashed(files, save_bytes(_broken_tensors(load_bytes(files["model.safetensors"]), rng))))
    else:
        broken_bytes(file, rng, inside.parent / "outside")

    def read() -> int:
        code = h_dqn(["skills", "import", str(file), "--library", str(inside / "kept")])
        assert not code or not (inside / "kept").exists(), "something was kept"
        return code or h_dqn(["skills", "verify", "--all", "--library", str(inside / "kept")])

    return read


def _run(template: Path, inside: Path, rng: random.Random, kinds: tuple[str, ...] = ("run", "dqn", "distill")) -> Path:
    name = rng.choice(kinds)
    shutil.copytree(template / name, inside / name, symlinks=True)
    return inside / name


def run_entry(template: Path, inside: Path, rng: random.Random) -> Reader:
    folder = _run(template, inside, rng, ("run", "dqn", "distill", "demo"))
    file = folder / "run.json"
    broken_bytes(file, rng, inside.parent / "outside", json.loads(file.read_text()))
    return rng.choice([lambda: go_on(folder), lambda: go_on(folder), lambda: h_dqn(["runs", "show", str(folder)])])


def kept_skill(template: Path, inside: Path, rng: random.Random) -> Reader:
    folder = _run(template, inside, rng, ("run", "distill"))
    file = folder / rng.choice(["skills", "start"] if folder.name == "run" else ["skills"]) / "walk" / "policy.json"
    broken_bytes(file, rng, inside.parent / "outside", json.loads(file.read_text()))
    return lambda: go_on(folder)


def checkpoint(template: Path, inside: Path, rng: random.Random) -> Reader:
    folder = _run(template, inside, rng)
    kept = sorted((folder / "checkpoint").glob("*.safetensors"))
    steps = kept[-1].name.partition("-")[0]
    state = load_state(kept[-1])
    for file in kept[:-1]:
        file.unlink()
    if rng.random() < 0.7:
        kept[-1].unlink()
        try:
            save_state(folder / "checkpoint", steps, _broken_state(state, rng))
        except (TypeError, ValueError, RecursionError, OverflowError):  # no state can be written so
            save_state(folder / "checkpoint", steps, {"trainer": None})
    else:
        data = change_bytes(kept[-1].read_bytes(), rng)
        kept[-1].unlink()
        digest = hashlib.sha256(data).hexdigest()[:32] if rng.random() < 0.9 else "0" * 32
        (folder / "checkpoint" / f"{steps}-{digest}.safetensors").write_bytes(data)
    return lambda: go_on(folder)


def _broken_state(state: Any, rng: random.Random) -> Any:
    """The state with one leaf changed, whatever it is."""
    where = [(part, key) for part, key in _leaves(state)]
    part, key = rng.choice(where)
    value = part[key]
    if isinstance(value, torch.Tensor):
        part[key] = _broken_tensors({"it": value}, rng).get("it")
    elif isinstance(value, np.ndarray) and rng.random() < 0.8:
        part[key] = _broken_array(value, rng)
    else:
        part[key] = rng.choice([*NASTY, {}, [], [value], {"x": value}, {"$": "torch", "name": "t0"}, np.zeros(3)])
    return state


def _broken_array(value: Any, rng: random.Random) -> Any:
    changed = value.copy()
    if value.size:
        extremes = [0, 1] if value.dtype == bool else [np.nan, np.inf, -1e30] if value.dtype.kind == "f" else _ends(value.dtype)
        changed.reshape(-1)[rng.randrange(value.size)] = rng.choice(extremes)
    return rng.choice([changed, changed, changed, value.astype(np.float32), value[..., None].copy(), value[:0].copy(),
                       np.repeat(value, 2, 0) if value.ndim else value])  # fmt: skip


def _ends(dtype: Any) -> list[int]:
    return [int(np.iinfo(dtype).max), int(np.iinfo(dtype).min), min(1000, int(np.iinfo(dtype).max))]


def _leaves(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found.append((value, key))
        found += _leaves(one)
    return found


def metrics(template: Path, inside: Path, rng: random.Random) -> Reader:
    folder = _run(template, inside, rng, ("run", "dqn"))
    file = folder / "metrics.jsonl"
    row = {"env_steps": 5, "train_success": 0.5, "episodes": 300.0, "validation_success": 0.5}
    file.write_bytes(as_json(row) + b"\n")
    broken_bytes(file, rng, inside.parent / "outside", row, lambda document: as_json(document) + b"\n")

    def read() -> None:
        list(read_metrics(folder))
        go_on(folder)

    return read


def result(template: Path, inside: Path, rng: random.Random) -> Reader:
    folder = _run(template, inside, rng, ("demo",))
    part = folder / "navigation1"
    said = {"success_rate": 0.5, "ci95": [0.4, 0.6], "episodes": 4, "seed": 1, "env_steps": 8, "seconds": 1.0, "run": "runs/x"}
    for one in (part, folder / "controller"):
        shutil.copytree(template / "run", one, symlinks=True)
        (one / "result.json").write_text(json.dumps(said))
    broken_bytes(part / "result.json", rng, inside.parent / "outside", said)
    where = rng.choice([part, folder])
    return rng.choice([lambda: go_on(where), lambda: h_dqn(["runs", "show", str(part)])])


def links(template: Path, inside: Path, rng: random.Random) -> Reader:
    """A link stands where something is written, replaced or deleted."""
    folder = _run(template, inside, rng)
    outside = inside.parent / "outside"
    name = rng.choice(["metrics.jsonl", "tensorboard", "checkpoint", "agent", "curve.png", "result.json", ".lock", ".tmp-h-dqn-x"])
    place = folder / name
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    target = outside / "folder" if name in ("tensorboard", "checkpoint", "agent") else outside / "canary"
    if rng.random() < 0.3 and target.is_file():
        os.link(target, place)
    else:
        place.symlink_to(target)
    return lambda: go_on(folder)


def library_links(template: Path, inside: Path, rng: random.Random) -> Reader:
    library, outside = _library(template, inside), inside.parent / "outside"
    policy = Library(library).policy("walk")
    place = library / rng.choice(["objects", ".lock", "walk", "library.json"])
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)
    place.symlink_to(outside / ("folder" if place.name in ("objects", "walk") else "canary"))

    def read() -> None:
        Library(library).add(policy)

    return read


FORMATS: dict[str, Breaker] = {
    one.__name__: one
    for one in (
        task,
        sequence,
        index,
        manifest,
        weights,
        archive,
        run_entry,
        kept_skill,
        checkpoint,
        metrics,
        result,
        links,
        library_links,
    )
}
