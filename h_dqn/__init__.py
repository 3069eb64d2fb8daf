"""An agent that learns skills in Minecraft-like worlds and keeps them. What ten lines of Python need is here by name::

    import h_dqn

    run = h_dqn.train_skill("navigation1", preset="fast", seed=1)
    skill = h_dqn.load_agent("navigation1")
    print(h_dqn.evaluate(skill, "navigation1", episodes=500).success_rate)

The modules of the learner's core know ``gymnasium`` and :class:`h_dqn.options.Option`, nothing else; worlds, learner and library
meet in ``h_dqn.experiment`` alone, which is imported when one of the names of ``h_dqn.experiment.api`` is used.
"""

import os
from typing import TYPE_CHECKING, Any

# Before torch: threads that spin for long take the cores of whatever runs beside them; that do not at all, wake up too late.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")

if TYPE_CHECKING:
    from h_dqn.experiment.api import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        from h_dqn.experiment import api

        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'h_dqn' has no attribute '{name}'")
