"""Skills on disk: what was kept comes back, and what does not fit is refused in one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from h_dqn.checkpoint import load_state, save_state
from h_dqn.cli.skills import SkillsList
from h_dqn.device import pick_device
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.options import OptionConfig
from skills_library.library import Library
from skills_library.policy import PolicyHead, SavedPolicy, SkillError, Termination, load_policy, save_policy
from skills_library.skill import Skill, SkillOption
from tests.conftest import places
from tests.helpers import saved_policy as saved

OLD_SKILLS = Path(__file__).parent / "data" / "old_format" / "skills"
SHAPE, DEVICE = (2, 32, 32), pick_device("cpu")


def skill(end: Termination | None = None) -> Skill:
    policy = saved(end=end)
    return Skill(policy, policy.head)


def on(actions: list[str], end: Termination | None = None, **how: Any) -> SkillOption:
    return skill(end).on(actions, SHAPE, DEVICE, **how)


OBS = np.random.default_rng(0).integers(0, 255, (40, 2, 4, 4)).astype(np.uint8).repeat(8, 2).repeat(8, 3)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    how = OptionConfig(option_steps=3, interrupt=True)
    training = {"env_steps": 5, "config": {}}
    kept = replace(saved(end=Termination(7, -0.25)), options=how, card={"training": training})
    library.add(kept)
    assert library.names() == ["walk"]
    again = library.skill("walk")
    before, after = kept.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (again.actions, again.shape) == (("forward", "turn_left", "turn_right"), SHAPE)
    assert (again.head.termination, again.head.temperature) == (Termination(7, -0.25), 0.0)
    assert again.policy.options == how
    assert (again.card["task"], again.card["training"]) == ({"name": "navigation1"}, training)
    assert "navigation1" in (tmp_path / "walk" / "CARD.md").read_text()
    assert not any(weight.requires_grad for weight in again.network.parameters())


def test_a_skill_acts_greedily_in_the_tasks_own_numbers() -> None:
    bound = on(["break", "turn_right", "forward", "turn_left"])
    greedy = skill().network(torch.from_numpy(OBS)).argmax(1).numpy()
    np.testing.assert_array_equal(bound.act(OBS)[0], np.array([2, 3, 1])[greedy])
    assert len(set(bound.act(OBS)[0])) > 1
    assert bound.initiate(OBS).all()
    assert bound.terminate(OBS[:3], np.array([4, 5, 6])).tolist() == [0, 1, 1]
    assert on(["turn_right", "forward", "turn_left"], steps=6).terminate(OBS[:3], np.array([4, 5, 6])).tolist() == [0, 0, 1]


def test_a_policy_plays_by_its_own_outputs_alone() -> None:
    """By a softmax over them where it has a temperature; it never sees the outputs of other heads."""
    policy = saved()
    heads = tuple(PolicyHead(f"walk/{n}", ("forward",), n, temperature=0.1) for n in range(3))
    pair = PolicyHead("walk/pair", ("forward", "turn_left"), 1, temperature=0.0)
    everything, env_ids = np.ones((40, 2), bool), np.arange(40)
    assert not SavedPolicy("walk", policy.network, heads).policy(1, heads[2])(OBS, everything[:, :1], env_ids).any()
    greedy = policy.network(torch.from_numpy(OBS))[:, 1:].argmax(1).numpy()
    np.testing.assert_array_equal(policy.policy(1, pair)(OBS, everything, env_ids), greedy)
    warm = policy.policy(1, replace(pair, temperature=1e6))(np.repeat(OBS, 20, 0), np.repeat(everything, 20, 0), np.arange(800))
    assert abs(warm.mean() - 0.5) < 0.1


def test_a_skill_ends_with_the_action_that_it_values_as_the_last() -> None:
    q = skill().values(OBS)
    middle = float(q.max(1).values.median())
    actions, end = ["turn_right", "forward", "turn_left"], Termination(last_above=middle)
    done = on(actions, end).act(OBS)[1]
    np.testing.assert_array_equal(done, (q.max(1).values > middle).numpy())
    assert done.any()
    assert not done.all()
    assert not on(actions).act(OBS)[1].any()
    assert not on(actions, end, stop_at_goal=False).act(OBS)[1].any()


def test_a_task_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SkillError, match="has no action that this task allows"):
        on(["place"])
    with pytest.raises(SkillError, match="sees 2 frames of 32x32, but this run shows 4 frames of 84x84"):
        skill().on(["forward", "turn_left", "turn_right"], (4, 84, 84), DEVICE)


def test_an_unknown_skill_names_the_known_ones(tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    with pytest.raises(SkillError, match="none yet; train one"):
        library.skill("walk")
    library.add(saved())
    for name in ("run", "../walk", "walk/../walk", ""):
        with pytest.raises(SkillError, match=r"unknown skill .*known: walk"):
            library.skill(name)


def test_a_skill_is_found_by_whatever_name_it_can_be_kept_under(tmp_path: Path) -> None:
    """A skill is named after its task, and that after its file."""
    library = Library(tmp_path, shipped=tmp_path / "none")
    for name in ("walk", "room 7", "wide-1.5", "größer"):
        library.add(saved(name))
        assert library.skill(name).name == name
    for name in ("", ".", "..", ".hidden", "../walk", "a/b", "/walk"):
        with pytest.raises(SkillError, match="is no name for a skill"):
            library.add(saved(name))


Manifest = dict[str, Any]


def manifest_of(folder: Path) -> Path:
    return next(folder / name for name in ("policy.json", "skill.json") if (folder / name).exists())


def edit(change: Callable[[Manifest], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = json.loads(manifest_of(folder).read_text())
        change(manifest)
        manifest_of(folder).write_text(json.dumps(manifest))

    return apply


def sign(folder: Path) -> None:
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    edit(lambda manifest: manifest.update(model_sha256=sha256))(folder)


def write(text: str) -> Callable[[Path], Any]:
    return lambda folder: manifest_of(folder).write_text(text)


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def truncate_and_sign(folder: Path) -> None:
    truncate(folder)
    sign(folder)


def wrong_shape(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["head.bias"] = torch.zeros(5)
    save_file(weights, folder / "model.safetensors")
    sign(folder)


Damage = dict[str, tuple[Callable[[Path], Any], str]]
DAMAGE: Damage = {
    "truncated": (truncate, "its hash differs"),
    "truncated, hash made to fit": (truncate_and_sign, "is damaged"),
    "wrong shape": (wrong_shape, r"weights 'head.bias' have shape \(5,\), the network needs \(3,\)"),
    "wrong hash": (edit(lambda m: m.update(model_sha256="0" * 64)), "its hash differs"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors cannot be read"),
    "newer schema": (edit(lambda m: m.update(schema=99)), "has schema 99; this version reads schema 1 to 2"),
    "not JSON": (write("{"), "is not JSON"),
    "a list": (write("[]"), "has schema None"),
    "missing part": (edit(lambda m: m.pop("network")), "'network' is missing"),
    "shapes differ": (edit(lambda m: m["observation"].update(shape=[4, 84, 84])), "differ"),
    "huge": (edit(lambda m: m["network"].update(shape=[2, 10**9, 32])), "network.shape"),
}
NEWEST_DAMAGE: Damage = DAMAGE | {
    "unknown network": (edit(lambda m: m["network"].update(network="vast")), "unknown network 'vast'"),
    "unknown head": (edit(lambda m: m["network"].update(head="hydra")), "unknown head 'hydra'"),
    "too few outputs": (edit(lambda m: m["heads"][0]["outputs"].pop()), "the heads have 2 outputs, the network 3"),
    "no termination": (edit(lambda m: m["heads"][0].update(termination={})), "termination.steps"),
    "no heads": (edit(lambda m: m.update(heads=[])), "there are 0 heads"),
    "unknown option": (edit(lambda m: m["options"].update(hurry=True)), "options: .*others are"),
    "bad option": (edit(lambda m: m["options"].update(option_steps=0)), "options: --option-steps must be above 0, not 0"),
    "a task of another kind": (edit(lambda m: m.update(task=3)), "'task' is of the wrong kind"),
    "unknown part of the network": (edit(lambda m: m["network"].update(depth=3)), "'network.depth' is unknown"),
}
OLD_DAMAGE: Damage = DAMAGE | {
    "wrong shape": (wrong_shape, r"weights 'head.bias' have shape \(5,\), the network needs \(4,\)"),
    "unknown network": (edit(lambda m: m["network"].update(architecture="vast")), "unknown network 'vast'"),
    "too few outputs": (edit(lambda m: m["actions"].pop()), "the heads have 3 outputs, the network 4"),
    "no termination": (edit(lambda m: m.update(termination={})), "termination.steps"),
}


def assert_refused(folder: Path, damage: tuple[Callable[[Path], Any], str]) -> None:
    apply, message = damage
    apply(folder)
    with pytest.raises(SkillError, match=message) as error:
        load_policy(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NEWEST_DAMAGE)
def test_damage_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    save_policy(saved(), tmp_path / "walk")
    assert_refused(tmp_path / "walk", NEWEST_DAMAGE[name])


@pytest.mark.parametrize("name", OLD_DAMAGE)
def test_damage_to_an_old_skill_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    shutil.copytree(OLD_SKILLS / "break", tmp_path / "break")
    assert_refused(tmp_path / "break", OLD_DAMAGE[name])


ANYTHING: list[Any] = [None, "", "x", -1, 0, 1, 2.5, float("inf"), 10**30, [], {}, [[]], [1], {"a": 1}, True]


def several() -> SavedPolicy:
    """Two heads, one of which says itself when it is done."""
    measured = {"success_rate": 0.9, "ci95": [0.8, 0.95], "episodes": 3, "seed": 1}
    card = {"task": {"name": "navigation1"}, "measured": measured}
    heads = (
        PolicyHead("walk/one", ("forward",), 0, Termination(last_above=0.0, last_output=1), card=card),
        PolicyHead("walk/two", ("forward",), 2, card=card),
    )
    network = QNetwork(NetworkSpec("scout", SHAPE, 3))
    return SavedPolicy("walk", network, heads, card={"training": {"env_steps": 3, "config": {}}})


@pytest.mark.parametrize("kept", ["newest", "old"])
def test_whatever_a_manifest_says_is_read_or_refused(kept: str, tmp_path: Path) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    if kept == "newest":
        library.add(several())
    else:
        shutil.copytree(OLD_SKILLS / "multi", tmp_path / "walk")
    manifest, refused = manifest_of(tmp_path / "walk"), 0
    document = {**json.loads(manifest.read_text()), "name": "walk"}
    document["training"]["config"] = {}  # of another command; nothing of it is read
    manifest.write_text(text := json.dumps(document))
    before = library.skills(["walk"])
    shape, actions = before[0].shape, sorted({action for one in before for action in one.actions})
    for *path, key in places(document):
        for value in ANYTHING:
            changed = part = json.loads(text)
            for step in path:
                part = part[step]
            part[key] = value
            manifest.write_text(json.dumps(changed))
            try:
                for read in library.skills(["walk"]):
                    read.on(actions, shape, DEVICE).act(np.zeros((1, *shape), np.uint8))
                SkillsList(library=tmp_path).run()
            except SkillError:
                refused += 1
    assert refused > 100


def test_a_failed_write_leaves_the_old_skill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(tmp_path, shipped=tmp_path / "none")
    library.add(saved())
    before = (tmp_path / "walk" / "model.safetensors").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        library.add(saved(outputs=2))
    assert (tmp_path / "walk" / "model.safetensors").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "library.json", "objects", "walk"}
    assert len(list((tmp_path / "objects").iterdir())) == 1


def test_nested_state_round_trip(tmp_path: Path) -> None:
    state = {
        "a": [1, 2.5, None, True, "text", {3: torch.arange(4), "b": np.array([True, False])}],
        "rng": np.random.default_rng(1).bit_generator.state,
        "scalar": np.float32(2.0),
        "none": {},
        "bytes": np.zeros((2, 3), np.uint8),
    }
    for _ in range(2):
        file = save_state(tmp_path, "state", state)
    again = load_state(file)
    assert again["a"][:5] == state["a"][:5]  # type: ignore[index]
    assert torch.equal(again["a"][5][3], torch.arange(4))
    np.testing.assert_array_equal(again["a"][5]["b"], [True, False])
    assert again["rng"] == state["rng"]
    assert again["bytes"].dtype == np.uint8
    assert list(tmp_path.iterdir()) == [file]


# --- pages that tell of a skill ---


def test_a_card_links_the_page_of_its_own_version_alone(tmp_path: Path) -> None:
    library, page = Library(tmp_path / "skills", tmp_path / "none"), tmp_path / "told" / "explain.html"
    library.add(saved("walk"))
    assert "page" not in library.card("walk")
    page.parent.mkdir()
    page.write_text("told")
    library.keep_page("walk", page)
    assert "explain.html" in library.card("walk")
    card = library.path("walk") / "CARD.md"
    assert f"| page | [../../../told/explain.html](<{os.path.relpath(page, card.parent)}>) |" in card.read_text()
    assert not [one["problem"] for one in library.verify("walk") if one["problem"]]
    library.add(saved("walk", 4))
    library.use("walk", 2)
    assert "page" not in library.card("walk")
    library.use("walk", 1)
    assert "explain.html" in library.card("walk")
    page.unlink()
    assert "page" not in library.card("walk")


def test_a_shipped_skill_has_a_page_too(tmp_path: Path) -> None:
    library, page = Library(tmp_path / "skills"), tmp_path / "explain.html"
    page.write_text("told")
    library.keep_page("navigation1", page)
    assert "explain.html" in library.card("navigation1")
    assert library.index() == {}


@pytest.mark.parametrize(
    "text", ["[]", '{"walk": 3}', '{"walk": {"id": "", "path": 4}}', '{"walk": {"id": "", "path": "a\\nb"}}', "{"]
)
def test_pages_that_cannot_be_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pages.json").write_text(text)
    with pytest.raises(SkillError, match=r"pages\.json: cannot be read: .*remove it"):
        Library(tmp_path).card("navigation1")
    with pytest.raises(SkillError, match="is no name"):
        Library(tmp_path).add(saved("pages.json"))
