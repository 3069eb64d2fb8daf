"""A cluster of several machines, by way of Ray, which is imported only when one is asked for (the extra ``ray``)."""

from __future__ import annotations

import os
import re
import socket
from functools import cache
from typing import Any

from envs.remote import Hosts
from h_dqn.experiment.errors import UserError

ANSWER_S = 10.0  # that the head node has to accept a connection


def connect(address: str) -> Any:
    """The module ``ray``, connected to a cluster.

    Args:
        address: ``local`` begins a cluster of this machine alone; ``auto`` finds the one that $RAY_ADDRESS names or that runs on
            this machine; ``host:port`` is that of a head node.
    Raises :class:`UserError` if Ray is not installed or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--ray needs Ray ({error}); install it with: pip install -e '.[ray]'") from error
    if ray.is_initialized():
        return ray
    _check(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports nothing to anybody
    how = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **how)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"--ray {address}: {' '.join(str(error).split())[:300]}") from error
    return ray


@cache
def hosts(address: str, count: int) -> Hosts:
    """Actors of a cluster that hold environments; all environments of this process that ask for as many share them."""
    return Hosts(connect(address), count)


def _check(address: str) -> None:
    """Raises UserError for an address that is none, or at which nobody answers: Ray itself would try for minutes."""
    if address in ("local", "auto"):
        return
    if not (found := re.fullmatch(r"([^:/\s]+):(\d{1,5})", address)):
        raise UserError(f"--ray must be local, auto or host:port, not '{address}'")
    try:
        socket.create_connection((found[1], int(found[2])), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--ray {address}: no Ray cluster answers there ({error}); begin one with: ray start --head") from error
