"""Replay: trajectories of frames, the decisions of a semi-MDP over them, and uniform samples of a stream."""

from h_dqn.replay.decisions import Decisions, End, ReplayConfig, ReplayNeeds
from h_dqn.replay.reservoir import Reservoir
from h_dqn.replay.smdp_replay import SMDPReplay

__all__ = ["Decisions", "End", "ReplayConfig", "ReplayNeeds", "Reservoir", "SMDPReplay"]
