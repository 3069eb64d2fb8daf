"""``import minerl`` on a Python of today: it was frozen with gym 0.19 and NumPy 1.23. Import this module first."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

warnings.filterwarnings("ignore", module="gym|minerl|Pyro4|daemoniker")
warnings.filterwarnings("ignore", message=".*Gym has been unmaintained.*")

for _name, _kind in {"float": float, "int": int, "bool": bool}.items():
    if _name not in vars(np):
        setattr(np, _name, _kind)  # removed in NumPy 1.24

import gym.spaces  # noqa: E402


def _set_shape(space: Any, shape: Any) -> None:
    space._shape = shape


# From gym 0.21 on ``shape`` cannot be set, but MineRL's Discrete does.
_space: Any = gym.spaces.Space
_space.shape = _space.shape.setter(_set_shape)

# Where these are set, as they are under pytest, MineRL checks its own environments at import, which fails with a gym of today.
_hidden = {name: os.environ.pop(name) for name in ("MINERL_TESTING", "PYTEST_CURRENT_TEST") if name in os.environ}
import minerl.utils.test  # noqa: E402

minerl.utils.test.SHOULD_ASSERT = False
os.environ |= _hidden
