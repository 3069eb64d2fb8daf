"""Settings: what each may be, how they are changed by name, and what JSON keeps of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h_dqn.config import Config, ConfigError, change, from_json, to_json
from h_dqn.learners import LEARNERS, learner_name, learner_settings
from h_dqn.presets import PRESETS
from h_dqn.settings import Range, check, named_settings
from skills_library.distill import DistillConfig

CONFIGS: dict[str, Config] = {
    f"{preset}, {learner}": change(PRESETS[preset], learner=learner) for preset in PRESETS for learner in LEARNERS
}
EVERYTHING: dict[str, Any] = {**CONFIGS, "distil": DistillConfig()}


ANY_NUMBER = {"initial_value"}  # settings without a range


def flat(config: Any) -> dict[str, Any]:
    """All settings by name."""
    return {name: value for name, _, value in named_settings(config)}


def parts(hint: Any) -> tuple[Any, Range | None]:
    """A setting's type, and its range if it is a number."""
    if get_origin(hint) is not Annotated:
        return hint, None
    kind, *extras = get_args(hint)
    return kind, next((extra for extra in extras if isinstance(extra, Range)), None)


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_preset_can_be_and_every_number_has_a_range(name: str) -> None:
    config = EVERYTHING[name]
    config.check()
    for setting, hint, value in named_settings(config):
        kind, span = parts(hint)
        assert (span is not None) == (kind in (int, float) and setting not in ANY_NUMBER), f"{setting}: no range"
        assert span is None or value in span


def inside(hint: Any) -> st.SearchStrategy[Any]:
    """What a setting of this type may be."""
    kind, span = parts(hint)
    if get_origin(kind) is tuple:
        return st.lists(inside(get_args(kind)[0]), max_size=3).map(tuple)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is str:
        return st.text(max_size=8)
    span = span or Range()
    low, high = (None if abs(end) == float("inf") else end for end in (span.low, span.high))
    if kind is int:
        assert high is not None, "a whole number that no limit bounds"
        return st.integers(int(low or 0) + span.above, int(high))
    return st.floats(low, high, exclude_min=span.above, exclude_max=span.below, allow_infinity=False, allow_nan=False)


def outside(hint: Any) -> st.SearchStrategy[Any]:
    """What it may not be."""
    kind, span = parts(hint)
    odd: list[Any] = [None, [], {}, [1]]
    if get_origin(kind) is tuple:
        return st.sampled_from([*odd, 0.5, "0.5"]) | st.lists(outside(get_args(kind)[0]), min_size=1, max_size=2).map(tuple)
    if get_origin(kind) is Literal:
        return st.sampled_from([*odd, 1, True]) | st.text().filter(lambda text: text not in get_args(kind))
    if kind in (bool, str):
        return st.sampled_from([*odd, 0, 2.5, *((1, "yes") if kind is bool else (True,))])
    fractions = [1.0, 2.5] if kind is int else []
    wrong = st.sampled_from([*odd, True, False, "1", float("inf"), float("-inf"), float("nan"), *fractions])
    if span is None:
        return wrong
    low: st.SearchStrategy[Any] = st.integers(max_value=int(span.low) - (not span.above)) | st.just(-(10**400))
    if kind is float:
        low |= st.floats(max_value=span.low, exclude_max=not span.above, allow_infinity=False)
    if span.high == float("inf"):
        return wrong | low
    high: st.SearchStrategy[Any] = st.integers(int(span.high) + 1)
    if kind is float:
        high |= st.floats(span.high, exclude_min=not span.below, allow_infinity=False)
    return wrong | low | high


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(list(EVERYTHING)))
def test_what_is_in_range_can_be_and_nothing_else(data: st.DataObject, name: str) -> None:
    config = EVERYTHING[name]
    setting, hint, _ = data.draw(st.sampled_from(list(named_settings(config))))
    good, bad = change(config, **{setting: data.draw(inside(hint))}), change(config, **{setting: data.draw(outside(hint))})
    good.check()
    if isinstance(good, Config):
        assert from_json(json.loads(json.dumps(to_json(good)))) == good
    with pytest.raises(ConfigError, match=f"^--{setting.replace('_', '-')} must be ") as error:
        bad.check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("hint", "says"),
    [
        (Annotated[int, Range(0, above=True)], "--x must be above 0, not 0"),
        (Annotated[int, Range(1)], "--x must be at least 1, not 0"),
        (Annotated[float, Range(1, 2)], "--x must be from 1 to 2, not 0"),
        (Annotated[float, Range(1, 2, below=True)], "--x must be from 1 to below 2, not 0"),
        (bool, "--x must be true or false, not 0"),
        (str, "--x must be text, not 0"),
        (Literal["a", "b"], "--x must be one of a, b, not 0"),
    ],
)
def test_a_refusal_says_what_can_be(hint: Any, says: str) -> None:
    @dataclass
    class Settings:
        x: Any

    Settings.__annotations__["x"] = hint
    with pytest.raises(ConfigError) as error:
        check(Settings(0))
    assert str(error.value) == says


def test_whole_numbers_of_any_length_are_compared() -> None:
    change(Config(), capacity=2**62).check()
    with pytest.raises(ConfigError, match=r"--capacity must be at most \d+, not 1000*\.\.\.$"):
        change(Config(), capacity=10**400).check()
    with pytest.raises(ConfigError, match="--capacity must be above 0"):
        change(Config(), capacity=-(10**400)).check()
    with pytest.raises(ConfigError, match="--discount must be from 0 to 1"):
        change(Config(), discount=10**400).check()


def named(config: Any) -> Iterator[str]:
    """Names of all settings and of all concerns."""
    for entry in fields(config):
        yield entry.name
        if is_dataclass(part := getattr(config, entry.name)):
            yield from named(part)


@pytest.mark.parametrize("learner", LEARNERS)
def test_names_are_unique_over_all_concerns(learner: str) -> None:
    names = list(named(change(Config(), learner=learner)))
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", CONFIGS)
def test_each_setting_is_changed_by_its_name_alone(name: str) -> None:
    config = CONFIGS[name]
    before = flat(config)
    for setting, hint, value in named_settings(config):
        kind, _ = parts(hint)
        added: Any = (0.5,) if isinstance(value, tuple) else 1
        other = not value if kind is bool else "other" if isinstance(value, str) else value + added
        changed = change(config, **{setting: other})
        assert flat(changed) == {**before, setting: other}
        assert change(changed, **{setting: value}) == config


def test_several_are_changed_at_once_and_unknown_ones_refused() -> None:
    changed = change(Config(), learner="dqn", n_step=3, size=32, learning_rate=0.5, epsilon_end=0.25)
    assert learner_name(changed.learner) == "dqn"
    assert (changed.learner.n_step, changed.env.size) == (3, 32)
    assert (changed.learner.descent.learning_rate, changed.learner.exploration.epsilon_end) == (0.5, 0.25)
    for settings_, says in (
        ({"speed": 1}, "unknown setting 'speed'"),
        ({"n_step": 3}, "unknown setting 'n_step'"),
        ({"learner": "dqn", "td_lambda": 0.5}, "unknown setting 'td_lambda'"),
        ({"learner": "sarsa"}, r"unknown learner 'sarsa' \(known: q_lambda, dqn\)"),
    ):
        with pytest.raises(ConfigError, match=says):
            change(Config(), **settings_)


@pytest.mark.parametrize("preset", PRESETS)
def test_another_learner_keeps_what_both_have(preset: str) -> None:
    for name in LEARNERS:
        changed = change(PRESETS[preset], learner=name)
        assert type(changed.learner) is learner_settings(name)
        before, after, plain = (flat(config) for config in (PRESETS[preset], changed, Config(learner=learner_settings(name)())))
        assert {key: value for key, value in after.items() if key in before} == {key: before[key] for key in after if key in before}
        assert all(after[key] == plain[key] for key in after if key not in before)


@pytest.mark.parametrize("name", CONFIGS)
def test_json_keeps_everything(name: str) -> None:
    config = CONFIGS[name]
    entry = json.loads(json.dumps(to_json(config)))
    assert entry["learner"]["name"] == name.split(", ")[1]
    assert from_json(entry) == config


ENTRY = to_json(Config())


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({**ENTRY, "speed": 1}, "settings: 'speed' is missing or unknown"),
        ({key: value for key, value in ENTRY.items() if key != "env"}, "settings: 'env' is missing or unknown"),
        ({**ENTRY, "env": {**ENTRY["env"], "worlds": 3}}, "env: 'worlds' is missing or unknown"),
        ({**ENTRY, "env": 3}, "env: not an object"),
        ({**ENTRY, "learner": {**ENTRY["learner"], "name": "sarsa"}}, "unknown learner 'sarsa'"),
        ({**ENTRY, "learner": {**ENTRY["learner"], "name": "dqn"}}, "learner: '.*' is missing or unknown"),
        ({**ENTRY, "learner": 3}, "unknown learner ''"),
        ({**ENTRY, "env_steps": "many"}, "--env-steps must be a whole number, not many"),
        ({**ENTRY, "env_steps": 0}, "--env-steps must be above 0, not 0"),
        ([], "unknown learner ''|not an object"),
        (None, "unknown learner ''|not an object"),
    ],
)
def test_other_json_is_refused(entry: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        from_json(entry)
