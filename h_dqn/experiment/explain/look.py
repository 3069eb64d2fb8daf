"""What the embedded world knows of each step and an agent does not: where it is, how far to go, whether the target is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.oracle import UNREACHABLE, distances
from envs.task import HEADINGS
from envs.voxel.vector import VoxelVectorEnv
from envs.voxel.world import Worlds
from h_dqn.experiment.explain.predicates import carried, predicates
from h_dqn.introspection.record import Columns

DARK = 0.5  # of a material's colour, to see where in the picture it is


class Looker:
    """Looks at all worlds of ``envs`` as they are now."""

    def __init__(self, envs: VoxelVectorEnv) -> None:
        self.envs = envs
        self._twin = VoxelVectorEnv(envs.num_envs, envs.spec_task, envs.size)
        self._predicates = predicates(envs.spec_task)

    def __call__(self) -> Columns:
        """Arrays with the world as first axis: ``picture`` (N, H, W, 3), and numbers (N,)."""
        worlds = self.envs.worlds
        counted = {carried(item): worlds.inventory[:, worlds.spec.number(item)].copy() for item in sorted(worlds.spec.carriable)}
        true = {one.says: one.holds(worlds) for one in self._predicates if one.says not in counted}
        return {
            "picture": self.envs.pictures.copy(),
            "x": worlds.pose[:, 0] - 1,
            "z": worlds.pose[:, 1] - 1,
            "heading": worlds.pose[:, 2].copy(),
            "subgoal": worlds.subgoal.copy(),
            "steps left": worlds.limit - worlds.steps,
            "oracle steps": np.array([steps_to_subgoal(worlds, n) for n in range(worlds.n)]),
            "target seen": self._target_seen(),
            **counted,
            **true,
        }

    def _target_seen(self) -> NDArray[np.float32]:
        """(N,) share of the picture that shows what the current subgoal is about: the pixels that change with its colour."""
        twin, worlds = self._twin, self.envs.worlds
        twin.worlds.copy(worlds)
        for n in range(worlds.n):
            twin.worlds.tint[n, target_materials(worlds, n)] *= DARK
        changed = (twin.redraw()["pov"] != self.envs.pictures).any(3)
        return np.asarray(changed.mean((1, 2)), np.float32)


def steps_to_subgoal(worlds: Worlds, n: int) -> float:
    """Actions that the oracle needs to complete the current subgoal of world ``n``; NaN where no way leads there at once."""
    x, z, heading = worlds.pose[n]
    away = int(distances(worlds, n)[0][z, x, heading])
    return float(away) if away < UNREACHABLE else float("nan")


def target_materials(worlds: Worlds, n: int) -> NDArray[Any]:
    """Numbers of the materials that the current subgoal of world ``n`` is about: its places' blocks or floors, and its item."""
    goal = min(int(worlds.subgoal[n]), len(worlds.rules.goal_kind) - 1)
    places = worlds.marks[n] & (1 << goal) != 0
    blocks, floors = worlds.blocks[n, places, 0], worlds.floor[n, places]
    return np.unique(np.r_[np.where(blocks > 0, blocks, floors), worlds.rules.goal_item[goal]])


def facts(truth: Columns, options: list[str], option: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Things that are true or not of each row, by the words of a caption."""
    to_go = np.nan_to_num(truth["oracle steps"], nan=np.inf)
    turned = truth["heading"] * (360 // HEADINGS)
    found = {
        "target in view": truth["target seen"] > 0,
        "target fills the view": truth["target seen"] > 0.15,
        "target out of view": truth["target seen"] == 0,
        "one step to go": to_go == 1,
        "2 to 4 steps to go": (to_go >= 2) & (to_go <= 4),
        "10 steps or more to go": (to_go >= 10) & np.isfinite(to_go),
        "time is short": truth["steps left"] <= 10,
        "faces along an axis": turned % 90 == 0,
        **{name: values > 0 for name, values in truth.items() if name.startswith(carried("")) or values.dtype == bool},
        **{f"subgoal {number + 1}": truth["subgoal"] == number for number in range(int(truth["subgoal"].max()) + 1)},
        **{f"chooses {name}": option == number for number, name in enumerate(options)},
    }
    return {name: values for name, values in found.items() if values.any() and not values.all()}


def caption(facts_R: dict[str, NDArray[np.bool_]], rows_R: NDArray[np.bool_], most: int = 3) -> list[dict[str, Any]]:
    """What is true of these rows more often than of all, by lift; only of what holds in at least 40 % of them."""
    found: list[dict[str, Any]] = []
    for name, values in facts_R.items():
        share, base = float(values[rows_R].mean()), float(values.mean())
        if share >= 0.4 and share > 1.2 * base:
            found.append({"says": name, "share": share, "lift": share / base})
    return sorted(found, key=lambda one: (-one["lift"], one["says"]))[:most]
