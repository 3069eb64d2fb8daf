"""Whether this machine can show a window."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

WANTS = ("DISPLAY", "WAYLAND_DISPLAY")


@cache
def window_lacks() -> str | None:
    """Why no window can be opened, in one line; None where one can.

    Where a display is named and does not answer, OpenCV raises no error but ends the process. So one is opened in another process
    first.
    """
    if sys.platform != "linux":
        return None
    named = [f"{name}={os.environ[name]}" for name in WANTS if os.environ.get(name)]
    if not named:
        return "no display"
    if os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0] in ("offscreen", "minimal", "vnc"):
        return f"windows are not shown (QT_QPA_PLATFORM={os.environ['QT_QPA_PLATFORM']})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import cv2; cv2.namedWindow('h-dqn'); cv2.waitKey(1)"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return f"the display does not answer ({', '.join(named)})"
    return f"no window can be opened ({', '.join(named)})" if done.returncode else None
