"""Skills as one file: the same bytes each time, and of anything else nothing is taken. The Hub has a module of its own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from h_dqn.experiment.share import contract, export_skill, import_skill
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.reading import Unreadable
from skills_library.archive import pack, read_archive, unpack
from skills_library.library import Library
from skills_library.manifest import SkillError
from skills_library.policy import PolicyHead, SavedPolicy
from skills_library.share import give
from tests.helpers import Capture, h_dqn, last_json, refused, saved_policy
from tests.hostile.archives import HOSTILE, archive, entries

OLD = Path(__file__).parent / "data" / "old_format" / "skills"


def library_in(folder: Path, *policies: SavedPolicy) -> Library:
    library = Library(folder, shipped=folder / "none")
    for policy in policies:
        library.add(policy)
    return library


def distilled() -> SavedPolicy:
    network = QNetwork(NetworkSpec("scout", (1, 32, 24), 4))
    heads = tuple(PolicyHead(f"both/{name}", ("forward", "turn_left"), 2 * n, card={"task": {"name": "navigation1"}})
                  for n, name in enumerate(("one", "two")))  # fmt: skip
    return SavedPolicy("both", network, heads)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Those of a small skill."""
    network = QNetwork(NetworkSpec("scout", (1, 32, 24), 3))
    head = PolicyHead("walk", ("forward", "turn_left", "turn_right"), card={"task": {"name": "navigation1"}})
    return dict(give(library_in(tmp_path_factory.mktemp("library"), SavedPolicy("walk", network, (head,))), "walk"))


# --- there and back ---


@pytest.mark.parametrize("name", ["walk", "both", "break"])
def test_export_import_export_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    """Of a skill, of a distilled network with its heads, and of one that an older version of h-dqn kept."""
    library = Library(OLD) if name == "break" else library_in(tmp_path / "one", saved_policy(), distilled())
    other = library_in(tmp_path / "other")
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    export_skill(name, first, library)
    received = import_skill(first, other)
    export_skill(name, second, other)
    assert first.read_bytes() == second.read_bytes()
    assert received.taken.new
    assert other.history(name)[0]["origin"] == "first.zip"
    assert [one["problem"] for one in other.verify(name)] == [""]
    assert other.skills([name])[0].actions == library.skills([name])[0].actions


def test_an_archive_is_a_plain_zip_that_never_changes() -> None:
    data = pack({"policy.json": b"{}\n", "model.safetensors": b"weights"})
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.namelist() == ["model.safetensors", "policy.json"]
        assert opened.read("model.safetensors") == b"weights"
    assert hashlib.sha256(data).hexdigest() == "ad233624e3e462cbeffb745ab4551d12c193546368776c063d353f1d474dbc3a"
    assert unpack(data) == {"model.safetensors": b"weights", "policy.json": b"{}\n"}


def test_what_is_unknown_in_a_manifest_is_kept(files: dict[str, bytes], tmp_path: Path) -> None:
    more = {**json.loads(files["policy.json"]), "from the future": [1]}
    (tmp_path / "a.zip").write_bytes(pack({**files, "policy.json": json.dumps(more).encode()}))
    library = library_in(tmp_path / "skills")
    import_skill(tmp_path / "a.zip", library, name="run")
    assert json.loads(give(library, "run")["policy.json"])["from the future"] == [1]


def test_a_name_that_is_taken(tmp_path: Path, in_tmp: Path, capsys: Capture) -> None:
    export_skill("walk", "three.zip", library_in(tmp_path / "one", saved_policy()))
    export_skill("walk", "two.zip", library_in(tmp_path / "two", saved_policy(outputs=2)))
    assert h_dqn("skills import three.zip") == 0
    refused(capsys, "skills import two.zip", "has a skill 'walk' already; --new-version", "--name")
    assert h_dqn("skills import two.zip --new-version --json") == 0
    said = last_json(capsys)
    assert (said["version"], said["current"], said["new"]) == (2, 1, True)
    assert h_dqn("skills import two.zip --json") == 0
    assert last_json(capsys)["new"] is False
    assert h_dqn("skills import two.zip --name run") == 0
    assert h_dqn("skills use walk 2") == 0
    library = Library(in_tmp / "skills")
    assert [len(skill.actions) for skill in library.skills(["walk", "run"])] == [2, 2]
    refused(capsys, "skills import two.zip --name ../run", "is no name for a skill")


def test_a_skill_that_others_kept_in_a_folder_is_not_covered(tmp_path: Path) -> None:
    from skills_library.policy import save_policy

    library = library_in(tmp_path / "skills")
    save_policy(saved_policy(), tmp_path / "skills" / "walk")
    export_skill("walk", tmp_path / "two.zip", library_in(tmp_path / "two", saved_policy(outputs=2)))
    with pytest.raises(SkillError, match="already"):
        import_skill(tmp_path / "two.zip", library)
    import_skill(tmp_path / "two.zip", library, new_version=True)
    assert [one["current"] for one in library.history("walk")] == [True, False]


def test_where_an_archive_cannot_be_written(in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_tmp / "link.zip").symlink_to("elsewhere")
    refused(capsys, "skills export navigation1 a.tar", "archive a.tar: must end in .zip")
    refused(capsys, "skills export navigation1 link.zip", "is a link")
    refused(capsys, "skills export nothing a.zip", "unknown skill 'nothing'")
    monkeypatch.setattr("skills_library.archive.LARGEST", 1000)
    refused(capsys, "skills export navigation1 a.zip", "too much for an archive (1,000 at most)")


# --- contracts ---


def test_what_sees_or_does_otherwise_is_refused_or_said(tmp_path: Path) -> None:
    walk = saved_policy()
    (head,) = walk.heads

    def with_head(*actions: str, **how: Any) -> SavedPolicy:
        return replace(walk, heads=(replace(head, outputs=actions, **how),))

    assert contract(walk) == [
        "it sees 2 frames of 32x32, as no preset does; controllers that use it need --size 32 --stack 2 --no-memory"
    ]
    assert "'walk' is played without dance, which its task lacks" in contract(with_head("forward", "turn_left", "dance"))[1]
    with pytest.raises(Exception, match="has no action that task 'navigation1' allows"):
        contract(with_head("dance", "sing", "jump"))
    assert "no task that can be read" in contract(with_head(*head.outputs, card={"task": {"name": "../outside"}}))[1]
    odd = replace(walk, network=QNetwork(NetworkSpec("compact", (2, 33, 32), 3)))
    with pytest.raises(Exception, match="sees frames of 33x32, which no world shows"):
        contract(odd)
    export_skill("walk", tmp_path / "odd.zip", library_in(tmp_path / "one", odd))
    with pytest.raises(Exception, match="no world shows"):
        import_skill(tmp_path / "odd.zip", library_in(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


# --- hostile ---


@pytest.mark.parametrize("rule", HOSTILE)
def test_what_breaks_a_rule_is_refused_before_anything_is_kept(
    rule: str, files: dict[str, bytes], tmp_path: Path, in_tmp: Path, capsys: Capture
) -> None:
    assert archive(entries(files)) == pack(files)
    (tmp_path / "evil.zip").write_bytes(HOSTILE[rule](files))
    refused(capsys, "skills import evil.zip", "evil.zip: " if "name that is the index" not in rule else "no name")
    assert [path.name for path in in_tmp.iterdir()] == ["evil.zip"]


def test_no_bit_of_an_archive_can_change(files: dict[str, bytes]) -> None:
    """But those of what the manifest says beside what it does, which the hash of the object tells."""
    data, rng = pack(files), random.Random(1)
    for _ in range(1000):
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with pytest.raises(Unreadable):
            unpack(bytes(flipped))


@pytest.mark.parametrize("how", ["pipe", "folder", "large", "nothing"])
def test_what_is_no_file_is_no_archive(how: str, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    if how == "pipe":
        os.mkfifo(file)
    elif how == "folder":
        file.mkdir()
    elif how == "large":
        with file.open("wb") as opened:
            opened.truncate(1 << 40)
    with pytest.raises(SkillError, match=r"a\.zip"):
        read_archive(file)
