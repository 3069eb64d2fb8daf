"""Does the table of cues find a cue that was planted? ``python -m benchmarks.planted_cue``.

In ``rooms/planted/cue.toml`` the goal's wall wears one texture while training. Five seeds learn it; of each, `h-dqn explain` ranks
the cues that the task is not about. Then the same agents play rooms in which that wall has other textures. What is done is kept in
runs/planted_cue. Writes benchmarks/results/planted_cue.json.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

import h_dqn
from benchmarks.kept import kept
from benchmarks.provenance import ROOT, measured
from envs.task_file import load_task
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.evaluate import evaluate_agent
from h_dqn.experiment.explain import ExplainConfig, explain_agent
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.worlds import task_envs
from h_dqn.files import write_text
from h_dqn.report import plain

ROOM = ROOT / "benchmarks" / "rooms" / "planted" / "cue.toml"
RUNS = ROOT / "runs" / "planted_cue"
CUE, STEPS, EPISODES = "brick", 150_000, 200
ELSEWHERE = {"vary": {"textures": {CUE: ["sandstone", "cobble", "slate", "wood"]}}}  # a change of the room


def of(seed: int) -> dict[str, Any]:
    """One seed, from training to the table."""
    folder = RUNS / f"s{seed}"
    if RunFolder(folder).result is None:
        if RunFolder(folder).begun:
            Run.resume(folder).learn()
        else:
            h_dqn.train_flat(ROOM, seed=seed, env_steps=STEPS, episodes=EPISODES, runs=RUNS, name=folder.name)
    agent = load_agent(folder)
    room = agent.envs(ROOM)
    data = plain(explain_agent(agent, room, ExplainConfig(EPISODES, points=1, saliency=0, alarm_episodes=0)).data)
    outcome = evaluate_agent(agent, task_envs(load_task(ROOM, ELSEWHERE), agent.shape), EPISODES, 90001)
    return {
        "success": data["success"][0],
        "success_elsewhere": outcome.success_rate,
        "causes": data["causes"],
        "measured": measured("python -m benchmarks.planted_cue", seed, temperature=agent.head.temperature),
    }


def first_cue(causes: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first two cues that the task is not about."""
    first, second = [one for one in causes if not one["matters"]][:2]
    return first, second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    found = {}
    for seed in range(1, parser.parse_args().seeds + 1):
        found[str(seed)] = kept(RUNS / f"s{seed}.json", partial(of, seed))
        first, second = first_cue(found[str(seed)]["causes"])
        print(f"seed {seed}: {first['cause']} {first['shift']:.1%}, then {second['cause']} {second['shift']:.1%}", flush=True)
        write_text(ROOT / "benchmarks" / "results" / "planted_cue.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
