"""What a GPU is worth: ``python -m benchmarks.cuda``, on a machine with CUDA and nothing else running.

Two trainers that differ in their device alone learn navigation1, a round each in turn. Writes benchmarks/results/cuda.json.
"""

from __future__ import annotations

import json
import os
from typing import Any

import torch

from benchmarks.provenance import ROOT, measured
from h_dqn.config import Config, change
from h_dqn.experiment.bench.switches import speeds
from h_dqn.experiment.worlds import shape_of, task_envs
from h_dqn.files import write_text
from h_dqn.presets import PRESETS

ROUNDS, SEED = 40, 1  # rounds of learning: with all four plans two minutes
FAST = PRESETS["fast"]
PLANS = {
    "preset fast": FAST,
    "preset fast, minibatches of 512": change(FAST, batch_size=512),
    "preset fast, Nature network": change(FAST, network="nature"),
    "preset paper": change(PRESETS["paper"], learn_start=1),
}


def steps_per_second(config: Config) -> dict[str, float]:
    """Environment steps a second on each device."""
    envs = task_envs("navigation1", shape_of(config))
    return speeds(envs, {device: change(config, device=device) for device in ("cpu", "cuda")}, seed=SEED, rounds=ROUNDS)


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks.cuda: no CUDA device found; run it on a machine that has one")
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "env_steps_per_second": {},
    }
    for name, config in PLANS.items():
        found["env_steps_per_second"][name] = {**steps_per_second(config), "measured": measured("python -m benchmarks.cuda", SEED)}
        print(name, found["env_steps_per_second"][name], flush=True)
    write_text(ROOT / "benchmarks" / "results" / "cuda.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
