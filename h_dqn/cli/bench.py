"""``h-dqn bench``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import tyro

from h_dqn.cli.flags import JsonFlags, Switch
from h_dqn.cli.output import emit, readable, show, words
from h_dqn.cli.presets import Preset
from h_dqn.cli.world import WorldFlags


@dataclass
class Bench(JsonFlags, WorldFlags):
    """Measure speed, as a ratio to a peer in the same run.

    world: frames per second of the embedded world, against MiniWorld, and how the speed scales. A frame is one step of one
    world with its 84x84 RGB picture; resets are counted in. The peer needs the extra `bench` and OpenGL (libgl1, libegl1).

    steps: steps per second of any --world, and the ratio to a plain Python loop.

    skills: weights and time of a decision with 4, 16 and 64 skills, as an array of networks and as heads of one.

    switches: environment steps a second of learning --task with --eliminate, --tune-discount, both and neither.

    train: environment steps, seconds and processor seconds to the success --goal on --task, held over the next two
    validations, of ours and of the PPO and the DQN of Stable-Baselines3 (extra `bench`) on the same pictures. With
    --profile: where the time of ours goes, by part, beside what this machine can do.
    """

    what: tyro.conf.Positional[Literal["world", "steps", "train", "switches", "skills"]]
    """what to measure"""
    seed: int = 1
    """steps, train, switches: decides everything random"""
    task: str = "navigation1"
    """train, switches: a task's name or the path of a task file"""
    preset: Preset = "fast"
    goal: float = 0.85
    """train: share of successful episodes; rooms that are drawn at random allow less than rooms of one map"""
    limit_s: float = 600.0
    """train: seconds of processor time after which a learner is given up"""
    peer_stack: int = 2
    """train: frames that a peer sees at once, as it has no core that remembers; ours sees what the preset says"""
    profile: Switch = False
    """train: no race, but where the time of ours goes"""

    def run(self) -> None:
        result = self._measure()
        if self.json:
            emit(result, True)
            return
        if "scaling" in result:
            _show_scaling(result["scaling"])
        elif "rows" in result:
            header = list(result["rows"][0])
            show([*map(words, header)], [[readable(row[key]) for key in header] for row in result["rows"]])
        emit({key: value for key, value in result.items() if key not in ("scaling", "rows", "validations", "settings")}, False)

    def _learning(self) -> dict[str, Any]:
        from h_dqn.experiment.training import preset

        config = preset(self.preset)
        if self.what == "switches":
            from h_dqn.experiment.bench.switches import switches_cost

            return switches_cost(config, self.task, self.seed)
        if self.profile:
            from h_dqn.experiment.bench.profile import profile

            return profile(config, self.task, self.seed)
        from h_dqn.experiment.bench.train import compare

        return compare(config, self.task, self.seed, self.goal, self.limit_s, self.peer_stack)

    def _measure(self) -> dict[str, Any]:
        if self.what in ("train", "switches"):
            return self._learning()
        if self.what == "skills":
            from h_dqn.experiment.bench.skills import skills_cost

            return skills_cost()
        if self.what == "steps":
            from h_dqn.experiment.bench.steps import steps_speed

            return steps_speed(self.place, self.seed)
        from h_dqn.experiment.bench.world import world_speed

        return world_speed()


def _show_scaling(rows: list[dict[str, Any]]) -> None:
    """Frames per second by number of worlds and size of the picture."""
    sizes = sorted({row["size"] for row in rows})
    speed = {(row["worlds"], row["size"]): row["frames_per_second"] for row in rows}
    table = [[str(n), *(f"{speed[n, size]:,.0f}" for size in sizes)] for n in sorted({row["worlds"] for row in rows})]
    show(["worlds", *(f"frames/s, {size} px" for size in sizes)], table)
