"""A skill of one's own, from a task file to a controller that uses it.

    python examples/add_a_skill.py --folder treasure

treasure.toml is the task; the shipped skill navigation1 is the other one that treasure_hunt.toml asks for.
"""

import argparse
from pathlib import Path

import h_dqn

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("treasure"), help="where runs and skills are kept")
    parser.add_argument("--steps", type=int, default=300_000, help="environment steps of each training")
    parser.add_argument("--episodes", type=int, default=500, help="of each evaluation")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    skills, runs = given.folder / "skills", given.folder / "runs"
    how = {"library": skills, "runs": runs, "seed": given.seed, "episodes": given.episodes, "env_steps": given.steps}

    # Learn it. It is kept in the library under the task's name, with the task itself.
    h_dqn.train_skill(HERE / "treasure.toml", **how)
    library = h_dqn.Library(skills)
    treasure = h_dqn.load_agent("treasure", library)
    print(f"treasure: {h_dqn.evaluate(treasure, episodes=given.episodes).success_rate:.1%}")

    # Distil it with a shipped skill: one network, a head for each.
    config = h_dqn.DistillConfig(env_steps=min(given.steps, 240_000))
    result = h_dqn.distil(library, ["navigation1", "treasure"], "both", config, seed=given.seed, episodes=given.episodes)
    for name, row in result["heads"].items():
        print(f"both/{name}: {row['success_rate']:.1%}, its teacher {row['teacher']:.1%}")

    # Use both in a task that neither solves alone.
    run = h_dqn.train_controller(HERE / "treasure_hunt.toml", ["both"], start="treasure", **how)
    controller = h_dqn.load_agent(run.folder)
    found = h_dqn.evaluate(controller, HERE / "treasure_hunt.toml", episodes=given.episodes)
    print(f"treasure_hunt, with both skills: {found.success_rate:.1%}, {found.env_steps / found.episodes:.1f} steps an episode")
    h_dqn.film(controller, given.folder / "hunt.mp4", HERE / "treasure_hunt.toml")


if __name__ == "__main__":
    main()
