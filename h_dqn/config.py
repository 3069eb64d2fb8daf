"""Settings of one run. Presets are in ``presets.py``; on the command line each field is a flag of the same name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Literal

BOUNDS = {"discount": (0.8, 0.995), "trace": (0.05, 0.95)}  # of what tunes itself


class ConfigError(ValueError):
    """A setting cannot be; the message names it."""


_FROM_ZERO = {
    "reward_scale",
    "deliberation",
    "epsilon_ladder",
    "epsilon_decisions",
    "td_clip",
    "gap",
    "trace",
    "learn_start",
    "target_period",
    "priority",
    "success_memory",
    "temperature",
}
_SHARES = {
    "until",
    "success_memory",
    "discount",
    "reference_discount",
    "epsilon_start",
    "epsilon_end",
    "final_learning_rate",
    "trace",
}


@dataclass(frozen=True)
class Config:
    """How to learn. Decisions are choices of an option; environment steps are primitive actions."""

    env_steps: int = 700_000
    """length of the run, in environment steps over all worlds together"""
    until: float = 0.0
    """success in validation at which the run ends sooner; of a sequence, in its last phase (0: never)"""
    worlds: int = 128
    """worlds that run at once"""
    size: int = 64
    """height and width of a frame, in pixels"""
    stack: int = 2
    """grey frames in one observation; more show motion and the recent past, and cost time (a second one: a fifth more)"""
    memory: bool = True
    """whether each frame shows the last actions and where was looked; without it, an agent forgets which way it was turning"""
    network: str = "compact"
    """a name in networks.ARCHITECTURES"""
    option_steps: int = 10
    """k: most steps that the controller lets a skill run"""
    stop_at_goal: bool = True
    """whether a skill also ends where it expects to have reached its goal"""
    interrupt: bool = False
    """whether a skill also ends where another option is worth more (Sutton, Precup and Singh 1999, section 4)"""
    discount_by: Literal["step", "decision"] = "step"
    """step: gamma^k after k steps, as the semi-MDP has it; decision: gamma, however long it was, as in Tessler et al.'s code"""
    deliberation: float = 0.0
    """what each decision costs beside the rewards (Harb et al. 2018), times the share of the newest episodes that
    reached the goal: of two ways alike, the one of fewer decisions is taken"""
    success_memory: float = 0.2
    """share of what is learned that is drawn from the newest successful episodes, once there are any"""
    discount: float = 0.97
    """gamma, per environment step"""
    reward_scale: float = 0.1
    """rewards are multiplied by this when they are sampled; keeps Q-values near 1"""
    initial_value: float = -10 / 3
    """Q-value of every option at the start. At reward_scale * reward / (1 - discount), the value of never arriving, options of
    all lengths look alike until the first success; above it, the agent shuns long options first, since they disappoint sooner"""

    epsilon_start: float = 1.0
    """share of random choices at the start"""
    epsilon_end: float = 0.4
    """share of random choices from epsilon_decisions on"""
    epsilon_ladder: float = 7.0
    """spreads the worlds: the first explores with epsilon, the last with epsilon ** (1 + ladder); 0: all alike"""
    epsilon_decisions: int = 60_000
    """decisions over which epsilon falls"""
    epsilon_waits: bool = True
    """whether epsilon falls only while some of the last 300 episodes reached the goal, and rises again while none does"""

    temperature: float = 0.03
    """of the choice by softmax(Q / temperature) wherever the agent is evaluated; 0: greedy. An agent without memory needs a little
    chance to get out of its own circles; a third of a step's worth leaves what is clear as it is"""

    learner: Literal["rollout", "replay"] = "rollout"
    """rollout: Q(lambda) on what was just seen, no replay and no target network (Gallici et al. 2024); replay: n-step DQN"""
    round_steps: int = 8
    """steps of every world between two rounds of learning"""
    batch_size: int = 64
    """decisions in a minibatch"""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """adam, or the centred RMSProp of the DQN papers"""
    learning_rate: float = 1e-3
    """step size of the optimiser"""
    final_learning_rate: float = 0.05
    """learning rate at the end of the run, as a share of the first one; it falls linearly"""
    max_grad_norm: float = 10.0
    """gradients are scaled down to this norm"""
    td_clip: float = 0.0
    """gradient of the loss is clipped where the TD error exceeds this (0: squared loss)"""

    intra_option: Literal["no", "primitives", "all"] = "primitives"
    """what a step teaches beside the option that took it: nothing, the primitive action that it was, or every option that
    would have done the same (Sutton, Precup and Singh 1998)"""
    gap: float = 0.8
    """alpha of advantage learning: widens the gap between the best option and the others by 1 / (1 - alpha); 0: off"""

    eliminate: bool = False
    """whether options are eliminated where they surely do nothing (Zahavy et al. 2018)"""

    tune_discount: bool = False
    """whether the discount tunes itself by its meta-gradient (Xu et al. 2018), from the given one on"""
    tune_trace: bool = False
    """whether lambda does, too"""
    reference_discount: float = 0.995
    """tune_discount, tune_trace. gamma', by which it is judged what they are good for; never changes"""
    meta_rate: float = 0.05
    """tune_discount, tune_trace. most that eta moves in a round of learning; the discount is sigmoid(eta), so that this is also
    the share by which the horizon 1 / (1 - gamma) changes, about"""

    target_period: int = 0
    """decisions between two copies into a target network (0: there is none)"""
    double: bool = True
    """the online network picks the option that the target network values"""

    trace: float = 0.6
    """rollout only. lambda of Q(lambda): 0 trusts the next value alone, 1 the rewards to the end of what was seen"""
    epochs: int = 1
    """rollout only. passes over the decisions of a round"""

    capacity: int = 100_000
    """replay, or with a success memory, or to eliminate. environment steps that are kept"""
    learn_start: int = 20_000
    """replay only. decisions before the first update"""
    updates_per_decision: float = 4.0
    """replay only. minibatches learned for each decision made"""
    n_step: int = 1
    """replay only. consecutive decisions in one target: more brings reward back faster, with more variance"""
    priority: float = 0.0
    """replay only. exponent of prioritised replay (0: uniform)"""

    evaluate_every: int = 40_000
    """environment steps between two validations"""
    validation_episodes: int = 250
    """episodes of a validation"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to learn; auto: on CUDA where there is any"""

    def check(self) -> None:
        """Raises ConfigError for a setting that cannot be."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, (bool, str)):
                continue
            flag = "--" + entry.name.replace("_", "-")
            if not -inf < value < inf:
                raise ConfigError(f"{flag} must be a number, not {value}")
            if entry.name == "initial_value":
                continue
            if entry.name in _SHARES and not 0 <= value <= 1:
                raise ConfigError(f"{flag} must be from 0 to 1, not {value}")
            zero = entry.name in _FROM_ZERO
            if value < 0 or (value == 0 and entry.name not in _SHARES and not zero):
                raise ConfigError(f"{flag} must be {'at least' if zero else 'above'} 0, not {value}")
        if self.deliberation and self.n_step > 1:
            raise ConfigError("--deliberation is charged once for each chain of decisions: it goes with --n-step 1")
        for name, (low, high) in BOUNDS.items():
            if getattr(self, f"tune_{name}"):
                if self.learner != "rollout" or self.target_period:
                    raise ConfigError(f"--tune-{name} goes with --learner rollout and --target-period 0")
                if not low <= getattr(self, name) <= high:
                    raise ConfigError(f"--tune-{name}: --{name} must begin from {low} to {high}, not at {getattr(self, name)}")
        for name in ("gap", "success_memory"):
            if (value := getattr(self, name)) >= 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be below 1, not {value}")
