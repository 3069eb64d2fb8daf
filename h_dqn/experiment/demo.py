"""The whole idea in a few minutes: learn a skill, keep it, solve a task with it, beside an agent that has no skills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from h_dqn.checkpoint import write_text
from h_dqn.config import change
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.evaluate import film
from h_dqn.experiment.plots import learning_curve
from h_dqn.experiment.run import Plan, Run
from h_dqn.experiment.training import preset as named_preset
from h_dqn.experiment.watch import Watcher
from h_dqn.metrics import read_metrics

SKILL, TASK = "navigation1", "two_rooms"
STEPS = {"skill": 300_000, "controller": 400_000, "flat": 400_000}  # enough for one room, and for two with the skill


def demo(
    folder: Path,
    seed: int = 1,
    preset: str = "fast",
    episodes: int = 500,
    library: str = "skills",
    watcher: Watcher | None = None,
) -> dict[str, dict[str, Any]]:
    """Learn the skill navigation1, then two_rooms with it, then two_rooms without it for as many environment steps.

    Args:
        folder: where everything is written, a film and a picture of the learning curves too; must not exist.
        seed: decides everything random.
        preset: settings.
        episodes: unseen episodes of each evaluation.
        library: where the skill is kept.
        watcher: is told how it goes on.
    Returns: the result of each of the three runs.
    """
    parts: dict[str, tuple[str, str, tuple[str, ...]]] = {
        SKILL: ("skill", SKILL, ()),
        "controller": ("controller", TASK, (SKILL,)),
        "flat": ("flat", TASK, ()),
    }
    settings, results = named_preset(preset), {}
    for part, (kind, task, skills) in parts.items():
        config = change(settings, env_steps=min(STEPS[kind], settings.env_steps))
        start = SKILL if skills else None  # the controller sees with the skill's layers from the beginning
        run = Run(Plan(kind, task, config, preset, seed, episodes, skills, start, library), folder / part)
        results[part] = run.learn(watcher)
        if part == "controller":
            film(load_agent(folder / part), run.envs, folder / "controller.mp4", seed)
    learning_curve(
        {f"{TASK}, primitives and {SKILL}": folder / "controller", f"{TASK}, primitives only": folder / "flat"},
        folder / "curve.png",
        title="the same learner, with and without a skill",
    )
    rows = [{"run": part, **row} for part in parts for row in read_metrics(folder / part)]
    write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write_text(folder / "result.json", json.dumps(results, indent=2) + "\n")
    return results
