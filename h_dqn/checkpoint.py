"""A nested state (dicts, lists, tensors, arrays, numbers, text) as two open files: state.json and state.safetensors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file


class CheckpointError(ValueError):
    """A saved state cannot be read; the message names the file and the reason."""


def save_state(folder: Path, state: Any) -> None:
    """Write ``state`` into ``folder``, which appears whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, (torch.Tensor, np.ndarray)):
            name = f"t{len(tensors)}"
            kind = "torch" if isinstance(value, torch.Tensor) else "numpy"
            tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
            tensors[name] = tensor.detach().cpu().contiguous().clone()
            return {"$": kind, "name": name}
        if isinstance(value, dict):
            return {"$": "dict", "items": [[key, plain(item)] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value.item() if isinstance(value, np.generic) else value

    def write(temporary: Path) -> None:
        text = json.dumps(plain(state))
        save_file(tensors, temporary / "state.safetensors")
        (temporary / "state.json").write_text(text)

    write_folder(folder, write)


def load_state(folder: Path) -> Any:
    """What :func:`save_state` wrote. Raises :class:`CheckpointError`."""
    try:
        tensors = load_file(folder / "state.safetensors")
        tree = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be read: {error}") from error

    def rich(value: Any) -> Any:
        if isinstance(value, list):
            return [rich(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value["$"] == "dict":
            return {key: rich(item) for key, item in value["items"]}
        tensor = tensors[value["name"]]
        return tensor if value["$"] == "torch" else tensor.numpy()

    try:
        return rich(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: state.json and state.safetensors do not belong together") from error


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary folder, then put it in place of ``folder`` by renaming; what was there stays until then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(temporary)
        temporary.chmod(0o755)
        old = None
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.rename(folder, old / "was")
        os.rename(temporary, folder)
        if old:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
