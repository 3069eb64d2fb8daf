"""Make the skills that come with the package: ``python -m benchmarks.pack`` (``make pack``), what pack.toml says.

Trains the skills, distils all of them into one network, and writes what is shipped to skills_library/pretrained/. What is done is
kept in runs/pack, so that the same command goes on where it stopped. A skill that the library ``--take`` has, learned in the same
task with the same seed and as many steps, is taken from there; by default from that of ``python -m benchmarks.reproduce paper``.
"""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import replace
from pathlib import Path

from benchmarks.provenance import ROOT
from benchmarks.reproduce import CORES, RUNS, Cell, cells, run_all
from envs.task_file import load_task
from h_dqn.files import write_folder
from skills_library.library import PRETRAINED, Library
from skills_library.manifest import SkillError, read_manifest
from skills_library.policy import SavedPolicy, policy_files
from skills_library.share import give, take

SKILLS, SEED, EPISODES = "skills", 1, 1000
LARGEST = 8_000_000  # bytes of all that is shipped
PACK = ROOT / "runs" / "pack"


def plan() -> tuple[list[Cell], list[str]]:
    """The commands, and the names of what is shipped."""
    doc = tomllib.loads((ROOT / "benchmarks" / "pack.toml").read_text())
    return [replace(cell, runs=PACK) for cell in cells("pack", SEED)], doc["pack"]["shipped"]


def as_planned(library: Library, cell: Cell) -> bool:
    """Whether the library has the skill of this command: learned in today's task, with the same seed, for as many steps."""
    try:
        manifest = read_manifest(library.path(cell.arm), name=cell.arm)
    except SkillError:
        return False
    training, task, words = manifest["training"], manifest["heads"][0]["task"], cell.command.split()
    steps = int(words[words.index("--env-steps") + 1])
    enough = training.get("env_steps", 0) >= steps or "--until" in words
    return enough and training.get("seed") == SEED and task.get("hash") == load_task(cell.arm).hash


def ship(policies: list[SavedPolicy], folder: Path) -> int:
    """Write what is shipped; returns how many bytes it is. Raises SystemExit for more than a repository should hold."""
    files = {policy.name: policy_files(policy) for policy in policies}
    size = sum(len(data) for each in files.values() for data in each.values())
    if size > LARGEST:
        raise SystemExit(f"{size:,} bytes are more than the {LARGEST:,} that the pack may have")
    for name, each in files.items():
        write_folder(folder / name, each, replace=True)
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, default=RUNS / f"s{SEED}" / "skills", metavar="LIBRARY")
    todo, shipped = plan()
    theirs = Library(parser.parse_args().take, shipped=PACK / "none")
    own = Library(PACK / f"s{SEED}" / "skills", shipped=PACK / "none")
    skills = [cell for cell in todo if cell.experiment == SKILLS]
    for cell in [cell for cell in skills if not as_planned(own, cell) and as_planned(theirs, cell)]:
        take(own, give(theirs, cell.arm), theirs.folder)
        print(f"{cell.arm}: taken from {theirs.folder}", flush=True)
    for cell in run_all([cell for cell in todo if cell not in skills or not as_planned(own, cell)], EPISODES, CORES):
        print(f"{cell.name}: done", flush=True)
    for card in own.cards()[0]:
        print(f"{card['name']}: {card['measured']['success_rate']:.1%}")
    print(f"{PRETRAINED}: {ship([own.policy(name) for name in shipped], PRETRAINED):,} bytes")


if __name__ == "__main__":
    main()
