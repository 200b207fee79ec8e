"""Where the target is said to be, and whether that can be: a wrong place would make a sure verdict of another star."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.catalog.candidate import Candidate, Neighbour, move
from batchvet.errors import PositionError
from batchvet.pixels.stamp import Stamp
from batchvet.science.sky import stamp_places
from batchvet.science.stars import TargetPosition

SAME_STAR_DEG = 3.0 / 3600.0  #: a catalogue position this close to the stamp's target is the same star
#: What two positions may differ by besides the star's motion: a place beside the file's star, as of the other star of a
#: blend, may be declared the target and is looked at.
_SLACK_ARCSEC = 30.0
_YEARS = 35.0  #: between the epochs of catalogues and files, at most
_FIELD_DEG = 0.5  #: stars of a table that are all farther from the stamp than this are another field's
_UNKNOWN_MOTION = 1000.0  #: mas/yr of a star of whose motion nobody knows: few move faster, and those are known


def target_position(candidate: Candidate, stamp: Stamp) -> TargetPosition:
    """Where the catalogue says the target is; what it leaves out is the stamp's, if that is the same star."""
    if not math.isfinite(candidate.ra):
        return TargetPosition(stamp.tic, stamp.ra, stamp.dec, stamp.pmra, stamp.pmdec, stamp.tmag)
    d_ra = (candidate.ra - stamp.ra + 180.0) % 360.0 - 180.0
    same = math.hypot(d_ra * math.cos(math.radians(candidate.dec)), candidate.dec - stamp.dec) < SAME_STAR_DEG

    def known(ours: float, theirs: float) -> float:
        return theirs if same and not math.isfinite(ours) else ours

    return TargetPosition(
        tic=stamp.tic,
        ra=candidate.ra,
        dec=candidate.dec,
        pmra=known(candidate.pmra, stamp.pmra),
        pmdec=known(candidate.pmdec, stamp.pmdec),
        tmag=known(candidate.tmag, stamp.tmag),
    )


def check_place(candidate: Candidate, stamp: Stamp) -> None:
    """See that the target can be where it is said to be. A stamp without WCS or of one row tells nothing.

    Raises
    ------
    PositionError
        Its position lies off the stamp, or farther from the file's than a star can have moved.
    """
    if not stamp.wcs_header or min(stamp.shape) < 2:
        return
    given = math.isfinite(candidate.ra)
    said = f"TOI {candidate.toi}" if given else f"TIC {stamp.tic}"
    in_file = _written(stamp.ra, stamp.dec) if math.isfinite(stamp.ra) else _written(*stamp.target_position())
    if given and math.isfinite(stamp.ra):
        apart = float(_arcsec(candidate.ra, candidate.dec, stamp.ra, stamp.dec))
        if apart > _SLACK_ARCSEC + _YEARS * _motion(candidate, stamp) / 1000.0:
            raise PositionError(
                f"{said}: its position is given as {_written(candidate.ra, candidate.dec)}, the file "
                f"{stamp.source} has its target TIC {stamp.tic} at {in_file}, {_length(apart)} away; mend the "
                "position or TIC number (right ascension in degrees)"
            )
    places = [stamp.target_position()] if math.isfinite(stamp.ra) or not given else []
    if given:  # as the catalogue has it, whose epoch may be another than it says, or where the star is by now
        moved = target_position(candidate, stamp)
        there = move(moved.ra, moved.dec, moved.pmra, moved.pmdec, stamp.epoch - 2000.0)
        places += [(candidate.ra, candidate.dec), there]
    if not any(_is_on(stamp, *place) for place in places):
        rows, cols = stamp.shape
        middle = stamp.wcs.all_pix2world((cols - 1) / 2, (rows - 1) / 2, 0)
        whose = "its position is given as" if given else "its file puts it at"
        raise PositionError(
            f"{said}: {whose} {_written(*places[-1])}, which is not on the stamp {stamp.source}, whose middle is at "
            f"{_written(*(float(x) for x in middle))}; mend the position, or give none and the file's is taken"
        )


def check_stars(neighbours: Sequence[Neighbour] | None, stamp: Stamp) -> None:
    """See that the stars are of the stamp's field: those of another would clear everybody and no one would know.

    Raises
    ------
    PositionError
        All of them are far from the stamp.
    """
    if not neighbours:
        return
    ra, dec = stamp.target_position()
    if not math.isfinite(ra + dec):
        return
    apart = _arcsec(np.array([star.ra for star in neighbours]), np.array([star.dec for star in neighbours]), ra, dec)
    nearest = int(np.argmin(apart))
    if apart[nearest] > 3600.0 * _FIELD_DEG:
        star = neighbours[nearest]
        raise PositionError(
            f"TIC {stamp.tic}: the nearest star of its table of {len(neighbours)}, {star.source_id} at "
            f"{_written(star.ra, star.dec)}, is {_length(float(apart[nearest]))} from the target, which is at "
            f"{_written(ra, dec)}; mend the table of stars (right ascension in degrees, of this target)"
        )


def _is_on(stamp: Stamp, ra: float, dec: float) -> bool:
    row, col = (float(x) for x in stamp_places(stamp, ra, dec))
    rows, cols = stamp.shape
    return -0.5 <= row <= rows - 0.5 and -0.5 <= col <= cols - 0.5


def _motion(candidate: Candidate, stamp: Stamp) -> float:
    """The fastest that anyone says the star moves, mas/yr."""
    said = [math.hypot(pmra, pmdec) for pmra, pmdec in ((candidate.pmra, candidate.pmdec), (stamp.pmra, stamp.pmdec))]
    return max((motion for motion in said if math.isfinite(motion)), default=_UNKNOWN_MOTION)


def _arcsec(ra: float | FloatArray, dec: float | FloatArray, ra0: float, dec0: float) -> FloatArray:
    """Along the great circle (haversine)."""
    across, along = np.sin(np.radians(np.subtract(dec, dec0)) / 2.0), np.sin(np.radians(np.subtract(ra, ra0)) / 2.0)
    chord = np.sqrt(across**2 + np.cos(np.radians(dec)) * math.cos(math.radians(dec0)) * along**2)
    apart: FloatArray = np.degrees(2.0 * np.arcsin(np.minimum(chord, 1.0))) * 3600.0
    return apart


def _length(arcsec: float) -> str:
    return f"{arcsec:.0f} arcsec" if arcsec < 3600.0 else f"{arcsec / 3600.0:.3g} deg"


def _written(ra: float, dec: float) -> str:
    return f"({ra:.5f}, {dec:+.5f})"
