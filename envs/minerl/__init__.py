"""The same tasks in Minecraft, through MineRL 0.4.4. Only the worker process imports ``minerl`` itself."""
