"""Ways in which two stars of one sector share light or charge on the detector, however far apart on the sky.

A star so bright that it bleeds, and charge that is left behind in transfer, show along a column of its CCD. The four
outputs of a CCD are read at the same time, as are those of the camera's other CCDs: what one reads is heard, faintly,
in the others (cross-talk). Light that a CCD reflects comes back from the lenses mirrored at the camera's axis (ghosts).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

COLUMNS = 2.0  #: pixels, half width of a bleed trail or of what charge transfer leaves
GHOST = 25.0  #: pixels: the axis is that far from the CCDs' common corner, and a ghost is out of focus
CROSS_TALK = 2.0  #: pixels
_FIRST_COLUMN = 45.0  #: of the pixels that see the sky, counted from 1; 44 columns of the outputs' own come before
_OUTPUT = 512.0  #: columns that one output reads
_SIDE = 2048.0  #: pixels of a CCD
_CAMERA_DEG = 24.0  #: side of a camera's field
_AROUND = 1810.0 / _CAMERA_DEG**2  #: what lies within 24 deg of a star, over what a camera sees


class OnCcd(NamedTuple):
    """Where a star falls in one sector; columns and rows as in SPOC's files, full-frame, counted from 1."""

    sector: int
    camera: int
    ccd: int
    column: float  #: pixels
    row: float  #: pixels


class Detector(Protocol):
    """Who can say where stars fall."""

    def places(self, one: int, other: int) -> tuple[list[OnCcd], list[OnCcd]]:
        """Places of two entries, known in the same way for both, so that they can be compared to a pixel."""
        ...


def shared(mine: Iterable[OnCcd], theirs: Iterable[OnCcd]) -> str:
    """How two entries share light on the detector in a sector of both: a word of `EXPECTED`; empty where they do not.

    Parameters
    ----------
    mine, theirs : iterable of OnCcd
        Pixels.
    """
    by_camera: dict[tuple[int, int], list[OnCcd]] = {}
    for one in theirs:
        by_camera.setdefault((one.sector, one.camera), []).append(one)
    met = [(one, other) for one in mine for other in by_camera.get((one.sector, one.camera), ())]
    for kind, are in (("same_column", _on_one_column), ("opposite", _opposite), ("cross_talk", _read_together)):
        if any(are(one, other) for one, other in met):
            return kind
    return ""


def _on_one_column(one: OnCcd, other: OnCcd) -> bool:
    return one.ccd == other.ccd and abs(one.column - other.column) <= COLUMNS


def _opposite(one: OnCcd, other: OnCcd) -> bool:
    """Mirrored at the camera's axis: CCDs 3 and 4 are 1 and 2 turned by 180 degrees about it."""
    apart = max(abs(one.column - other.column), abs(one.row - other.row))
    return abs(one.ccd - other.ccd) == 2 and apart <= GHOST


def _read_together(one: OnCcd, other: OnCcd) -> bool:
    """Read at one moment by two outputs of the camera."""
    (output, place), (other_output, other_place) = _output(one.column), _output(other.column)
    apart = max(abs(place - other_place), abs(one.row - other.row))
    return (one.ccd, output) != (other.ccd, other_output) and apart <= CROSS_TALK


def _output(column: float) -> tuple[int, float]:
    """Which output reads a column, as which of its 512: the first and third left to right, the others right to left."""
    output, place = divmod(column - _FIRST_COLUMN, _OUTPUT)
    return int(output), place if int(output) % 2 == 0 else _OUTPUT - 1.0 - place


#: Of each way, the share of the stars within 24 degrees that are open to it in one sector.
EXPECTED = {
    "same_column": (2 * COLUMNS + 1) / _SIDE / 4 / _AROUND,
    "opposite": (2 * GHOST + 1) ** 2 / _SIDE**2 / 4 / _AROUND,
    "cross_talk": 15 * (2 * CROSS_TALK + 1) ** 2 / _SIDE**2 / 4 / _AROUND,
}
