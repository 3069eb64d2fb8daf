"""``h-dqn bench`` and ``h-dqn doctor``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import tyro
from rich.markup import escape
from rich.table import Table

from h_dqn.cli.flags import JsonFlags, WorldFlags
from h_dqn.cli.output import err, out


@dataclass
class Bench(JsonFlags, WorldFlags):
    """Speed, as a ratio to a peer measured in the same run.

    world: frames per second of the embedded world, against MiniWorld in the same run, and how the speed scales.
    A frame is one step of one world with its 84x84 RGB picture; resets are counted in. The peer needs the extra `bench`
    and OpenGL (libgl1, libegl1).
    steps: steps per second of any --world, and the ratio to a plain Python loop.
    skills: weights and time of a decision with 4, 16 and 64 skills, as an array of networks and as heads of one.
    train: seconds to 95 % success on navigation1, against the DQN of Stable-Baselines3 (extra `bench`) on the same observations;
    and environment steps a second with --eliminate, --tune-discount, both and neither.
    """

    what: tyro.conf.Positional[Literal["world", "steps", "train", "skills"]]
    """what to measure"""
    seed: int = 1
    """train, steps: decides everything random"""
    limit_s: float = 1800.0
    """train: seconds after which the peer is given up"""

    def run(self) -> None:
        result = self._measure()
        if self.json:
            print(json.dumps(result))
        elif "scaling" in result:
            _show_world(result)
        else:
            print("\n".join(f"{key}: {value}" for key, value in result.items()))

    def _measure(self) -> dict[str, Any]:
        if self.what == "train":
            from h_dqn.experiment.bench.train import compare

            return compare(self.seed, self.limit_s)
        if self.what == "skills":
            from h_dqn.experiment.bench.skills import skills_cost

            return skills_cost()
        if self.what == "steps":
            from h_dqn.experiment.bench.steps import steps_speed

            return steps_speed(self.place, self.seed)
        from h_dqn.experiment.bench.world import world_speed

        return world_speed()


def _show_world(result: dict[str, Any]) -> None:
    sizes = sorted({row["size"] for row in result["scaling"]})
    table = Table("worlds", *(f"{size} px" for size in sizes), title="frames per second")
    for n in sorted({row["worlds"] for row in result["scaling"]}):
        table.add_row(str(n), *(f"{row['frames_per_second']:,.0f}" for row in result["scaling"] if row["worlds"] == n))
    err.print(table)
    rays, bound = result["rays_per_second_per_core"], result["bound_rays_per_second_per_core"]
    err.print(f"rays per second and core: {rays / 1e6:.0f} million, of {bound / 1e6:.0f} million that this machine "
              f"writes as textured, shaded pixels without looking for what a ray hits ({rays / bound:.0%})")  # fmt: skip
    err.print(f"{result['frames_per_second']:,.0f} frames/s; {result['peer']}: {result['peer_frames_per_second']:,.0f} frames/s; "
              f"ratio {result['ratio']:.1f}")  # fmt: skip


@dataclass
class Doctor(WorldFlags):
    """Say what this machine has and lacks, and what to do about it."""

    def run(self) -> None:
        from h_dqn.experiment.doctor import COLORS, examine

        for verdict, text in examine(self.place):
            out.print(f"[{COLORS[verdict]}]{verdict:>5}[/]  {escape(text)}", soft_wrap=True)
