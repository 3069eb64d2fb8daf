"""Where tensors are computed."""

from __future__ import annotations

from typing import Literal

import torch

from h_dqn.settings import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is any, else the CPU. The same seed gives the same run on either.

    Raises :class:`h_dqn.settings.ConfigError` for ``cuda`` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: PyTorch finds no CUDA device here; h-dqn doctor says more")
    torch.backends.cudnn.deterministic = True
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
