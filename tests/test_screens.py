"""What a person sees: help, results, hints, play, and what is left of them on any terminal, pipe or display."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs import SHIPPED
from envs.display import window_lacks
from envs.registry import WORLDS
from envs.task_file import load_task
from h_dqn import presets
from h_dqn.cli import in_one_line
from h_dqn.cli.commands import COMMANDS, Group, Verb
from h_dqn.cli.output import facts, readable, seconds
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.look_on import LookOn
from h_dqn.experiment.play import Game, matches
from h_dqn.experiment.screens import BACK, END, ENTER, ESCAPE, TAB
from h_dqn.experiment.tasks import in_words
from h_dqn.options import OptionRunner
from h_dqn.rollout import Rollout
from tests.helpers import ROOM, Capture, h_dqn, refused, toml_of

ROOT = Path(__file__).parents[1]
SMOKE = ["--preset", "smoke", "--episodes", "4"]
HEAVY = ("torch", "numba", "matplotlib", "tensorboard", "safetensors", "imageio")


def in_shell(line: str, folder: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """A line of bash in which ``h-dqn`` is this checkout's."""
    here = {**os.environ, "PYTHONPATH": str(ROOT), "DISPLAY": None, "WAYLAND_DISPLAY": None, **environment}
    start = f'h-dqn() {{ {shlex.quote(sys.executable)} -m h_dqn "$@"; }}; set -o pipefail; '
    return subprocess.run(
        ["bash", "-c", start + line], cwd=folder, capture_output=True, text=True, errors="surrogateescape", check=False,
        stdin=subprocess.DEVNULL, env={name: value for name, value in here.items() if value is not None},
    )  # fmt: skip


def verbs(entry: Verb | Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Verb]]:
    if isinstance(entry, Verb):
        yield words, entry
    else:
        for word, verb in entry.verbs.items():
            yield from verbs(verb, (*words, word))


VERBS = {" ".join(words): verb for name, entry in COMMANDS.items() for words, verb in verbs(entry, (name,))}


# --- hints -----------------------------------------------------------------------------------------------------------


def test_hints_can_be_copied(in_tmp: Path, capsys: Capture) -> None:
    """Names with spaces, brackets, quotes and a dash at the front; a library of one's own."""
    from h_dqn.cli import run

    task = in_tmp / "-my [odd] 'room'.toml"
    task.write_text(toml_of(ROOM))
    odd = ["--name=-run $(one)", "--library=a b"]
    assert run(["train", "skill", f"./{task.name}", *SMOKE, *odd]) == 0
    assert run(["train", "flat", f"./{task.name}", *SMOKE, "--name=-run; two"]) == 0
    hints = [line.partition("evaluate it with: ")[2] for line in capsys.readouterr().err.splitlines() if "evaluate it" in line]
    assert len(hints) == 2
    for hint in hints:
        program, *words = shlex.split(hint)
        assert program == "h-dqn"
        assert run([*words, "--episodes", "2"]) == 0, (hint, capsys.readouterr().err)
    assert {path.parent.name for path in in_tmp.rglob("episode.mp4")} == {"-run $(one)", "-run; two"}


# --- displays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"DISPLAY": ":77"}, "note  no window can be opened (DISPLAY=:77): `h-dqn play` uses the terminal"),
        ({"DISPLAY": ":77", "QT_QPA_PLATFORM": "offscreen"}, "note  windows are not shown (QT_QPA_PLATFORM=offscreen)"),
        ({"WAYLAND_DISPLAY": "wayland-7"}, "note  no window can be opened (WAYLAND_DISPLAY=wayland-7)"),
        ({}, "note  no display"),
    ],
)
def test_a_dead_display_is_no_display(environment: dict[str, str], says: str, tmp_path: Path) -> None:
    """The doctor says so, and play takes the terminal, or ends with one line where there is none."""
    done = in_shell("h-dqn doctor; h-dqn play navigation1", tmp_path, **environment)
    assert says in done.stdout
    assert done.returncode == 2
    assert done.stderr == "h-dqn: error: play needs a display, or a terminal to draw in and to read keys from\n"


def test_a_window_world_survives_a_dead_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":77")
    window_lacks.cache_clear()
    try:
        env = WORLDS["voxel"].make_single(load_task("navigation1"), 16, render_mode="human")
        env.reset(seed=1)
        env.close()
        assert window_lacks() == "no window can be opened (DISPLAY=:77)"
    finally:
        window_lacks.cache_clear()


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", "tasks", "train", "skills", *VERBS])
def test_help_fits_eighty_columns(line: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        h_dqn(f"{line} --help")
    lines = capsys.readouterr().out.splitlines()
    said = "\n".join(lines)
    assert all(len(each) <= 80 for each in lines if not each.startswith(("usage", "h-dqn:")))
    for odd in ("{None}", "(default: None)", "--no-json", "config", "minerl-"):
        assert odd not in said
    if line in VERBS:
        flags = re.findall(r"(?m)^│ (--[\w-]+)", said)
        assert VERBS[line].about.split(":")[0] in " ".join(said.split())
        for late in {"--world", "--library", "--json"} & set(flags):
            assert not {"--preset", "--seed", "--episodes", "--task", "--name"} & set(flags[flags.index(late) :])
    if "--preset" in said:
        for name, about in presets.ABOUT.items():
            assert f"{name}: {about.split()[0]}" in said


def test_each_command_and_preset_says_what_it_is_for() -> None:
    for verb in VERBS.values():
        assert (verb.load().__doc__ or "").startswith(verb.about)
    assert set(presets.ABOUT) == set(presets.PRESETS)
    assert all(f"{name}: {about}\n" in (presets.__doc__ or "") for name, about in presets.ABOUT.items())


# --- play ------------------------------------------------------------------------------------------------------------


class Fake:
    """A screen that has these keys pressed and remembers what was shown."""

    side = 16

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys, self.shown = list(keys), list[Sequence[str]]()

    def show(self, picture: Any, lines: Sequence[str]) -> None:
        assert picture.shape == (16, 16, 3)
        self.shown.append(lines)

    def key(self) -> str:
        return self.keys.pop(0) if self.keys else END


def played(name: str, keys: Sequence[str]) -> list[str]:
    screen, task = Fake(keys), load_task(name)
    Game(WORLDS["voxel"].make_single(task, 16), task, screen).play(1)
    return ["\n".join(lines) for lines in screen.shown]


def test_play_always_shows_goal_step_hands_action_and_keys() -> None:
    shown = played("placement", "wzp")
    assert all("goal: Place the crate on the pad (place the crate on the pad)" in each for each in shown)
    assert all("keys: w forward   a turn left   d turn right   p place   r new episode   q quit" in each for each in shown)
    assert "step 0 of 60   return 0\ncarried: 1 crate\nlast action: none yet" in shown[0]
    assert "step 1 of 60   return -1" in shown[1]
    assert "step 1 of 60" in shown[2]  # z is no key
    assert any("which had no effect" in each for each in played("placement", "w" * 20))
    assert "TIME IS UP" in played("placement", "a" * 61)[-1]
    assert "step 0 of 60" in played("placement", [*"a" * 61, "r"])[-1]


def test_a_person_looks_on_while_an_agent_plays() -> None:
    """What is shown is what the agent does: its episodes end there as in an evaluation."""
    agent = load_agent("navigation1")
    envs, screen = agent.envs(), Fake(["x"] * 200)
    LookOn(WORLDS["voxel"].make_single(envs.task, 16), screen, agent, envs).play(3)
    shown = ["\n".join(lines) for lines in screen.shown]
    assert "step 0 of 60" in shown[0]
    assert "keys: any other: one step   q quit" in shown[0]
    over = [each for each in shown if "GOAL REACHED" in each or "TIME IS UP" in each]
    policy = agent.policy(3)
    alone = Rollout(envs(1), OptionRunner(agent.options(envs), 1, np.random.default_rng(3)), policy, [3], count(4))
    ends = list(islice(((n, step.terminated[0]) for n, step in enumerate(iter(alone.step, None)) if step.done[0]), len(over)))
    steps = np.diff([-1, *(n for n, _ in ends)])
    assert len(over) > 2
    for each, number, (_, reached) in zip(over, steps, ends, strict=True):
        assert f"step {number} of 60" in each
        assert ("GOAL REACHED" in each) == reached
    assert all("any other: the next episode" in each for each in over)


def test_play_makes_a_furnace_with_verbs() -> None:
    def verb(name: str) -> list[str]:
        return ["v", *name, ENTER]

    shown = played("workshop", [*verb("craft planks"), ".", *verb("craft bench"), *verb("put bench"), *verb("furnace craft")])
    assert "GOAL REACHED" in shown[-1]
    assert "last action: craft furnace" in shown[-1]
    assert "carried: 32 cobble" in shown[-1]
    assert "> craft planks" in shown[8]
    shown = played("workshop", ["v", "c", "z", "z", BACK, BACK, TAB, ENTER, "v", "z", "z", "z", ENTER, ESCAPE])
    assert "  craft planks\n> craft stick" in shown[-8]
    assert "last action: craft stick, which had no effect" in shown[-1]
    assert "step 1 of 40" in shown[-1]  # what was thought better of is no step
    assert any("no verb is called so" in each for each in shown)


def test_a_verb_is_found_by_any_part_of_its_name() -> None:
    names = ["put log", "craft planks", "log splitter"]
    assert matches("LOG", names) == ["log splitter", "put log"]
    assert matches("ks cra", names) == ["craft planks"]
    assert matches("", names) == names


def test_goals_in_words() -> None:
    assert in_words(load_task("three_rooms")) == "carry the crate, then break the door, then place the crate on the pad"
    assert {in_words(load_task(name)) for name in SHIPPED}.isdisjoint({""})


def keys_into(line: str, keys: bytes, folder: Path, **environment: str) -> tuple[str, int]:
    """What a command draws on a terminal where these keys are pressed one by one, and its exit code."""
    here = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "90", "LINES": "30", **environment}
    main, side = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "h_dqn", *line.split()], stdin=side, stdout=side, stderr=side, env=here, cwd=folder
    ) as process:
        os.close(side)
        drawn, waiting, ends = b"", [bytes([key]) for key in keys], time.monotonic() + 60
        while time.monotonic() < ends:
            if select.select([main], [], [], 0.3)[0]:
                try:
                    drawn += os.read(main, 1 << 16)
                except OSError:  # nobody writes any more
                    break
            elif waiting and b"keys:" in drawn:
                os.write(main, waiting.pop(0))
        process.kill() if process.poll() is None else None
    os.close(main)
    return drawn.decode(errors="replace"), process.returncode


@pytest.mark.parametrize("environment", [{"DISPLAY": ":77"}, {"NO_COLOR": "1"}, {"COLUMNS": "20", "LINES": "12"}])
def test_play_in_a_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    """Also where the display is dead; the terminal is as before at the end."""
    drawn, code = keys_into("play pickup", b"wq", tmp_path, **environment)
    assert code == 0
    flat = " ".join(re.sub(r"\x1b\[[\d;?]*\w", "", drawn).split())
    for part in ("goal: Collect the crate", "step 1 of 60", "last action: forward", "keys: w forward", "e pick up"):
        assert part in flat
    assert ("▀" in drawn) == ("DISPLAY" in environment)
    assert drawn.index("\x1b[?1049h") < drawn.index("goal:") < drawn.index("\x1b[?1049l")


# --- results ---------------------------------------------------------------------------------------------------------


def test_numbers_are_for_people() -> None:
    row = {"success_rate": 0.9743215, "ci95": [0.9561, 0.98512], "mean_return": -12.345678, "env_steps": 1234567, "seed": 90001,
           "seconds": 3725.2, "seconds_to_95": None, "rest_of_it": 0.123456789}  # fmt: skip
    assert facts(row) == [
        ("success", "97.4 % [95.6, 98.5]"), ("mean return", "-12.35"), ("environment steps", "1,234,567"),
        ("time to learn", "1 h 2 min 5 s"), ("time to 95 %", "not reached"), ("seed", "90001"), ("rest of it", "0.123"),
    ]  # fmt: skip
    assert readable({"a_b": [1.23456, None], "c": {"d": True}}) == "a b 1.23, -, c d yes"
    assert [seconds(value) for value in (0.48, 61, 7200)] == ["0.5 s", "1 min 1 s", "2 h"]


def test_results_are_plain_in_a_pipe_and_whole(in_tmp: Path, capsys: Capture) -> None:
    from h_dqn.cli import run

    name = "[bold]a name in brackets that is much longer than what eighty columns have room for, with [red] and more"
    for file in (f"{name}.toml", "other.toml"):
        (in_tmp / file).write_text(toml_of(ROOM))
    assert run(["train", "skill", f"{name}.toml", *SMOKE]) == 0
    for words in (["skills", "list"], ["evaluate", name, "--episodes", "2"], ["skills", "show", name],
                  ["evaluate", name, "--task", f"{name}.toml", "other.toml", "--episodes", "2"]):  # fmt: skip
        capsys.readouterr()
        assert run(words) == 0
        said = capsys.readouterr().out
        assert name in said
        assert "\x1b" not in said
        assert not re.search("success_rate|mean_return|env_steps|ci95", said)  # the keys of results are words
        assert not re.search(r"\d\.\d{4}", said)


@pytest.mark.parametrize(
    "line",
    [
        "tasks list",
        "tasks show two_rooms",
        "tasks check two_rooms --episodes 2",
        "skills list",
        "skills show navigation1",
        "doctor",
    ],
)
def test_what_is_shown_can_be_had_as_json(line: str, in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn(f"{line} --json") == 0
    json.loads(capsys.readouterr().out)


def test_tasks_list_says_what_the_tasks_are() -> None:
    """It reads the files alone."""
    for name, doc in SHIPPED.items():
        task = load_task(name)
        assert (doc["title"], doc["step_limit"], tuple(doc["actions"])) == (task.title, task.step_limit, task.actions)


# --- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirect", "code"),
    [("2>&1 | true", 0), (">&- 2>&-", 0), ("> /dev/full 2> /dev/full", 2)],
)
def test_printing_never_ends_a_run(redirect: str, code: int, tmp_path: Path) -> None:
    done = in_shell(f"h-dqn train skill navigation1 {shlex.join(SMOKE)} {redirect}", tmp_path)
    assert done.returncode == code
    assert json.loads((tmp_path / "runs/skill-navigation1-s1/result.json").read_text())["episodes"] == 4
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception" not in done.stderr


def test_what_could_not_be_printed_is_said(tmp_path: Path) -> None:
    done = in_shell("h-dqn tasks list > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, "h-dqn: error: standard output: No space left on device\n")
    done = in_shell("h-dqn tasks list > /dev/full 2> /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    done = in_shell("h-dqn tasks list | head -1; h-dqn --help | true", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("environment", [{"COLUMNS": "20"}, {"COLUMNS": "0"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
@pytest.mark.parametrize("line", ["tasks list", "--help", "doctor"])
def test_every_terminal_gets_all_of_it(line: str, environment: dict[str, str], tmp_path: Path) -> None:
    drawn, code = keys_into(line, b"", tmp_path, **environment)
    assert code == 0
    assert "…" not in drawn
    flat = "".join(re.sub(r"\x1b\[[\d;]*\w|[^\w]", "", drawn).split())
    assert {"tasks list": "threerooms", "--help": "evaluate", "doctor": "Python"}[line] in flat.replace("_", "")
    if environment.keys() & {"TERM", "NO_COLOR"}:
        assert not re.search(r"\x1b\[[\d;]*3\d", drawn)  # no colour


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_are_no_text_are_printed(encoding: str, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"r\xff\xc3\xa9.toml")).write_text(toml_of(ROOM))
    done = in_shell("h-dqn tasks check $'r\\xff\\xc3\\xa9.toml' --episodes 2", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    done = in_shell("h-dqn tasks check $'\\xfe.toml'", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_what_no_file_could_hold_is_not_trained(in_tmp: Path, capsys: Capture) -> None:
    name = os.fsdecode(b"r\xff.toml")
    (in_tmp / name).write_text(toml_of(ROOM))
    refused(capsys, f"train skill {name}", r"'r\udcff.toml' is not UTF-8 text")
    refused(capsys, f"train flat navigation1 --name {name}", "is not UTF-8 text")


# --- what is imported ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "spared"),
    [
        ("--version", (*HEAVY, "numpy", "gymnasium", "cv2", "envs", "tyro", "rich")),
        ("--help", (*HEAVY, "numpy", "gymnasium", "cv2", "envs")),
        ("train --help", (*HEAVY, "numpy", "gymnasium", "cv2", "envs")),
        ("skills list", (*HEAVY, "gymnasium", "cv2", "envs")),
        ("skills show navigation1", (*HEAVY, "gymnasium", "cv2", "envs")),
        ("tasks list", (*HEAVY, "cv2")),
        ("tasks list --json", (*HEAVY, "cv2")),
        ("doctor", HEAVY),
        ("tasks check navigation1 --episodes 1", ("torch",)),
        ("tasks show navigation1", ("torch",)),
        ("play navigation1", ("torch",)),
    ],
)
def test_a_command_imports_what_it_needs(line: str, spared: tuple[str, ...], tmp_path: Path) -> None:
    code = "import sys; from h_dqn.cli import run\ntry: run(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += f"print(*(set({spared!r}) & set(sys.modules)), file=sys.stderr)"
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [*line.split(), *(["--library", str(ROOT / "tests/data/old_format/skills")] if line.startswith("skills") else [])]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=here, cwd=tmp_path, check=True)
    assert done.stderr.split("\n")[-2:] == ["", ""], done.stderr


# --- errors ----------------------------------------------------------------------------------------------------------

BAD = {
    "nothing": ("", ["Expected one of", "(see: h-dqn --help)"]),
    "no command": ("trian skill", ["trian", "(see: h-dqn --help)"]),
    "no verb": ("tasks lst", ["lst", "(see: h-dqn tasks --help)"]),
    "no task": ("train skill", ["TASK", "(see: h-dqn train skill --help)"]),
    "no flag": ("train skill navigation1 --sede 1", ["--sede", "--seed"]),
    "no number": ("train skill navigation1 --seed x", ["--seed: not a whole number: 'x' (see: h-dqn train skill --help)"]),
    "no value": ("train skill navigation1 --seed", ["--seed"]),
    "no choice": ("train skill navigation1 --intra-option foo", ["'foo'", "--intra-option", "primitives"]),
    "one too many": ("play navigation1 extra", ["extra"]),
    "near task": ("train skill navigaton1", ["unknown task 'navigaton1'; did you mean 'navigation1'? (known: "]),
    "near task to show": ("tasks show brake", ["did you mean 'break'?"]),
    "near task to play": ("play two_room", ["did you mean 'two_rooms'?"]),
    "near preset": ("train skill navigation1 --preset fats", ["unknown preset 'fats'; did you mean 'fast'?"]),
    "near preset of the demo": ("demo --preset smok", ["unknown preset 'smok'; did you mean 'smoke'?"]),
    "near learner": ("train skill navigation1 --learner q_lamda", ["did you mean 'q_lambda'?"]),
    "near network": ("train skill navigation1 --network compat", ["did you mean 'compact'?"]),
    "near world": ("evaluate navigation1 --world luant", ["unknown world 'luant'; did you mean 'luanti'?"]),
    "near world to play": ("play navigation1 --world=voxl", ["did you mean 'voxel'?"]),
    "near world of the doctor": ("doctor --world minecraft", ["unknown world 'minecraft'"]),
    "seed below": ("play navigation1 --seed -1", ["--seed must be from 0"]),
    "seed below to show": ("tasks show navigation1 --seed -1", ["--seed must be from 0"]),
    "no episodes": ("evaluate navigation1 --episodes 0", ["--episodes must be from 1"]),
    "no episodes to check": ("tasks check navigation1 --episodes 0", ["--episodes must be from 1"]),
    "a folder for a task": ("tasks check folder.toml", ["folder.toml: cannot be read: it is no regular file"]),
    "a folder to train on": ("train flat folder.toml", ["folder.toml"]),
    "a file for a run": ("evaluate file", ["unknown skill 'file'"]),
    "a file to resume": ("resume file", ["file: no run is kept here"]),
    "a file for the library": ("skills list --library file", ["file: is no folder"]),
    "a file for the library to show": ("skills show x --library file", ["file: is no folder"]),
    "a file for runs": ("train flat navigation1 --preset smoke --runs file", ["file is a file"]),
    "a folder for a picture": ("tasks show navigation1 --picture folder.png", ["folder.png"]),
    "text that is none": ("tasks check binary.toml", ["binary.toml: cannot be read: not UTF-8 text"]),
}


@pytest.mark.parametrize("name", BAD)
def test_every_command_errs_in_one_line(name: str, in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (in_tmp / "folder.toml").mkdir()
    (in_tmp / "folder.png").mkdir()
    (in_tmp / "file").write_text("a file")
    (in_tmp / "binary.toml").write_bytes(np.arange(255, dtype=np.uint8).tobytes())
    line, parts = BAD[name]
    refused(capsys, line, *parts)


def test_a_box_becomes_a_line() -> None:
    box = ["╭─ Title ──╮", "│ What is  │", "│ wrong.   │", "│ ──────── │", "│ Perhaps: │", "│     --x  │", "│ ──────── │",
           "│ run y --help │", "╰──────────╯"]  # fmt: skip
    assert in_one_line("\n".join(box)) == "What is wrong; Perhaps: --x"
    assert in_one_line("one line") == "one line"
