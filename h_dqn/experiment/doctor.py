"""What this machine has and lacks, and what to do about it. Quick: a package is imported only where that is what is examined."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version

from envs.display import window_lacks
from envs.registry import WORLDS
from envs.verdict import GOOD, LACKS, NOTE, Verdict
from h_dqn.experiment.place import VOXEL, Place

COLORS = {GOOD: "green", LACKS: "red", NOTE: "yellow"}


def examine(place: Place = VOXEL) -> Iterator[Verdict]:
    """What the chosen world needs, then the machine, then a word on the other worlds: (ok, LACKS or note; what was found)."""
    yield from _safely(place.world, lambda: WORLDS[place.world].doctor(place.options, start=True))
    for check in (_python, _processor, _torch, _opencv, _display, _video, _disk, _peer):
        yield from _safely(check.__name__.strip("_"), lambda check=check: iter([check()]))  # type: ignore[misc]
    told = set[Verdict]()
    for name in (name for name in WORLDS if name != place.world):
        verdicts = []
        for verdict in _safely(name, WORLDS[name].doctor):
            if verdict[0] == LACKS:  # the first is enough: what else is asked takes time
                verdicts = [(NOTE, f"this machine cannot play in the world {name}; h-dqn doctor --world {name} says what it lacks")]
                break
            verdicts.append(verdict)
        yield from (verdict for verdict in verdicts if verdict not in told)
        told |= set(verdicts)


def _safely(name: str, check: Callable[[], Iterator[Verdict]]) -> Iterator[Verdict]:
    try:
        yield from check()
    except Exception as error:  # a doctor that dies of what it finds is no help
        yield LACKS, f"{name}: {' '.join(str(error).split())}"


def _python() -> Verdict:
    return GOOD, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _threads(variable: str) -> str:
    """How many threads a library takes that reads this variable of the environment."""
    return os.environ.get(variable) or str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


def _processor() -> Verdict:
    version("numba")
    return GOOD, f"{os.cpu_count()} processor cores; the world draws with {_threads('NUMBA_NUM_THREADS')} threads"


def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return shutil.which("nvidia-smi") is not None
    return True


def _torch() -> Verdict:
    """Torch itself, which takes seconds, is asked only where there is a driver that it could use."""
    found = f"torch {version('torch')}"
    if _has_cuda_driver():
        code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            return LACKS, f"{found} cannot be imported: {(done.stderr.strip().splitlines() or ['it says nothing'])[-1]}"
        if device := done.stdout.strip():
            return GOOD, f"{found}, CUDA device {device}"
        return NOTE, f"{found}, which finds no CUDA device though there is a driver; it learns on the CPU"
    return GOOD, f"{found}, on the CPU (no CUDA device found; none is needed)"


def _opencv() -> Verdict:
    try:
        import cv2
    except ImportError as error:
        return LACKS, f"OpenCV cannot be imported ({error}); on Debian: apt-get install libgl1 libglib2.0-0"
    return GOOD, f"OpenCV {cv2.__version__}"


def _display() -> Verdict:
    if (lack := window_lacks()) is None:
        return GOOD, "a display, so that `h-dqn play` opens a window"
    return NOTE, f"{lack}: `h-dqn play` uses the terminal; nothing else needs one"


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
