"""What this machine has and lacks, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator

from envs.registry import WORLDS
from envs.verdict import GOOD, LACKS, NOTE, Verdict
from envs.voxel.env import has_display
from h_dqn.experiment.worlds import VOXEL, Place

COLORS = {GOOD: "green", LACKS: "red", NOTE: "yellow"}


def examine(place: Place = VOXEL) -> Iterator[Verdict]:
    """What the chosen world needs, then the machine, then a word on the other worlds: (ok, LACKS or note; what was found)."""
    yield from _safely(place.world, lambda: WORLDS[place.world].doctor(place.options, start=True))
    for check in (_python, _processor, _torch, _opencv, _display, _video, _disk, _peer):
        yield from _safely(check.__name__.strip("_"), lambda check=check: iter([check()]))  # type: ignore[misc]
    told = set[Verdict]()
    for name in (name for name in WORLDS if name != place.world):
        verdicts = list(_safely(name, WORLDS[name].doctor))
        if any(verdict == LACKS for verdict, _ in verdicts):
            verdicts = [(NOTE, f"this machine cannot play in the world {name}; h-dqn doctor --world {name} says what it lacks")]
        yield from (verdict for verdict in verdicts if verdict not in told)
        told |= set(verdicts)


def _safely(name: str, check: Callable[[], Iterator[Verdict]]) -> Iterator[Verdict]:
    try:
        yield from check()
    except Exception as error:  # a doctor that dies of what it finds is no help
        yield LACKS, f"{name}: {' '.join(str(error).split())}"


def _python() -> Verdict:
    return GOOD, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _processor() -> Verdict:
    from envs.compiled import config

    return GOOD, f"{os.cpu_count()} processor cores; the world draws with {config.NUMBA_NUM_THREADS} threads"


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
