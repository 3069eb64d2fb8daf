"""The multi-skill network: one head for each skill of the library, of which a new one is learned while the others are rehearsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from h_dqn.evaluation import Evaluation
from h_dqn.experiment.agent import agent_of, measured
from h_dqn.experiment.distil import side_by_side, taught
from h_dqn.experiment.errors import FOR_PEOPLE
from h_dqn.experiment.gate import fresh_seed, lost
from h_dqn.experiment.watch import Watcher
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.settings import Count, Share
from skills_library.card import frames_of
from skills_library.distill import DistillConfig, Distiller
from skills_library.library import Library
from skills_library.policy import SavedPolicy, load_policy
from skills_library.skill import Skill

REHEARSAL = DistillConfig(updates=8, batch_size=256, memory=16_384)


@dataclass(frozen=True)
class MultiConfig:
    """How the multi-skill network learns a head more."""

    multi: str = "multi"
    """the multi-skill network's name in the library"""
    distil_steps: Count = 65_536
    """environment steps in the new skill's task while the network learns it, and as many in those of all others together"""
    may_lose: Share = 0.01
    """most that a head may succeed less than its skill's own network, on the same episodes; one that did so by more when it was
    first taught, by as much more"""
    head_episodes: Count = 1000
    """unseen episodes on which each head and its skill's own network are compared"""
    attempts: Count = 2
    """how often more distillation is tried where a head is further below"""


@dataclass(frozen=True)
class Taught:
    """What came of it: the network, or why there is none; and of each skill its original's and its head's outcome."""

    policy: SavedPolicy | None
    why: str
    heads: Mapping[str, tuple[Evaluation, Evaluation]]
    before: Mapping[str, float | None]
    """success of each head as the network was, where that is known"""
    attempts: int = 0


class Misfit(Exception):
    """The skill cannot be in the network; the message says why."""


def current_multi(library: Library, name: str) -> SavedPolicy | None:
    """The network as it is; None where there is none yet."""
    return library.policy(name) if name in library.names() else None


def teachers(library: Library, new: Skill, before: SavedPolicy | None, name: str) -> list[Skill]:
    """Who teaches: of each head the skill that it was learned from, and the new one.

    A skill's original is the library's of that name. Where that is not there any more, or cannot teach this head, the head teaches
    as the first version of the network had it, so that it stays what it was. Where there is no network yet, all skills are taught
    that see the same. Raises :class:`Misfit` where the new one sees otherwise than the network.
    """
    if before is None:
        others = [skill for skill in _alone(library, new) if skill.name != new.name]
        return [*others, new]
    if before.network.spec.shape != new.shape:
        seen = frames_of(before.network.spec.shape)
        raise Misfit(
            f"'{new.name}' sees {frames_of(new.shape)}, '{name}' {seen}; --multi and another name begin one for such skills"
        )
    known = {skill.name: skill for skill in _alone(library, new)} | {new.name: new}
    found = []
    for head in before.heads:
        own = head.name.removeprefix(f"{before.name}/")
        teacher = known.get(own)
        found.append(teacher if teacher and teacher.actions == head.outputs else _first(library, name, head.name))
    return found if new.name in {one.name for one in found} else [*found, new]


def _alone(library: Library, like: Skill) -> list[Skill]:
    """Skills with a network of their own that see the same as this one and whose tasks can be played."""
    found = []
    for name in library.names():
        try:
            policy = library.policy(name)
            if len(policy.heads) == 1 and policy.head.name == name and policy.network.spec.shape == like.shape:
                skill = Skill(policy, policy.head)
                agent = agent_of(skill)
                if not agent.masked(agent.envs()):
                    found.append(skill)
        except FOR_PEOPLE:
            continue
    return found


def _first(library: Library, name: str, head: str) -> Skill:
    """A head as the oldest version of the network that has it."""
    shipped = Library(library.shipped, library.shipped)
    ids = library.index()[name].ids if name in library.index() else ()
    versions = [shipped.policy(name)] if name in shipped.names() else []
    versions += [load_policy(library.store.objects / one, name) for one in ids]
    policy = next(one for one in (*versions, library.policy(name)) if any(own.name == head for own in one.heads))
    return Skill(policy, replace(policy.find(head), name=head.removeprefix(f"{name}/")))


def had_lost(library: Library, name: str, who: Sequence[Skill], before: SavedPolicy | None) -> dict[str, float]:
    """By how much less than its skill's own network each head succeeded when it was first taught; 0 for one that is new.

    What it is now does not count, so that nothing adds up.
    """
    found = dict.fromkeys((one.name for one in who), 0.0)
    for skill in who if before else ():
        head = f"{name}/{skill.name}"
        if before and any(one.name == head for one in before.heads):
            own, first = (card.get("measured", {}).get("success_rate") for card in (skill.card, _first(library, name, head).card))
            found[skill.name] = max(0.0, own - first) if own is not None and first is not None else 0.0
    return found


def teach(library: Library, new: Skill, config: MultiConfig, seed: int, watcher: Watcher) -> Taught:
    """Teach the network this skill, and measure all its heads; nothing is kept.

    Args:
        library: where network and originals are.
        new: the skill, which need not be in the library.
        config: settings.
        seed: decides everything random.
        watcher: is told how it goes on; what it raises ends the work.
    """
    before = current_multi(library, config.multi)
    was = (
        {}
        if before is None
        else {head.name.partition("/")[2]: head.card.get("measured", {}).get("success_rate") for head in before.heads}
    )
    try:
        who = teachers(library, new, before, config.multi)
    except Misfit as error:
        return Taught(None, str(error), {}, was)
    agents = [agent_of(one) for one in who]
    envs = [agent.envs() for agent in agents]
    core = max(0 if one.network.core is None else one.network.core.units for one in who)
    own = replace(REHEARSAL, core=core, env_steps=config.distil_steps)
    # The new one is learned, also where the network has a head of its name, which was of another version.
    student = before and replace(before, heads=tuple(one for one in before.heads if one.name != f"{before.name}/{new.name}"))
    options = [agent.options(make) for agent, make in zip(agents, envs, strict=True)]
    distiller = Distiller(who, envs, options, own, seed, student)
    may_lose = {skill: config.may_lose + by for skill, by in had_lost(library, config.multi, who, before).items()}
    heads: dict[str, tuple[Evaluation, Evaluation]] = {}
    for attempt in range(1, config.attempts + 1):
        distiller.config = replace(own, env_steps=own.env_steps * attempt)
        for _ in taught(distiller, config.multi, watcher):
            pass
        policy = distiller.student(config.multi)
        heads = _measure(policy, agents, envs, config.head_episodes, fresh_seed(seed, attempt), watcher)
        loss = {one: lost(*(outcome.by_episode for outcome in pair)) for one, pair in heads.items()}
        worst = max(heads, key=lambda one: loss[one] - may_lose[one])
        by = loss[worst]
        watcher.say(f"'{config.multi}' has {len(heads)} heads; against its own network '{worst}' is worst: {by:.1%} less")
        if by <= may_lose[worst]:
            return Taught(_carded(policy, heads, fresh_seed(seed, attempt), own, seed), "", heads, was, attempt)
        distiller.network.train().requires_grad_(True)
    why = f"'{worst}' would be {by:.1%} below its own network, and at most {may_lose[worst]:.1%} are allowed"
    return Taught(None, why, heads, was, config.attempts)


def _measure(policy: SavedPolicy, agents: Any, envs: list[TaskEnvs], episodes: int, seed: int, watcher: Watcher) -> Any:
    watcher.say(f"comparing {len(agents)} heads with their own networks on {episodes:,} unseen episodes each ...")
    pairs = side_by_side(policy, agents, envs, episodes, seed, watcher)
    return {agent.head.name: pair for agent, pair in zip(agents, pairs, strict=True)}


def _carded(policy: SavedPolicy, outcomes: Mapping[str, tuple[Evaluation, Evaluation]], gate: int, own: DistillConfig,
            seed: int) -> SavedPolicy:  # fmt: skip
    """The network with what is known of its heads and of how it was made."""
    pairs = zip(policy.heads, outcomes.values(), strict=True)
    heads = tuple(replace(head, card={**head.card, "measured": measured(after, gate)}) for head, (_, after) in pairs)
    training = {"env_steps": own.env_steps, "seed": seed, "teachers": list(outcomes), "config": asdict(own)}
    return replace(policy, heads=heads, card={"training": training})
