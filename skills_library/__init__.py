"""A collection of options on disk, each a folder that explains itself. Built on ``h_dqn``."""
