"""Skills of a life as options: heads of the network that was taught all of them, in one pass of it beside the primitive actions.

A controller that may choose them learns the primitive actions' values from what skills do, too (intra-option learning,
:class:`h_dqn.recorder.Recorder`). So what is kept of it is flat: the outputs that stand for primitive actions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from h_dqn.experiment.lifelong_agent import Setting, options_of
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.networks import QNetwork
from h_dqn.options import Option
from skills_library.policy import PolicyHead, Termination
from skills_library.skill import LACKS, OPTION, SkillOption


def skill_options(setting: Setting, envs: TaskEnvs, network: QNetwork, ends: Mapping[int, float]) -> list[Option]:
    """The skills that are heads of ``network``, a head after the other by number.

    Args:
        setting: what options run like.
        envs: where they act; they take no action that these lack.
        network: has an output for each primitive action of each head.
        ends: of each skill, by number, the value above which an action of its is its last.
    """
    has = [bool(option.initiate(np.zeros(1))[0]) for option in options_of(envs, setting.told)]
    actions, c = np.where(has, np.arange(len(has)), LACKS), setting.config.options
    return [
        SkillOption(
            name, network, PolicyHead(name, setting.options, number * len(actions), Termination(c.option_steps, end)), actions
        )
        for number, end in ends.items()
        for name in [f"{OPTION}{number}"]
    ]


def random_skills(setting: Setting, outputs: int) -> QNetwork:
    """A network whose heads have learned nothing, but do not all do the same: a control for what skills are worth."""
    network, generator = setting.network(outputs), torch.Generator().manual_seed(setting.seed)
    nn.init.normal_(network.head.get_parameter("weight"), generator=generator)
    return network


def flat(setting: Setting, network: QNetwork) -> QNetwork:
    """What a network says of the primitive actions alone, which are its first outputs."""
    if network.spec.outputs == len(setting.options):
        return network
    alone = setting.network()
    alone.warm_start(setting.options, network, setting.options)
    return alone
