"""One Luanti world as a ``gymnasium.Env``."""

from __future__ import annotations

from envs.luanti.vector import LuantiPlainVectorEnv, LuantiVectorEnv
from envs.voxel.env import VoxelEnv


class LuantiEnv(VoxelEnv):
    """A room of :class:`envs.voxel.env.VoxelEnv`, with the same spaces, rewards and ends, played and drawn by Luanti.

    Needs Debian's packages minetest and xvfb. Raises :class:`envs.luanti.programs.LuantiError` where they are missing.
    """

    VECTOR = LuantiVectorEnv


class LuantiPlainEnv(LuantiEnv):
    """The same without shaders: see :class:`envs.luanti.vector.LuantiPlainVectorEnv`."""

    VECTOR = LuantiPlainVectorEnv
