"""Measure what benchmarks/README.md reports of single commands: runs those below in turn, and keeps each result as it comes.

    python -m benchmarks.measure demo skill world

A result that is in benchmarks/results/ already is not measured again; delete it there to do so. Nothing else should run meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.provenance import measured
from h_dqn.files import write_text

RESULTS = Path(__file__).parent / "results"
ROOMS = "benchmarks/rooms/paper"  # of one map each, where 95 % is soon there
COMMANDS = {
    "demo": "h-dqn demo --seed {seed} --json",
    "skill": f"h-dqn train skill {ROOMS}/navigation1.toml --until 0.95 --seed {{seed}} --json",
    "world": "h-dqn bench world --json",
    "skills": "h-dqn bench skills --json",
    "switches": "h-dqn bench switches --json",
    "peers": f"h-dqn bench train --goal 0.95 --task {ROOMS}/navigation1.toml --seed {{seed}} --json",
    "peers_pickup": f"h-dqn bench train --goal 0.95 --task {ROOMS}/pickup.toml --seed {{seed}} --json",
}
SEEDS = ("1", "2", "3", "4", "5")


def measure(name: str) -> None:
    """Fill benchmarks/results/NAME.json: {"runs": {seed: result of the command, and who measured it}}."""
    path, command = RESULTS / f"{name}.json", COMMANDS[name]
    table: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    for seed in SEEDS if "{seed}" in command else SEEDS[:1]:
        if seed in table["runs"]:
            continue
        line = command.format(seed=seed)
        print(line, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            program, *arguments = line.split()
            where = [] if line.startswith("h-dqn bench") else ["--runs", f"{folder}/runs", "--library", f"{folder}/skills"]
            binary = Path(sys.executable).with_name(program)
            done = subprocess.run([binary, *arguments, *where], stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        for part in (result, *result.values()):
            if isinstance(part, dict):
                part.pop("run", None)  # a folder that is gone
        table["runs"][seed] = {**result, "measured": measured(line, int(seed))}
        write_text(path, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or COMMANDS:
        measure(name)
