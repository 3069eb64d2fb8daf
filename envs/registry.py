"""interim"""
from __future__ import annotations
from dataclasses import dataclass, field
from typing import Any
import gymnasium as gym

@dataclass(frozen=True)
class NoOptions:
    pass

@dataclass(frozen=True)
class World:
    name: str
    about: str
    env_id: str
    options: type = NoOptions
    plays_sequences: bool = True
    can_play_twice: bool = True
    def check(self, task: Any) -> None: ...
    def make(self, task: Any, num_envs: int, size: int, options: Any = None) -> Any:
        return gym.make_vec(self.env_id, num_envs=num_envs, task=task, size=size)
    def make_single(self, task: Any, size: int, options: Any = None, render_mode: Any = None) -> Any:
        return gym.make(self.env_id, task=task, size=size)
    def limit(self, num_envs: int, options: Any = None) -> int: return num_envs
    def doctor(self, options: Any = None, start: bool = False) -> Any: return iter(())

WORLDS = {w.name: w for w in (World("voxel", "the embedded voxel world", "envs:Voxel/Task-v0"), World("luanti", "Luanti", "envs:Luanti/Task-v0"))}
def close_all() -> None: ...
