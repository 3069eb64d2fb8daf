"""Q-networks over stacks of grey frames: torsos, a recurrent core, heads, and all of it together."""

from h_dqn.networks.gru import GRU
from h_dqn.networks.heads import HEADS, Head, LinearFamily, LinearHead, between, interpolate
from h_dqn.networks.q_network import MOST_UNITS, NetworkConfig, NetworkSpec, QNetwork
from h_dqn.networks.torso import ARCHITECTURES, Architecture, Torso

__all__ = [
    "ARCHITECTURES",
    "GRU",
    "HEADS",
    "MOST_UNITS",
    "Architecture",
    "Head",
    "LinearFamily",
    "LinearHead",
    "NetworkConfig",
    "NetworkSpec",
    "QNetwork",
    "Torso",
    "between",
    "interpolate",
]
