"""N Luanti worlds as one ``gymnasium.vector.VectorEnv``."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.luanti.compile import SLOTS, Compiler
from envs.luanti.engine import ATTEMPTS, Engine, EngineDied
from envs.luanti.programs import LuantiError
from envs.task import FOV, TaskSpec
from envs.vector import Observation
from envs.voxel.rules import DRAW, SKIP
from envs.voxel.vector import VoxelVectorEnv

CORES = 2  # that one engine keeps busy, all but half of one


class LuantiVectorEnv(VoxelVectorEnv):
    """N worlds of one task, played and drawn by Luanti.

    Episodes, observations, actions, rewards and ``info`` are those of :class:`envs.voxel.vector.VoxelVectorEnv`: the same seed
    draws the same episode. Rules, rewards and ends are the engine's; ``worlds`` only repeats what it answers.

    An engine plays many worlds in turn, each in a room of its own. One that dies is started anew and given the worlds as they were
    before the action that it did not answer, so that no transition is lost or invented.

    Args:
        num_envs, task, size, fov: see :class:`envs.voxel.vector.VoxelVectorEnv`; rooms of at most 32 by 32 cells, 14 blocks high.
        engines: how many; default: one for each two processors, but no more than worlds.

    Raises :class:`envs.luanti.programs.LuantiError` where Luanti is missing, cannot be started or does not stay alive.
    """

    PLAIN = False

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Path | TaskSpec = "navigation1",
        size: int | tuple[int, int] = 84,
        fov: float = FOV,
        render_mode: str | None = None,
        engines: int | None = None,
    ) -> None:
        super().__init__(num_envs, task, size, fov, render_mode)
        self._compiler = Compiler(self.spec_task, self.size, fov, self.PLAIN)
        count = engines or max(1, (os.cpu_count() or 1) // CORES, -(-num_envs // SLOTS))
        if num_envs > count * SLOTS:
            raise ValueError(f"{num_envs} worlds are more than {count} engines hold; each holds {SLOTS}")
        self.engines: list[Engine] = []
        self._threads = ThreadPoolExecutor(count)  # which starts none before it has work
        try:
            for _ in range(min(count, num_envs)):
                self.engines.append(Engine(self._compiler))
        except BaseException:
            self.close()
            raise
        self._built = np.zeros(num_envs, bool)  # whether the engine has the world as ``worlds`` has it
        self._reward, self._truncated = np.zeros(num_envs), np.zeros(num_envs, bool)
        self._invalid, self._success = np.zeros(num_envs, bool), np.zeros(num_envs, bool)

    def step(self, actions: NDArray[np.int64]) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One action a world. A step limit truncates; reaching the goal terminates, also on the last step."""
        observation, info = self._advance(self._valid(actions))
        return observation, self._reward.copy(), info["success"].copy(), self._truncated.copy(), info

    def _advance(self, actions: NDArray[np.int64]) -> tuple[Observation, dict[str, Any]]:
        seen, self._pov = self._pov, self._pov.copy()  # what was handed out stays as it was
        before = self.worlds.state_dict()
        try:
            self._play_all(actions)
        except BaseException:  # all worlds have taken the step, or none
            self.worlds.load_state_dict(before)
            self._pov = seen
            self._forget()
            raise
        return self._observe(), {**self._info(self._invalid.copy()), "success": self._success.copy()}

    def _play_all(self, actions: NDArray[np.int64]) -> None:
        self._invalid[:] = False
        for n in np.flatnonzero(actions == DRAW):
            self._built[n] = False
            self.worlds.tint[n] = self._compiler.nearest_tint(self.worlds.tint[n])
        if len(self.engines) == 1:
            self._play(0, actions)
        else:
            running = [self._threads.submit(self._play, number, actions) for number in range(len(self.engines))]
            wait(running)
            for engine in running:
                engine.result()

    def _play(self, number: int, actions: NDArray[np.int64]) -> None:
        """The part of one engine: world n has the slot n // engines of the engine n % engines."""
        engine = self.engines[number]
        todo = [n for n in range(number, self.num_envs, len(self.engines)) if actions[n] != SKIP]
        deaths = 0
        while todo:
            try:
                with engine.awake():
                    while todo:
                        self._play_one(engine, todo[0], int(actions[todo[0]]))
                        todo.pop(0)
            except EngineDied as error:
                deaths += 1
                if deaths == ATTEMPTS:
                    raise LuantiError(f"Luanti died {deaths} times in one step: {error}") from error
                self._built[number :: len(self.engines)] = False
                engine.start()

    def _play_one(self, engine: Engine, n: int, action: int) -> None:
        slot = n // len(self.engines)
        if not self._built[n]:
            picture, words = engine.build(slot, self._compiler.world(self.worlds, n))
            self._built[n] = True
        if action != DRAW:
            picture, words = engine.act(slot, action)
        try:
            self._take(n, words)
        except (ValueError, LookupError, OverflowError) as error:
            raise EngineDied("it answered what is no answer") from error
        self._pov[n] = picture

    def _take(self, n: int, words: list[str]) -> None:
        """Write an engine's answer into the arrays; its parts are listed in the server's mod, init.lua."""
        worlds, numbers = self.worlds, self.worlds.rules.item_numbers
        self._reward[n] = float(words[0])
        values = [int(word) for word in words[1:]]
        _, self._truncated[n], self._invalid[n], self._success[n], worlds.sent_back[n] = values[:5]
        worlds.subgoal[n], worlds.steps[n] = values[5:7]
        worlds.pose[n] = values[7:10]
        worlds.inventory[n, numbers] = values[10 : 10 + len(numbers)]
        if edit := values[10 + len(numbers) :]:
            cell = divmod(edit[0], self.spec_task.shape[1])
            worlds.floor[n][cell], worlds.items[n][cell] = edit[1:3]
            worlds.blocks[n][cell] = edit[3:]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._forget()

    def _forget(self) -> None:
        """The engines' worlds are no longer those of the arrays, and must be built anew."""
        self._built[:] = False
        self._success = self.worlds.success

    def close_extras(self, **_: Any) -> None:
        """End the engines; nothing of them is left."""
        for engine in self.engines:
            engine.stop()
        self.engines = []
        self._threads.shutdown()


class LuantiPlainVectorEnv(LuantiVectorEnv):
    """The same rules and textures as Luanti draws them by itself, without our shader.

    Sides are shaded and distance darkens about as in the embedded world, but no line is drawn round the cell ahead, textures are
    turned on some sides, and a curtain's inside can be seen: near the embedded world's picture, yet not the same.
    """

    PLAIN = True
