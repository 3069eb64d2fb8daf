"""``python -m tests.hostile COUNT [FORMAT ...]``: so many broken files, each read in a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.hostile.cases import FORMATS, build
from tests.hostile.trial import outcome

CPU_S, MEMORY_MB, SLACK_S = 2.0, 200, 60
MEMORY_OF = {"archive": 64}  # MiB of formats that may have less


def forked(name: str, seed: int, template: Path, root: Path) -> tuple[int, str, float, float]:
    """(exit code, what is wrong, processor seconds, MiB above the start) of one."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        before = [0.0]

        def begin() -> None:
            """What it took to break the file does not count."""
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            before[0] = _status("VmRSS")

        resource.setrlimit(resource.RLIMIT_CPU, (SLACK_S, SLACK_S))
        try:
            told = outcome(name, seed, template, root, begin)
        except BaseException as error:
            told = 1, repr(error)
        used = resource.getrusage(resource.RUSAGE_SELF)
        with os.fdopen(write, "w") as out:
            out.write(json.dumps([*told, used.ru_utime + used.ru_stime, _status("VmHWM") - before[0]]))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    code, wrong, seconds, memory = json.loads(said) if said else (1, "it died", SLACK_S, 0.0)
    if not wrong and code == 2 and seconds > CPU_S:
        wrong = f"it took {seconds:.1f} s of processor time"
    if not wrong and code == 2 and memory > MEMORY_OF.get(name, MEMORY_MB):
        wrong = f"it took {memory:.0f} MiB"
    return code, wrong, seconds, memory


def _status(key: str) -> float:
    return int(Path("/proc/self/status").read_text().split(f"{key}:")[1].split()[0]) / 1024


def main(count: int, names: list[str], first: int = 0) -> int:
    """Print a row for each format; returns how many did not end as they should."""
    with tempfile.TemporaryDirectory() as folder:
        root, template = Path(folder), Path(folder) / "template"
        build(template)
        for name in names:
            outcome(name, -1, template, root)  # what is imported once counts for none
        tries, failed = -(-count // len(names)), 0
        for name in names:
            codes, worst, most = Counter[int](), 0.0, 0.0
            for seed in range(first, first + tries):
                code, wrong, seconds, memory = forked(name, seed, template, root)
                codes[code] += 1
                if code == 2:
                    worst, most = max(worst, seconds), max(most, memory)
                if wrong:
                    failed += 1
                    print(f"  {name} {seed}: {wrong[:400]}", flush=True)
            told = f"{codes[2]} refused, {codes[0]} accepted, {tries - codes[2] - codes[0]} otherwise"
            print(f"{name:14} {tries} files: {told}; at most {worst:.2f} s and {most:.0f} MiB", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:] or list(FORMATS))))
