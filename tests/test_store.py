"""The store of a library: whatever ends a change leaves the old or the new, and only what is known to be ours is removed."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from h_dqn.experiment.run_folder import RunFolder
from h_dqn.experiment.share import export_skill, import_skill
from h_dqn.files import write_folder
from skills_library.library import PRETRAINED, Library
from skills_library.manifest import SkillError
from skills_library.policy import load_policy, policy_files, save_policy
from skills_library.store import LEFTOVERS_S, object_id
from tests.faults import Faults
from tests.helpers import Capture, h_dqn, policy_of, refused
from tests.kills import LibraryKiller

OLD = Path(__file__).parent / "data" / "old_format" / "skills"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """With three versions of a skill, of which the second is current, and another skill."""
    found = Library(tmp_path / "skills", shipped=tmp_path / "none")
    for number in range(3):
        found.add(policy_of(number))
    found.add(policy_of(0, "run"))
    found.use("walk", 2)
    return found


def whole(library: Library) -> bool:
    return not [one["problem"] for name in library.names() for one in library.verify(name) if one["problem"]]


def age(path: Path) -> None:
    """As if nobody had touched it for an hour."""
    before = time.time() - LEFTOVERS_S - 1
    os.utime(path, (before, before))


# --- rename, remove, verify ---


def test_a_skill_is_renamed_with_all_its_versions(library: Library, capsys: Capture) -> None:
    before = library.history("walk")
    assert h_dqn(f"skills rename walk stride --library {library.folder}") == 0
    assert library.names() == ["run", "stride"]
    after = library.history("stride")
    assert [one["current"] for one in after] == [False, True, False]
    assert [one["measured"] for one in after] == [one["measured"] for one in before]
    assert library.skill("stride").name == "stride"
    assert (library.folder / "stride" / "CARD.md").read_text().startswith("# Skill: stride")
    assert not os.path.lexists(library.folder / "walk")
    assert whole(library)
    refused(capsys, f"skills rename stride run --library {library.folder}", "there is a skill 'run' already")
    refused(capsys, f"skills rename stride ../run --library {library.folder}", "no name for a skill")
    refused(capsys, f"skills rename walk x --library {library.folder}", "no versions of 'walk'", "known: run, stride")


def test_a_distilled_network_keeps_its_heads_names(tmp_path: Path) -> None:
    shutil.copytree(OLD / "multi", tmp_path / "multi")
    library = Library(tmp_path, shipped=tmp_path / "none")
    heads = [skill.name.partition("/")[2] for skill in library.skills(["multi"])]
    library.rename("multi", "both")
    assert [skill.name for skill in library.skills(["both"])] == [f"both/{head}" for head in heads]
    assert library.names() == ["both"]


def test_a_skill_is_removed_with_all_its_versions(library: Library, capsys: Capture) -> None:
    assert h_dqn(f"skills remove walk --library {library.folder}") == 0
    assert "walk is removed (3 versions); runs and distilled networks made of it have their own copies" in capsys.readouterr().out
    assert library.names() == ["run"]
    refused(capsys, f"skills remove walk --library {library.folder}", "no versions of 'walk'")


def test_a_skill_that_controllers_use_is_removed_by_force_alone(library: Library, in_tmp: Path, capsys: Capture) -> None:
    plan: dict[str, Any] = {"kind": "controller", "skills": ["walk/one"], "library": str(library.folder)}
    for name, key, value in (("ctl", "seed", 1), ("a", "skills", ["run"]), ("b", "library", str(in_tmp)), ("c", "kind", "distill")):
        RunFolder(in_tmp / "runs" / name).begin({"plan": {**plan, key: value}}, {})
    refused(capsys, f"skills remove walk --library {library.folder}", "'walk' is used by runs/ctl; each keeps a copy", "--force")
    refused(capsys, f"skills remove nothing --library {library.folder}", "no versions of 'nothing'")
    assert library.names() == ["run", "walk"]
    assert h_dqn(f"skills remove walk --library {library.folder} --runs elsewhere") == 0
    assert h_dqn(f"skills remove run --library {library.folder} --force") == 0
    assert library.names() == []


def test_what_comes_with_the_package_is_not_removed(in_tmp: Path, capsys: Capture) -> None:
    refused(capsys, "skills remove navigation1", "comes with the package")
    refused(capsys, "skills rename navigation1 x", "comes with the package")
    Library(in_tmp / "skills").add(policy_of(0, "navigation1"))
    assert h_dqn("skills remove navigation1") == 0
    assert "is the one that comes with the package" in capsys.readouterr().err
    assert h_dqn("skills show navigation1") == 0


@pytest.mark.parametrize("verb", ["remove", "rename"])
def test_a_skill_of_an_older_library_is_removed_and_renamed_too(verb: str, tmp_path: Path) -> None:
    shutil.copytree(OLD / "break", tmp_path / "break")
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.remove("break") if verb == "remove" else library.rename("break", "crush")
    assert library.names() == ([] if verb == "remove" else ["crush"])
    assert not os.path.lexists(tmp_path / "break")


@pytest.mark.parametrize("verb", ["remove", "rename"])
def test_what_somebody_else_keeps_under_the_name_is_not_removed(verb: str, library: Library) -> None:
    (library.folder / "walk").unlink()
    save_policy(policy_of(9), library.folder / "walk")
    before = library.index()
    with pytest.raises(SkillError, match="is no version of 'walk', but would be read as 'walk'; move it away first"):
        library.remove("walk") if verb == "remove" else library.rename("walk", "stride")
    assert library.index() == before
    (library.folder / "walk" / "notes.txt").write_text("mine")
    assert not library.store.clear("walk", library.index()["walk"])


def test_verify_says_what_is_damaged(library: Library, in_tmp: Path, capsys: Capture) -> None:
    line = f"skills verify --all --library {library.folder}"
    assert h_dqn(line) == 0
    many = 4 + len(list(PRETRAINED.iterdir()))
    assert f"{many} of {many} versions of skills are whole" in capsys.readouterr().out  # with those that are shipped
    ids = library.index()["walk"].ids
    for number, (file, change) in enumerate([("model.safetensors", b"\0"), ("policy.json", b" "), ("model.safetensors", None)]):
        damaged = library.store.objects / ids[number] / file
        data = damaged.read_bytes()
        damaged.unlink()
        if change is not None:
            damaged.write_bytes(data[:-1] + change if file == "model.safetensors" else data + change)
    assert h_dqn(line) == 2
    said = capsys.readouterr()
    assert f"{many - 3} of {many} versions" in said.out
    assert [line for line in said.err.splitlines() if "error: " not in line] == []
    assert [part in said.err for part in ("its hash differs", "is another than", "No such file")] == [True] * 3
    assert h_dqn(f"{line} --json") == 2
    found = json.loads(capsys.readouterr().out)
    assert [one["version"] for one in found if one["problem"]] == [1, 2, 3]
    assert h_dqn(f"skills verify run --library {library.folder}") == 0
    refused(capsys, "skills verify", "give --all")
    refused(capsys, "skills verify nothing", "unknown skill 'nothing'")


# --- what nothing names ---


def test_objects_leave_an_hour_after_they_are_named_no_more(library: Library) -> None:
    ids = library.index()["walk"].ids
    for one in ids:
        age(library.store.objects / one)
    library.remove("walk")
    library.add(policy_of(5, "run"))
    assert all((library.store.objects / one).is_dir() for one in ids)  # who has read the index before can still load them
    for one in ids:
        age(library.store.objects / one)
    library.use("run", 1)
    assert not any((library.store.objects / one).exists() for one in ids)
    assert whole(library)


@pytest.mark.parametrize("what", ["notes", "another name", "a link", "more in it"])
def test_what_is_no_object_of_ours_is_never_swept(what: str, library: Library, tmp_path: Path) -> None:
    objects = library.store.objects
    kept = library.index()["walk"].ids[0]
    library.remove("walk")
    if what == "notes":
        write_folder(objects / ("0" * 32), {"policy.json": b"mine"})
    elif what == "another name":
        shutil.copytree(objects / kept, objects / ("1" * 32))
    elif what == "a link":
        shutil.move(objects / kept, tmp_path / "elsewhere")
        (objects / kept).symlink_to(tmp_path / "elsewhere")
    else:
        (objects / kept / "notes.txt").write_text("mine")
    before = {path.name for path in objects.iterdir()}
    for name in before:
        age(objects / name)
    library.use("run", 1)
    left = {path.name for path in objects.iterdir()}
    assert {"notes": "0" * 32, "another name": "1" * 32, "a link": kept, "more in it": kept}[what] in left
    assert what != "a link" or (tmp_path / "elsewhere" / "policy.json").exists()


def test_a_lost_index_costs_no_object(library: Library) -> None:
    (library.folder / "library.json").unlink()
    for path in library.store.objects.iterdir():
        age(path)
    with pytest.raises(SkillError, match=r"library\.json is not there any more; put it back"):
        library.add(policy_of(7))
    assert len(list(library.store.objects.iterdir())) == 4


# --- a new version beside the current one ---


def test_the_better_one_of_the_same_episodes_stays_current(in_tmp: Path, capsys: Capture) -> None:
    """The new one, hardly trained, is measured on other episodes than the old one was; both play the same here."""
    smoke = "train skill navigation1 --preset smoke --episodes 40 --seed 3"
    assert h_dqn(f"{smoke} --env-steps 64") == 0
    library = Library(in_tmp / "skills", shipped=in_tmp / "none")
    bad = library.policy("navigation1")
    shutil.rmtree(in_tmp / "skills")
    good = load_policy(Library(in_tmp / "nowhere").path("navigation1"))
    card = {**good.head.card, "task": bad.head.card["task"], "measured": {}}  # of which no interval tells anything
    library.add(replace(good, heads=(replace(good.head, card=card),)))
    assert h_dqn(f"{smoke} --env-steps 64 --name again") == 0
    assert "version 1 did better and stays current" in capsys.readouterr().err
    assert library.index()["navigation1"].current == 1
    library.use("navigation1", 2)
    assert h_dqn(f"{smoke} --env-steps 128 --name more") == 0  # hardly better than the other bad one, if at all
    assert library.index()["navigation1"].current == 3


# --- faults, kills and two at once ---

CHANGES: dict[str, Callable[[Library, Path], object]] = {
    "add": lambda library, archive: library.add(policy_of(7)),
    "import": lambda library, archive: import_skill(archive, library, name="new"),
    "import a version": lambda library, archive: import_skill(archive, library, new_version=True),
    "rename": lambda library, archive: library.rename("walk", "stride"),
    "remove": lambda library, archive: library.remove("walk"),
    "use": lambda library, archive: library.use("walk", 3),
    "rename an old one": lambda library, archive: library.rename("break", "crush"),
    "remove an old one": lambda library, archive: library.remove("break"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fault_anywhere_leaves_the_old_or_the_new(
    change: str, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Library(tmp_path / "other", shipped=tmp_path / "none")
    other.add(policy_of(8))
    archive, template = tmp_path / "walk.zip", tmp_path / "template"
    export_skill("walk", archive, other)
    shutil.copytree(OLD / "break", library.folder / "break")
    shutil.copytree(library.folder, template, symlinks=True)
    old = said(library)
    CHANGES[change](library, archive)
    new = said(library)
    assert new != old
    faults = Faults(monkeypatch)

    def work() -> None:
        shutil.rmtree(library.folder)
        shutil.copytree(template, library.folder, symlinks=True)
        CHANGES[change](library, archive)

    def check(ended: bool) -> None:
        assert said(library) == new or (not ended and said(library) == old)
        assert whole(library)
        CHANGES["use"](library, archive) if "walk" in library.names() else library.use("run", 1)  # the next writer is not disturbed
        links = {path.name for path in library.folder.iterdir() if path.is_symlink()}
        assert links == set(library.index())

    assert faults.at_each(work, check) > 4


def said(library: Library) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The current version of each skill, and all versions; one without versions is the first."""
    index, found = library.index(), {}
    for name in library.names():
        current = object_id(policy_files(library.policy(name))["policy.json"])
        found[name] = current, index[name].ids if name in index else (current,)
    return found


def test_two_who_add_at_once_both_find_their_skills(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from skills_library.library import Library; from tests.helpers import policy_of\n"
        f"library = Library(Path({str(tmp_path / 'skills')!r}))\n"
        "for n in range(6): library.add(policy_of(n, f'{sys.argv[1]}{n}'))"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    adders = [subprocess.Popen([sys.executable, "-c", code, name], env=here) for name in ("a", "b")]
    assert [adder.wait(timeout=120) for adder in adders] == [0, 0]
    library = Library(tmp_path / "skills", shipped=tmp_path / "none")
    assert set(library.index()) == {f"{who}{n}" for who in "ab" for n in range(6)}
    assert whole(library)


def test_a_killed_change_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    killer, rng = LibraryKiller(tmp_path), random.Random(4)
    assert [killer.kill(rng) for _ in range(10)] == [""] * 10


@pytest.mark.slow
def test_fifty_killed_changes_leave_the_old_or_the_new(tmp_path: Path) -> None:
    killer, rng = LibraryKiller(tmp_path), random.Random(5)
    assert [killer.kill(rng) for _ in range(50)] == [""] * 50
