"""Settings of one run, by concern. Each room's settings stand beside what they set; presets are in ``presets.py``.

Names of settings are unique over all concerns: :func:`change` takes them flat, as the flags of the command line are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any

from h_dqn.device import DeviceName
from h_dqn.elimination import EliminationConfig
from h_dqn.learners import learner_name, learner_settings
from h_dqn.learners.q_lambda import QLambdaConfig
from h_dqn.networks import NetworkConfig
from h_dqn.options import OptionConfig
from h_dqn.reading import short
from h_dqn.replay import ReplayConfig
from h_dqn.settings import ConfigError, Count, Range, Share, check, named_settings, unknown

__all__ = ["Config", "ConfigError", "EnvConfig", "ValidationConfig", "change", "from_json", "to_json"]


@dataclass(frozen=True)
class EnvConfig:
    """How many environments, and what is seen of them."""

    num_envs: Annotated[int, Range(0, 10_000, above=True)] = 128
    """environments that run at once"""
    size: Annotated[int, Range(0, 512, above=True)] = 48
    """height and width of a frame, in pixels"""
    stack: Annotated[int, Range(0, 64, above=True)] = 1
    """grey frames in one observation; more show motion and the recent past to an agent without a core, and cost time"""
    memory: bool = True
    """whether each frame shows the last actions and where was looked; without it, an agent forgets which way it was turning"""


@dataclass(frozen=True)
class ValidationConfig:
    """How often success is measured while learning."""

    evaluate_every: Count = 80_000
    """environment steps between two validations"""
    validation_episodes: Count = 250
    """episodes of a validation"""


@dataclass(frozen=True)
class Config:
    """How to learn. Decisions are choices of an option; environment steps are primitive actions."""

    env_steps: Count = 1_000_000
    """length of the run, in environment steps over all environments together"""
    until: Share = 0.0
    """success in validation at which the run ends sooner; of a sequence, in its last phase (0: never)"""
    give_up: Share = 0.0
    """share of the run at which it ends sooner if no episode has reached the goal by then (0: never)"""
    round_steps: Count = 32
    """steps of every environment between two rounds of learning"""
    device: DeviceName = "auto"
    """where to learn; auto: on CUDA where there is any"""
    env: EnvConfig = field(default_factory=EnvConfig)
    options: OptionConfig = field(default_factory=OptionConfig)
    net: NetworkConfig = field(default_factory=NetworkConfig)
    learner: Any = field(default_factory=QLambdaConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    elimination: EliminationConfig = field(default_factory=EliminationConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def check(self) -> None:
        """Raises ConfigError for a setting that cannot be."""
        check(self)


def change(config: Any, **settings: Any) -> Any:
    """``config`` with these settings, each named as on the command line, whatever concern it belongs to.

    ``learner`` may be a learner's name: its settings begin at their defaults, but for those that the learner before it had too.
    Raises ConfigError for an unknown setting.
    """
    if isinstance(name := settings.get("learner"), str):
        kind = learner_settings(name)
        shared = {entry.name: getattr(config.learner, entry.name) for entry in fields(kind) if hasattr(config.learner, entry.name)}
        settings["learner"] = kind(**shared)
    left = dict(settings)
    changed = _changed(config, left)
    if left:
        raise ConfigError(unknown("setting", next(iter(left)), (name for name, _, _ in named_settings(changed))))
    return changed


def _changed(config: Any, left: dict[str, Any]) -> Any:
    """``config`` with those of the settings ``left`` that it has, which are taken out."""
    own = {entry.name: left.pop(entry.name) for entry in fields(config) if entry.name in left}
    parts = {entry.name: own.get(entry.name, getattr(config, entry.name)) for entry in fields(config)}
    own |= {name: _changed(part, left) for name, part in parts.items() if is_dataclass(part)}
    return replace(config, **own)


def to_json(config: Config) -> dict[str, Any]:
    """``config`` as JSON has it: the learner's settings name their learner."""
    return {**asdict(config), "learner": {"name": learner_name(config.learner), **asdict(config.learner)}}


def from_json(entry: Mapping[str, Any]) -> Config:
    """What :func:`to_json` gave. Raises ConfigError for anything missing, unknown, of a wrong type or out of range."""
    learner = dict(entry["learner"]) if isinstance(entry, Mapping) and isinstance(entry.get("learner"), Mapping) else {}
    default = Config(learner=learner_settings(str(learner.pop("name", "")))())
    config: Config = _read(default, {**entry, "learner": learner}, "settings")
    config.check()
    return config


def _read(default: Any, entry: Any, where: str) -> Any:
    names = {one.name for one in fields(default)}
    if not isinstance(entry, Mapping) or (odd := names ^ set(entry)):
        raise ConfigError(
            f"{where}: {'not an object' if not isinstance(entry, Mapping) else f'{short(min(odd))!r} is missing or unknown'}"
        )
    parts = {name: getattr(default, name) for name in names}
    read = {
        name: _read(part, entry[name], name) if is_dataclass(part) else _several(part, entry[name]) for name, part in parts.items()
    }
    return replace(default, **read)


def _several(default: Any, value: Any) -> Any:
    """``value``, as a tuple where the setting is one: JSON has lists."""
    return tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value
