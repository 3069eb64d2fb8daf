"""N Minecrafts as one ``gymnasium.vector.VectorEnv`` with the observations, rewards and infos of the embedded worlds.

The rules are those of ``envs.voxel.rules``, kept beside Minecraft: they know what was drawn and what has been taken since. An
action changes them only as far as Minecraft's observations confirm it, and the pose is always the one that Minecraft reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.minerl.drawing import check_task, draw, item_types, yaw_of
from envs.minerl.instance import GIVEN_UP, PLAYING, Instance, Reply
from envs.minerl.pool import Pool, wait
from envs.minerl.settings import Settings, read_addresses
from envs.task import HEADINGS, TaskSpec
from envs.vector import Observation, WorldsVectorEnv
from envs.voxel.rules import BREAK, FORWARD, PICK_UP, PLACE, advance_goal, apply_action, cell_ahead, held_item


class MineRLVectorEnv(WorldsVectorEnv):
    """N Minecrafts that play one task.

    Spaces, rewards and ends are those of :class:`envs.voxel.vector.VoxelVectorEnv`, and so is ``info``, which has besides:

    ``lost`` (N,) bool
        Minecraft failed: what this world returned is no transition. Its observation is a repetition, its reward 0; its episode is
        truncated. After a reset it says that the world has no Minecraft yet; reset it again after the next step.
    ``ticks`` (N,) int
        Minecraft's ticks that the transition took (after a reset: 0).
    ``reason`` (N,) object
        What failed, as text; empty where nothing did, and missing where nothing did in any world.

    No call waits for a Minecraft that has failed, unless none is left that works. If all are beyond repair,
    :class:`envs.minerl.settings.MineRLError` is raised.

    Args:
        num_envs: number of Minecrafts.
        task: a task's name, the path of a task file, or a :class:`TaskSpec`.
        size: pixels of a picture, (height, width) or one number for a square.
        address: ``host:port`` of the Minecraft that runs already, or of several.
        settings: how Minecrafts are found or started, and supervised.
        pool: Minecrafts shared with other environments, instead of ``settings``. One that begins another's episode ends ours.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        address: str | Sequence[str] = (),
        settings: Settings | None = None,
        pool: Pool | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, task, size, render_mode)
        check_task(self.spec_task)
        self._types = item_types(self.spec_task)
        settings = settings or Settings()
        if address:
            settings = replace(settings, addresses=read_addresses([address] if isinstance(address, str) else address))
        self._own_pool = Pool(num_envs, settings) if pool is None else None
        self.pool = pool or self._own_pool
        assert self.pool is not None
        self.instances = self.pool.instances[:num_envs]
        self._seeds: list[int | None] = [None] * num_envs
        self._begun = np.zeros(num_envs, bool)  # the first observation of its episode was handed out, the episode is not over
        self._waiting = np.zeros(num_envs, bool)  # an episode was drawn and Minecraft asked to begin it

    # --- Gymnasium ---

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start new episodes. ``seed`` s gives world i the seed s + i; a list gives each its own; None goes on drawing."""
        mask, seeds = self._reset_arguments(seed, options)
        for n in np.flatnonzero(mask).tolist():
            mine = self.instances[n].owner == (id(self), n) and self._waiting[n]
            if not (mine and seeds[n] == self._seeds[n]):  # else this very episode is about to begin
                self._begin(n, seeds[n])
        self._ready |= mask
        expected = [n for n in np.flatnonzero(mask).tolist() if self.instances[n].healthy]
        wait(self.instances, lambda: all(self._plays(n) or not self.instances[n].healthy for n in expected))
        if not any(self._plays(n) for n in range(self.num_envs)):
            wait(self.instances, lambda: any(self._plays(n) for n in range(self.num_envs)))
        env_failed = np.zeros(self.num_envs, bool)
        self._pov = self._pov.copy()
        for n in np.flatnonzero(mask).tolist():
            self._begun[n] = self._plays(n)
            self._waiting[n] = env_failed[n] = not self._begun[n]
            if self._begun[n]:
                reply = self._reply(n)
                self._pov[n] = reply.pov
                self._see_pose(n, reply)
                advance_goal(self.worlds.state, n, self.worlds.rules)
        return self._observe(), self._full_info(env_failed, np.zeros(self.num_envs, bool), np.zeros(self.num_envs, np.int64))

    def step(self, actions: NDArray[np.int64]) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One action a world. A step limit truncates; reaching the goal terminates, also on the last step."""
        actions = self._valid(actions)
        acting = [n for n in range(self.num_envs) if self._begun[n] and self._plays(n)]
        codes = self.worlds.rules.actions[actions]
        for n in acting:
            self.instances[n].act(self._request(n, int(codes[n])))
        if acting:
            wait(self.instances, lambda: not any(self.instances[n].busy and self._mine(n) and self._begun[n] for n in acting))
        env_failed, invalid = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        ticks = np.zeros(self.num_envs, np.int64)
        self._pov = self._pov.copy()  # what was handed out stays as it was
        for n in acting:
            if self._plays(n) and self.instances[n].reply is not None:
                reply = self._reply(n)
                env_failed[n], ticks[n], self._pov[n] = False, reply.ticks, reply.pov
                invalid[n] = not self._carry_out(n, int(codes[n]), reply)
        success = self.worlds.success & ~env_failed
        reward = np.where(env_failed, 0.0, self.worlds.reward(success))
        truncated = env_failed | ((self.worlds.steps >= self.worlds.limit) & ~success)
        self._begun &= ~(success | truncated)
        return self._observe(), reward, success, truncated, self._full_info(env_failed, invalid, ticks)

    def close_extras(self, **kwargs: Any) -> None:
        if self._own_pool is not None:
            self._own_pool.close()

    def state_dict(self) -> dict[str, Any]:
        """The random generators, which decide the episodes to come. The running ones cannot be saved."""
        return {"generators": [generator.bit_generator.state for generator in self._generators], "pov": self._pov.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on drawing episodes where they left off; the running ones are lost."""
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved
        self._pov = state["pov"].copy()
        self._ready[:], self._begun[:], self._waiting[:] = True, False, False

    # --- episodes ---

    def _begin(self, n: int, seed: int | None) -> None:
        self._seeds[n] = seed
        if seed is not None:
            self._generators[n] = np.random.default_rng(seed)
        episode = self.worlds.reset(n, self._generators[n])
        mission = draw(self.spec_task, episode, self.size)
        self._waiting[n], self._begun[n] = True, False
        self.instances[n].begin(mission, (id(self), n))

    def _mine(self, n: int) -> bool:
        return self.instances[n].owner == (id(self), n)

    def _plays(self, n: int) -> bool:
        return self._mine(n) and self.instances[n].state == PLAYING and (self._begun[n] or self._waiting[n])

    def _reply(self, n: int) -> Reply:
        reply = self.instances[n].reply
        assert reply is not None
        return reply

    # --- rules ---

    def _request(self, n: int, code: int) -> list[Any]:
        """What the worker is to do. An action that the rules say has no effect is one tick of waiting."""
        worlds, rules = self.worlds, self.worlds.rules
        x, z, heading = worlds.pose[n].tolist()
        outcome = worlds.state.copy_of(n)
        if not apply_action(code, outcome, 0, rules):
            return ["wait"]
        ahead_x, ahead_z = cell_ahead(x, z, heading)
        home, axis = yaw_of(heading), yaw_of((heading + 1) // 3 * 3)
        column = worlds.blocks[n, ahead_z, ahead_x]
        if code == FORWARD:
            return ["forward", ahead_x, ahead_z, axis, home]
        if code == BREAK:
            material = column[1] or column[0]
            levels = [level for level in (1, 0) if column[level] == material]
            return ["smash", ahead_x, ahead_z, levels, axis, home]
        if code == PICK_UP:
            item = worlds.items[n, ahead_z, ahead_x]
            blocked = rules.solid[column[0]] or rules.solid[column[1]]
            if item and not blocked:
                x, z = ahead_x, ahead_z
            item = int(worlds.items[n, z, x])
            return ["collect", x, z, self._type(item), int(worlds.inventory[n, item]) + 1, axis, home]
        if code == PLACE:
            return ["place", ahead_x, ahead_z, self._type(int(held_item(worlds.inventory[n]))), axis, home]
        return ["turn", yaw_of(int(outcome.pose[0, 2]))]

    def _type(self, item: int) -> str:
        return self._types[self.spec_task.material_names[item]]

    def _carry_out(self, n: int, code: int, reply: Reply) -> bool:
        """Change the rules' state as Minecraft did; returns whether the action had an effect."""
        worlds = self.worlds
        before = worlds.pose[n].copy()
        effect = bool(reply.did) and apply_action(code, worlds.state, n, worlds.rules)
        worlds.steps[n] += 1
        self._see_pose(n, reply)
        advance_goal(worlds.state, n, worlds.rules)
        if code in (BREAK, PICK_UP, PLACE):
            return bool(effect)
        return bool((worlds.pose[n] != before).any())

    def _see_pose(self, n: int, reply: Reply) -> None:
        x, _, z, yaw, _ = reply.pose
        depth, width, _ = self.spec_task.shape
        heading = round((yaw - 180) / (360 / HEADINGS)) % HEADINGS
        self.worlds.pose[n] = min(max(0, int(np.floor(x))), width - 1), min(max(0, int(np.floor(z))), depth - 1), heading

    # --- what is handed out ---

    def _full_info(self, env_failed: NDArray[np.bool_], invalid: NDArray[np.bool_], ticks: NDArray[np.int64]) -> dict[str, Any]:
        reasons = [self._reason(self.instances[n]) if env_failed[n] else "" for n in range(self.num_envs)]
        reason = {"reason": np.array(reasons, object)} if env_failed.any() else {}
        success = self.worlds.success & ~env_failed
        return {**self._info(invalid), "success": success, "lost": env_failed, "ticks": ticks, **reason}

    @staticmethod
    def _reason(instance: Instance) -> str:
        return instance.reason or ("has been given up" if instance.state == GIVEN_UP else f"{instance.name}: plays for another")
