"""Q-networks over stacks of grey frames: torsos, heads, and the two together."""

from h_dqn.networks.heads import HEADS, Head, LinearHead
from h_dqn.networks.q_network import NetworkConfig, NetworkSpec, QNetwork
from h_dqn.networks.torso import ARCHITECTURES, Architecture, Torso

__all__ = [
    "ARCHITECTURES",
    "HEADS",
    "Architecture",
    "Head",
    "LinearHead",
    "NetworkConfig",
    "NetworkSpec",
    "QNetwork",
    "Torso",
]
