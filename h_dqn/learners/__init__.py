"""Learners by name. To add one, write a settings dataclass and a :class:`Learner`, and put both into :data:`LEARNERS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from h_dqn.learners.base import Choice, Learner, Metrics, Progress
from h_dqn.learners.dqn import DQN, DQNConfig
from h_dqn.learners.method import Method
from h_dqn.learners.q_lambda import QLambda, QLambdaConfig
from h_dqn.settings import ConfigError, unknown

if TYPE_CHECKING:
    from h_dqn.config import Config

__all__ = ["LEARNERS", "Choice", "Learner", "Method", "Metrics", "Progress", "learner_name", "learner_settings", "make_learner"]


class Kind(NamedTuple):
    """A learner and its settings."""

    settings: type[Any]
    make: Callable[..., Learner]


LEARNERS: dict[str, Kind] = {"q_lambda": Kind(QLambdaConfig, QLambda), "dqn": Kind(DQNConfig, DQN)}


def make_learner(config: Config, shape: tuple[int, int, int], options: int, seed: int, methods: Sequence[Method] = ()) -> Learner:
    """The learner whose settings ``config.learner`` are, for O options and (S, H, W) stacks of frames."""
    return LEARNERS[learner_name(config.learner)].make(config, shape, options, seed, methods)


def learner_name(settings: Any) -> str:
    """The name of the learner that has settings of this type."""
    return next(name for name, kind in LEARNERS.items() if kind.settings is type(settings))


def learner_settings(name: str) -> type[Any]:
    """The type of a learner's settings. Raises ConfigError for an unknown name."""
    if name not in LEARNERS:
        raise ConfigError(unknown("learner", name, LEARNERS))
    return LEARNERS[name].settings
