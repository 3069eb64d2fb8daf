"""Several skills of the library become one network with a head each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from h_dqn.experiment.agent import Agent, agent_of, measured
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.evaluate import evaluate_agent
from skills_library.distill import DistillConfig, Distiller
from skills_library.library import Library, check_name
from skills_library.skill import count_weights

Track = Callable[[Iterator[Any], int], Iterable[Any]]  # (rounds, how many) -> the same rounds, with their progress shown


def distil(
    library: Library,
    names: Sequence[str],
    name: str = "multi",
    config: DistillConfig | None = None,
    seed: int = 1,
    episodes: int = 500,
    track: Track | None = None,
) -> dict[str, Any]:
    """Distil skills, measure each head and its teacher on the same unseen episodes, and keep the network in the library.

    Args:
        library: where skills are taken from and kept.
        names: the teachers.
        name: of the network in the library; its skills are called ``NAME/SKILL``.
        config: settings.
        seed: decides everything random.
        episodes: unseen episodes of each evaluation.
        track: shows progress.
    Returns: success of each head and its teacher, weights before and after, seconds.
    """
    config = config or DistillConfig()
    config.check()
    check_name(name)
    if not names:
        raise UserError("--skills must name at least one skill")
    if name in names:
        raise UserError(f"--name {name} is one of the skills to distil; give another")
    teachers = library.skills(names)
    agents = [agent_of(teacher) for teacher in teachers]
    envs = [agent.envs() for agent in agents]
    options = [agent.options(make) for agent, make in zip(agents, envs, strict=True)]
    for agent, make in zip(agents, envs, strict=True):
        if masked := agent.masked(make):
            raise UserError(f"'{agent.head.name}' uses the action '{masked[0]}', which its task '{make.task.name}' no longer has")
    distiller = Distiller(teachers, envs, options, config, seed)
    began = time.perf_counter()
    rounds = -(-config.env_steps // (config.num_envs * config.round_steps))
    for _ in track(distiller.run(), rounds) if track else distiller.run():
        pass
    seconds = time.perf_counter() - began
    student = distiller.student(name)
    rows, heads = {}, []
    for agent, head, make in zip(agents, student.heads, envs, strict=True):
        before, after = (evaluate_agent(one, make, episodes, seed) for one in (agent, Agent(student, head)))
        rows[agent.head.name] = {**measured(after, seed), "teacher": before.success_rate}
        heads.append(replace(head, card={**head.card, "measured": measured(after, seed)}))
    training = {
        "env_steps": config.env_steps,
        "seconds": round(seconds, 1),
        "seed": seed,
        "teachers": list(names),
        "config": asdict(config),
    }
    library.add(replace(student, heads=tuple(heads), card={"training": training}))
    weights, teacher_weights = count_weights([student.network]), count_weights(teacher.network for teacher in teachers)
    return {"heads": rows, "weights": weights, "teacher_weights": teacher_weights, "seconds": seconds, "seed": seed}
