"""The alarm, built on recorded episodes and used on fresh ones: is failure foretold, and does it help to hand over?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from h_dqn.evaluation import evaluate
from h_dqn.experiment.agent import Agent
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.introspection.alarm import Alarm, HandOver, area, build
from h_dqn.introspection.projection import components
from h_dqn.introspection.record import Record, record
from h_dqn.policies import SoftmaxPolicy
from h_dqn.statistics import mean_interval

SIGNS, AHEAD = 10, 3  # components that it reads; steps before the end of an episode at which it is judged
RINGS = 0.95  # of the successes of the recorded episodes, so many never let it ring
WARMER = 5.0  # by how much the policy that takes over is less sure: its temperature


def alarm_of(agent: Agent, envs: TaskEnvs, seen: Record, episodes: int, seed: int) -> dict[str, Any] | None:
    """How an alarm does on ``episodes`` fresh episodes; None where there is nothing to learn it from.

    Judged by itself, AHEAD steps before the end, beside what the clock alone foretells; and as control: the same fresh episodes
    with and without handing over to a warmer softmax when it rings, as a paired difference.
    """
    if seen.success.all() or not seen.success.any():
        return None
    alarm = build(components(seen.features, SIGNS), envs.task.step_limit, (seen.features, seen.q, seen.step),
                  ~seen.success[seen.episode])  # fmt: skip
    threshold = float(np.quantile(_largest(alarm, seen)[seen.success], RINGS))
    cpu = torch.device("cpu")
    temperature = WARMER * (agent.head.temperature or 0.03)
    made, fresh_seed = envs(min(100, episodes)), seed + 1
    options, plain = agent.options(envs, cpu), _policy(agent, fresh_seed)
    fresh = record(made, options, plain, episodes, fresh_seed, dict, agent.interrupt)
    changed = HandOver(_policy(agent, fresh_seed), alarm, threshold, temperature)
    after = evaluate(envs(min(100, episodes)), agent.options(envs, cpu), changed, episodes, fresh_seed, interrupt=agent.interrupt)
    helped = np.array(after.by_episode, float) - fresh.success
    mean, half = mean_interval(helped.tolist())
    rings = _largest(alarm, fresh) > threshold
    early = _ahead(fresh, alarm.risk(fresh.features, fresh.q, fresh.step))
    clock = _ahead(fresh, fresh.step.astype(float))
    quiet = fresh.success[~rings]
    return {
        "built_on": len(seen.seeds), "fresh": episodes, "seed": fresh_seed, "ahead": AHEAD, "threshold": threshold,
        "area": area(early, ~fresh.success), "area_clock": area(clock, ~fresh.success),
        "area_half": area(_at_step(fresh, alarm, envs.task.step_limit // 4), ~fresh.success),
        "rings": float(rings.mean()), "success": float(fresh.success.mean()),
        "success_quiet": float(quiet.mean()) if len(quiet) else None, "coverage": float((~rings).mean()),
        "temperature": temperature, "success_handed_over": after.success_rate, "difference": mean,
        "interval": [mean - half, mean + half], "of_use": bool(mean - half > 0),
    }  # fmt: skip


def _policy(agent: Agent, seed: int) -> SoftmaxPolicy:
    policy = agent.policy(seed)
    assert isinstance(policy, SoftmaxPolicy)
    return policy


def _largest(alarm: Alarm, seen: Record) -> Any:
    """(E,) the largest risk of each episode."""
    most = np.zeros(len(seen.seeds))
    np.maximum.at(most, seen.episode, alarm.risk(seen.features, seen.q, seen.step))
    return most


def _ahead(seen: Record, value_R: Any) -> Any:
    """(E,) of each episode, the value AHEAD steps before its last one, or its first."""
    ends = np.flatnonzero(seen.last)
    return value_R[ends - np.minimum(AHEAD, seen.step[ends])]


def _at_step(seen: Record, alarm: Alarm, step: int) -> Any:
    """(E,) risk at this step of each episode, where the clock says nothing; 0 where it is over by then, which is a success."""
    risk = np.zeros(len(seen.seeds))
    rows = seen.step == step
    risk[seen.episode[rows]] = alarm.risk(seen.features, seen.q, seen.step)[rows]
    return risk
