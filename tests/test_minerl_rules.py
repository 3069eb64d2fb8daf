"""What the MineRL adapter does before and beside Minecraft: drawings, refusals, and actions made of ticks. Needs no ``minerl``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.minerl.drawing import FEET, FLOOR, Mission, check_task, draw
from envs.minerl.folders import PREFIX, Folder, sweep
from envs.minerl.hands import Hands, Sight
from envs.minerl.settings import MineRLError, read_addresses
from envs.registry import WORLDS
from envs.task import TaskError
from envs.task_file import load_task, parse_task, task_names
from h_dqn.cli import run
from tests.helpers import DRAWN_ROOMS, TWO_MAPS

TOY: dict[str, Any] = {
    "map": "#####\n#.i.#\n#####",
    "legend": {"#": "stone", "i": {"item": "crate"}},
    "goal": {"hold": "crate"},
    "step_limit": 20,
}


@pytest.mark.parametrize("name", [*task_names(WORLDS["minerl"].refuses), "drawn", "two maps"])
def test_the_drawing_is_the_episode(name: str) -> None:
    """Painted in order, the cuboids give a room that is shut and open where the episode's is."""
    changes = {"drawn": DRAWN_ROOMS, "two maps": TWO_MAPS}
    task = load_task("pickup", changes[name]) if name in changes else load_task(name)
    for seed in range(20):
        episode = task.sample(np.random.default_rng(seed))
        mission = draw(task, episode, (8, 8))
        (_, _, _, x, y, z), _ = mission.cuboids[0]
        room = np.full((y - FLOOR + 1, z + 1, x + 1), "?", object)
        for (x1, y1, z1, x2, y2, z2), block in mission.cuboids:
            room[y1 - FLOOR : y2 - FLOOR + 1, z1 : z2 + 1, x1 : x2 + 1] = block["type"]
        for (x, y, z), block in mission.blocks:
            room[y - FLOOR, z, x] = block["type"]
        solid = np.array([False, *(material.solid for material in task.materials.values())])
        for level in range(2):
            np.testing.assert_array_equal(room[level + 1] != "air", solid[episode.blocks[:, :, level]])
        assert (room[0] != "air").all()
        assert (room[-1] == "glowstone").all()
        assert len(mission.items) == (episode.items > 0).sum()
        assert mission.start[:3] == (episode.start[0] + 0.5, FEET, episode.start[1] + 0.5)
        assert Mission.from_json(mission.to_json()).start == mission.start


def toy(**changes: Any) -> Any:
    return parse_task({**TOY, **changes}, "toy")


def test_what_minecraft_cannot_do_is_refused_by_name() -> None:
    check_task(toy())
    gem = {"color": [1, 2, 3], "item": True}
    ore = {"ore": {"color": [1, 2, 3], "breakable": True, "drops": "gem"}, "gem": gem}
    for task, said in (
        (toy(materials=ore, legend={**TOY["legend"], "#": "ore"}), r"toy: materials\.ore: drops 'gem'"),
        (toy(materials={f"gem{i}": gem for i in range(9)}), r"toy: materials\.gem\d: MineRL has no more blocks"),
        (toy(vary={"textures": {"door": ["wood"]}}), r"toy: vary\.textures\.door"),
        (toy(inventory={"crate": 999}, materials={"gem": gem} | {}), None),
        (toy(inventory={"crate": 999, "gem": 999, "gem2": 999}, materials={"gem": gem, "gem2": gem}), r"toy: inventory"),
    ):
        if said is None:
            check_task(task)
        else:
            with pytest.raises(TaskError, match=said):
                check_task(task)


def test_a_bad_address_and_an_inexpressible_task_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MineRLError, match="must be host:port"):
        read_addresses(["nowhere"])
    path = tmp_path / "looks.toml"
    path.write_text('map = """\n#####\n#.D.#\n#####\n"""\nstep_limit = 9\n[legend]\n"#" = "stone"\n"D" = "door"\n'
                    '[goal]\nbroken = "D"\n'
                    '[vary]\ntextures = { door = ["wood"] }\n')  # fmt: skip
    assert run(["tasks", "check", str(path), "--world", "minerl"]) == 2
    line = capsys.readouterr().err.strip()
    assert "vary.textures.door" in line
    assert "\n" not in line


class Walker:
    """Minecraft of one dimension, as lazy or as odd as it is told to be: north along z, with or without a slide."""

    def __init__(self, step: float = 0.2, slide: float = 0.0, wall: float = -1e9, late: bool = False) -> None:
        self.step, self.slide, self.wall, self.late = step, slide, wall, late
        self.pose, self.shown = np.array([5.5, 4.0, 5.5, 180.0, 20.0]), np.zeros(5)
        self.speed, self.ticks = 0.0, 0

    def __call__(self, camera: tuple[float, float] = (0, 0), **keys: Any) -> Sight:
        self.shown = self.pose.copy()
        self.speed = self.slide * self.speed + self.step * (keys.get("forward", 0) - keys.get("back", 0))
        self.pose[2] = max(self.wall, self.pose[2] - self.speed)
        self.pose[3:] += np.array(camera)[::-1]
        self.ticks += 1
        return self.sight()

    def sight(self) -> Sight:
        turned = self.shown if self.late else self.pose
        pose = np.array([*self.pose[:3], *turned[3:]])
        return Sight(np.zeros((8, 8, 3), np.uint8), pose, np.zeros(4), {})


@pytest.mark.parametrize("walker", [Walker(), Walker(0.098, 0.546), Walker(0.25), Walker(1.0), Walker(late=True)], ids=range(5))
def test_a_step_ends_in_the_middle_of_the_next_cell(walker: Walker) -> None:
    task = load_task("navigation1")
    mission = draw(task, task.sample(np.random.default_rng(0)), (8, 8))
    hands = Hands(walker, mission, walker.sight())
    for cell in (4, 3, 2):
        assert hands.forward(5, cell, 180.0, 210.0)
        assert walker.pose[2] == pytest.approx(cell + 0.5, abs=0.15)
        assert walker.pose[3] % 360 == pytest.approx(210, abs=0.5)


@pytest.mark.parametrize("walker", [Walker(wall=5.3), Walker(0.0)], ids=["wall", "nothing moves"])
def test_a_step_that_is_not_possible_says_so_and_ends_where_it_began(walker: Walker) -> None:
    task = load_task("navigation1")
    hands = Hands(walker, draw(task, task.sample(np.random.default_rng(0)), (8, 8)), walker.sight())
    assert not hands.forward(5, 4, 180.0, 180.0)
    assert walker.pose[2] == pytest.approx(5.5, abs=0.15)
    assert walker.ticks < 60


def test_folders_of_killed_runs_are_swept_and_those_in_use_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = Folder()
    code = (
        "import subprocess, sys, time\nfrom envs.minerl.folders import Folder\nfolder = Folder()\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\nfolder.note_group(child.pid)\n"
        "print(child.pid, flush=True)\ntime.sleep(600)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        assert sweep() == 0
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert sweep() == 1
    assert list(tmp_path.glob(f"{PREFIX}*")) == [mine.path]
    end = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text() and time.monotonic() < end:
        time.sleep(0.01)
    assert time.monotonic() < end
    mine.remove()
    assert not list(tmp_path.iterdir())
