"""Learn navigation1 from nothing through MineRL's real client: ``python -m benchmarks.minerl_learning``.

Minecraft's place is taken by eight stand-ins of the tests, so the steps are those that learning takes, and the seconds are not
Minecraft's. Ctrl-C stops it, and the same command goes on where it was. Writes ``learning`` of benchmarks/results/minerl.json.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

from benchmarks.minerl import RESULT
from benchmarks.provenance import ROOT, measured
from envs.minerl.settings import ADDRESSES
from h_dqn.checkpoint import write_text
from h_dqn.cli import run as h_dqn

COUNT, SEED = 8, 1
RUNS = ROOT / "runs" / "minerl_learning"
RUN = RUNS / "navigation1"
TRAIN = "train skill navigation1 --world minerl --until 0.95 --evaluate-every 10000 --env-steps 150000 --episodes 500"
KEPT = ("success_rate", "ci95", "episodes", "env_steps", "env_steps_to_95", "seconds", "seconds_to_95")


def main() -> None:
    shared = ["--runs", str(RUNS), "--name", RUN.name, "--library", str(RUNS / "skills"), "--seed", str(SEED)]
    if (RUN / "checkpoint").is_dir():
        line = ["resume", str(RUN)]
    else:
        shutil.rmtree(RUN, ignore_errors=True)
        line = [*TRAIN.split(), *shared]
    who = measured("python -m benchmarks.minerl_learning", SEED)
    command = [sys.executable, "-m", "tests.minerl_standin"]
    stands = [  # Ctrl-C is the learner's, not theirs
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True) for _ in range(COUNT)
    ]
    try:
        os.environ[ADDRESSES] = ",".join(stand.stdout.readline().strip() for stand in stands if stand.stdout is not None)
        if code := h_dqn(line):
            sys.exit(code)
    finally:
        for stand in stands:
            stand.terminate()
            stand.wait()
    result: dict[str, Any] = json.loads((RUN / "result.json").read_text())
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found["learning"] = {"minecrafts": COUNT, "train": f"h-dqn {TRAIN}", **{key: result[key] for key in KEPT}}
    found["learning"]["measured"] = {**who, "temperature": result["temperature"]}
    print(json.dumps(found["learning"], indent=1))
    write_text(RESULT, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
