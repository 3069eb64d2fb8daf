"""The flag ``--preset``, whose help says what each preset is for."""

from __future__ import annotations

from typing import Annotated

from h_dqn.cli.flags import optional
from h_dqn.presets import ABOUT

_HELP = "settings to start from (default: fast; for sequences: life); single ones can be changed by the flags below\n" + "\n".join(
    f"{name}: {about}" for name, about in ABOUT.items()
)
Preset = Annotated[str, optional("NAME", help=_HELP)]
