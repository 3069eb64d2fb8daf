"""A new version of a skill beside the current one: on the same episodes, so that luck with these tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from envs.registry import WORLDS
from h_dqn.evaluation import Evaluation, Watched
from h_dqn.evaluation import evaluate as play_episodes
from h_dqn.experiment.agent import agent_of
from h_dqn.experiment.errors import FOR_PEOPLE
from h_dqn.experiment.worlds import TaskEnvs
from h_dqn.statistics import surely_better
from skills_library.library import Library
from skills_library.policy import SavedPolicy, better, policy_files
from skills_library.skill import Skill

if TYPE_CHECKING:
    from skills_library.library import Judge


def beside(
    library: Library, name: str, envs: TaskEnvs, outcome: Evaluation, seed: int, evaluated: Callable[[int], None]
) -> Judge | None:
    """Play what the library has under this name; returns what says whether it did better than a policy with this outcome.

    Args:
        library: only what its folder holds is played, not what comes with the package.
        envs: the task, as the new version saw it; a version that was trained on another is not played, nor is one in a world that
            cannot be played twice at once.
        outcome: of the new version.
        seed: which decided about the episodes of ``outcome``.
        evaluated: is told after each step how many episodes are over; what it raises ends the playing.
    Returns None where there is nothing to play, or it cannot be played: then intervals decide.
    """
    try:
        old = Library(library.folder, shipped=library.folder / "none").policy(name)
        if old.head.card["task"].get("hash") != envs.task.hash or not WORLDS[envs.place.world].can_play_twice:
            return None
        agent = agent_of(Skill(old, old.head))
        seen = TaskEnvs(envs.task, agent.shape, envs.place)
        options = agent.options(seen)
    except FOR_PEOPLE:
        return None
    made = Watched(seen(min(250, outcome.episodes)), evaluated)
    theirs = play_episodes(made, options, agent.policy(seed), outcome.episodes, seed, interrupt=agent.interrupt)
    did_better, played = surely_better(theirs.by_episode, outcome.by_episode), policy_files(old)

    def judge(current: SavedPolicy, new: SavedPolicy) -> bool:
        return did_better if policy_files(current) == played else better(current, new)  # another may have come between

    return judge
