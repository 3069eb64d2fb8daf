"""More than one machine, by way of Ray: a cluster of two nodes on this one. Left out where Ray is not installed."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import h_dqn
import h_dqn.cli as cli
from benchmarks.reproduce import Cell, Summary, add, on_cluster, run_all
from envs.errors import WorldError
from envs.registry import WORLDS
from envs.remote import LOST, Hosts, RemoteVectorEnv, shares
from envs.task_file import load_task
from h_dqn.config import change
from h_dqn.experiment import cluster
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.place import Place
from h_dqn.experiment.plan import Plan
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.presets import PRESETS

TASK = "pickup"
ABSENT = "Ray is not installed: pip install -e '.[ray]'"


def make(num_envs: int) -> Any:
    """Embedded worlds, as an actor makes them."""
    return WORLDS["voxel"].make(load_task(TASK), num_envs, 24)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes."""
    pytest.importorskip("ray", reason=ABSENT)
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    started.add_node(num_cpus=2)
    yield started
    cluster.hosts.cache_clear()
    import ray

    ray.shutdown()
    started.shutdown()


@pytest.fixture
def hosts(nodes: Any) -> Hosts:
    """Two actors that all tests share, as starting some takes seconds."""
    return cluster.hosts(nodes.address, 2)


def test_without_the_extra_a_line_says_what_to_install(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.run(["train", "flat", "navigation1", "--preset", "smoke", "--ray", "local"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith("install it with: pip install -e '.[ray]'")
    assert not list(in_tmp.iterdir())


def test_environments_in_actors_are_those_of_one_process(hosts: Hosts) -> None:
    here, there = make(5), RemoteVectorEnv(make, 5, hosts)
    assert there.single_observation_space == here.single_observation_space
    rng = np.random.default_rng(1)

    def same(one: Any, other: Any) -> None:
        if isinstance(one, dict):
            assert one.keys() | {"lost"} == other.keys() | {"lost"}
            for key in one:
                same(one[key], other[key])
        else:
            assert_array_equal(one, other)
            assert one.dtype == other.dtype

    same(here.reset(seed=7)[0], there.reset(seed=7)[0])
    kept: Any = None
    for n in range(60):
        actions = rng.integers(0, here.single_action_space.n, 5)
        mine, theirs = here.step(actions), there.step(actions)
        for one, other in zip(mine, theirs, strict=True):
            same(one, other)
        over = mine[2] | mine[3] | (rng.random(5) < 0.1)
        if over.any():
            same(here.reset(options={"reset_mask": over})[0], there.reset(options={"reset_mask": over})[0])
        if n == 30:
            kept = here.state_dict(), there.state_dict()
    here.load_state_dict(kept[0])
    there.load_state_dict(kept[1])
    for one, other in zip(here.step(actions), there.step(actions), strict=True):
        same(one, other)
    there.close()


def test_an_actor_that_dies_costs_its_episodes_and_comes_back(hosts: Hosts) -> None:
    envs = RemoteVectorEnv(make, 4, hosts)
    first, info = envs.reset(seed=1)
    obs = first
    hosts.ray.kill(hosts.actors[0], no_restart=False)  # which takes it a moment
    deadline = time.monotonic() + 60
    while "lost" not in info or not info["lost"].any():
        assert time.monotonic() < deadline
        time.sleep(0.1)
        before = obs
        obs, reward, terminated, truncated, info = envs.step(np.zeros(4, int))
    assert info["lost"].tolist() == truncated.tolist() == [True, True, False, False]
    assert info["reason"].tolist() == [LOST, LOST, "", ""]
    assert not terminated.any()
    assert (reward[:2] == 0).all()
    assert_array_equal(obs["pov"][:2], before["pov"][:2])
    saved = envs.state_dict()
    while info["lost"].any():
        assert time.monotonic() < deadline
        time.sleep(0.05)
        obs, info = envs.reset(seed=[1, 2, None, None], options={"reset_mask": info["lost"]})
        assert not info["lost"][2:].any(), "the others go on"
    assert_array_equal(obs["pov"][:2], first["pov"][:2], "the same episodes once more")
    assert not envs.step(np.zeros(4, int))[-1]["lost"].any()
    envs.load_state_dict(saved)
    assert envs.step(np.zeros(4, int))[-1]["lost"].tolist() == [True, True, False, False], "these were not saved"
    with pytest.raises(ValueError, match="parts"):
        envs.load_state_dict({**saved, "parts": saved["parts"][:1]})


def broken(num_envs: int) -> Any:
    raise WorldError("there is no engine")


def test_what_a_world_lacks_on_a_node_is_said_in_one_line(hosts: Hosts) -> None:
    with pytest.raises(WorldError, match=r"^on the node .*: there is no engine$"):
        RemoteVectorEnv(broken, 2, hosts)


def test_a_run_whose_environments_are_in_actors_learns_the_same(hosts: Hosts, nodes: Any, in_tmp: Path) -> None:
    found = []
    for place in (Place(), Place(ray=nodes.address, ray_actors=2)):
        run = h_dqn.train_flat("navigation1", preset="smoke", episodes=8, place=place)
        weights = load_agent(run.folder).saved.network.state_dict()
        rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        found.append(([{**row, "seconds": 0} for row in rows], {name: value.tolist() for name, value in weights.items()}))
        assert Plan.from_json(json.loads((run.folder / "run.json").read_text())["plan"]).place == place
    assert found[0] == found[1]
    assert cluster.hosts(nodes.address, 2) is hosts, "whose actors played"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere", "local, auto or host:port"),
        ("localhost:1", "no Ray cluster answers there"),
        ("localhost:99999", "no Ray cluster"),
    ],
)
def test_an_address_without_a_cluster_is_told_in_one_line(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], address: str, said: str
) -> None:
    module = pytest.importorskip("ray", reason=ABSENT)
    module.shutdown()
    cluster.hosts.cache_clear()
    assert cli.run(["train", "flat", "navigation1", "--preset", "smoke", "--ray", address]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_how_environments_are_shared_out() -> None:
    assert shares(5, 3) == [2, 2, 1]
    assert shares(2, 8) == [1, 1]
    config = change(PRESETS["smoke"], num_envs=64)
    minecraft = TaskEnvs(load_task(TASK), shape_of(config), Place("minerl", ray="auto", ray_actors=3))
    assert minecraft.limit(64) == 3, "one Minecraft an actor"
    with pytest.raises(WorldError, match="--minerl-instances"):
        Place("minerl", WORLDS["minerl"].options(minerl_address=("host:9000",)), ray="auto")


TABLE = [
    Cell("skills", "navigation1", "train skill navigation1 --preset smoke --env-steps 15000", 1),
    Cell("skills", "pickup", "train skill pickup --preset smoke", 1),
    Cell("two_rooms", "h-drln", "train controller two_rooms --preset smoke --skills navigation1", 1, ("skills",)),
    Cell("rooms", "navigation1", "evaluate navigation1 --task navigation1 two_rooms", 1, ("skills",)),
]


def table(runs: Path, *how: Any) -> Any:
    """A table of a few cells, without what clocks say."""
    summary: Summary = {}
    for cell in run_all([replace(cell, runs=runs) for cell in TABLE], 8, *how):
        add(summary, cell)
    return without_clocks(summary)


def without_clocks(part: Any) -> Any:
    clocks = ("measured", "seconds", "seconds_to_95")
    return {key: without_clocks(value) for key, value in part.items() if key not in clocks} if isinstance(part, dict) else part


@pytest.mark.slow
def test_a_table_survives_a_node(tmp_path: Path) -> None:
    """The same figures as without Ray, though the node that trains was killed, with all of its processes, after a checkpoint."""
    ray = pytest.importorskip("ray", reason=ABSENT)
    psutil = pytest.importorskip("psutil")
    from ray.cluster_utils import Cluster

    expected = table(tmp_path / "alone", 2)
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    raylets = [started.add_node(num_cpus=1).all_processes["raylet"][0].process.pid for _ in range(2)]
    run, _ = on_cluster(started.address)
    folder = tmp_path / "shared" / "s1" / "skills.navigation1"

    def kill() -> None:
        while not list((folder / "checkpoint").glob("*")):
            time.sleep(0.1)
        trees = [[*psutil.Process(pid).children(recursive=True), psutil.Process(pid)] for pid in raylets]
        tree = next(tree for tree in trees if any(folder.name in one.cmdline() for one in tree))
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        resumed.append((folder / "run.json").stat().st_ino)

    resumed: list[int] = []
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        assert table(tmp_path / "shared", 2, run) == expected
        assert resumed == [(folder / "run.json").stat().st_ino], "it went on, and was not begun anew"
    finally:
        cluster.hosts.cache_clear()
        ray.shutdown()
        started.shutdown()
