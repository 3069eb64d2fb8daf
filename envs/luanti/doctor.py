"""What Luanti needs, and what this machine has of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gymnasium as gym

from envs.errors import WorldError
from envs.luanti import programs
from envs.verdict import GOOD, LACKS, NOTE, Verdict


def checks(env_id: str, start: bool) -> Iterator[Verdict]:
    """One verdict. ``start``: the world ``env_id`` is wanted, and is started once to see whether it can be."""
    try:
        version = programs.version()
        if start:
            began = time.perf_counter()
            gym.make_vec(env_id, num_envs=1).close()
            yield GOOD, f"{version} on a virtual screen, started in {time.perf_counter() - began:.1f} s"
            return
    except WorldError as error:
        yield LACKS if start else NOTE, f"no Luanti, the world of `--world luanti`: {error}"
        return
    if version in programs.TESTED:
        yield GOOD, f"{version}, the world of `--world luanti`"
    else:
        yield NOTE, f"{version}: `--world luanti` is tested with {programs.TESTED} only"
