"""What `h-dqn explain` finds out of skills and controllers: ``python -m benchmarks.explained``.

Of the five skills and the two controllers that ``make reproduce`` trained with this seed (navigation1 is the shipped one where it
was not trained), as far as they are there: how well the model over clusters agrees with the network, whether a window of steps
helps, whether clusters change where something happens, which cue shifts the choice most, and whether an alarm that 300 episodes
were enough for foretells failure in 1,000 fresh ones, and helps. Each is kept in runs/explained as soon as it is measured. Writes
benchmarks/results/explained.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.kept import kept
from benchmarks.provenance import ROOT, measured
from h_dqn.experiment.agent import AGENT, Agent, agent_of, load_agent
from h_dqn.experiment.explain import ExplainConfig, explain_agent
from h_dqn.files import write_text
from h_dqn.report import plain
from skills_library.library import Library
from skills_library.policy import is_policy

SKILLS = ("navigation1", "navigation2", "pickup", "break", "placement")
CONTROLLERS = {"two_rooms": "two_rooms.h-drln", "three_rooms": "three_rooms.array"}
KEPT = ROOT / "runs" / "explained"
RESULTS = ROOT / "benchmarks" / "results" / "explained.json"
FRESH = 1000  # episodes on which the alarm is tried
COMMAND = "python -m benchmarks.explained"


def there(runs: Path) -> dict[str, Agent]:
    """The agents that were trained, by name."""
    library = Library(runs / "skills")
    found = {name: agent_of(library.skill(name)) for name in SKILLS if name in library.names()}
    return found | {name: load_agent(runs / run) for name, run in CONTROLLERS.items() if is_policy(runs / run / AGENT)}


def of(agent: Agent, seed: int) -> dict[str, Any]:
    """What is told of one agent."""
    data: dict[str, Any] = plain(explain_agent(agent, agent.envs(), ExplainConfig(points=1, saliency=0, alarm_episodes=FRESH)).data)
    parts = ("success", "episodes", "chosen", "criteria", "stability", "causes", "alarm")
    subgoals = {key: value for key, value in data["subgoals"].items() if key != "candidates"}
    tasks = {one["says"]: one["problem"] or one["name"] for one in data["subgoals"]["candidates"]}
    found = {**{part: data.get(part) for part in parts}, "subgoals": subgoals, "candidates": tasks}
    return {**found, "measured": measured(COMMAND, seed, temperature=agent.head.temperature)}


def windows_that_help(criteria: list[dict[str, Any]]) -> tuple[int, int]:
    """Of how many K some window has both lower entropy and better held-out likelihood than none; and how many K there are."""
    none = {one["k"]: one for one in criteria if not one["window"]}
    helped = {one["k"] for one in criteria if one["window"] and one["k"] in none
              and one["entropy"] < none[one["k"]]["entropy"] and one["likelihood"] > none[one["k"]]["likelihood"]}  # fmt: skip
    return len(helped), len(none)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the training runs")
    parser.add_argument("--runs", type=Path, help="where make reproduce kept them (default: runs/reproduce/sSEED)")
    arguments = parser.parse_args()
    runs = arguments.runs or ROOT / "runs" / "reproduce" / f"s{arguments.seed}"
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, agent in there(runs).items():
        print(name, flush=True)
        found[name] = kept(KEPT / f"{name}.json", lambda agent=agent: of(agent, arguments.seed))  # type: ignore[misc]
        write_text(RESULTS, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
