"""A stamp of twenty cadences of three by four pixels, with a value in every field."""

from __future__ import annotations

import numpy as np

from batchvet.pixels.stamp import Stamp

SMALL = Stamp(
    tic=188646744,
    sector=83,
    camera=1,
    ccd=2,
    cadence_s=120.0,
    time=np.linspace(3500.0, 3501.0, 20),
    flux=np.random.default_rng(0).normal(100.0, 3.0, (20, 3, 4)).astype(np.float32),
    flux_err=np.full((20, 3, 4), 3.0, dtype=np.float32),
    quality=np.arange(20, dtype=np.int32),
    cadenceno=np.arange(1000, 1020, dtype=np.int32),
    pos_corr=np.random.default_rng(1).normal(0.0, 0.1, (20, 2)).astype(np.float32),
    aperture=np.array([[1, 1, 1, 1], [1, 3, 3, 1], [1, 1, 1, 1]], dtype=np.int32),
    wcs_header={"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 288.6, "CRVAL2": 20.3},
    column=44,
    row=800,
    ra=288.6,
    dec=20.3,
    tmag=10.1,
    source="tess2024000000000-s0083-0000000188646744-0280-s_tp.fits",
    sha256="ab" * 32,
    flags=("CHECKSUM_MISMATCH",),
)
