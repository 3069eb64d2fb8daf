"""Settings of the methods for tasks that change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from h_dqn.settings import Count, CountOrZero, NotNegative, Share, ShareBelowOne


@dataclass(frozen=True)
class ContinualConfig:
    """Methods of single agents, and cures for lost plasticity, which any agent may take."""

    ewc_lambda: NotNegative = 0.01
    """weight of elastic weight consolidation: lambda / 2 * sum of F (w - w*)^2, F of mean 1 a task, summed over tasks"""
    ewc_samples: Count = 128
    """observations that the importances of a task are worked out from"""
    rehearsal: Count = 10_000
    """decisions that an agent with rehearsal keeps, of all tasks together"""
    rehearsal_round: Count = 64
    """decisions of each round of learning that are offered to this memory"""
    clear_policy: NotNegative = 0.01
    """weight of the divergence from what the policy was when a decision was kept (CLEAR)"""
    clear_value: NotNegative = 0.005
    """weight of the squared change of the value since then (CLEAR)"""
    packnet_retrain: ShareBelowOne = 0.2
    """share of a task's steps, its last, in which what was not pruned is trained on (PackNet)"""
    lesson_envs: Count = 32
    """environments whose frames are kept of each task, to teach the distilled network by (agent library)"""
    lesson_steps: Count = 48
    """steps of each of them: so many driven by who learned the task, then as many by the distilled network"""
    distil_updates: CountOrZero = 200
    """gradient steps in which the distilled network learns a task more"""
    distil_sequences: Count = 6
    """sequences of the new task in each of these, and as many of those before"""
    trial_episodes: CountOrZero = 8
    """episodes in which each skill is tried where a task begins (0: none is)"""
    known: Share = 0.9
    """success in trials from which on a task counts as known, and is not learned again"""
    skill_options: Literal["no", "learned", "random"] = "no"
    """whether what the agent library learned can be chosen beside primitive actions, for --option-steps; random: as many heads that
    learned nothing, a control"""
    keep_every: Count = 30_000
    """environment steps after which what is learned is kept, where nothing is told (agent library)"""
    l2_init: NotNegative = 0.0
    """weight of sum of (w - w0)^2, towards the first weights (0: off)"""
    shrink: Share = 0.0
    """share by which weights shrink towards new random ones with each gradient step (0: off)"""
    redo_every: CountOrZero = 0
    """gradient steps between two times that dormant units are begun anew (0: never)"""
    redo_tau: NotNegative = 0.1
    """units are dormant whose mean activation is at most this share of their layer's"""
