"""Settings that belong together, by name: :data:`PRESETS`, and what each is for: :data:`ABOUT`."""

from h_dqn.config import Config, change

ABOUT = {
    "fast": "what learns soonest on two cores; for episodes of up to sixty steps",
    "long": "the same for episodes of about a hundred steps, such as three_rooms",
    "recurrent": "with a memory of the episode (a recurrent core), for rooms of many shapes; takes twice as many steps",
    "paper": "as Tessler et al. 2017: Nature network, four frames of 84x84, replay, RMSProp; slow",
    "small": "small pictures and a small network, for tasks that reward nothing but the goal",
    "smoke": "seconds, to see that all parts work together; learns nothing",
    "smoke_replay": "the same with the learner dqn",
}

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
    "fast": Config(),
    "long": change(
        Config(), env_steps=900_000, discount=0.985, initial_value=-20 / 3, deliberation_cost=0.5, evaluate_every=50_000
    ),
    "recurrent": change(
        Config(),
        env_steps=1_600_000,
        stack=1,
        core=128,
        round_steps=32,
        batch_size=256,
        success_memory=0.0,
        evaluate_every=80_000,
    ),
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

__doc__ += "\n\n" + "\n".join(f"{name}: {about}" for name, about in ABOUT.items()) + "\n"
