"""The worlds in other people's programs: Gymnasium's vector environments and checks, Stable-Baselines3, and one's own loop."""

from __future__ import annotations

import copy
import os
import pickle
import runpy
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401
from envs.wrappers import grey_stack, pov_only

ROOT = Path(__file__).parents[1]
ID = "envs:Voxel/TwoRooms-v0"
Wrap = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]


def seen_by(wrap: Wrap, size: int = 40) -> gym.Env[Any, Any]:
    return wrap(gym.make(ID, size=size, render_mode="rgb_array"))


# --- one world -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrap", "shape"), [(pov_only, (40, 40, 3)), (grey_stack, (4, 40, 40))])
def test_a_world_that_shows_one_array_passes_the_checks_of_others(wrap: Wrap, shape: tuple[int, ...]) -> None:
    env = seen_by(wrap)
    assert env.observation_space == gym.spaces.Box(0, 255, shape, np.uint8)
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")  # as any wrapper is
        check_env(env, skip_render_check=True)
        sb3.check_env(env)
    np.testing.assert_array_equal(seen_by(pov_only).reset(seed=2)[0], gym.make(ID, size=40).reset(seed=2)[0]["pov"])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("many", [False, True])
def test_a_copy_goes_on_as_the_original(again: Any, many: bool) -> None:
    made: Any = gym.make_vec(ID, num_envs=2, size=12) if many else gym.make(ID, size=12)
    made.reset(seed=3)
    other = again(made)
    for action in (1, 0, 2, 0, 0):
        outcomes = [env.step(np.array([action] * 2) if many else action) for env in (made, other)]
        np.testing.assert_array_equal(outcomes[0][0]["pov"], outcomes[1][0]["pov"])
    np.testing.assert_array_equal(made.reset()[0]["pov"], other.reset()[0]["pov"])
    assert made.observation_space == other.observation_space


def test_a_spec_makes_the_same_world() -> None:
    env = gym.make(ID, size=12)
    assert env.spec is not None
    for spec in (env.spec, gym.envs.registration.EnvSpec.from_json(env.spec.to_json())):
        np.testing.assert_array_equal(gym.make(spec).reset(seed=1)[0]["pov"], env.reset(seed=1)[0]["pov"])


def test_frames_are_collected_and_closing_twice_is_closing() -> None:
    env: Any = gym.make(ID, size=12, render_mode="rgb_array_list")
    env.reset(seed=1)
    env.step(0)
    assert [frame.shape for frame in env.render()] == [(12, 12, 3)] * 2
    many = gym.make_vec(ID, num_envs=2, size=12, render_mode="rgb_array")
    for made in (env, many):
        made.close()
        made.close()


@pytest.mark.parametrize("mode", ["ansi", "human ", "rgb_array_list"])
def test_an_unknown_render_mode_is_refused(mode: str) -> None:
    for make in (_single, _many):
        with pytest.raises(ValueError, match="render_mode must be one of rgb_array"):
            make(mode)


def _single(mode: str) -> Any:
    from envs.voxel.env import VoxelEnv

    return VoxelEnv(size=12, render_mode=mode)


def _many(mode: str) -> Any:
    return gym.make_vec(ID, num_envs=2, size=12, render_mode=mode)


@pytest.mark.parametrize("seed", [1.5, "1", -1, np.float64(2), [1, 2]])
def test_an_odd_seed_is_refused_by_one_and_many(seed: Any) -> None:
    for made in (gym.make(ID, size=12).unwrapped, gym.make_vec(ID, num_envs=3, size=12)):
        with pytest.raises(ValueError, match="seed must be a whole number"):
            made.reset(seed=seed)


# --- many worlds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("wrap", [None, pov_only, grey_stack])
def test_gymnasium_makes_many(mode: str, wrap: Wrap | None) -> None:
    made = gym.make_vec(ID, num_envs=2, vectorization_mode=mode, wrappers=cast(Any, [wrap] if wrap else []), size=12)
    obs, _ = made.reset(seed=5)
    own = [(wrap or (lambda env: env))(gym.make(ID, size=12)).reset(seed=5 + n)[0] for n in range(2)]
    for n in range(2):
        np.testing.assert_array_equal(obs[n] if wrap else obs["pov"][n], own[n] if wrap else own[n]["pov"])
    for _ in range(70):  # past the step limit
        obs, *_, info = made.step(np.array([1, 2]))
    assert made.observation_space.contains(obs)
    assert info["is_success"].dtype == bool
    made.close()


FORK = """
import sys
import gymnasium as gym
import numpy as np

def main():
    method, many = sys.argv[1], sys.argv[2] == "vector"
    if many:
        parent = gym.make_vec("envs:Voxel/TwoRooms-v0", num_envs=6, size=30)
    else:
        parent = gym.make("envs:Voxel/TwoRooms-v0", size=30)
    parent.reset(seed=1)
    parent.step(parent.action_space.sample())
    one = lambda: gym.make("envs:Voxel/TwoRooms-v0", size=30)
    many = lambda: FirstOf(gym.make_vec("envs:Voxel/TwoRooms-v0", num_envs=3, size=30))
    children = gym.vector.AsyncVectorEnv([one, many], context=method)
    obs, _ = children.reset(seed=[7, 7])
    children.step(np.array([1, 0]))
    children.close()
    assert (obs["pov"] == one().reset(seed=7)[0]["pov"]).all()
    parent.step(parent.action_space.sample())
    print("done")

class FirstOf(gym.Env):
    def __init__(self, many):
        self.many = many
        self.observation_space, self.action_space = many.single_observation_space, many.single_action_space
    def first(self, obs):
        return {"pov": obs["pov"][0], "inventory": {item: np.asarray(counts[0]) for item, counts in obs["inventory"].items()}}
    def reset(self, *, seed=None, options=None):
        return self.first(self.many.reset(seed=seed)[0]), {}
    def step(self, action):
        obs, reward, terminated, truncated, _ = self.many.step(np.array([action] * 3))
        return self.first(obs), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("parent", ["single", "vector"])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_children_play_after_their_parent_did(method: str, parent: str, tmp_path: Path) -> None:
    """With several threads in the parent, whatever the machine has."""
    program = tmp_path / "program.py"
    program.write_text(FORK)
    environment = {**os.environ, "NUMBA_NUM_THREADS": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, program, method, parent], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.stdout == "done\n", done.stderr[-2000:]


def test_one_world_alone_starts_no_threads() -> None:
    code = """if True:
        import gymnasium as gym
        from numba.np.ufunc import parallel
        env = gym.make("envs:Voxel/TwoRooms-v0", size=30)
        env.reset(seed=1)
        env.step(0)
        assert not parallel._is_initialized
        many = gym.make_vec("envs:Voxel/TwoRooms-v0", num_envs=2, size=30)
        many.reset(seed=1)
        assert parallel._is_initialized and parallel._threading_layer != "omp"
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_worlds_may_be_stepped_by_several_threads() -> None:
    """Numba's layer that can be forked would end the process if two of its loops ran at once; Python's lock keeps them apart."""
    pictures: dict[int, Any] = {}

    def play(number: int) -> None:
        many = gym.make_vec(ID, num_envs=4, size=30)
        many.reset(seed=1)
        for _ in range(30):
            pictures[number] = many.step(np.ones(4, int))[0]["pov"]

    threads = [threading.Thread(target=play, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pictures) == 4
    for number in range(4):
        np.testing.assert_array_equal(pictures[number], pictures[0])


def test_stable_baselines3_makes_many() -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    made = [vec_env.DummyVecEnv([lambda: seen_by(grey_stack)] * 2)]
    made += [vec_env.SubprocVecEnv([lambda: seen_by(grey_stack)] * 2, start_method="fork")]  # by others: as Gymnasium's, above
    seen = []
    for worlds in made:
        worlds.seed(3)
        frames = [worlds.reset()]
        frames += [worlds.step(np.array([0, 1]))[0] for _ in range(3)]
        seen.append(np.stack(frames))
        worlds.close()
    np.testing.assert_array_equal(seen[0], seen[1])


# --- the examples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["sb3.py --algorithm dqn", "sb3.py --algorithm ppo", "cleanrl_dqn.py"])
def test_the_examples_learn_from_the_command_line(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if words.startswith("sb3"):
        pytest.importorskip("stable_baselines3")
    script, *rest = words.split()
    monkeypatch.setattr(sys, "argv", [script, *rest, "--steps", "2000"])
    monkeypatch.setattr(sys, "path", [str(ROOT / "examples"), *sys.path])  # as Python does for a script
    runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "steps of navigation1" in said
