"""A skill is added by one command: how it begins, what the gate lets through, and a library that changes once or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import h_dqn
from h_dqn.experiment.add_plan import GateConfig
from h_dqn.experiment.multi import MultiConfig
from skills_library.library import Library
from tests.helpers import ROOM, toml_of

SMOKE: dict[str, Any] = {"preset": "smoke", "num_envs": 16, "until": 0.5}
EASY = GateConfig(bar=0.0, gate_episodes=20)
QUICK = MultiConfig(distil_steps=1024, head_episodes=8, may_lose=1.0, attempts=1)
LINE = "--preset smoke --num-envs 16 --bar 0 --gate-episodes 20 --distil-steps 1024 --head-episodes 8 --may-lose 1 --attempts 1"


@pytest.fixture
def rooms(in_tmp: Path) -> Path:
    """A folder with task files: a room in which chance finds the goal, others like it, and one in which it never does."""
    for name in ("first", "second", "third"):
        Path(f"{name}.toml").write_text(toml_of(ROOM))
    never = {**ROOM, "step_limit": 40, "map": "#" * 30 + "\n#e" + "." * 27 + "s#\n" + "#" * 30}
    Path("never.toml").write_text(toml_of({**never, "legend": {**ROOM["legend"], "s": "stone"}}))
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
        assert len(kept.policy("multi").heads) == number
        assert len(kept.index()["multi"].ids) == number
        assert kept.policy(task).head.card["measured"]["episodes"] == 20
    assert not [one for name in library().names() for one in library().verify(name) if one["problem"]]
    assert result["heads"]["first"]["before"] is not None
