"""What a life ends with, and what is told of several: intervals, the plasticity probe, the page's data, going on by the name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tables.lifelong import life
from benchmarks.tables.table import Table
from envs.sequence import load_sequence
from h_dqn.continual.config import ContinualConfig
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.lifelong_page import FILMS, PAGE, life_data, write_page
from h_dqn.experiment.lifelong_probe import Probe, figures_of, probe_task
from h_dqn.experiment.lifelong_result import LIFELONG, Seen, intervals, read_lifelong
from h_dqn.experiment.lives import lifelong
from h_dqn.experiment.lives_compared import lives_of
from h_dqn.experiment.report import report_data
from h_dqn.report import plain
from h_dqn.statistics import wilson
from tests.helpers import Capture, Ends, h_dqn, last_json, life_folder, refused

PHASES = """
[[phase]]
task = "exit"
env_steps = 96

[[phase]]
task = "crate"
env_steps = 64
"""
FEW = ContinualConfig(lesson_envs=2, lesson_steps=8, distil_updates=2, trial_episodes=1)
TINY: dict[str, Any] = {"preset": "smoke", "measure_every": 64, "episodes": 2, "end_episodes": 4, "continual": FEW}
FLAGS = "--preset smoke --measure-every 64 --episodes 2 --end-episodes 2"


@pytest.fixture
def tiny(in_tmp: Path) -> Path:
    path = in_tmp / "tiny.toml"
    path.write_text(PHASES)
    return path


# --- intervals ---


def ends(*rows: tuple[str, ...]) -> list[Seen]:
    """Evaluations at the ends of phases, from the outcomes of each task's episodes."""
    rates = [tuple(text.count("1") / len(text) for text in row) for row in rows]
    return [Seen(phase, phase, 1, True, rate, row) for phase, (row, rate) in enumerate(zip(rows, rates, strict=True), -1)]


def test_intervals_are_of_pairs_of_the_same_episodes() -> None:
    """Half of the episodes succeed. Where the same ones do later, nothing was forgotten, whichever are drawn; else it may be."""
    half, other = "1100" * 10, "0011" * 10
    same = intervals(ends(("0" * 40,) * 2, (half, "0" * 40), (half, half)), [0, 1])
    assert same["forgetting"] == (0.0, 0.0)
    apart = intervals(ends(("0" * 40,) * 2, (half, "0" * 40), (other, half)), [0, 1])
    assert apart["forgetting"][0] < -0.1 < 0.1 < apart["forgetting"][1]
    # Of one share of .5 of 40 episodes, it is about that of Wilson.
    one = intervals(ends(("0" * 40,), (half,)), [0])["average_performance"]
    assert one == pytest.approx(wilson(20, 40), abs=0.04)
    assert "forgetting" not in intervals(ends(("0" * 40,), (half,)), [0])  # of one phase there is none


def test_a_life_whose_episodes_were_not_kept_has_no_intervals() -> None:
    assert intervals([Seen(0, -1, 0, True, (0.5,)), Seen(9, 0, 9, True, (0.5,))], [0]) == {}


# --- the plasticity probe ---


def probe(*success: float) -> Probe:
    return Probe(0, 0, tuple(range(0, 10 * len(success), 10)), success, 0, 0.0)


def test_the_probe_by_hand() -> None:
    """Areas by trapezoids: (0 + .5) / 2, (.5 + 1) / 2 ... the untrained network's is no part of the slope."""
    probes = [probe(0.0, 0.5), probe(0.0, 1.0), probe(0.0, 0.5, 1.0, 1.0), probe(0.6, 0.2)]
    found = figures_of(probes)
    assert found["probe_areas"] == pytest.approx([0.25, 0.5, 2.0 / 3, 0.4])
    assert found["probe_slope"] == pytest.approx((0.4 - 0.5) / 2)
    assert figures_of(probes[:2])["probe_slope"] is None
    assert figures_of([]) == {}


def without_probes(folder: Path) -> dict[str, Any]:
    life = json.loads((folder / LIFELONG).read_text())
    del life["probes"]
    for name in ("seconds", "evaluation_seconds"):
        del life["ledger"][name]
    for part in ("ledger", "metrics", "plan"):
        life[part] = {name: value for name, value in life[part].items() if not name.startswith("probe_")}
    return dict(life)


def test_the_life_is_the_same_bit_for_bit_with_and_without_the_probe(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h_dqn.checkpoint.EVERY_S", 0.0)
    monkeypatch.setattr("h_dqn.checkpoint.SHARE", 1e9)
    probing: dict[str, Any] = {**TINY, "probe_every": 100, "probe_steps": 64}
    lifelong(tiny, "library", **TINY, name="without")
    lifelong(tiny, "library", **probing, name="with")
    assert without_probes(Path("runs/with")) == without_probes(Path("runs/without"))
    life = read_lifelong(Path("runs/with"))
    # One before any learning, and one at the first evaluation after 100 steps.
    assert [one["phase"] for one in life["probes"]] == [-1, 1]
    assert all(one["steps"][0] == 0 and one["steps"][-1] == 64 for one in life["probes"])
    assert life["ledger"]["probe_steps"] == sum(one["taken"] for one in life["probes"]) > 64 * len(life["probes"])
    assert life["ledger"]["env_steps"] == read_lifelong(Path("runs/without"))["ledger"]["env_steps"]
    # Stopped and gone on with, the same probes come of it.
    with pytest.raises(KeyboardInterrupt):
        lifelong(tiny, "library", **probing, name="parts", watcher=Ends(1))
    assert h_dqn("resume runs/parts") == 0
    parts = read_lifelong(Path("runs/parts"))
    for one, other in zip(life["probes"], parts["probes"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_task_that_cannot_be_the_probe_is_refused(tiny: Path, capsys: Capture) -> None:
    refused(capsys, f"lifelong {tiny} {FLAGS} --probe-every 50 --probe-task exit", "--probe-task exit: is a task of this sequence")
    refused(capsys, f"lifelong {tiny} {FLAGS} --probe-every 50 --probe-task workshop", "has actions that the sequence lacks")
    refused(capsys, f"lifelong {tiny} {FLAGS} --probe-every 50 --probe-task navigation9", "unknown task 'navigation9'")
    for name in ("voxel10", "revisit", "drift"):
        phases = load_sequence(name).phases
        assert probe_task("navigation1", phases).all_actions == phases[0].task.all_actions


# --- going on by the name ---


def test_the_same_command_goes_on_and_shows_what_came_of_it(tiny: Path, capsys: Capture) -> None:
    with pytest.raises(KeyboardInterrupt):
        lifelong(tiny, "finetune", **{**TINY, "end_episodes": 2, "continual": ContinualConfig()}, watcher=Ends(2))
    assert h_dqn(f"lifelong {tiny} {FLAGS} --go-on --json") == 0
    told = capsys.readouterr()
    assert "going on after" in told.err
    result = json.loads(told.out.splitlines()[-1])
    assert result["run"] == "runs/lifelong-tiny-finetune-s1"
    assert h_dqn(f"lifelong {tiny} {FLAGS} --go-on --json") == 0
    assert last_json(capsys) == result
    assert h_dqn(f"lifelong {tiny} {FLAGS} --go-on") == 0
    assert f"{result['run']}/{PAGE}" in (err := capsys.readouterr().err)
    assert "h-dqn report runs/lifelong-tiny-finetune-s1" in err
    refused(
        capsys,
        f"lifelong {tiny} --preset smoke --go-on",
        "a life with another measure_every, episodes, end_episodes was begun here",
    )


def test_it_tells_where_it_is_and_what_it_began_with(tiny: Path, capsys: Capture) -> None:
    few = "--lesson-envs 2 --lesson-steps 8 --distil-updates 2 --trial-episodes 1"
    assert h_dqn(f"lifelong {tiny} {FLAGS} --agent library {few} --name one") == 0
    told = capsys.readouterr().err
    assert "1 of 2, exit: begins from scratch" in told
    assert "2 of 2, crate: begins with the layers that it has" in told or "begins with the skill of exit" in told
    assert "crate: " in told
    assert "tasks met so far, on average" in told


# --- the tables ---


def test_a_table_says_what_of_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(performance: float, transfer: float | None) -> dict[str, Any]:
        who = {"revision": "abc", "date": "2026-12-01", "seed": 1, "command": "x"}
        figures = {"average_performance": performance, "forward_transfer_new": transfer, "areas": [0.1]}
        return {"metrics": figures, "noticed": {"precision": 0.5, "recall": None}, "ledger": {"weights": 1234}, "measured": who}

    monkeypatch.setattr("benchmarks.tables.results.figures", lambda name: {})
    assert life("drift-hidden") == "`python -m benchmarks.lifelong drift-hidden`: not measured yet, 14 lives through `drift`."
    runs = {"finetune": {"runs": {"1": run(0.25, None), "3": run(0.35, None)}}, "replay": {"runs": {"2": run(0.5, 0.1)}}}
    monkeypatch.setattr("benchmarks.tables.results.figures", lambda name: {"drift-hidden": runs})
    table = life("drift-hidden")
    assert isinstance(table, Table)
    assert table.head == (
        "`drift`, told: hidden", "seeds", "success at the end", "forward transfer, new tasks", "changes noticed, precision",
        "weights that play",
    )  # fmt: skip
    first, second, third, ours = ([each.text for each in line] for line in table.rows)
    assert first[:2] == ["finetune", "2 of 3; missing: 2"]
    assert first[2].startswith("30.0% (25.0% to 35.0%)")
    assert first[3:] == ["", "0.50 on each of 2 seeds", "1,234"]
    assert second == ["replay", "1 of 3; missing: 1, 3", "50.0% (one seed)", "0.10 (one seed)", "0.50 (one seed)", "1,234"]
    assert third == ["clear", "0 of 3; missing: 1, 2, 3", "", "", "", ""]
    assert ours[:2] == ["library", "0 of 5; missing: 1, 2, 3, 4, 5"]


# --- the page's data, and lives side by side ---


def test_a_life_ends_with_a_page(tiny: Path) -> None:
    lifelong(tiny, "library", **TINY, name="one")
    folder = Path("runs/one")
    data = plain(life_data(folder))
    assert data["tasks"] == ["exit", "crate"]
    assert [film["task"] for film in data["films"]] == ["exit", "crate"]
    assert all(len(film["captions"]) > 1 for film in data["films"])
    assert (folder / PAGE).stat().st_size < 8 << 20
    before = (folder / PAGE).read_text()
    assert write_page(folder).read_text() == before


def test_data_of_a_page_by_hand(tmp_path: Path) -> None:
    data = life_data(life_folder(tmp_path / "life"))
    third = data["evaluations"][1]
    assert (third["success"], third["episodes"]) == ((0.5, 0.0), 20)  # in the middle of a phase: of fewer episodes
    assert (third["low"][0], third["high"][0]) == pytest.approx(wilson(10, 20))
    names = {one["name"]: one for one in data["metrics"]}
    assert names["average_performance"]["value"] == 1.0
    assert names["probe_slope"]["low"] is None
    assert [chart["metric"] for chart in data["curves"]] == ["train_success", "eliminated", "discount"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"tasks": []}, "an evaluation is none"),
        ({"plan": {}}, "is no result"),
        ({"metrics": 3}, "'metrics' is missing"),
        ({"evaluations": []}, "the end of a phase is missing"),
        ({"intervals": {"average_performance": [1]}}, "is no result"),
    ],
)
def test_what_is_no_life_has_no_page(tmp_path: Path, changes: dict[str, Any], wrong: str) -> None:
    folder = life_folder(tmp_path / "life")
    file = folder / LIFELONG
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(UserError, match=wrong):
        write_page(folder)


def test_films_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = life_folder(tmp_path / "life")
    (folder / FILMS).write_text("{}")
    with pytest.raises(UserError, match="holds no films"):
        write_page(folder)


def test_lives_are_compared_over_seeds_and_with_scratch(tmp_path: Path) -> None:
    for agent in ("library", "scratch"):
        for seed in (1, 2):
            life_folder(tmp_path / f"{agent}{seed}", agent=agent, seed=seed)
    found = lives_of({name: [tmp_path / f"{name}{seed}" for seed in (1, 2)] for name in ("library", "scratch")})
    assert found is not None
    row = found["table"][0]
    assert (row["arm"], row["lives"]) == ("library", 2)
    assert row["average_performance"] == {"mean": 1.0, "half": 0.0, "seeds": 2}
    assert row["forward_transfer_new"] == {"mean": 0.0, "half": 0.0, "seeds": 2}  # as scratch
    assert row["forward_transfer_again"]["mean"] > 0.9  # what comes again is known
    assert [chart["metric"] for chart in found["curves"]] == ["all", "met"]
    met = found["curves"][1]["curves"][0]
    assert np.interp(100, met["x"], met["y"]) == pytest.approx(1.0, abs=0.02)
    assert lives_of({"none": [tmp_path]}) is None
    assert plain(report_data([tmp_path]))["lives"] is not None
