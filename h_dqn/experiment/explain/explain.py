"""Play, look, describe: from an agent to ``explain.json`` and ``explain.html``. One seed gives one file, bit for bit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from h_dqn.experiment.agent import AGENT, Agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.explain.look import Looker
from h_dqn.experiment.explain.redraw import spurious_cues
from h_dqn.experiment.explain.subgoals import subgoals_of
from h_dqn.experiment.explain.tables import clusters_of, columns_of, edges_of, failures_of, shown_rows
from h_dqn.experiment.explain.watch_out import alarm_of
from h_dqn.experiment.versions import versions
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.files import write_text
from h_dqn.introspection import choice, clusters, projection
from h_dqn.introspection.choice import Clustering, Scale
from h_dqn.introspection.record import Record, record
from h_dqn.introspection.saliency import CELL, saliency
from h_dqn.policies import SoftmaxPolicy
from h_dqn.report import column, page, plain, sheets
from h_dqn.settings import Count, Range
from h_dqn.statistics import wilson
from skills_library.library import Library
from skills_library.policy import is_policy

UNITS = Scale(0.97, 0.1)  # of the presets; of an agent whose settings are not known
AT_ONCE = 250  # environments, as many as evaluation has: draws of the policy are the same
CAUSED, STABLE = 200, 0.8  # states in which causes are tried; agreement of clusters from which on they do not depend on the seed


@dataclass(frozen=True)
class ExplainConfig:
    """How much is looked at."""

    episodes: Count = 300
    """how many are played"""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 70001
    """decides which episodes, and all draws"""
    points: Annotated[int, Range(1, 20000)] = 4500
    """most steps that the page shows; whole episodes, failures first"""
    saliency: Annotated[int, Range(0, 20000)] = 4500
    """of so many of these the page has maps of saliency"""
    alarm_episodes: Annotated[int, Range(0, 10**6)] = 300
    """fresh episodes on which the alarm is tried (0: it is not)"""


@dataclass(frozen=True)
class Explanation:
    """What is found out: ``data`` is ``explain.json``."""

    title: str
    data: dict[str, Any]

    def page(self) -> str:
        """The whole HTML file."""
        return page("explain", self.title, self.data)


def explain_agent(agent: Agent, envs: TaskEnvs, config: ExplainConfig | None = None, watcher: Watcher | None = None) -> Explanation:
    """Look into ``agent`` while it plays a task in the embedded world.

    Args:
        agent: whose network is looked into.
        envs: the task, seen as the agent sees.
        config: how much.
        watcher: is told what happens now.
    Raises :class:`UserError` for another world, which could not be looked into.
    """
    config, tell = config or ExplainConfig(), (watcher or Watcher()).say
    if envs.place.world != "voxel" or envs.place.ray is not None:
        raise UserError(f"only the embedded world can be looked into, not {envs.place.world}; leave --world out")
    cpu = torch.device("cpu")
    agent.saved.network.to(cpu)
    options = agent.options(envs, cpu)
    policy = agent.policy(config.seed)
    assert isinstance(policy, SoftmaxPolicy)
    tell(f"playing {config.episodes} episodes of {envs.task.name}")
    made = envs(min(AT_ONCE, config.episodes))
    inner: Any = made.unwrapped
    seen = record(made, options, policy, config.episodes, config.seed, Looker(inner), agent.interrupt)
    scale, warnings = units(agent)
    tell(f"looking for clusters in {len(seen):,} steps")
    found = find_clusters(seen, scale, config.seed)
    warnings += warnings_of(seen, found)
    names = [option.name for option in options]
    tell("drawing the same states with one thing changed")
    network = head_of(agent)
    temperature = agent.head.temperature
    tried = np.sort(np.random.default_rng([config.seed, 12]).permutation(len(seen))[:CAUSED])
    causes = spurious_cues(seen, envs, tried, network, temperature, config.seed)
    shown = shown_rows(seen, config.points)
    tell("comparing clusters with what happens in the world")
    subgoals, together = subgoals_of(seen, found.best, envs.task, names)
    tell("making maps")
    data = {
        "agent": agent.head.name,
        "task": {"name": envs.task.name, "title": envs.task.title},
        "seed": config.seed,
        "episodes": config.episodes,
        "steps": len(seen),
        "success": [float(seen.success.mean()), *wilson(int(seen.success.sum()), config.episodes)],
        "versions": versions(),
        "units": {**scale._asdict(), "temperature": temperature},
        "options": names,
        "actions": list(envs.actions),
        **maps(seen, found, shown, config.seed),
        "rows": columns_of(seen, shown, found.best.labels),
        "frames": sheets(seen.truth["picture"][shown]),
        "saliency": saliency_of(seen, network, shown[: config.saliency], temperature or 0.03),
        "clusters": clusters_of(seen, found.best, found.medoids, names, shown),
        "edges": edges_of(seen, found.best, scale, together),
        "subgoals": subgoals,
        "failures": failures_of(seen, found.best, scale),
        "criteria": [asdict(one) for one in found.criteria],
        "chosen": asdict(found.best.criteria),
        "stability": found.stability,
        "causes": [one._asdict() for one in causes],
    }
    if config.alarm_episodes:
        tell(f"trying the alarm on {config.alarm_episodes} fresh episodes")
        data["alarm"] = alarm_of(agent, envs, seen, config.alarm_episodes, config.seed)
    if data["tsne"] is None:
        warnings.append(
            "no t-SNE: openTSNE is not installed (pip install 'h-dqn[explain]'); the map has principal components alone"
        )
    data["warnings"] = warnings
    return Explanation(f"{agent.head.name} in {envs.task.name}", data)


def write(explanation: Explanation, folder: Path) -> tuple[Path, Path]:
    """``explain.json`` and ``explain.html`` in ``folder``, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "explain.json", folder / "explain.html"
    write_text(paths[0], json.dumps(plain(explanation.data), allow_nan=False) + "\n")
    write_text(paths[1], explanation.page())
    return paths


def link(what: str, library: Library, page: Path) -> None:
    """Have the card of a skill in ``library`` link its page; where ``what`` is a run's folder, there is none."""
    if not is_policy(Path(what) / AGENT) and what.partition("/")[0] in library.names():
        library.keep_page(what, page)


def head_of(agent: Agent) -> Any:
    """Frames (B, S, H, W) and states (B, C) -> the Q-values of the agent's own outputs."""
    network, own = agent.saved.network, agent.head.own

    def values(frames: Tensor, state: Tensor) -> Tensor:
        q: Tensor = network(frames, state)[:, own]
        return q

    return values


def units(agent: Agent) -> tuple[Scale, list[str]]:
    """Discount and reward scale of the agent's values, as its settings have them; and what is to be said where they do not."""
    config = agent.saved.card.get("training", {}).get("config", {})
    learner = config.get("learner", {}) if isinstance(config.get("learner"), dict) else config
    gamma, scale = learner.get("discount"), learner.get("reward_scale")
    if isinstance(gamma, float) and isinstance(scale, float | int):
        return Scale(gamma, float(scale)), []
    return UNITS, [f"its settings do not say its discount: {UNITS.gamma} and a reward scale of {UNITS.reward_scale} are assumed"]


@dataclass(frozen=True)
class Found:
    """Components, clusters, and how they were chosen."""

    best: Clustering
    criteria: list[choice.Criteria]
    medoids: NDArray[np.int64]
    stability: list[float]
    """agreement (adjusted Rand index) with the clusters of two other seeds"""
    components: projection.Components


def find_clusters(seen: Record, scale: Scale, seed: int) -> Found:
    """The clustering that the criteria agree on, out of all candidates."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # so that sums are always added up in the same order
    try:
        fitted = ~choice.held_out(seen)[seen.episode]
        x, found = choice.points(seen, fitted)
        candidates = [choice.cluster(seen, x, k, w, scale, seed) for k in choice.NUMBERS for w in choice.WINDOWS]
        best, criteria = choice.choose(candidates)
        k, w = best.criteria.k, best.criteria.window
        others = [choice.cluster(seen, x, k, w, scale, seed + more).labels for more in (1, 2)]
    finally:
        cv2.setNumThreads(threads)
    medoids = clusters.medoids(best.labels, best.distance, best.k)
    return Found(best, criteria, medoids, [clusters.agreement(best.labels, other) for other in others], found)


def warnings_of(seen: Record, found: Found) -> list[str]:
    """What whoever reads the page should know."""
    said = []
    if min(found.stability) < STABLE:
        agreed = ", ".join(f"{one:.2f}" for one in found.stability)
        said.append(
            f"clusters depend on the seed: those of two others agree with these by {agreed} (adjusted Rand index; 1: the same)"
        )
    if seen.success.all() or not seen.success.any():
        said.append(f"all episodes ended in {'success' if seen.success.all() else 'failure'}: there is nothing to compare")
    if found.best.k < 2:
        said.append("the network's features hardly vary: there is one cluster")
    return said


def maps(seen: Record, found: Found, shown: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Where each shown row is on the maps, and how well they keep neighbours."""
    scores = found.components.project(seen.features[shown])
    planes = {"pca": projection.plane(scores), "tsne": projection.tsne(scores, seed)}
    kept = {name: None if flat is None else projection.neighbours_kept(scores, flat) for name, flat in planes.items()}
    return {**{name: None if flat is None else column(flat) for name, flat in planes.items()}, "neighbours": kept}


def saliency_of(seen: Record, network: Any, rows: NDArray[np.int64], temperature: float) -> dict[str, Any]:
    """Maps of the first of the shown rows, each scaled to its own largest value: bytes."""
    if not len(rows):
        return {"rows": 0, "kinds": {}}
    found = saliency(network, seen.frames[rows], seen.state[rows], temperature)._asdict()
    height, width = found["gradient"].shape[1:]
    most = {name: np.maximum(maps.max((1, 2), keepdims=True), 1e-12) for name, maps in found.items()}
    kinds = {name: column(np.rint(255 * maps / most[name]).astype(np.uint8).reshape(len(rows), -1)) for name, maps in found.items()}
    top = seen.frames.shape[2] - seen.truth["picture"].shape[1]  # rows of the strip and the dial, above the picture
    return {
        "rows": len(rows),
        "height": height,
        "width": width,
        "above": top,
        "cell": CELL,
        "pixels": list(seen.frames.shape[2:]),
        "kinds": kinds,
    }
