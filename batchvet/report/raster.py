"""Small images as PNG files: a few hundred bytes each and far faster than a figure."""

from __future__ import annotations

import base64
import struct
import zlib
from functools import cache

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from batchvet.arrays import FloatArray
from batchvet.report.style import MISSING, Scale

#: Colours of an image; one more stands for missing pixels.
LEVELS = 48


def png(values: FloatArray, limits: Scale, colour_map: str, enlarge: int = 1) -> bytes:
    """An image [row, col] as a PNG with its first row at the bottom.

    Parameters
    ----------
    values : array, NaN for missing pixels
    limits : Scale
    colour_map : str
        matplotlib's name of it.
    enlarge : int
        Side of the square that each pixel becomes, for programs that would blur a small image.
    """
    missing = ~np.isfinite(values)
    fraction = limits.fraction(np.where(missing, limits.low, values))
    level = np.minimum((fraction * LEVELS).astype(np.uint8), LEVELS - 1)
    level[missing] = LEVELS
    level = level[::-1].repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    return _encode(level, _palette(colour_map))


def colour_bar(colour_map: str) -> bytes:
    """A colour map as a PNG of one column, its low end at the bottom."""
    return _encode(np.arange(LEVELS, dtype=np.uint8)[::-1, None], _palette(colour_map))


def data_url(image: bytes) -> str:
    """A PNG as an address that needs no file."""
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


@cache
def _palette(colour_map: str) -> bytes:
    """Red, green and blue of every level, then of a missing pixel."""
    colours = matplotlib.colormaps[colour_map]((np.arange(LEVELS) + 0.5) / LEVELS)[:, :3]
    palette: NDArray[np.uint8] = np.rint(255 * np.vstack([colours, to_rgb(MISSING)])).astype(np.uint8)
    return palette.tobytes()


def _encode(level: NDArray[np.uint8], palette: bytes) -> bytes:
    """A palette PNG (ISO/IEC 15948) of the levels, first row at the top."""
    height, width = level.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = level
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
