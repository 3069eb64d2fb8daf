"""One Minecraft as a ``gymnasium.Env``."""

from __future__ import annotations

from envs.minerl.vector import MineRLVectorEnv
from envs.single import SingleEnv


class MineRLEnv(SingleEnv):
    """Minecraft playing one task file, with the spaces, rewards and infos of :class:`envs.voxel.env.VoxelEnv`.

    Where Minecraft fails, the step returns the last observation again, reward 0, ``truncated`` and ``info["lost"]``: it is no
    transition. ``reset`` waits for a Minecraft that works, and raises :class:`envs.minerl.settings.MineRLError` if there is none.

    Args:
        task, size, address, settings, pool: see :class:`envs.minerl.vector.MineRLVectorEnv`.
    """

    VECTOR = MineRLVectorEnv
