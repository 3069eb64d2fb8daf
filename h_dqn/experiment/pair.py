"""Two runs at the same time: one here, one in a process of its own, each with half of the threads."""

from __future__ import annotations

import os
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from h_dqn.experiment.errors import FOR_PEOPLE, UserError
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.processes import end_with_parent, limited
from h_dqn.experiment.run import Run
from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.watch import Stopped, Watcher, stop_on_signal
from h_dqn.files import lock

CORES = os.cpu_count() or 1
WAIT_S = 30.0  # until a process is gone whose parent was killed


def learn(plan: Plan, folder: Path, watcher: Watcher) -> dict[str, Any]:
    """The result of the run in this folder, which is begun, gone on with, or over."""
    if (result := RunFolder(folder).result) is not None:
        return result
    run = Run.resume(folder) if RunFolder(folder).begun else Run(plan, folder)
    return run.learn(watcher)


def learn_both(here: tuple[Plan, Path], beside: tuple[Plan, Path], watcher: Watcher) -> tuple[dict[str, Any], dict[str, Any]]:
    """The results of two runs, each a plan and its folder, as :func:`learn` has them; one after the other where there is one core.

    Args:
        here: the one that ``watcher`` is told of.
        beside: keeps quiet. It is stopped where the run here is, and where this process is gone.
        watcher: is told how it goes on.
    Raises what a run raises; :class:`UserError` with what the one beside says for people.
    """
    if CORES < 2 or any(RunFolder(folder).result is not None for _, folder in (here, beside)):
        return learn(*here, watcher), learn(*beside, watcher)
    if RunFolder(beside[1]).begun:
        lock(beside[1], WAIT_S).release()
    threads = max(1, torch.get_num_threads() // 2)
    spawn = get_context("spawn")
    said, say = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_learn_beside, args=(*beside, threads, say), daemon=True)
    process.start()
    say.close()
    try:
        with limited(threads):
            first = learn(*here, watcher)
        if not said.poll():
            watcher.say(f"waiting for {beside[1]} ...")
        with stop_on_signal() as stop:
            while not said.poll(0.2):
                stop.check()
        problem = said.recv()
    except EOFError:
        raise UserError(f"{beside[1]}: the process that was at work there was ended") from None
    finally:
        process.terminate()
        process.join()
    if problem:
        raise UserError(problem)
    return first, learn(*beside, watcher)


def _learn_beside(plan: Plan, folder: Path, threads: int, say: Connection) -> None:
    end_with_parent()
    with limited(threads):
        try:
            learn(plan, folder, Watcher())
            say.send("")
        except FOR_PEOPLE as error:
            say.send(str(error))
        except Stopped:
            return  # it goes on later
