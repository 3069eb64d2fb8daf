"""An agent on tasks with other actions, or that it cannot play; films of a chosen outcome; files that must not be replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import h_dqn
from h_dqn.device import pick_device
from h_dqn.experiment import evaluate as evaluation
from h_dqn.experiment.agent import Agent, agent_of
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.files import check_output
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.files import replacing
from h_dqn.networks import NetworkSpec, QNetwork
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, SkillError, Termination
from skills_library.skill import Skill
from tests.helpers import ROOM, Capture, last_json, refused, toml_of
from tests.helpers import h_dqn as command

SHAPE, CPU = (1, 40, 32), pick_device("cpu")
SMOKE = "--preset smoke --episodes 2 --env-steps 64"


def agent(*actions: str, temperature: float = 0.03, heads: int = 1, name: str = "made") -> Agent:
    """Random weights, with these actions; trained, as it says, on the task of its name."""
    torch.manual_seed(3)
    network = QNetwork(NetworkSpec("compact", SHAPE, heads * len(actions)))
    torch.nn.init.normal_(network.head.get_parameter("weight"))
    names = [f"{name}/{n}" if heads > 1 else name for n in range(heads)]
    card = {"task": {"name": name}}
    parts = tuple(PolicyHead(one, actions, n * len(actions), temperature=temperature, card=card) for n, one in enumerate(names))
    policy = SavedPolicy(name, network.eval().requires_grad_(False), parts)
    return agent_of(Skill(policy, parts[-1]))


class Recorded(TaskEnvs):
    """Environments that remember the names of the actions that they were given."""

    def __call__(self, num_envs: int) -> Any:
        envs = super().__call__(num_envs)
        step = envs.step

        def remember(actions: Any) -> Any:
            taken.extend(self.actions[action] for action in actions)
            return step(actions)

        envs.step = remember  # type: ignore[method-assign]
        return envs


taken: list[str] = []


def recorded(who: Agent, task: str) -> Recorded:
    taken.clear()
    envs = who.envs(task)
    return Recorded(envs.task, envs.shape, envs.place)


# --- actions that agent and task do not have in common ---------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 0.03, 1e6])
def test_actions_that_the_task_lacks_are_never_taken(heads: int, temperature: float) -> None:
    who = agent("break", "turn_right", "pick_up", "forward", temperature=temperature, heads=heads)
    outcome = evaluation.evaluate_agent(who, recorded(who, "navigation1"), 8)
    assert (outcome.masked, outcome.not_learned) == (("break", "pick_up"), ("turn_left",))
    assert set(taken) <= {"turn_right", "forward"}
    assert taken


def test_actions_are_mapped_by_name_whatever_their_order() -> None:
    """The same weights with their outputs in another order play the very same episodes."""
    one = agent("forward", "turn_left", "turn_right", temperature=0.0)
    other = agent("turn_right", "forward", "turn_left", temperature=0.0)
    for part in ("weight", "bias"):
        values = one.saved.network.head.get_parameter(part)
        other.saved.network.head.get_parameter(part).data = values[[2, 0, 1]].clone()
    found = []
    for who in (one, other):
        outcome = evaluation.evaluate_agent(who, recorded(who, "pickup"), 6)
        found.append((outcome, list(taken)))
    assert found[0] == found[1]
    assert len(set(found[0][1])) > 1
    assert found[0][0].not_learned == ("pick_up",)


def test_a_skill_that_lacks_an_action_chooses_the_best_of_the_others() -> None:
    obs = np.random.default_rng(0).integers(0, 255, (60, 1, 5, 4)).astype(np.uint8).repeat(8, 2).repeat(8, 3)
    who = agent("forward", "turn_left", "break")
    q = Skill(who.saved, who.head).values(obs).numpy()
    bound = Skill(who.saved, who.head).on(["turn_right", "break", "forward"], SHAPE, CPU)
    np.testing.assert_array_equal(bound.act(obs)[0], np.where(q[:, 2] > q[:, 0], 1, 2))
    assert (q.argmax(1) == 1).any()
    # It ends by the value of the best action that it can take.
    middle = float(np.median(q[:, [0, 2]].max(1)))
    head = PolicyHead("made", who.head.outputs, termination=Termination(last_above=middle))
    ends = Skill(who.saved, head).on(["turn_right", "break", "forward"], SHAPE, CPU).act(obs)[1]
    np.testing.assert_array_equal(ends, q[:, [0, 2]].max(1) > middle)


def test_with_no_action_in_common_nothing_is_played() -> None:
    who = agent("break", "place")
    with pytest.raises(UserError, match=r"'made' has no action that task 'navigation1' allows \(its own: break, place\)"):
        evaluation.evaluate_agent(who, who.envs("navigation1"), 2)
    with pytest.raises(SkillError, match="skill 'made' has no action that this task allows"):
        Skill(who.saved, who.head).on(["forward"], SHAPE, CPU)


def test_skills_with_other_actions_inside_a_controller(in_tmp: Path, capsys: Capture) -> None:
    """It may choose a skill of which the task has only a part, and cannot choose one of which it has nothing."""
    Library(Path("skills")).add(agent("forward", "turn_left", "turn_right", "break", name="break").saved)
    assert command(f"train controller two_rooms --skills break {SMOKE} --name two") == 0
    assert "skill:break is played without break, which 'two_rooms' lacks" in capsys.readouterr().err
    assert command(f"train controller three_rooms --skills break {SMOKE} --name three") == 0
    assert "is played without" not in capsys.readouterr().err
    for run in ("two", "three"):
        who = h_dqn.load_agent(f"runs/{run}")
        outcome = evaluation.evaluate_agent(who, recorded(who, "navigation1"), 6)
        assert set(taken) <= {"forward", "turn_left", "turn_right"}
        assert "break" in outcome.masked
        assert not outcome.not_learned
    only = Agent(who.saved, who.head, (Skill(agent("place").saved, PolicyHead("break", ("place",))),))
    outcome = evaluation.evaluate_agent(only, recorded(only, "navigation1"), 6)
    assert {"place", "break"} <= set(outcome.masked)


# --- several tasks, of which some cannot be played -------------------------------------------------------------------


@pytest.fixture
def skill(in_tmp: Path) -> Path:
    """The skill pickup in the library of an empty folder."""
    Library(Path("skills")).add(agent("forward", "turn_left", "turn_right", "pick_up", name="pickup").saved)
    return in_tmp


def test_a_task_that_cannot_be_played_costs_the_others_nothing(skill: Path, capsys: Capture) -> None:
    (skill / "broken.toml").write_text("step_limit = 3\n")
    line = "evaluate pickup --task navigation1 nowhere broken.toml three_rooms --episodes 4"
    assert command(f"{line} --json") == 2
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert set(found["tasks"]) == {"navigation1", "three_rooms"}
    assert found["tasks"]["navigation1"]["masked"] == ["pick_up"]
    assert found["tasks"]["three_rooms"]["not_learned"] == ["break", "place"]
    assert set(found["refused"]) == {"nowhere", "broken.toml"}
    lines = said.err.splitlines()
    assert [line for line in lines if line.startswith("h-dqn: error: ")] == lines[-2:]
    assert "unknown task 'nowhere'" in lines[-2]
    assert "broken.toml: map: is missing" in lines[-1]
    assert "navigation1: played without pick_up, which the task lacks" in lines
    assert "three_rooms: played without break, place, which the agent never learned" in lines
    assert command(line) == 2
    assert "three_rooms" in capsys.readouterr().out


def test_what_another_world_refuses_is_one_line(skill: Path, capsys: Capture) -> None:
    refused(capsys, "evaluate pickup --task workshop --world luanti --episodes 2", "workshop: verbs: Luanti does not play them")
    assert command("evaluate pickup --task workshop --episodes 2 --json") == 0
    assert len(last_json(capsys)["not_learned"]) == 250


def test_what_was_played_is_told_when_the_rest_is_interrupted(
    skill: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = evaluation.evaluate_agent

    def one(who: Agent, envs: TaskEnvs, *rest: Any) -> Any:
        if envs.task.name == "break":
            raise KeyboardInterrupt
        return real(who, envs, *rest)

    monkeypatch.setattr(evaluation, "evaluate_agent", one)
    assert command("evaluate pickup --task navigation1 break pickup --episodes 2 --json") == 130
    assert set(last_json(capsys)["tasks"]) == {"navigation1"}


def test_several_tasks_from_python(skill: Path) -> None:
    found = dict(h_dqn.evaluate_tasks("pickup", ["pickup", "nowhere", "break"], episodes=4, seed=5))
    assert found["pickup"] == h_dqn.evaluate("pickup", "pickup", episodes=4, seed=5)
    assert isinstance(found["break"], h_dqn.Evaluation)
    assert found["break"].masked == ("pick_up",)
    assert "unknown task 'nowhere'" in str(found["nowhere"])


def test_the_film_is_of_the_last_task_that_was_played(skill: Path, capsys: Capture) -> None:
    assert command("evaluate pickup --task navigation1 nowhere --episodes 2 --video e.mp4") == 2
    assert Path("e.mp4").stat().st_size > 1000


# --- films -----------------------------------------------------------------------------------------------------------


def frames_of(path: str) -> int:
    video = cv2.VideoCapture(path)
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    return count


def test_a_failure_or_a_success_is_filmed(in_tmp: Path) -> None:
    """Of an agent that walks at random in a small room."""
    Path("room.toml").write_text(toml_of({**ROOM, "step_limit": 9}))
    who = agent("forward", "turn_left", "turn_right", temperature=1e6)
    for outcome in ("success", "failure", "again"):
        how: Any = "failure" if outcome == "again" else outcome
        h_dqn.film(who, f"{outcome}.mp4", "room.toml", outcome=how, episodes=60)
    assert frames_of("failure.mp4") == 1 + 9 + 6
    assert Path("again.mp4").read_bytes() == Path("failure.mp4").read_bytes() != Path("success.mp4").read_bytes()


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_an_outcome_that_never_comes_leaves_nothing(skill: Path, outcome: str, capsys: Capture) -> None:
    """Success is out of reach in one step, and failure where every step reaches the goal."""
    far = {**ROOM, "step_limit": 1} if outcome == "success" else {**ROOM, "goal": {"hold": "crate"}}
    text = toml_of(far)
    if outcome == "failure":
        text = "inventory = { crate = 1 }\n" + text
    Path("room.toml").write_text(text)
    before = sorted(skill.rglob("*"))
    line = f"evaluate pickup --task room.toml --episodes 5 --seed 2 --json --video e.mp4 --film {outcome}"
    if outcome == "success":
        Path("room.toml").write_text(toml_of({**ROOM, "map": "#######\n#....e#\n#######", "step_limit": 1}))
    assert command(line) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["episodes"] == 5
    assert said.err.splitlines()[-1] == f"h-dqn: error: none of 5 episodes of 'room' ended in {outcome}, so there is no film"
    assert sorted(skill.rglob("*")) == before


def test_a_film_that_was_cut_off_is_no_film(skill: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk, of which the encoder says nothing."""
    monkeypatch.setattr("imageio_ffmpeg.count_frames_and_secs", lambda _: (3, 0.5))
    before = sorted(skill.rglob("*"))
    assert command("evaluate pickup --episodes 1 --json --video e.mp4") == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["episodes"] == 1
    assert said.err == "h-dqn: error: e.mp4: the film could not be written; the disk may be full\n"
    assert sorted(skill.rglob("*")) == before


def test_a_choice_of_film_needs_a_film(skill: Path, capsys: Capture) -> None:
    refused(capsys, "evaluate pickup --film failure", "--film failure needs --video")


# --- files that the user names ---------------------------------------------------------------------------------------


MAKE: dict[str, Callable[[Path], object]] = {
    "is a link": lambda path: path.symlink_to("kept.txt"),
    "is a link;": lambda path: path.symlink_to("nowhere"),
    "is no regular file": os.mkfifo,
    "is a folder": Path.mkdir,
}
WRONG = {
    **dict.fromkeys(MAKE, "out."),
    "there is no folder nowhere": "nowhere/out.",
    "File name too long": "x" * 300 + ".",
    "must end in": "/dev/null",
}


@pytest.mark.parametrize("said", WRONG)
@pytest.mark.parametrize("what", ["--video", "--picture"])
def test_only_regular_files_are_replaced_and_nothing_is_played_before(
    what: str, said: str, in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskEnvs, "__call__", lambda *_: pytest.fail("it was played"))
    path = WRONG[said] + ("mp4" if what == "--video" else "png") * WRONG[said].endswith(".")
    Path("kept.txt").write_text("kept")
    if said in MAKE:
        MAKE[said](Path(path))
    said = said.rstrip(";")
    line = "evaluate navigation1 --episodes 1 --video" if what == "--video" else "tasks show navigation1 --picture"
    before = sorted(Path.cwd().rglob("*"))
    refused(capsys, f"{line} {path}", what, path, said)
    assert sorted(Path.cwd().rglob("*")) == before
    assert Path("kept.txt").read_text() == "kept"


def test_pictures_have_no_default_that_replaces_a_link(in_tmp: Path, capsys: Capture) -> None:
    Path("kept.txt").write_text("kept")
    Path("pickup.png").symlink_to("kept.txt")
    refused(capsys, "tasks show pickup", "pickup.png", "is a link")
    assert Path("kept.txt").read_text() == "kept"


def test_a_file_is_replaced_whole_or_not_at_all(in_tmp: Path) -> None:
    path = in_tmp / "film.mp4"
    path.write_text("old")
    check_output(path, "--video", [".mp4"])
    with pytest.raises(TypeError), replacing(path) as temporary:
        temporary.write_text(3)  # type: ignore[arg-type]
    assert (path.read_text(), list(in_tmp.iterdir())) == ("old", [path])
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert (path.read_text(), list(in_tmp.iterdir())) == ("new", [path])
    assert path.stat().st_mode & 0o777 == 0o644
