"""A stamp: the pixels of one target in one sector, as the archive delivered them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from batchvet.arrays import BoolArray, Float32Array, FloatArray, IntegerArray
from batchvet.catalog.candidate import julian_year, move
from batchvet.pixels.error_summary import ErrorSummary
from batchvet.pixels.series import by_pixel, images_of

if TYPE_CHECKING:
    from astropy.wcs import WCS


MOST_BYTES = 2_000_000_000  #: of a stamp, unpacked: what claims more is none, and is not unpacked


@dataclass(frozen=True, eq=False)
class Stamp:
    """The pixels of one target in one sector.

    Arrays are ``[cadence, row, col]`` in native byte order; an integer pixel coordinate is the centre of a pixel.
    Every cadence of the file is kept, flagged ones too: :meth:`good` says which to use.
    """

    tic: int
    sector: int
    camera: int  #: 1 to 4; 0 when the file does not say
    ccd: int  #: 1 to 4; 0 when the file does not say
    cadence_s: float  #: time from one cadence to the next, s
    time: FloatArray  #: BTJD days, mid-cadence, NaN where there is none, [cadence]
    flux: Float32Array  #: e-/s, background subtracted, [cadence, row, col]
    quality: IntegerArray  #: SPOC flags, [cadence]
    cadenceno: IntegerArray  #: [cadence]
    aperture: IntegerArray  #: SPOC aperture bits, 2 = in the optimal aperture, [row, col]
    wcs_header: Mapping[str, Any]  #: FITS keywords of a two-axis celestial WCS, CRPIX 1-based in the stamp
    flux_err: Float32Array | None = None  #: e-/s, [cadence, row, col]; None when it was not read
    summary: ErrorSummary | None = field(default=None, repr=False)  #: of FLUX_ERR, as a cache keeps it
    pos_corr: Float32Array | None = None  #: pixels, (column, row), [cadence, 2]; None when absent
    column: int = 0  #: CCD column of pixel [0, 0], as the file counts; 0 when unknown
    row: int = 0  #: CCD row of pixel [0, 0], as the file counts; 0 when unknown
    ra: float = math.nan  #: target, deg, ICRS, epoch 2000.0
    dec: float = math.nan  #: target, deg, ICRS, epoch 2000.0
    pmra: float = math.nan  #: mas/yr
    pmdec: float = math.nan  #: mas/yr
    tmag: float = math.nan  #: TESS magnitude
    source: str = ""  #: the file that this was read from
    sha256: str = field(default="", repr=False)  #: of that file
    flags: tuple[str, ...] = ()  #: what a reader of this stamp's numbers should know, such as CHECKSUM_MISMATCH

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.flux.shape[1], self.flux.shape[2]

    @cached_property
    def series(self) -> Float32Array:
        """The light curves of the pixels, each contiguous, as a cache entry has them; e-/s, [row * col, cadence]."""
        return by_pixel(self.flux).reshape(-1, len(self.flux))

    @property
    def exposure_days(self) -> float:
        """Length of a cadence, days."""
        return self.cadence_s / 86400.0

    @cached_property
    def mid_time(self) -> float:
        """Middle of the observed time span, BTJD days; NaN when no cadence has a time."""
        return middle(self.time)

    @cached_property
    def epoch(self) -> float:
        """Julian year of the middle of the sector, for proper motions."""
        return julian_year(self.mid_time)

    @cached_property
    def errors(self) -> ErrorSummary | None:
        """What FLUX_ERR is, stretch by stretch; None where the file has none."""
        if self.summary is not None or self.flux_err is None:
            return self.summary
        return ErrorSummary.of(self.flux_err, self.quality)

    @cached_property
    def wcs(self) -> WCS:
        """Celestial WCS of the stamp; ``all_world2pix(ra, dec, 0)`` gives (column, row), 0-based."""
        from astropy.io.fits import Header
        from astropy.wcs import WCS

        return WCS(Header(dict(self.wcs_header)), naxis=2)

    def target_position(self) -> tuple[float, float]:
        """Right ascension and declination (deg) of the target at mid-sector.

        A file without a catalogue position has its target at the WCS reference value, which SPOC moves to the
        sector's epoch.
        """
        if math.isfinite(self.ra) and math.isfinite(self.dec):
            return move(self.ra, self.dec, self.pmra, self.pmdec, self.epoch - 2000.0)
        return float(self.wcs_header["CRVAL1"]), float(self.wcs_header["CRVAL2"])

    def good(self, bitmask: int) -> BoolArray:
        """Cadences with a finite, nonzero time and none of the flags of `bitmask`, [cadence]."""
        good: BoolArray = np.isfinite(self.time) & (self.time != 0) & ((self.quality & bitmask) == 0)
        return good

    def select(self, cadences: BoolArray | slice) -> Stamp:
        """The same stamp with only those cadences."""
        return replace(
            self,
            time=self.time[cadences],
            flux=images_of(self.flux, cadences),
            quality=self.quality[cadences],
            cadenceno=self.cadenceno[cadences],
            flux_err=None if self.flux_err is None else images_of(self.flux_err, cadences),
            summary=None if self.summary is None else self.summary.select(cadences),
            pos_corr=None if self.pos_corr is None else self.pos_corr[cadences],
        )


def middle(time: FloatArray) -> float:
    """Middle of the span of some times; NaN where none is known."""
    finite = time[np.isfinite(time)]
    return float(0.5 * (finite.min() + finite.max())) if finite.size else math.nan
