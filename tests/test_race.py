"""How a skill begins: who is ahead, what a planted skill does to the choice, and what it may cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h_dqn.evaluation import Evaluation
from h_dqn.experiment.gate import fresh_seed, lost, passes
from h_dqn.experiment.race import RANDOM, Trial, ahead, fitting, learns, most_alike, survivors, zero_shot
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import TaskEnvs, task_envs
from h_dqn.statistics import wilson
from skills_library.library import Library
from tests.helpers import ACTIONS, ROOM, SHAPE, planted, policy_of, toml_of


def test_who_is_ahead() -> None:
    chance = Trial(RANDOM, 2, 30)
    assert ahead(Trial("good", 12, 30), chance)
    assert not ahead(Trial("perhaps", 5, 30), chance)
    assert not ahead(Trial("none", 0, 30), chance)
    assert not ahead(Trial("untried"), chance)


def test_survivors_are_those_that_succeed_the_best_first() -> None:
    a, b, c, d = Trial("a", 1, 6, 90), Trial("b", 4, 6, 60), Trial("c", 0, 6, 180), Trial("d", 4, 6, 50)
    assert [one.name for one in survivors([a, b, c, d], 2)] == ["d", "b"]
    assert [one.name for one in survivors([a, b, c, d], 9)] == ["d", "b", "a"]


def test_who_began_from_a_skill_must_get_better() -> None:
    assert learns(Trial("", 90, 300), Trial("", 150, 300))
    assert not learns(Trial("", 90, 300), Trial("", 95, 300))
    assert learns(Trial("", 250, 300), Trial("", 245, 300))  # there is little left to learn


@pytest.fixture
def corridor(tmp_path: Path) -> TaskEnvs:
    """A corridor in whose middle one begins, with an exit at both ends: who always goes forward arrives half of the time."""
    file, rows = tmp_path / "corridor.toml", "\n".join(["#" * 17, "#e......s......e#", "#" * 17])
    legend = {**ROOM["legend"], "s": {"floor": "plaster"}}
    file.write_text('start = "s"\n' + toml_of({**ROOM, "step_limit": 16, "map": rows, "legend": legend}))
    return task_envs(str(file), SHAPE)


def test_a_planted_skill_that_solves_the_task_is_chosen_and_a_harmful_one_is_not(corridor: TaskEnvs) -> None:
    good, harmful = planted("good", 0), planted("harmful", 1)
    best, trials = zero_shot([harmful, good], corridor, 1, 10_000, Watcher())
    assert best is good
    told = {trial.name: trial for trial in trials}
    assert told["harmful"].episodes == 6  # it never succeeds, and is left out
    assert told["good"].episodes == told[RANDOM].episodes == 30
    best, trials = zero_shot([harmful], corridor, 1, 10_000, Watcher())
    assert best is None
    assert sum(trial.env_steps for trial in trials) <= 2 * 6 * 16


def test_trials_take_no_more_steps_than_they_may(corridor: TaskEnvs) -> None:
    skills = [planted(f"s{n}", 0) for n in range(5)]
    for most in (0, 500, 600, 1500):
        best, trials = zero_shot(skills, corridor, 1, most, Watcher())
        assert sum(trial.env_steps for trial in trials) <= most
        assert best is None or most >= 600


def test_layers_are_taken_from_whom_is_most_alike() -> None:
    walks, breaks = planted("walks", 0), planted("breaks", 0, ("forward", "turn_left", "break"))
    assert most_alike([walks, breaks], ("forward", "turn_left", "turn_right", "pick_up")) is walks
    assert most_alike([walks, breaks], ("forward", "turn_left", "break")) is breaks
    better = planted("better", 0, low=0.95)
    assert most_alike([walks, better], ACTIONS) is better
    assert most_alike([planted("bad", 0, low=0.3)], ACTIONS) is None  # it has learned nothing that could help


def test_only_networks_of_the_same_form_can_be_begun_from(tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    for name in ("one", "two"):
        library.add(policy_of(1, name))
    spec = library.policy("one").network.spec
    assert [skill.name for skill in fitting(library, replace(spec, outputs=9), "")] == ["one", "two"]
    assert [skill.name for skill in fitting(library, spec, "one")] == ["two"]
    assert not fitting(library, replace(spec, core=8), "")


# --- the gate ---


def outcome(successes: int, episodes: int) -> Evaluation:
    return Evaluation(successes / episodes, wilson(successes, episodes), episodes, 0, 0, 0.0)


def test_the_gate_asks_for_the_lower_end() -> None:
    assert passes(outcome(485, 500), 0.95)
    assert not passes(outcome(484, 500), 0.95)
    assert passes(outcome(964, 1000), 0.95)
    assert not passes(outcome(963, 1000), 0.95)


def test_what_a_head_loses_is_counted_on_the_same_episodes() -> None:
    original, now = np.ones(1000, bool), np.ones(1000, bool)
    now[:12], original[:2] = False, False
    assert lost(original.tolist(), now.tolist()) == pytest.approx(0.01)
    assert lost([False, True], [True, True]) == -0.5


def test_each_attempt_plays_episodes_of_its_own() -> None:
    assert len({fresh_seed(seed, attempt) for seed in range(20) for attempt in range(20)}) == 400
