"""Which stars a stamp shows and where the catalogue puts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_dilation

from batchvet.arrays import BoolArray, FloatArray
from batchvet.catalog.candidate import Neighbour, move
from batchvet.pixels.stamp import Stamp
from batchvet.science.floors import LEAST_WEIGHT
from batchvet.science.sky import stamp_places, tangent_plane

_SAME_STAR_ARCSEC = 2.0  # between the target's own position and its entry in the table
_ON_ITS_PATH_ARCSEC = 3.0  # between a catalogue's position and where its entry of that name has been since 1990
_PATH_YEARS = 1990.0, 2035.0  # epochs of catalogues, and of TESS
_DISAGREE_ARCSEC = 1.0  # between the table's place for the target and the catalogue's or the file's
_SAME_STAR_MAG = 2.0  # and in magnitude, when both are known
_FAR_DEG = 0.1  # in declination: farther than any star moves in our time
_FULL_PIXEL = 8e4  # e-/s at which a pixel fills in its 2 s exposure (full well about 2e5 e-)
#: TESS magnitude of 1 e-/s (TESS Instrument Handbook).
ZERO_POINT = 20.44
#: Tmag; a fainter star fills no pixel.
FAINTEST_SATURATED = 7.5


@dataclass(frozen=True)
class Star:
    """A star of the scene, where the catalogue and the stamp's WCS put it at mid-sector."""

    source_id: str  #: as in the neighbour table; the target's own name when it is not in there
    row: float  #: stamp row, 0-based, an integer is a pixel's centre
    col: float  #: stamp column
    tmag: float  #: TESS magnitude; NaN when unknown
    is_target: bool  #: whether it is the declared target
    east: float = 0.0  #: from the declared target, right ascension times cos(dec), arcsec
    north: float = 0.0  #: from the declared target, arcsec
    is_listed: bool = True  #: whether a catalogue tells of it; of a place beside the star that is meant none does


@dataclass(frozen=True)
class TargetPosition:
    """The declared target, where a catalogue says it is; NaN: what the stamp's own header says."""

    tic: int = 0  #: TESS Input Catalog number; 0: the stamp's
    ra: float = math.nan  #: deg, ICRS, epoch 2000.0
    dec: float = math.nan  #: deg, ICRS, epoch 2000.0
    pmra: float = math.nan  #: mas/yr, includes cos(dec)
    pmdec: float = math.nan  #: mas/yr
    tmag: float = math.nan  #: TESS magnitude

    def motion(self, stamp: Stamp) -> tuple[float, float]:
        """The proper motion (mas/yr) that the catalogue knows, else the file; 0 where nobody does."""
        known = math.isfinite(self.pmra) and math.isfinite(self.pmdec)
        pmra, pmdec = (self.pmra, self.pmdec) if known else (stamp.pmra, stamp.pmdec)
        return (pmra if math.isfinite(pmra) else 0.0), (pmdec if math.isfinite(pmdec) else 0.0)

    def at_epoch_2000(self, stamp: Stamp) -> Neighbour:
        """The target where a catalogue of epoch 2000.0 has it, or the file."""
        declared = self.at_mid_sector(stamp)
        known = math.isfinite(self.ra) and math.isfinite(self.dec)
        ra, dec = (self.ra, self.dec) if known else (stamp.ra, stamp.dec)
        if not math.isfinite(ra):
            return declared
        return replace(declared, ra=ra, dec=dec, epoch=2000.0)

    def at_mid_sector(self, stamp: Stamp) -> Neighbour:
        """The target as an entry of a neighbour table of the stamp's epoch would have it."""
        if math.isfinite(self.ra) and math.isfinite(self.dec):
            ra, dec = move(self.ra, self.dec, self.pmra, self.pmdec, stamp.epoch - 2000.0)
        else:
            ra, dec = stamp.target_position()
        there = Neighbour(str(self.tic or stamp.tic), ra, dec, self.tmag, epoch=stamp.epoch)
        if math.isfinite(self.tmag) or self.is_beside(stamp, there):
            return there
        return replace(there, tmag=stamp.tmag)

    def is_beside(self, stamp: Stamp, there: Neighbour) -> bool:
        """Whether it lies beside the file's star at mid-sector, and at epoch 2000 where both say where they were."""
        apart = [_apart(there, *stamp.target_position())]
        if math.isfinite(self.ra) and math.isfinite(self.dec) and math.isfinite(stamp.ra) and math.isfinite(stamp.dec):
            apart.append(_apart(Neighbour("", self.ra, self.dec, math.nan), stamp.ra, stamp.dec))
        return min(apart) > _ON_ITS_PATH_ARCSEC


@dataclass(frozen=True)
class StarField:
    """The stars that may have the dip."""

    target: TargetPosition = TargetPosition()  #: the star that the candidate is declared for
    neighbours: Sequence[Neighbour] | None = None  #: of the table; None without one: nobody else can be weighed


@dataclass(frozen=True)
class FoundTarget:
    """Where the target is at mid-sector, and whether all who say where agree."""

    place: Neighbour  #: as an entry of a table of the stamp's epoch
    disagrees: bool  #: catalogue, file and table are more than 1" apart
    is_star: bool = True  #: whether a catalogue tells of a star there; not of a place beside the star that is meant


def find_target(stamp: Stamp, star_field: StarField) -> FoundTarget:
    """The declared target, where its own entry of the neighbour table says (method: scene and PRF).

    Its own entry is the star of its name, if the declared place lies where that star has been since 1990: catalogues
    give positions of different epochs. A place beside that star is a target of its own, and the star a neighbour.
    Without such an entry, the nearest star within 2" (and 2 mag) of it in the same sense is the target.
    """
    declared = star_field.target.at_mid_sector(stamp)
    in_file = stamp.target_position()
    entry = _own_entry(stamp, star_field, declared)
    if entry is None:
        named = any(_is_named(star, declared.source_id) for star in star_field.neighbours or ())
        if named:  # the magnitude of that name is the star's, which stands elsewhere
            declared = replace(declared, source_id=f"{declared.source_id} as declared", tmag=math.nan)
        is_star = math.isfinite(declared.tmag) or not (named or star_field.target.is_beside(stamp, declared))
        return FoundTarget(declared, _apart(declared, *in_file) > _DISAGREE_ARCSEC or named, is_star)
    if entry.pmra == 0.0 == entry.pmdec:  # a table without motions: the catalogue's or the file's is taken
        pmra, pmdec = star_field.target.motion(stamp)
        entry = replace(entry, pmra=pmra, pmdec=pmdec)
    ra, dec = entry.at(stamp.epoch)
    tmag = entry.tmag if math.isfinite(entry.tmag) else declared.tmag
    place = Neighbour(entry.source_id, ra, dec, tmag, epoch=stamp.epoch)
    apart = max(_apart(place, declared.ra, declared.dec), _apart(place, *in_file))
    return FoundTarget(place, apart > _DISAGREE_ARCSEC)


def _own_entry(stamp: Stamp, star_field: StarField, declared: Neighbour) -> Neighbour | None:
    """The target's entry of the table: the same one in every sector, whatever its epoch."""
    pmra, pmdec = star_field.target.motion(stamp)
    target = replace(star_field.target.at_epoch_2000(stamp), pmra=pmra, pmdec=pmdec)
    for star in star_field.neighbours or ():
        if _is_named(star, declared.source_id):
            if _apart_ever(target, star) <= _ON_ITS_PATH_ARCSEC:
                return star
            declared = replace(declared, tmag=math.nan)  # the magnitude of that name is that star's
    nearest, least = None, _SAME_STAR_ARCSEC
    for star in star_field.neighbours or ():
        if abs(star.dec - declared.dec) > _FAR_DEG or abs(star.tmag - declared.tmag) > _SAME_STAR_MAG:
            continue
        apart = _apart_ever(target, star)
        if apart <= least:
            nearest, least = star, apart
    return nearest


def _is_named(star: Neighbour, tic: str) -> bool:
    """Whether a star of the table has that number, with or without TIC before it."""
    return star.source_id.lower().removeprefix("tic").lstrip(" -") == tic


def _apart_ever(target: Neighbour, star: Neighbour) -> float:
    """Arcsec between the target's stated place and the star's path, or between the two at the star's own epoch.

    The first where a catalogue has positions of another epoch than it says, the second where a table has no motions.
    """
    (ra, dec), (ra_end, dec_end) = (star.at(epoch) for epoch in _PATH_YEARS)
    east, north = tangent_plane(np.array([ra, ra_end]), np.array([dec, dec_end]), target.ra, target.dec)
    start, along = np.array([east[0], north[0]]), np.array([east[1] - east[0], north[1] - north[0]])
    share = float(np.clip(-(start @ along) / max(along @ along, LEAST_WEIGHT), 0.0, 1.0))
    return min(float(np.hypot(*(start + share * along))), _apart(star, *target.at(star.epoch)))


def _apart(star: Neighbour, ra: float, dec: float) -> float:
    """Arcsec between a star at its own epoch and a position (deg)."""
    return math.hypot(*(float(x) for x in tangent_plane(ra, dec, star.ra, star.dec)))


def place_stars(
    stamp: Stamp, found: FoundTarget, neighbours: Sequence[Neighbour] | None, margin: float = 3.0
) -> tuple[Star, ...]:
    """Put the neighbour table on the stamp (method: scene and PRF).

    Parameters
    ----------
    stamp : Stamp
    found : FoundTarget
        The declared target, from `find_target`. The star of the table with its `source_id` is the target; without one
        the target is added.
    neighbours : sequence of Neighbour or None
        None when there is no table: the scene is the target alone.
    margin : float
        Pixels around the stamp whose stars are kept: their light falls into it.

    Returns
    -------
    tuple of Star
        The target first, the others by magnitude.
    """
    target = found.place
    row, col = (float(x) for x in stamp_places(stamp, target.ra, target.dec))
    declared = Star(target.source_id, row, col, target.tmag, is_target=True)
    if not neighbours:
        return (declared,)
    epoch = stamp.epoch  # looks at every cadence
    places = np.array([neighbour.at(epoch) for neighbour in neighbours])
    rows, cols = stamp_places(stamp, places[:, 0], places[:, 1])
    east, north = tangent_plane(places[:, 0], places[:, 1], target.ra, target.dec)
    inside = (np.abs(rows - (stamp.shape[0] - 1) / 2) <= (stamp.shape[0] - 1) / 2 + margin) & (
        np.abs(cols - (stamp.shape[1] - 1) / 2) <= (stamp.shape[1] - 1) / 2 + margin
    )
    own = next((i for i, star in enumerate(neighbours) if star.source_id == target.source_id), None)
    columns = zip(*(x.tolist() for x in (rows, cols, east, north, inside)), neighbours, strict=True)
    others = [
        Star(neighbour.source_id, r, c, neighbour.tmag, is_target=False, east=e, north=n)
        for i, (r, c, e, n, near, neighbour) in enumerate(columns)
        if near and i != own
    ]
    if own is not None:
        entry = neighbours[own]
        known = entry.tmag if math.isfinite(entry.tmag) else target.tmag
        declared = replace(declared, source_id=entry.source_id, tmag=known)
    others.sort(key=lambda star: (not math.isfinite(star.tmag), star.tmag, star.source_id))
    # Alone, whatever shines on the stamp has to be there.
    return (replace(declared, is_listed=found.is_star or not others), *others)


def relative_fluxes(stars: Sequence[Star]) -> FloatArray:
    """Fluxes that the magnitudes tell, the brightest being 1.

    Of the stars without a magnitude the target counts as the brightest known, another as the faintest known; a place
    that no catalogue tells of has no light that is expected.
    """
    tmag = np.array([star.tmag for star in stars], dtype=np.float64)
    known = tmag[np.isfinite(tmag)]
    brightest, faintest = (known.min(), known.max()) if known.size else (0.0, 0.0)
    target = np.array([star.is_target for star in stars])
    tmag = np.where(np.isfinite(tmag), tmag, np.where(target, brightest, faintest))
    listed = np.array([star.is_listed for star in stars])
    return np.where(listed, 10.0 ** (-0.4 * (tmag - brightest)), 0.0)


def saturated_pixels(image: FloatArray, stars: Sequence[Star]) -> BoolArray:
    """Pixels of an out-of-transit image (e-/s, [row, col]) that are full or that full ones bleed into.

    Nothing is full without a star that is bright enough by the catalogue, so an image in other units does not
    become saturated; the star's magnitude tells the units where they are clearly others.
    """
    bright = [star.tmag for star in stars if star.tmag < FAINTEST_SATURATED]
    if not bright:
        return np.zeros(image.shape, dtype=bool)
    expected = sum(10.0 ** (0.4 * (ZERO_POINT - star.tmag)) for star in stars if math.isfinite(star.tmag))
    unit = np.nansum(image) / expected
    unit = 1.0 if 0.3 < unit < 3.0 else unit
    full = np.nan_to_num(image) > _FULL_PIXEL * unit
    # Charge bleeds along the column; the pixels around a full one see the brighter-fatter and trail effects.
    return binary_dilation(full, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool))
