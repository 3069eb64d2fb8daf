"""Settings that belong together, by name."""

from h_dqn.config import Config, change

# Everything tiny, to see in seconds that the parts work together.
SMOKE: Config = change(
    Config(),
    env_steps=512,
    num_envs=8,
    size=32,
    round_steps=4,
    batch_size=16,
    epsilon_decisions=256,
    evaluate_every=256,
    validation_episodes=16,
)

PRESETS: dict[str, Config] = {
    # Whatever learns soonest on two cores.
    "fast": Config(),
    # The same for episodes of a hundred steps, whose end must be felt from their beginning.
    "long": change(
        Config(), env_steps=900_000, discount=0.985, initial_value=-20 / 3, deliberation_cost=0.5, evaluate_every=50_000
    ),
    # Tessler et al. 2017 and their code: Nature network, 84x84x4, replay, centred RMSProp.
    "paper": change(
        Config(),
        env_steps=200_000,
        num_envs=8,
        size=84,
        stack=4,
        memory=False,
        network="nature",
        discount=0.99,
        reward_scale=1.0,
        initial_value=0.0,
        advantage_learning_alpha=0.0,
        option_steps=5,
        intra_option="no",
        success_memory=0.0,
        stop_at_goal=False,
        epsilon_end=0.1,
        epsilon_ladder=0.0,
        epsilon_waits=False,
        temperature=0.0,
        epsilon_decisions=100_000,
        learner="dqn",
        target_period=10_000,
        round_steps=1,
        batch_size=32,
        optimizer="rmsprop",
        learning_rate=2.5e-3,
        final_learning_rate=1.0,
        td_clip=1.0,
    ),
    # Small pictures and a small network, for tasks that need no more and reward nothing but the goal.
    "small": change(
        Config(),
        env_steps=100_000,
        num_envs=32,
        size=24,
        stack=1,
        memory=False,
        network="scout",
        reward_scale=1.0,
        initial_value=0.0,
        learning_rate=2e-3,
        final_learning_rate=1.0,
        epsilon_decisions=20_000,
        capacity=20_000,
    ),
    "smoke": SMOKE,
    "smoke_replay": change(
        SMOKE,
        learner="dqn",
        capacity=400,
        learn_start=64,
        updates_per_decision=0.25,
        n_step=3,
        target_period=100,
        priority=0.5,
    ),
}
