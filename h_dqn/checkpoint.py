"""States of a run on disk. A nested state (dicts, lists, tensors, arrays, numbers, text) is one safetensors file, its tree in the
metadata as JSON; the file's name holds its checksum."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from h_dqn.files import check_own, commit, sweep, temporary_file
from h_dqn.reading import DIGITS, Unreadable, parse_json
from h_dqn.state import CheckpointError

SHARE = 0.02  # most of the time that goes into saving
EVERY_S = 10.0  # between two checkpoints, where saving takes no longer
SUFFIX = ".safetensors"
LARGEST, LARGEST_TREE = 16 << 30, 4 << 20  # bytes of a file, and of what in it is no tensor
MOST_TENSORS = 20_000
_NAME = re.compile(rf"(\d{{1,18}})-[0-9a-f]{{32}}{re.escape(SUFFIX)}")


class Checkpoints:
    """The newest states of a run, in a folder of its own. Each appears whole or not at all; two are kept.

    Args:
        folder: where they are.
        every_s: seconds between two of them. Where saving takes long it is less often, so that it never takes more than
            :data:`SHARE` of the time.
        clock: seconds.
    """

    def __init__(self, folder: Path, every_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self._clock = folder, clock
        self.every_s = EVERY_S if every_s is None else every_s
        self._next = clock() + self.every_s

    @property
    def due(self) -> bool:
        """Whether it is time for the next."""
        return self._clock() >= self._next

    def save(self, state: Any, env_steps: int) -> None:
        """Keep the state after so many steps. Raises OSError where it cannot be written; what was kept before stays."""
        began = self._clock()
        try:
            check_own(self.folder)
            self.folder.mkdir(exist_ok=True)
            save_state(self.folder, f"{env_steps:012d}", state)
            for old in self._files()[2:]:
                old.unlink()
            sweep(self.folder)
        finally:
            now = self._clock()
            self._next = now + max(self.every_s, (now - began) / SHARE)

    def load(self) -> Any:
        """The newest state that is undamaged, or None where nothing was ever saved. Raises :class:`CheckpointError`."""
        wrong = None
        for file in self._files():
            try:
                return load_state(file)
            except CheckpointError as error:
                wrong = wrong or error
        if wrong:
            raise wrong
        return None

    @property
    def newest(self) -> int:
        """Environment steps of the newest; 0 where there is none."""
        return next((int(file.stem.partition("-")[0]) for file in self._files()), 0)

    def remove(self) -> None:
        """Remove all of them, and their folder where nothing else is in it."""
        for file in self._files():
            file.unlink()
        sweep(self.folder)
        with suppress(OSError):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        """Newest first; only files that have the names of ours."""
        if self.folder.is_symlink():
            return []
        return sorted((file for file in self.folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(file.name)), reverse=True)


def save_state(folder: Path, name: str, state: Any) -> Path:
    """Write ``state`` to ``NAME-CHECKSUM.safetensors``. Tensors and arrays are written from where they are, without a copy."""
    tensors: dict[str, torch.Tensor] = {}
    known: dict[tuple[int, torch.Size, torch.dtype], str] = {}  # what stands in the state twice is written once

    def plain(value: Any) -> Any:
        if isinstance(value, (torch.Tensor, np.ndarray)):
            if array := isinstance(value, np.ndarray):
                tensor = torch.from_numpy(np.require(value, requirements=["C", "W"]))
            else:
                tensor = value.detach().cpu().contiguous()
            key = (tensor.data_ptr(), tensor.shape, tensor.dtype)
            if not tensor.numel() or key not in known:
                known[key] = f"t{len(tensors)}"
                tensors[known[key]] = tensor
            return {"$": "numpy" if array else "torch", "name": known[key]}
        if isinstance(value, dict):
            return {"$": "dict", "items": [[key, plain(item)] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value.item() if isinstance(value, np.generic) else value

    tree = json.dumps(plain(state), allow_nan=False)

    with temporary_file(folder) as temporary:
        save_file(tensors, temporary, {"state": tree})
        path = folder / f"{name}-{_checksum(temporary)}{SUFFIX}"
        commit(temporary, path)
    return path


def load_state(file: Path) -> Any:
    """What :func:`save_state` wrote. Raises :class:`CheckpointError`."""
    try:
        check_own(file)
        if not file.is_file() or file.stat().st_size > LARGEST or _checksum(file) != file.stem.rpartition("-")[2]:
            raise CheckpointError(f"{file}: is damaged (its checksum is not the one in its name)")
        _check_head(file)
        with safe_open(file, "pt") as opened:
            tree = parse_json((opened.metadata() or {})["state"], DIGITS)
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return _rich(tree, tensors)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError, SafetensorError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{file}: cannot be read: {error}") from error


def _check_head(file: Path) -> None:
    """Raises :class:`Unreadable` for more of a head, or of parts, than a state has; so it is asked before any of it is read."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= 2 * LARGEST_TREE:
            raise Unreadable("its head is larger than that of any state")
        head = parse_json(opened.read(length))
    if not isinstance(head, dict) or len(head) > MOST_TENSORS:
        raise Unreadable("it has more parts than any state")


def _rich(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_rich(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if value["$"] == "dict":
        return {key: _rich(item, tensors) for key, item in value["items"]}
    tensor = tensors[value["name"]]
    return tensor if value["$"] == "torch" else tensor.numpy()


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:32]


def like(saved: Any, tensors: Mapping[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    """The saved tensors, if they have the names, shapes and types of ``tensors``, and are finite."""
    if not isinstance(saved, dict) or set(saved) != set(tensors):
        raise CheckpointError(f"'{what}' has other parts than it should")
    for name, tensor in tensors.items():
        found = saved[name]
        if not isinstance(found, torch.Tensor) or (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
            raise CheckpointError(f"'{what}' has a part '{name}' that does not fit")
        if not found.isfinite().all():
            raise CheckpointError(f"'{what}' has a part '{name}' with numbers that are not finite")
    return saved


def load_optimizer(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Give an optimiser the saved ``state`` of its ``state_dict()``; torch itself does not look at shapes."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not isinstance(saved, dict) or not set(saved) <= set(range(len(weights))):
        raise CheckpointError("the optimiser's state is of other weights")
    for index, moments in saved.items():
        for name, moment in moments.items():
            fits = isinstance(moment, torch.Tensor) and moment.shape in (weights[index].shape, ())
            if not fits or not moment.isfinite().all():
                raise CheckpointError(f"'{name}' of the optimiser does not fit weight number {index}")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": saved})
