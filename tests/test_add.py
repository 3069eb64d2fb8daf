"""A skill is added by one command: how it begins, what the gate lets through, and a library that changes once or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import h_dqn
from h_dqn.experiment import add as module
from h_dqn.experiment import multi
from h_dqn.experiment.add_plan import AddPlan, GateConfig
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.gate import bar_of
from h_dqn.experiment.inputs import kept_inputs
from h_dqn.experiment.multi import MultiConfig
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.race import Trial
from h_dqn.experiment.runs import resume
from h_dqn.experiment.training import preset
from h_dqn.experiment.watch import Watcher
from h_dqn.settings import ConfigError
from skills_library.library import Library
from skills_library.policy import SavedPolicy, policy_files
from skills_library.share import take
from skills_library.skill import Skill
from tests.helpers import ROOM, Capture, last_json, policy_of, saved_policy, toml_of
from tests.helpers import h_dqn as command

# The network is another than the one that comes with the package, which sees other frames than the preset smoke.
SMOKE: dict[str, Any] = {"preset": "smoke", "num_envs": 16, "until": 0.5, "episodes": 20}
EASY = GateConfig(bar=0.0)
QUICK = MultiConfig("own", distil_steps=64, head_episodes=8, may_lose=1.0, attempts=1)
SMALL = "--preset smoke --num-envs 16 --bar 0 --episodes 20"
LINE = f"{SMALL} --multi own --distil-steps 64 --head-episodes 8 --may-lose 1 --attempts 1"


@pytest.fixture
def rooms(in_tmp: Path, quick_rehearsal: None) -> Path:
    """A folder with task files: a room in which chance finds the goal, others like it, and one in which it never does."""
    for name in ("first", "second", "third"):
        Path(f"{name}.toml").write_text(toml_of(ROOM))
    far = {**ROOM, "step_limit": 60, "map": "#" * 30 + "\n#e" + "." * 26 + "s#\n" + "#" * 30}
    far["legend"] = {**ROOM["legend"], "s": {"floor": "plaster"}}
    Path("never.toml").write_text('start = "s"\n' + toml_of(far))
    return in_tmp


def library() -> Library:
    """One without the skills that come with the package, as these see other frames than the preset smoke."""
    return Library(Path("skills"), shipped=Path("none"))


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def add(task: str, **how: Any) -> dict[str, Any]:
    found: dict[str, Any] = h_dqn.add_skill(f"{task}.toml", library(), **{**SMOKE, "gate": EASY, "multi": QUICK, **how})
    return found


def test_skills_are_added_one_after_another(rooms: Path) -> None:
    for number, task in enumerate(("first", "second", "third"), 1):
        result = add(task)
        assert list(result["heads"]) == ["first", "second", "third"][:number]
        assert result["heads"][task]["before"] is None
        assert result["multi"] == ""
        kept = library()
        assert len(kept.policy("own").heads) == number
        assert len(kept.index()["own"].ids) == number
        assert kept.policy(task).head.card["measured"]["episodes"] == 20
    assert not [one for name in library().names() for one in library().verify(name) if one["problem"]]
    assert result["heads"]["first"]["before"] is not None


def test_the_bar_is_what_the_best_version_has_shown_in_the_same_task(in_tmp: Path) -> None:
    def version(success: float, task: str = "a", **more: Any) -> Any:
        policy = policy_of(round(1000 * success))
        card = {"task": {"name": "walk", "hash": task, "world": "voxel", **more}, "measured": {"success_rate": success}}
        return replace(policy, heads=(replace(policy.head, card=card),))

    kept = library()
    assert bar_of(kept, "walk", "a", "voxel") == 0.8
    for one in (version(0.6), version(0.9), version(0.7), version(0.99, "b"), version(0.97, world="luanti")):
        kept.add(one, lambda old, new: False)
    assert bar_of(kept, "walk", "a", "voxel") == pytest.approx(0.95 * 0.9)
    assert bar_of(kept, "walk", "b", "voxel") == pytest.approx(0.95 * 0.99)
    assert bar_of(kept, "walk", "c", "voxel") == bar_of(kept, "run", "a", "voxel") == 0.8
    take(kept, policy_files(version(1.0)), Path("theirs"), further=True, origin="theirs.zip")
    assert bar_of(kept, "walk", "a", "voxel") == pytest.approx(0.95 * 0.9)  # what a stranger says counts nothing


def test_a_bar_that_cannot_be_is_named() -> None:
    plan = Plan("skill", "navigation1", preset("smoke"))
    assert AddPlan(plan, GateConfig()).gate.bar is None
    for bar in (1.5, "high", True):
        with pytest.raises(ConfigError, match="--bar must be"):
            AddPlan(plan, GateConfig(bar=bar))  # type: ignore[arg-type]


class Told(Watcher):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_skill_below_the_bar_is_refused_and_the_library_stays_as_it_was(rooms: Path) -> None:
    add("first")
    before = bytes_of(Path("skills"))
    with pytest.raises(UserError, match=r"'second' is refused: it succeeds in .* below --bar 0\.999"):
        add("second", gate=GateConfig(bar=0.999))
    assert bytes_of(Path("skills")) == before
    with pytest.raises(UserError, match="is over"):
        resume(Path("runs/add-second-s1")).learn()


def test_where_nothing_succeeds_it_stops_after_a_tenth_and_says_why(rooms: Path) -> None:
    with pytest.raises(UserError, match=r"no episode reached the goal in 5,\d\d\d steps, so it stopped there.*all_of"):
        add("never", env_steps=50_000, num_envs=64)
    assert not Path("skills").exists()


def test_a_task_that_cannot_be_solved_in_time_is_refused_before_anything(rooms: Path) -> None:
    Path("never.toml").write_text(Path("never.toml").read_text().replace("step_limit = 60", "step_limit = 3"))
    with pytest.raises(UserError, match="the oracle cannot solve"):
        add("never")
    assert not Path("runs").exists()


def test_where_an_old_head_would_lose_the_network_stays_as_it_was(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add("first")
    before = library().current("own")
    monkeypatch.setattr("h_dqn.experiment.multi.lost", lambda original, now: 0.02)
    result = add("second", multi=MultiConfig("own", distil_steps=64, head_episodes=8, attempts=2))
    assert result["multi"].endswith("would be 2.0% below its own network, and at most 1.0% are allowed")
    assert library().current("own") == before
    assert "second" in library().names()  # with its own network


def test_a_head_may_lose_what_it_had_lost_when_it_was_first_taught(in_tmp: Path) -> None:
    def measured(policy: SavedPolicy, *success: float) -> SavedPolicy:
        pairs = zip(policy.heads, success, strict=True)
        heads = tuple(replace(head, card={**head.card, "measured": {"success_rate": rate}}) for head, rate in pairs)
        return replace(policy, heads=heads)

    kept, networks = library(), []
    for number, success in enumerate(((0.85, 0.93), (0.7, 0.93))):  # then the first one has lost more
        network = saved_policy("own", 6)
        one, two = (replace(network.heads[0], name=f"own/{name}", first=3 * at) for at, name in enumerate(("a", "b")))
        with torch.no_grad():
            network.network.head.get_parameter("weight").add_(number)
        networks.append(measured(replace(network, heads=(one, two)), *success))
        kept.add(networks[-1])
    who = [Skill(policy, policy.head) for policy in (measured(saved_policy(name), 0.9) for name in ("a", "b", "new"))]
    found = multi.had_lost(kept, "own", who, networks[-1])
    assert found == {"a": pytest.approx(0.05), "b": 0.0, "new": 0.0}
    assert set(multi.had_lost(kept, "own", who, None).values()) == {0.0}


def test_another_process_came_between(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who adds at the same time: the network learns both, as it is taught again with what is there."""
    real = multi.teach
    came: list[bool] = []

    def teach(*given: Any) -> Any:
        found = real(*given)
        if not came:
            came.append(True)
            monkeypatch.setattr(module, "teach", real)
            add("second", seed=2)
        return found

    monkeypatch.setattr(module, "teach", teach)
    told = Told()
    result = add("first", watcher=told)
    assert any("another process has changed the library" in line for line in told.lines)
    assert set(result["heads"]) == {"first", "second"}
    assert len(library().policy("own").heads) == 2
    assert len(library().index()["own"].ids) == 2


def test_a_skill_that_sees_otherwise_stays_outside_of_the_network(rooms: Path) -> None:
    add("first")
    result = add("second", stack=2)
    assert result["multi"].startswith("'second' sees 2 frames of 40x32, 'own' a frame of 40x32; --multi")
    assert {"first", "second", "own"} == set(library().names())


@pytest.mark.parametrize("pays", [True, False])
def test_a_skill_that_succeeds_is_begun_from_if_it_soon_gets_better(
    rooms: Path, monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    add("first")
    first = library().skill("first")
    head = first.network.head.get_parameter("weight")
    Path("second.toml").write_text('actions = ["turn_left", "forward"]\n' + Path("second.toml").read_text())
    real, begun = module.Addition._run, []

    def run(self: Any, helper: Any, outputs: bool = True) -> Any:
        made = real(self, helper, outputs)
        if helper is not None:
            weights = made.trainer.learner.network.state_dict()["head.weight"]
            rows = [first.actions.index(name) for name in ("turn_left", "forward")]
            begun.append(bool(torch.equal(weights, head[rows])))  # by the names of their actions
            exploration = made.plan.config.learner.exploration
            assert exploration.epsilon_start == exploration.epsilon_end
        return made

    monkeypatch.setattr(module.Addition, "_run", run)
    monkeypatch.setattr(module, "zero_shot", lambda *given: (first, [Trial("random", 0, 6, 90), Trial("first", 5, 6, 30)]))
    monkeypatch.setattr(module, "learns", lambda one, other: pays)
    monkeypatch.setattr("h_dqn.metrics.WINDOW", 4)
    result = add("second", env_steps=2048, gate=GateConfig(bar=0.0, trials=0.5))
    assert begun == [True]
    assert result["began"]["zero_shot"] == {"random": 0.0, "first": pytest.approx(5 / 6)}
    assert result["began"]["start"] == ("first" if pays else "scratch")
    assert (result["began"]["trial_steps"] == 120) == pays  # else the steps of the run that was left are trials, too
    kept = kept_inputs(
        json.loads(Path("runs/add-second-s1/train/run.json").read_text())["inputs"], Path("runs/add-second-s1/train")
    )
    assert kept.start_outputs == pays


def test_an_addition_that_was_stopped_goes_on(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stops(Told):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("the gate"):
                raise KeyboardInterrupt

    told = Stops()
    with pytest.raises(KeyboardInterrupt):
        add("first", watcher=told)
    assert told.lines[-1] == "the addition goes on with: h-dqn resume runs/add-first-s1"
    Path("first.toml").unlink()
    assert not Path("skills").exists()
    assert resume(Path("runs/add-first-s1")).learn()["skill"]["episodes"] == 20
    assert set(Library(Path("skills")).index()) == {"first", "own"}


def test_from_the_command_line(rooms: Path, capsys: Capture) -> None:
    assert command(f"skills add first.toml {LINE} --json") == 0
    assert set(last_json(capsys)["heads"]) == {"first"}
    assert command(f"skills add second.toml {LINE}") == 0
    said = capsys.readouterr()
    assert "second is kept: " in said.out
    assert "its head before" in said.out
    assert "h-dqn train controller TASK --skills second" in said.err
    assert command("runs list") == 0
    assert "add second.toml" in capsys.readouterr().out
    assert command(f"skills add first.toml {LINE} --bar 1") == 2
    assert "'first' is refused" in capsys.readouterr().err
