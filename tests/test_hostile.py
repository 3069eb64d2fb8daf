"""Files from strangers: what is broken is refused in one line, costs little, and nothing of the user's is touched.

``python -m tests.hostile 3000`` tries more of the same, each in a process of its own, and measures time and memory.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envs.luanti.folders import sweep as sweep_engines
from envs.luanti.folders import write_authority
from envs.minerl.link import HEAD, LARGEST, LARGEST_BODY, Link, receive_message
from envs.sequence import load_sequence
from envs.task import TaskError
from envs.task_file import load_task, read_task
from envs.toml_file import LARGEST as LARGEST_TOML
from envs.toml_file import parse_toml
from h_dqn.experiment.agent import Agent
from h_dqn.files import write_folder, write_text
from h_dqn.reading import DEEPEST, Unreadable, parse_json, read_bytes
from skills_library.library import Library
from skills_library.policy import SkillError
from tests.helpers import ROOM, Capture, h_dqn
from tests.hostile.__main__ import main
from tests.hostile.cases import FORMATS, build
from tests.hostile.mutate import as_toml
from tests.hostile.trial import outcome

ROUND = {
    "step_limit": 20,
    "map": "#####\n#..e#\n#...#\n#####",
    "legend": {"#": "stone", "e": {"floor": "pad"}},
    "goal": {"reach": "e"},
}
ITEMS = {f"i{n}": {"color": [1, 2, 3], "item": True} for n in range(200)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    build(folder)
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_broken_files_are_refused_in_one_line(name: str, template: Path, tmp_path: Path) -> None:
    found = [outcome(name, seed, template, tmp_path) for seed in range(1000, 1020)]
    assert not [wrong for _, wrong in found if wrong]
    assert [code for code, _ in found].count(2) > 5


@pytest.mark.slow
def test_three_thousand_broken_files() -> None:
    assert main(3000, list(FORMATS)) == 0


# --- readers ---


@pytest.mark.parametrize("how", ["pipe", "folder", "device", "large"])
def test_only_regular_files_of_some_size_are_read(how: str, tmp_path: Path) -> None:
    file = tmp_path / "room.toml"
    if how == "pipe":
        os.mkfifo(file)
    elif how == "folder":
        file.mkdir()
    elif how == "device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as opened:
            opened.truncate(1 << 40)
    with pytest.raises(Unreadable, match="larger than 1,000 bytes" if how == "large" else "no regular file"):
        read_bytes(file, 1000)
    with pytest.raises(TaskError, match="larger than" if how == "large" else "no regular file"):
        load_task(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 10**6, "too deep"),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), "too deep"),
        ("NaN", "not finite"),
        ("-Infinity", "not finite"),
        ("1e999", "not finite"),
        ("9" * 400, "whole number of 400 digits"),
        (str(2**63), "whole number of 19 digits"),
        ('"\\ud800"', "half a character"),
        ("{", "not JSON"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_json_is_bounded(text: str | bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        parse_json(text)


N = LARGEST_TOML - 10
HARD = {
    "digits": "9" * N,
    "escapes": 'a="' + '\\"' * (N // 2 - 3),
    "dots": "a" + ".a" * 20_000 + "=1",
    "quoted dots": '"a"."a".' * 20_000 + "a=1",
    "brackets": "a = " + "[" * 10**5,
    "quotes": "'''" * (N // 3),
    "spaces": "a" + " " * N,
    "half an end": 'a="""' + '""\\' * (N // 3 - 5),
    "a number": "a = " + "9" * 5000,
    "a date": "a = 1979-05-27",
    "long": "x" * (N + 20),
    "large": "a = 1e300",
}


@pytest.mark.parametrize("name", HARD)
def test_toml_that_is_hard_to_parse_is_refused_at_once(name: str) -> None:
    with pytest.raises(TaskError):
        parse_toml(HARD[name])


BOMBS: dict[str, tuple[dict[str, Any], str]] = {
    "verbs": ({"materials": ITEMS, "verbs": {f"v{n} *": {"takes": {"*": 1}} for n in range(1000)}}, "at most 1,000"),
    "legend": ({"legend": {**ROOM["legend"], **{chr(0x4E00 + n): "stone" for n in range(256)}}}, "at most 254"),
    "chain": (
        {
            "materials": {**ITEMS, **{f"l{n}": {"color": [1, 2, 3], "breakable": True, "needs": f"i{n}"} for n in range(16)}},
            "verbs": {
                **{f"v{n}": {"takes": {f"i{n + 1}": 1}, "gives": {f"i{n}": 1}} for n in reversed(range(199))},
                **{f"w{n}": {"takes": {f"i{(n * 7 + k) % 199 + 1}": 1 for k in range(16)}, "gives": {"i0": 1}} for n in range(800)},
            },
            "goal": {"hold": "i0"},
        },
        "cannot be reached",
    ),
    "choose": ({"legend": {**ROOM["legend"], "c": {"choose": [0, 2**40]}}}, "choose"),
    "textures": ({"vary": {"textures": {"stone": ["stone"] * 30_000}}}, "textures"),
    "title": ({"title": "two\nlines"}, "title"),
    "name": ({"materials": {"\x1b[31m": {"color": [1, 2, 3]}}}, "printed"),
    "steps": ({"step_limit": 2**40}, "step_limit"),
    "reward": ({"reward": {"step": 1e15}}, "reward"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_tasks_that_ask_for_much_are_refused_at_once(name: str) -> None:
    change, says = BOMBS[name]
    with pytest.raises(TaskError, match=says) as error:
        read_task(as_toml({**ROOM, **change}).decode(), "room")
    assert str(error.value).isprintable()


def test_a_sequence_has_a_bounded_number_of_phases(tmp_path: Path) -> None:
    phase = '[[phase]]\ntask = "navigation1"\nenv_steps = 1\n'
    file = tmp_path / "long.toml"
    for text in (f"repeat = 1000\n{phase * 2}", phase * 65):
        file.write_text(text)
        with pytest.raises(TaskError, match=r"at most (64|1,000)"):
            load_sequence(file)
    file.write_text(f"repeat = 1000\n{phase}")
    assert load_sequence(file).env_steps == 1000


# --- the library ---


def test_a_skill_that_cannot_be_read_hides_no_other(template: Path, in_tmp: Path, capsys: Capture) -> None:
    write_folder(in_tmp / "skills" / "bad", {"policy.json": b"{"})
    write_folder(in_tmp / "skills" / "named", {"policy.json": (template / "library" / "walk" / "policy.json").read_bytes()})
    assert h_dqn("skills list") == 2
    said = capsys.readouterr()
    assert "navigation1" in said.out
    assert [line.split(": ")[2] for line in said.err.splitlines()] == ["skills/bad", "skills/named"]
    assert "its name is 'walk', not 'named'" in said.err


@pytest.mark.parametrize("name", ["a\x1b[31m", "a\nb", "x" * 201, "../x", "\u202ex"])
def test_names_are_no_paths_and_can_be_printed(name: str, template: Path, tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    (tmp_path / "library.json").write_bytes(as_index(name))
    with pytest.raises(SkillError, match="no name for a skill"):
        library.index()


def as_index(name: str) -> bytes:
    return json.dumps({"schema": 1, "skills": {name: {"current": 1, "versions": ["0" * 32]}}}).encode()


def test_what_stands_where_the_link_of_a_skill_would_be_is_left(template: Path, tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    policy = Library(template / "library").policy("walk")
    library.add(policy)
    (tmp_path / "walk").unlink()
    write_folder(tmp_path / "walk", {"policy.json": b"of somebody"})
    library.add(policy)
    assert (tmp_path / "walk" / "policy.json").read_bytes() == b"of somebody"
    assert library.policy("walk").name == "walk"


@pytest.mark.parametrize("name", ["outside.toml", "../outside", "nowhere"])
def test_no_path_of_a_task_is_taken_from_a_policy(name: str, template: Path, in_tmp: Path) -> None:
    (in_tmp / "outside.toml").write_bytes(as_toml(ROOM))
    policy = Library(template / "library").policy("walk")
    agent = Agent(policy, replace(policy.head, card={"task": {"name": name}}))
    with pytest.raises(TaskError, match="unknown task"):
        agent.task()


# --- what is written ---


def test_what_is_written_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    for mask, rights in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            write_text(tmp_path / "file", "x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == rights


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "agent", {"policy.json": b"1"})
    write_folder(tmp_path / "agent", {"policy.json": b"2"}, replace=True)
    (tmp_path / "agent" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        write_folder(tmp_path / "agent", {"policy.json": b"3"}, replace=True)
    assert (tmp_path / "agent" / "policy.json").read_bytes() == b"2"
    assert (tmp_path / "agent" / "notes.txt").read_text() == "mine"


# --- engines ---


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(("text", "body"), [(LARGEST + 1, 0), (2, LARGEST_BODY + 1), (2**32 - 1, 2**32 - 1)])
def test_a_message_that_is_too_large_is_refused_before_it_is_read(
    text: int, body: int, pair: tuple[socket.socket, socket.socket]
) -> None:
    pair[1].sendall(HEAD.pack(text, body) + b"{}")
    with pytest.raises(ValueError, match="a message of"):
        Link(pair[0]).receive(1.0)


def test_a_minecraft_cannot_announce_any_length(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(struct.pack("!I", 3) + b"abc" + struct.pack("!I", 2**32 - 1))
    assert receive_message(pair[0]) == b"abc"
    with pytest.raises(ValueError, match="announces a message of 4,294,967,295 bytes"):
        receive_message(pair[0])


def test_a_folder_of_an_engine_that_is_a_link_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lock").touch()
    (tmp_path / "h-dqn-luanti-x").symlink_to(tmp_path / "mine")
    sweep_engines()
    assert (tmp_path / "mine" / "lock").exists()


def connects(display: int, cookie: bytes) -> bool:
    """Whether an X server lets in who shows this cookie."""
    name = b"MIT-MAGIC-COOKIE-1" if cookie else b""
    padded = b"".join(part + b"\0" * (-len(part) % 4) for part in (name, cookie))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"/tmp/.X11-unix/X{display}")
        sock.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie)) + padded)
        return sock.recv(1) == b"\1"


@pytest.mark.skipif(subprocess.call(["which", "Xvfb"], stdout=subprocess.DEVNULL) != 0, reason="there is no Xvfb")
def test_an_engines_screen_is_private(tmp_path: Path) -> None:
    write_authority(tmp_path / "authority")
    assert stat.S_IMODE((tmp_path / "authority").stat().st_mode) == 0o600
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-auth", str(tmp_path / "authority"), "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as told:
            display = int(told.readline())
        cookie = (tmp_path / "authority").read_bytes()[-16:]
        assert connects(display, cookie)
        assert not connects(display, b"")
        assert not connects(display, bytes(16))
    finally:
        server.kill()
        server.wait()
        for left in (Path(f"/tmp/.X{display}-lock"), Path(f"/tmp/.X11-unix/X{display}")):
            left.unlink(missing_ok=True)
