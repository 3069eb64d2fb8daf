"""Stable-Baselines3 learns a task: DQN or PPO from the last four grey frames.

    pip install stable-baselines3
    python examples/sb3.py --algorithm ppo --task navigation1 --steps 2000

Two thousand steps take seconds and show that everything fits together; they teach nothing yet.
"""

import argparse

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import envs  # noqa: F401 (registers the ids)
from envs.wrappers import grey_stack

STEPS, WORLDS, SIZE = 2000, 4, 40  # SIZE: pixels of a picture's edge; 36 are the least that CnnPolicy takes


def learn(algorithm: str = "dqn", task: str = "navigation1", steps: int = STEPS, seed: int = 1) -> tuple[BaseAlgorithm, float]:
    """The agent after so many steps, and its mean return over 20 episodes."""
    worlds = make_vec_env("Voxel/Task-v0", WORLDS, seed=seed, env_kwargs={"task": task, "size": SIZE}, wrapper_class=grey_stack)
    agent: BaseAlgorithm
    if algorithm == "ppo":
        agent = PPO("CnnPolicy", worlds, n_steps=64, batch_size=64, n_epochs=2, seed=seed)
    else:
        agent = DQN("CnnPolicy", worlds, buffer_size=10_000, learning_starts=500, train_freq=4, exploration_fraction=0.5, seed=seed)
    agent.learn(steps)
    mean_return, _ = evaluate_policy(agent, worlds, n_eval_episodes=20)
    worlds.close()
    return agent, float(mean_return)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", choices=["dqn", "ppo"], default="dqn")
    parser.add_argument("--task", default="navigation1", help="a task's name, or the path of a task file")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    agent, mean_return = learn(arguments.algorithm, arguments.task, arguments.steps, arguments.seed)
    print(f"{arguments.algorithm}: {agent.num_timesteps} steps of {arguments.task}, mean return {mean_return:.1f}")


if __name__ == "__main__":
    main()
