"""Luanti (Debian's minetest 5.6.1): the same tasks in a real voxel engine, one exact frame a step."""
