"""Skills on disk: what was kept comes back, and what does not fit is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from h_dqn.checkpoint import load_state, save_state
from h_dqn.cli.commands import SkillsList
from h_dqn.networks import QNetwork
from skills_library.library import Library, _sha256, load_skill, save_skill
from skills_library.skill import DeepSkill, SkillError
from tests.conftest import places


def skill(name: str = "walk", outputs: int = 3) -> DeepSkill:
    torch.manual_seed(1)
    network = QNetwork("compact", (2, 32, 32), outputs)
    torch.nn.init.normal_(network.head.weight)
    return DeepSkill(name, network, ("forward", "turn_left", "turn_right")[:outputs], card={"task": {"name": "navigation1"}})


OBS = np.random.default_rng(0).integers(0, 255, (40, 2, 4, 4)).astype(np.uint8).repeat(8, 2).repeat(8, 3)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(replace(skill(), last_above=-0.25))
    assert library.names() == ["walk"]
    again = library.load("walk")
    before, after = skill().network.state_dict(), again.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (again.actions, again.steps, again.shape) == (("forward", "turn_left", "turn_right"), 5, (2, 32, 32))
    assert (again.last_above, again.last_output) == (-0.25, None)
    assert again.card["task"] == {"name": "navigation1"}
    assert "navigation1" in (tmp_path / "walk" / "CARD.md").read_text()
    assert not any(weight.requires_grad for weight in again.network.parameters())


def test_a_skill_acts_greedily_in_the_worlds_own_numbers() -> None:
    bound = skill().on(["break", "turn_right", "forward", "turn_left"], (2, 32, 32))
    greedy = skill().network(torch.from_numpy(OBS)).argmax(1).numpy()
    np.testing.assert_array_equal(bound.act(OBS)[0], np.array([2, 3, 1])[greedy])
    assert len(set(bound.act(OBS)[0])) > 1
    assert bound.initiate(OBS).all()
    assert bound.terminate(OBS[:3], np.array([4, 5, 6])).tolist() == [0, 1, 1]


def test_a_skill_ends_with_the_action_that_it_values_as_the_last() -> None:
    bound = skill().on(["turn_right", "forward", "turn_left"], (2, 32, 32))
    q, _ = bound.judge(OBS)
    middle = float(q.max(1).values.median())
    wise = replace(bound, last_above=middle)
    done = wise.act(OBS)[1]
    np.testing.assert_array_equal(done, (q.max(1).values > middle).numpy())
    assert done.any()
    assert not done.all()
    assert not bound.act(OBS)[1].any()
    assert not wise.on(["turn_right", "forward", "turn_left"], (2, 32, 32), stop_at_goal=False).act(OBS)[1].any()


def test_a_world_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SkillError, match="uses the action 'turn_left'"):
        skill().on(["forward"], (2, 32, 32))
    with pytest.raises(SkillError, match="sees 2 frames of 32x32, but this run shows 4 frames of 84x84"):
        skill().on(["forward", "turn_left", "turn_right"], (4, 84, 84))


def test_an_unknown_skill_names_the_known_ones(tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    with pytest.raises(SkillError, match="none yet; train one"):
        library.load("walk")
    library.add(skill())
    for name in ("run", "../walk", "walk/../walk", ""):
        with pytest.raises(SkillError, match=r"unknown skill .*known: walk"):
            library.load(name)


def test_a_skill_is_found_by_whatever_name_it_can_be_kept_under(tmp_path: Path) -> None:
    """A skill is named after its task, and that after its file."""
    library = Library(tmp_path, shipped=tmp_path / "none")
    for name in ("walk", "room 7", "wide-1.5", "größer"):
        library.add(skill(name))
        assert library.load(name).name == name
    for name in ("", ".", "..", ".hidden", "../walk", "a/b", "/walk"):
        with pytest.raises(SkillError, match="is no name for a skill"):
            library.add(skill(name))


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "skill.json").read_text())
        change(manifest)
        (folder / "skill.json").write_text(json.dumps(manifest))

    return apply


def write(folder: Path, text: str) -> None:
    (folder / "skill.json").write_text(text)


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def truncate_and_sign(folder: Path) -> None:
    truncate(folder)
    edit(lambda m: m.update(model_sha256=_sha256(folder / "model.safetensors")))(folder)


def wrong_shape(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["head.bias"] = torch.zeros(4)
    save_file(weights, folder / "model.safetensors")
    edit(lambda m: m.update(model_sha256=_sha256(folder / "model.safetensors")))(folder)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "its hash differs"),
    "truncated, hash made to fit": (truncate_and_sign, "is damaged"),
    "wrong shape": (wrong_shape, r"weights 'head.bias' have shape \(4,\), the network needs \(3,\)"),
    "wrong hash": (edit(lambda m: m.update(model_sha256="0" * 64)), "its hash differs"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors cannot be read"),
    "newer schema": (edit(lambda m: m.update(schema=99)), "has schema 99; this version reads schema 1"),
    "not JSON": (lambda folder: write(folder, "{"), "is not JSON"),
    "a list": (lambda folder: write(folder, "[]"), "has schema None"),
    "missing part": (edit(lambda m: m.pop("network")), "'network' is missing"),
    "unknown network": (edit(lambda m: m["network"].update(architecture="vast")), "unknown network 'vast'"),
    "too few outputs": (edit(lambda m: m["actions"].pop()), "3 outputs for 2 actions"),
    "shapes differ": (edit(lambda m: m["observation"].update(shape=[4, 84, 84])), "differ"),
    "no termination": (edit(lambda m: m.update(termination={})), "termination.steps"),
    "huge": (edit(lambda m: m["network"].update(shape=[2, 10**9, 32])), "network.shape"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    save_skill(skill(), tmp_path / "walk")
    apply, message = DAMAGE[name]
    apply(tmp_path / "walk")
    with pytest.raises(SkillError, match=message) as error:
        load_skill(tmp_path / "walk")
    assert str(tmp_path / "walk") in str(error.value)
    assert "\n" not in str(error.value)


ANYTHING: list[Any] = [None, "", "x", -1, 0, 1, 2.5, float("inf"), 10**30, [], {}, [[]], [1], {"a": 1}, True]


def test_whatever_a_manifest_says_is_read_or_refused(tmp_path: Path) -> None:
    measured = {"success_rate": 0.9, "ci95": [0.8, 0.95], "episodes": 3, "seed": 1}
    card = {"task": {"name": "navigation1"}, "measured": measured, "training": {"env_steps": 3, "config": {}}}
    network = QNetwork("scout", (2, 32, 32), 3)
    one = DeepSkill("walk/one", network, ("forward",), last_above=0.0, last_output=1, card=card)
    two = DeepSkill("walk/two", network, ("forward",), card=card, first=2)
    whole = DeepSkill("walk", network, ("forward", "last", "forward"), heads=(one, two), card=card)
    library = Library(tmp_path, shipped=tmp_path / "none")
    manifest = library.add(whole) / "skill.json"
    text, refused = manifest.read_text(), 0
    for *path, key in places(json.loads(text)):
        for value in ANYTHING:
            changed = part = json.loads(text)
            for step in path:
                part = part[step]
            part[key] = value
            manifest.write_text(json.dumps(changed))
            try:
                for read in library.skills(["walk"]):
                    read.on(["forward", "last"], (2, 32, 32)).act(OBS[:1])
                SkillsList(tmp_path).run()
            except SkillError:
                refused += 1
    assert refused > 100


def test_a_failed_write_leaves_the_old_skill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(skill())
    before = (tmp_path / "walk" / "model.safetensors").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skills_library.library.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        library.add(skill(outputs=2))
    assert (tmp_path / "walk" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["walk"]


def test_nested_state_round_trip(tmp_path: Path) -> None:
    state = {
        "a": [1, 2.5, None, True, "text", {3: torch.arange(4), "b": np.array([True, False])}],
        "rng": np.random.default_rng(1).bit_generator.state,
        "scalar": np.float32(2.0),
        "none": {},
        "bytes": np.zeros((2, 3), np.uint8),
    }
    for _ in range(2):
        save_state(tmp_path / "state", state)
    again = load_state(tmp_path / "state")
    assert again["a"][:5] == state["a"][:5]  # type: ignore[index]
    assert torch.equal(again["a"][5][3], torch.arange(4))
    np.testing.assert_array_equal(again["a"][5]["b"], [True, False])
    assert again["rng"] == state["rng"]
    assert again["bytes"].dtype == np.uint8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_the_shipped_skills_can_be_loaded(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert "navigation1" in library.names()
    for name in library.names():
        assert library.load(name).card["measured"]["success_rate"] > 0.98
