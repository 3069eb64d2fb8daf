"""Large parts of a page's data: columns of numbers as base64, small pictures as sheets of tiles."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 2048  # most pixels of a sheet's side; some browsers hold no larger canvas than 16.7 million
QUALITY = 72  # of JPEG
KINDS = {"f": "<f4", "u": "u1", "b": "u1", "i": "<i4"}


def column(values: NDArray[Any]) -> dict[str, Any]:
    """Numbers as base64, little-endian: 32-bit floats, bytes (of bools, too) or 32-bit integers; ``columns`` of a 2-D array's row.

    ``shell.js`` reads them with ``decode``.
    """
    kind = KINDS[values.dtype.kind]
    data = base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()
    return {"kind": kind[-2:], "columns": int(np.prod(values.shape[1:], initial=1)), "data": data}


def sheets(pictures: NDArray[np.uint8]) -> dict[str, Any]:
    """Pictures (R, H, W, 3) as tiles of few JPEGs, in data URLs; number r stands on sheet r // (across * down)."""
    rows, height, width, _ = pictures.shape
    across, most_down = SIDE // width, SIDE // height
    images = []
    for first in range(0, rows, across * most_down):
        tiles = pictures[first : first + across * most_down]
        down = -(-len(tiles) // across)
        sheet = np.zeros((down * across, height, width, 3), np.uint8)
        sheet[: len(tiles)] = tiles
        whole = sheet.reshape(down, across, height, width, 3).swapaxes(1, 2).reshape(down * height, across * width, 3)
        jpeg = cv2.imencode(".jpg", np.ascontiguousarray(whole[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        images.append("data:image/jpeg;base64," + base64.b64encode(jpeg).decode())
    return {"width": width, "height": height, "across": across, "down": most_down, "images": images}
