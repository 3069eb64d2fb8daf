"""How well do skills do on tasks that they were not trained on?

    python examples/evaluate_transfer.py --skills navigation1 --tasks navigation1 navigation2 two_rooms pickup

A skill is played on every task that shares an action with it; those that the two do not have in common are left out, and named.
"""

import argparse
from pathlib import Path

import h_dqn


def transfer(library: h_dqn.Library, skills: list[str], tasks: list[str], episodes: int) -> None:
    """Print a row for each skill and task: success on unseen episodes, with its 95 % interval."""
    for skill in library.skills(skills):  # a distilled network stands for all its heads
        agent = h_dqn.load_agent(skill.name, library)
        for task, outcome in h_dqn.evaluate_tasks(agent, tasks, episodes=episodes):
            if not isinstance(outcome, h_dqn.Evaluation):
                print(f"{skill.name:20} {task:20} {outcome}")
                continue
            low, high = outcome.ci95
            notes = [f"without its {', '.join(outcome.masked)}"] * bool(outcome.masked)
            notes += [f"never learned {', '.join(outcome.not_learned)}"] * bool(outcome.not_learned)
            print(f"{skill.name:20} {task:20} {outcome.success_rate:6.1%}  ({low:.1%} to {high:.1%})  {'; '.join(notes)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, default=Path("skills"))
    parser.add_argument("--skills", nargs="*", help="default: all of the library")
    parser.add_argument("--tasks", nargs="*", default=["navigation1", "navigation2", "two_rooms", "pickup"])
    parser.add_argument("--episodes", type=int, default=500)
    given = parser.parse_args()
    library = h_dqn.Library(given.library)
    transfer(library, given.skills or library.names(), given.tasks, given.episodes)


if __name__ == "__main__":
    main()
