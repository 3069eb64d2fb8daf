"""The learner: deep Q-networks over options in a semi-MDP. Knows ``gymnasium`` and :class:`h_dqn.options.Option`, nothing else."""

__version__ = "0.1.0"
