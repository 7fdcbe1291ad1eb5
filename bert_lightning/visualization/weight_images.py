"""Small images of matrices with weights in [0, 1]: one pixel for each weight, more opaque for a larger one.

An image is its own data, which a page's script reads back: the opacity of a pixel is the square root of the weight, in
steps of 1/255. The root makes small weights visible. A weight is right within `ROUNDING`.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDING = 0.004  # half a step at weights near 1; less for smaller ones
_COLOUR = (47, 131, 196)  # readable on white and on black
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def weight_image(weights: npt.NDArray[np.floating[Any]]) -> str:
    """Return a matrix of weights in [0, 1] as the address of a PNG image, which holds the image itself."""
    rows, columns = weights.shape
    pixels = np.empty((rows, columns, 4), np.uint8)
    pixels[..., :3] = _COLOUR
    pixels[..., 3] = np.rint(np.sqrt(np.clip(weights, 0, 1)) * 255)
    # Filter 1 subtracts the pixel on the left, so that the constant colour becomes zeros, which take no space.
    pixels[:, 1:] -= pixels[:, :-1].copy()
    lines = b"".join(b"\x01" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)  # 8 bits, RGB and opacity
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    content = _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
