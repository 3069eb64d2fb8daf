"""Where the time of a run of learning goes, by part, beside what this machine can do, measured in the same run.

The calls that matter are timed from outside, each without those inside it that are parts of their own, so that all parts together
are the run. Whoever has two threads has two processor seconds a second; what can be done at best is said for one of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn

import h_dqn.train
from h_dqn.config import Config, change
from h_dqn.experiment.bench.world import ray_bound
from h_dqn.experiment.worlds import shape_of, task_envs
from h_dqn.learners.value_learner import ValueLearner
from h_dqn.networks import Torso
from h_dqn.networks.gru import GRU
from h_dqn.networks.heads import Head
from h_dqn.train import Trainer

STEPS = 60_000  # environment steps that are looked at; a first round is not
SIDE, COPIED, TRIES = 1024, 2**26, 5  # of a square matrix; bytes; the best try counts

DRAWING, FRAMES, ACTING = "drawing and rules", "stack of frames", "acting"
BOOTSTRAPS, FORWARD, BACKWARD, OPTIMISER = "bootstraps and targets", "learning, forward", "learning, backward", "optimiser"
WRITING, GATHERING, MINIBATCHES = "replay, writing", "replay, gathering", "minibatches"
VALIDATION, OTHER = "validation", "other"
PARTS = (
    DRAWING, FRAMES, ACTING, WRITING, GATHERING, BOOTSTRAPS, MINIBATCHES, FORWARD, BACKWARD, OPTIMISER, VALIDATION, OTHER
)  # fmt: skip


@dataclass
class Work:
    """What was done, and how long it took."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    multiply_adds: float = 0.0  # of the layers
    bytes: float = 0.0  # that had to be read or written: each array once, as if there were no caches
    rays: float = 0.0  # pixels drawn

    def add(self, other: Work) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Cost:
    """What layers cost: of each row of their input, and of each call."""

    forward: int  # multiply-adds of a row
    backward: int
    row_bytes: int  # of a row: what each layer reads and writes
    call_bytes: int  # of a call: the weights


def cost(module: nn.Module) -> Cost:
    """Counted from the shapes of the layers. On the way back each product is taken twice, for the slopes of the weights and for
    those of the input; but nobody asks for the slopes of frames."""
    weights = sum(weight.numel() for weight in module.parameters())
    if isinstance(module, Torso):
        return _torso_cost(module, 4 * weights)
    matrices = [weight.shape for weight in module.parameters() if weight.dim() == 2]
    products = sum(rows * columns for rows, columns in matrices)
    return Cost(products, 2 * products, 4 * sum(rows + columns for rows, columns in matrices), 4 * weights)


@torch.no_grad()
def _torso_cost(torso: Torso, weights: int) -> Cost:
    x = torch.zeros(1, *torso.shape)
    products, moved = list[int](), x.numel() * (1 + 4 + 8)  # a byte becomes a float, which is read and written once more
    for layer in torso:
        y: Tensor = layer(x)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            products.append(y[0].numel() * layer.weight[0].numel())
        if not isinstance(layer, nn.Flatten):
            moved += 4 * (x.numel() + y.numel())
        x = y
    return Cost(sum(products), 2 * sum(products) - products[0], moved, weights)


class Profile:
    """Times calls and counts what they do; what is in no part is OTHER."""

    def __init__(self) -> None:
        self.work: dict[str, Work] = defaultdict(Work)
        self._running = [OTHER]
        self._since = self._now()
        self._undo = ExitStack()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def _account(self) -> None:
        """The time since the last call is that of the innermost part that runs."""
        now, work = self._now(), self.work[self._running[-1]]
        work.seconds += now[0] - self._since[0]
        work.processor_seconds += now[1] - self._since[1]
        self._since = now

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        self._account()
        self._running.append(name)
        try:
            yield
        finally:
            self._account()
            self._running.pop()

    def begin(self) -> None:
        """Forget what was before."""
        self.work.clear()
        self._since = self._now()

    def end(self) -> None:
        """Give back the calls that were timed."""
        self._account()
        self._undo.close()

    def replace(self, owner: Any, name: str, instead: Any) -> None:
        self._undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, instead)

    def timing(self, part: str, owner: Any, name: str, done: Callable[[Any], Work]) -> None:
        """From now on ``owner.name`` is of ``part``; ``done`` says what a call does, by what it returns."""
        call = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._part(part):
                found = call(*args, **kwargs)
            self.work[part].add(done(found))
            return found

        self.replace(owner, name, timed)

    def counting(self, module: nn.Module, name: str, rows: Callable[[Tensor], int]) -> None:
        """From now on the part in which ``module.name`` is called is told what it costs, and BACKWARD what the way back will."""
        call, of = getattr(module, name), cost(module)

        def counted(x: Tensor, *others: Any) -> Any:
            found, n = call(x, *others), rows(x)
            moved = n * of.row_bytes + of.call_bytes
            self.work[self._running[-1]].add(Work(multiply_adds=n * of.forward, bytes=moved))
            if torch.is_grad_enabled():
                self.work[BACKWARD].add(Work(multiply_adds=n * of.backward, bytes=2 * moved))
            return found

        self.replace(module, name, counted)


def watch(found: Profile, trainer: Trainer) -> None:
    """Time the parts of this trainer's rounds."""
    learner, replay, stack, env = trainer.learner, trainer.replay, trainer.rollout.envs, trainer.config.env
    assert isinstance(learner, ValueLearner)
    pixels, stacked = env.num_envs * env.size**2, int(np.prod(stack.observation_space.shape or ()))
    weights = sum(weight.numel() for weight in learner.descent.weights)

    def nothing(_: Any) -> Work:  # that is counted here
        return Work()

    def gathered(batch: Any) -> Work:
        return Work(bytes=2 * (batch.frames.nbytes + batch.state.nbytes))

    drawn = Work(bytes=3 * pixels, rays=pixels)
    made_grey = Work(bytes=(3 + 1) * pixels + 2 * stacked)
    written = Work(bytes=2 * (stacked // env.stack + 4 * env.num_envs * replay.needs.state_size))
    moved = Work(bytes=4 * weights * (3 + 7))  # the slopes' norm and scaling; then four arrays read and three written
    calls: list[tuple[str, Any, tuple[str, ...], Callable[[Any], Work]]] = [
        (DRAWING, stack.env, ("step",), lambda _: drawn),  # type: ignore[attr-defined]
        (DRAWING, stack.env, ("reset",), nothing),  # type: ignore[attr-defined]
        (FRAMES, stack, ("step",), lambda _: made_grey),
        (FRAMES, stack, ("reset",), nothing),
        (ACTING, learner, ("observe", "act", "interrupt"), nothing),
        (WRITING, trainer.recorder, ("add",), lambda _: written),
        (GATHERING, replay, ("fresh", "sample", "sequences"), gathered),
        (GATHERING, replay, ("near",), nothing),
        (BOOTSTRAPS, learner, ("batch_values", "targets"), nothing),
        (MINIBATCHES, learner, ("update",), nothing),
        (FORWARD, learner, ("step", "sequence_step"), nothing),
        (BACKWARD, torch.Tensor, ("backward",), nothing),
        (OPTIMISER, learner.descent, ("step",), lambda _: moved),
        (VALIDATION, h_dqn.train, ("evaluate",), nothing),
    ]
    for part, owner, names, done in calls:
        for name in names:
            if hasattr(owner, name):
                found.timing(part, owner, name, done)
    for network in dict.fromkeys((learner.network, learner.target)):
        for module in network.modules():
            if isinstance(module, Torso | GRU | Head):
                found.counting(module, "forward", len)
            if isinstance(module, GRU):
                found.counting(module, "unroll", lambda x_LBF: x_LBF.shape[0] * x_LBF.shape[1])


def machine() -> dict[str, float]:
    """What a core can do in a second at best: multiply-adds of large matrices, bytes copied (read and written), rays drawn."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    here, there = torch.zeros(COPIED, dtype=torch.uint8), torch.ones(COPIED, dtype=torch.uint8)
    return {
        "multiply_adds": SIDE**3 / _least(lambda: torch.mm(a, b)),
        "bytes": 2 * COPIED / _least(lambda: here.copy_(there)),
        "rays": max(ray_bound(time.process_time) for _ in range(TRIES)),
    }


def _least(call: Callable[[], Any]) -> float:
    """Processor seconds of the best of some calls."""
    took = []
    for _ in range(TRIES):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    return min(took)


def profile(config: Config, task: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """Parts of the time of ``steps`` environment steps of learning a task, on the CPU, from the beginning.

    Of each part: its share of the processor time, that time, seconds; multiply-adds of the network's layers and bytes, counted from
    their shapes; and how much of its time these would take at what the machine can do at best (``of_bound``).
    """
    envs, best = task_envs(task, shape_of(config)), machine()
    trainer, found = Trainer(envs, envs.primitives(), change(config, device="cpu"), seed), Profile()
    watch(found, trainer)
    try:
        run = trainer.run()
        next(run)
        began = trainer.env_steps
        found.begin()
        while trainer.env_steps < began + steps and next(run, None) is not None:
            pass
    finally:
        found.end()
    after = machine()
    best = {name: max(one, after[name]) for name, one in best.items()}
    total = Work(**{key: sum(getattr(work, key) for work in found.work.values()) for key in vars(Work())})
    at_best = {name: max(getattr(work, key) / speed for key, speed in best.items()) for name, work in found.work.items()}
    parts = [(name, found.work[name], at_best[name]) for name in PARTS if name in found.work]
    return {
        "task": envs.task.name,
        "seed": seed,
        "env_steps": trainer.env_steps - began,
        "env_steps_per_second": (trainer.env_steps - began) / total.seconds,
        "env_steps_per_processor_second": (trainer.env_steps - began) / total.processor_seconds,
        "threads": {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()},
        "a_core_at_best_per_second": best,
        "rows": [
            {
                "part": name,
                "share": work.processor_seconds / total.processor_seconds,
                **vars(work),
                "of_bound": least / (work.processor_seconds or 1.0),
            }
            for name, work, least in [*parts, ("all", total, sum(at_best.values()))]
        ],
    }
