"""More than one machine, by way of Ray: a cluster of two nodes on this one. Left out where Ray is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import h_dqn.cli as cli
from envs.registry import WORLDS
from envs.remote import Hosts, RemoteVectorEnv, shares
from envs.task_file import load_task
from h_dqn.experiment import cluster
from h_dqn.experiment.place import Place

pytestmark = pytest.mark.xdist_group("ray")
TASK = "pickup"


def make(num_envs: int) -> Any:
    """Embedded worlds, as an actor makes them."""
    return WORLDS["voxel"].make(load_task(TASK), num_envs, 24)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    started.add_node(num_cpus=2)
    yield started
    cluster.hosts.cache_clear()
    import ray

    ray.shutdown()
    started.shutdown()


@pytest.fixture
def ray(nodes: Any) -> Any:
    return cluster.connect(nodes.address)


def test_without_the_extra_a_line_says_what_to_install(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.run(["train", "flat", "navigation1", "--preset", "smoke", "--ray", "local"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith("install it with: pip install -e '.[ray]'")
    assert not list(in_tmp.iterdir())


def test_environments_in_actors_are_those_of_one_process(ray: Any) -> None:
    here, there = make(5), RemoteVectorEnv(make, 5, Hosts(ray, 3))
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


def test_how_environments_are_shared_out() -> None:
    assert shares(5, 3) == [2, 2, 1]
    assert shares(2, 8) == [1, 1]
    assert Place("voxel", ray="auto") != Place("voxel")
