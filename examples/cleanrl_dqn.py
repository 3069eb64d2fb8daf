"""DQN in one file, in the manner of CleanRL: many worlds, a replay, a target network, and nothing else.

    python examples/cleanrl_dqn.py --task navigation1 --steps 2000

Two thousand steps take seconds and show that everything fits together; they teach nothing yet.
"""

import argparse
from collections import deque

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import envs  # noqa: F401 (registers the ids)
from envs.wrappers import GreyStack

SIZE, WORLDS, DISCOUNT, BATCH, TARGET_PERIOD = 40, 8, 0.95, 64, 200


def q_network(actions: int) -> nn.Sequential:
    """(B, 4, 40, 40) grey frames from 0 to 255 -> (B, actions)."""
    return nn.Sequential(
        nn.Conv2d(4, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 128), nn.ReLU(),
        nn.Linear(128, actions),
    )  # fmt: skip


def learn(task: str = "navigation1", steps: int = 2000, seed: int = 1) -> float:
    """Share of the last 100 episodes that reached the goal, while exploring."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    worlds = GreyStack(gym.make_vec("Voxel/Task-v0", num_envs=WORLDS, task=task, size=SIZE), stack=4)
    actions = int(worlds.single_action_space.n)  # type: ignore[attr-defined]
    online, target = q_network(actions), q_network(actions)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-3)
    replay: deque[tuple[np.ndarray, int, float, np.ndarray, bool]] = deque(maxlen=20_000)
    successes: deque[bool] = deque(maxlen=100)
    obs, _ = worlds.reset(seed=seed)
    for step in range(0, steps, WORLDS):
        with torch.no_grad():
            action = online(torch.from_numpy(obs) / 255).argmax(1).numpy()
        explore = rng.random(WORLDS) < max(0.05, 1 - step / (0.5 * steps))
        action = np.where(explore, rng.integers(actions, size=WORLDS), action)
        next_obs, reward, terminated, truncated, _ = worlds.step(action)
        replay.extend(zip(obs, action, reward, next_obs, terminated, strict=True))
        obs, over = next_obs, terminated | truncated
        if over.any():  # worlds are not reset by themselves, so that next_obs above is always the last frame of its own episode
            successes.extend(terminated[over])
            obs, _ = worlds.reset(options={"reset_mask": over})
        if len(replay) >= BATCH:
            chosen = [replay[i] for i in rng.integers(len(replay), size=BATCH)]
            frames, taken, rewards, following, ended = (torch.from_numpy(np.array(part)) for part in zip(*chosen, strict=True))
            with torch.no_grad():
                values = target(following / 255).max(1).values
                wanted = rewards.float() + DISCOUNT * values * ~ended
            loss = nn.functional.smooth_l1_loss(online(frames / 255).gather(1, taken[:, None])[:, 0], wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step % (TARGET_PERIOD * WORLDS) == 0:
            target.load_state_dict(online.state_dict())
    worlds.close()
    return float(np.mean(successes)) if successes else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="navigation1", help="a task's name, or the path of a task file")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    success = learn(arguments.task, arguments.steps, arguments.seed)
    print(f"{arguments.steps} steps of {arguments.task}: {success:.0%} of the last episodes reached the goal")


if __name__ == "__main__":
    main()
