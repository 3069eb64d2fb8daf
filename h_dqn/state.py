"""Parts of a saved state, checked before anything uses them: nothing compiled ever sees a number that could not be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class CheckpointError(ValueError):
    """A saved state cannot be read, or does not fit; the message names the file and the reason."""


def restore(array: NDArray[Any], saved: Any, what: str, least: float | None = None, most: float | None = None) -> None:
    """Fill ``array`` with what was saved of it, once that has its shape and type and is from ``least`` to ``most``.

    So nothing compiled ever sees a number that could not be. Raises :class:`CheckpointError`.
    """
    array[...] = checked(saved, what, array.shape, array.dtype, least, most)


def checked(
    saved: Any, what: str, shape: tuple[int | None, ...], dtype: Any, least: float | None = None, most: float | None = None
) -> NDArray[Any]:
    """The saved array, if it has this shape (None: any length) and type, and is from ``least`` to ``most``."""
    if not isinstance(saved, np.ndarray) or saved.dtype != dtype or len(saved.shape) != len(shape):
        raise CheckpointError(f"'{what}' is no array of {np.dtype(dtype)} with {len(shape)} axes")
    if any(want is not None and want != found for want, found in zip(shape, saved.shape, strict=True)):
        raise CheckpointError(f"'{what}' has shape {saved.shape}, not {shape}")
    if saved.size and ((least is not None and saved.min() < least) or (most is not None and saved.max() > most)):
        raise CheckpointError(f"'{what}' has numbers that cannot be (from {saved.min()} to {saved.max()})")
    return saved


def whole(saved: Any, what: str, least: int, most: int = 2**63 - 1) -> int:
    """The saved number, if it is a whole one from ``least`` to ``most``."""
    if type(saved) is not int or not least <= saved <= most:
        raise CheckpointError(f"'{what}' has numbers that cannot be ({saved!r})")
    return saved


def numbers(saved: Any, what: str, least: int, most: int = 2**63 - 1) -> list[int]:
    """The saved numbers, if they are a list of :func:`whole` ones."""
    if not isinstance(saved, list):
        raise CheckpointError(f"'{what}' is no list of numbers")
    return [whole(number, what, least, most) for number in saved]
