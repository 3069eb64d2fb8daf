"""What skills are worth on three_rooms, beside flat agents that may take as long: ``python -m benchmarks.flat``.

Each flat agent is the learner of the controller with primitive actions alone, and has all the environment steps that the controller
*and* its four skills took (both from results/paper.json), so that nobody got anything for nothing:

    nothing              it begins from nothing
    layers               it begins from the layers of the skill navigation2
    falling epsilon      exploration falls with time, whether it succeeds or not
    one network          it learns the four skills' tasks first, one after another, as long as the skills did
    reward at stages     each stage that is reached pays STAGE, which neither controller nor other agents get

Writes benchmarks/results/flat.json: arm -> by seed, success of the best weights on unseen episodes and steps to 95 % in validation,
at which it ends. Runs that are done are kept in runs/flat, so that the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from benchmarks.kept import kept
from benchmarks.provenance import ROOT, measured
from benchmarks.reproduce import RUNS, processes
from benchmarks.tables import results
from envs.task_file import load_task
from h_dqn.config import Config, change
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.files import write_text
from h_dqn.presets import PRESETS
from h_dqn.train import MakeEnvs, Trainer
from skills_library.library import Library

TASK, SKILLS = "three_rooms", ("navigation2", "pickup", "break", "placement")
KEPT = ROOT / "runs" / "flat"
STAGE = 10.0  # as much as ten steps cost
EPISODES = 1000
ARMS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "layers": {},
    "falling epsilon": {"epsilon_waits": False, "epsilon_decisions": 1_000_000},
    "one network": {},
    "reward at stages": {},
}


class StageReward(VectorWrapper[Any, Any, Any]):
    """Pays STAGE for each step that reaches a stage of the goal."""

    def step(self, actions: Any) -> Any:
        worlds = self.env.unwrapped.worlds  # type: ignore[attr-defined]
        before = worlds.subgoal.copy()
        obs, reward, terminated, truncated, info = self.env.step(actions)
        return obs, reward + STAGE * np.maximum(worlds.subgoal - before, 0), terminated, truncated, info


def budget() -> tuple[dict[str, int], int]:
    """Environment steps of each skill, and of the controller, as they were trained for the paper's table."""
    paper = results.figures("paper")

    def steps(arm: dict[str, Any]) -> int:
        return int(next(iter(arm["runs"].values()))["env_steps"])

    return {skill: steps(paper["skills"][skill]) for skill in SKILLS}, steps(paper[TASK]["array"])


def run(arm: str, seed: int) -> dict[str, Any]:
    """One run, unless it is kept."""
    return kept(KEPT / f"{arm.replace(' ', '-')}-s{seed}.json", partial(learn, arm, seed))


def learn(arm: str, seed: int) -> dict[str, Any]:
    """One run."""
    skills, controller = budget()
    total = sum(skills.values()) + controller
    config: Config = change(PRESETS["long"], until=0.95, env_steps=total, **ARMS[arm])
    shape, spec = shape_of(config), load_task(TASK)
    envs = TaskEnvs(spec, shape)

    def staged(num_envs: int) -> VectorEnv[Any, Any, Any]:
        return StageReward(envs(num_envs))

    phases: list[MakeEnvs] = [staged if arm == "reward at stages" else envs]
    ends = [total]
    if arm == "one network":
        phases = [*(TaskEnvs(load_task(skill, {"actions": list(spec.actions)}), shape) for skill in SKILLS), envs]
        ends = list(accumulate([*skills.values(), controller]))
    trainer = Trainer(phases[0], envs.primitives(), config, seed, list(zip(ends, phases[1:], strict=False)))
    if arm == "layers":
        skill = Library(RUNS / f"s{seed}" / "skills").skill("navigation2")
        trainer.learner.warm_start(list(spec.actions), skill.policy.network, ())
    for _ in trainer.run():
        pass
    trainer.use_best()
    return {
        "success_rate": trainer.evaluate(EPISODES, seed).success_rate,
        "env_steps_to_95": trainer.reached_95 and trainer.reached_95[0],
        "env_steps": trainer.env_steps,
        "seconds": trainer.seconds,
        "measured": measured("python -m benchmarks.flat", seed, temperature=config.learner.temperature),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(1, parser.parse_args().seeds + 1)
    path, summary = ROOT / "benchmarks" / "results" / "flat.json", dict[str, Any]()
    with processes() as pool:
        done = {(arm, seed): pool.submit(run, arm, seed) for seed in seeds for arm in ARMS}
        for (arm, seed), one in done.items():
            entry = summary.setdefault(arm, {"per_seed": {}, "runs": {}})
            entry["runs"][str(seed)] = one.result()
            entry["per_seed"][str(seed)] = one.result()["success_rate"]
            write_text(path, json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
