"""Skills on the Hugging Face Hub, of which a server of this machine is a stand-in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skills_library.archive import pack
from skills_library.hub import pull, push, readme
from skills_library.library import Library
from skills_library.manifest import SkillError, read_manifest
from skills_library.share import give, take
from tests.helpers import Capture, h_dqn, refused, saved_policy
from tests.hub_standin import Hub, served

TOKEN = "hf_secret"


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for line in ("push navigation1 me/x", "pull me/x"):
        refused(capsys, f"skills {line} --library {tmp_path / 'skills'}", "pip install -e '.[hub]'")


def test_the_card_on_the_hub_says_what_was_measured() -> None:
    library = Library(Path("nowhere"))
    manifest = read_manifest(library.path("navigation1"))
    text = readme(manifest)
    head, _, card = text.removeprefix("---\n").partition("---\n")
    said = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in head.splitlines()}
    (result,) = said["model-index"][0]["results"]
    assert said["pipeline_tag"] == "reinforcement-learning"
    assert result["metrics"][0]["value"] == manifest["heads"][0]["measured"]["success_rate"]
    assert result["metrics"][0]["args"]["episodes"] == 1000
    assert "# Skill: navigation1" in card


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")
    with served() as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)  # $HF_ENDPOINT was read at import
        yield hub


@pytest.fixture
def library(tmp_path: Path) -> Library:
    found = Library(tmp_path / "skills", shipped=tmp_path / "none")
    found.add(saved_policy())
    return found


def test_push_and_pull_give_the_same_bytes(hub: Hub, library: Library, tmp_path: Path) -> None:
    first = push(give(library, "walk"), "me/walk", endpoint=hub.address)
    assert first.new
    assert hub.repos["me/walk"].private
    files, origin = pull("me/walk", endpoint=hub.address)
    assert origin == f"me/walk@{first.commit}"
    other = Library(tmp_path / "other", shipped=tmp_path / "none")
    assert take(other, files, Path("me/walk"), origin=origin).new
    assert pack(give(other, "walk")) == pack(give(library, "walk"))
    assert other.history("walk")[0]["origin"] == origin
    assert set(hub.repos["me/walk"].commits[-1][1]) == {".gitattributes", "README.md", "model.safetensors", "policy.json"}


def test_a_second_push_makes_no_commit(hub: Hub, library: Library) -> None:
    first = push(give(library, "walk"), "me/walk", endpoint=hub.address)
    again = push(give(library, "walk"), "me/walk", endpoint=hub.address)
    assert (again.commit, again.new) == (first.commit, False)
    assert len(hub.repos["me/walk"].commits) == 2  # with the one that the Hub itself makes
    library.rename("walk", "run")
    assert push(give(library, "run"), "me/walk", endpoint=hub.address).new


def test_an_older_revision_can_be_pulled(hub: Hub, library: Library) -> None:
    first = push(give(library, "walk"), "me/walk", endpoint=hub.address)
    library.add(saved_policy(outputs=2))
    push(give(library, "walk"), "me/walk", endpoint=hub.address)
    old, new = pull("me/walk", first.commit, hub.address)[0], pull("me/walk", endpoint=hub.address)[0]
    assert len(json.loads(old["policy.json"])["heads"][0]["outputs"]) == 3
    assert len(json.loads(new["policy.json"])["heads"][0]["outputs"]) == 2


def test_on_the_command_line(hub: Hub, in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn("skills push navigation1 me/nav --json") == 0
    assert json.loads(capsys.readouterr().out)["new"]
    assert h_dqn("skills pull me/nav --name theirs") == 0
    assert "theirs is kept as version 1" in capsys.readouterr().out
    assert h_dqn("skills history theirs") == 0
    assert "me/nav@" in capsys.readouterr().out
    assert h_dqn("skills pull me/nav --name theirs") == 0
    assert "there already" in capsys.readouterr().out


def test_nothing_is_pushed_where_all_can_see_it_unless_that_is_wanted(hub: Hub, library: Library) -> None:
    push(give(library, "walk"), "me/open", public=True, endpoint=hub.address)
    assert not hub.repos["me/open"].private
    library.add(saved_policy(outputs=2))
    with pytest.raises(SkillError, match="all can see this repository; give --public"):
        push(give(library, "walk"), "me/open", endpoint=hub.address)
    assert len(hub.repos["me/open"].commits) == 2


def test_who_pushes_beside_another_is_told(hub: Hub, library: Library) -> None:
    push(give(library, "walk"), "me/walk", endpoint=hub.address)
    library.add(saved_policy(outputs=2))
    hub.trouble = "meanwhile"
    with pytest.raises(SkillError, match="it was changed meanwhile; try again"):
        push(give(library, "walk"), "me/walk", endpoint=hub.address)


TROUBLE = {
    "401": "log in first",
    "403": "you may not",
    "500": "500",
    "no JSON": "",
    "announces": "1,073,741,824 bytes",
    "cut": "",
    "length": "",
    "endless": "model.safetensors is more than",
    "no commit": "is no commit",
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_bad_hub_is_one_line_and_nothing_is_kept(trouble: str, hub: Hub, in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn("skills push navigation1 me/nav") == 0
    hub.trouble = trouble
    refused(capsys, "skills pull me/nav", "me/nav: ", TROUBLE[trouble])
    assert h_dqn("skills pull me/nav") == 2
    said = capsys.readouterr().err
    print(said)
    assert TOKEN not in said


def test_names_that_lead_elsewhere_are_not_asked_for(hub: Hub, in_tmp: Path) -> None:
    assert h_dqn("skills push navigation1 me/nav") == 0
    hub.trouble = "dots"
    assert h_dqn("skills pull me/nav") == 0
    assert not any("evil" in one for one in hub.asked)
    assert {path.name for path in in_tmp.iterdir()} == {"skills"}


def test_what_is_not_there_is_said(hub: Hub, library: Library, in_tmp: Path, capsys: Capture) -> None:
    refused(capsys, "skills pull me/none", "me/none: there is no such repository")
    push(give(library, "walk"), "me/walk", endpoint=hub.address)
    refused(capsys, "skills pull me/walk --revision old", "me/walk: it has no such revision")
    hub.repos["me/walk"].commit({"README.md": b"empty"})
    refused(capsys, "skills pull me/walk", "no skill is kept there")
    refused(capsys, "skills pull ../../x", "../../x: ")
    refused(capsys, "skills push nothing me/x", "unknown skill 'nothing'")


def test_what_was_changed_on_the_hub_is_refused_before_anything_is_kept(hub: Hub, in_tmp: Path, capsys: Capture) -> None:
    assert h_dqn("skills push navigation1 me/nav") == 0
    kept = hub.repos["me/nav"].commits[-1][1]
    weights = bytearray(kept["model.safetensors"])
    weights[-1] ^= 1
    hub.repos["me/nav"].commit({**kept, "model.safetensors": bytes(weights)})
    refused(capsys, "skills pull me/nav", "its hash differs")


def test_where_nobody_answers(hub: Hub, in_tmp: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    address: Any = "http://127.0.0.1:9"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    refused(capsys, "skills pull me/nav", "me/nav: ")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(capsys, "skills pull me/nav", "me/nav: ")
    assert os.environ["HF_TOKEN"] == TOKEN
