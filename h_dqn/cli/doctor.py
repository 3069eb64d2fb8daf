"""What this machine has and lacks, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.markup import escape

from envs.voxel.env import has_display
from h_dqn.cli.doctor_minerl import GOOD, LACKS, NOTE, Verdict, minerl_checks
from h_dqn.cli.worlds import Minecrafts, World


@dataclass
class Doctor(Minecrafts):
    """Say what this machine has and lacks, and what to do about it."""

    world: World = "voxel"
    """also look at what this world needs"""

    def run(self) -> None:
        console = Console(highlight=False)
        checks = (
            _python,
            _processor,
            _torch,
            _opencv,
            _display,
            _video,
            _disk,
            _peer,
            partial(_luanti, self.world.startswith("luanti")),
        )
        verdicts = [_safely(check) for check in checks]
        if self.world == "minerl":
            verdicts = [*minerl_checks(self.settings.addresses), *verdicts]
        for verdict, text in verdicts:
            color = "green" if verdict == GOOD else "red" if verdict == LACKS else "yellow"
            console.print(f"[{color}]{verdict:>5}[/]  {escape(text)}", soft_wrap=True)


def _safely(check: Callable[[], Verdict]) -> Verdict:
    try:
        return check()
    except Exception as error:  # a doctor that dies of what it finds is no help
        return LACKS, f"{getattr(check, '__name__', 'luanti').strip('_')}: {' '.join(str(error).split())}"


def _python() -> Verdict:
    return GOOD, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _processor() -> Verdict:
    import numba

    return GOOD, f"{os.cpu_count()} processor cores; the world draws with {numba.get_num_threads()} threads"


def _torch() -> Verdict:
    import torch

    if torch.cuda.is_available():
        return GOOD, f"torch {torch.__version__}, CUDA device {torch.cuda.get_device_name()}"
    return GOOD, f"torch {torch.__version__}, CPU with {torch.get_num_threads()} threads (no CUDA device found; none is needed)"


def _opencv() -> Verdict:
    try:
        import cv2
    except ImportError as error:
        return LACKS, f"OpenCV cannot be imported ({error}); on Debian: apt-get install libgl1 libglib2.0-0"
    return GOOD, f"OpenCV {cv2.__version__}"


def _display() -> Verdict:
    if has_display():
        return GOOD, "a display, so that `h-dqn play` opens a window"
    return NOTE, "no display: `h-dqn play` uses the terminal; nothing else needs one"


def _video() -> Verdict:
    import imageio_ffmpeg

    imageio_ffmpeg.get_ffmpeg_exe()
    return GOOD, "ffmpeg for videos"


def _disk() -> Verdict:
    free = shutil.disk_usage(".").free / 2**30
    return (GOOD if free > 1 else LACKS), f"{free:.1f} GiB free on this disk" + ("" if free > 1 else "; runs need about 1 GiB")


def _peer() -> Verdict:
    if importlib.util.find_spec("miniworld"):
        return GOOD, "miniworld, the peer of `h-dqn bench world`"
    return NOTE, "no miniworld, the peer of `h-dqn bench world`; install it with: pip install -e '.[bench]'"


def _luanti(start: bool) -> Verdict:
    from envs.luanti import engine
    from envs.luanti.vector import LuantiVectorEnv

    try:
        version = engine.version()
        if start:
            began = time.perf_counter()
            LuantiVectorEnv(1, size=84).close()
            return GOOD, f"{version} on a virtual screen, started in {time.perf_counter() - began:.1f} s"
    except engine.LuantiError as error:
        return LACKS if start else NOTE, f"no Luanti, the world of `--world luanti`: {error}"
    if version not in engine.TESTED:
        return NOTE, f"{version}: `--world luanti` is tested with {engine.TESTED} only"
    return GOOD, f"{version}, the world of `--world luanti`"
