"""Times of cadences that cannot be: files that somebody joined, sorted otherwise or gave another zero."""

from __future__ import annotations

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.errors import StampError
from batchvet.vocabulary import ErrorKind

_LAST_BTJD = 20_000.0  #: of the year 2078; what is later is another count of days


def check_times(time: FloatArray, source: str) -> None:
    """See that times are BTJD and increase from cadence to cadence; a cadence without a time is none.

    Raises
    ------
    StampError
        Kind ``layout``.
    """
    there = np.flatnonzero(np.isfinite(time))
    known = time[there]
    if not known.size:
        return
    if np.abs(known).max() > _LAST_BTJD:
        worst = float(known[np.argmax(np.abs(known))])
        hint = ": subtract 2457000" if 2.4e6 < worst < 2.5e6 else ""
        raise StampError(f"{source}: a time is {worst:.3f}, which is no BTJD{hint}", kind=ErrorKind.LAYOUT)
    back = np.flatnonzero(np.diff(known) <= 0.0)
    if back.size:
        cadence = int(there[back[0] + 1])
        raise StampError(
            f"{source}: times do not increase (cadence {cadence} is not after the one before it); "
            "take the archive's file, one sector to a file",
            kind=ErrorKind.LAYOUT,
        )
