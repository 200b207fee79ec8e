"""Which flagged cadences to leave out: lightkurve's named bitmasks for TESS, without importing lightkurve.

Bits as in the TESS Science Data Products Description Document (EXP-TESS-ARC-ICD-0014), table 32.
"""

from __future__ import annotations

import numpy as np

from batchvet.errors import ConfigError

ATTITUDE_TWEAK = 1
SAFE_MODE = 2
COARSE_POINT = 4
EARTH_POINT = 8
ARGABRIGHTENING = 16
MOMENTUM_DUMP = 32
APERTURE_COSMIC = 64
MANUAL_EXCLUDE = 128
IMPULSIVE_OUTLIER = 512
COLLATERAL_COSMIC = 1024
STRAY_LIGHT = 2048
STRAY_LIGHT_MODEL = 4096
BAD_CALIBRATION = 16384

DEFAULT = (
    ATTITUDE_TWEAK
    | SAFE_MODE
    | COARSE_POINT
    | EARTH_POINT
    | ARGABRIGHTENING
    | MOMENTUM_DUMP
    | MANUAL_EXCLUDE
    | IMPULSIVE_OUTLIER
    | BAD_CALIBRATION
)
HARD = DEFAULT | APERTURE_COSMIC | COLLATERAL_COSMIC | STRAY_LIGHT | STRAY_LIGHT_MODEL

_MOST_DIGITS = 10  # of a number of 31 bits
NAMED = {"none": 0, "default": DEFAULT, "hard": HARD, "hardest": 65535}


def parse_bitmask(value: str | int) -> int:
    """Turn ``none``, ``default``, ``hard``, ``hardest`` or a number into a bitmask.

    Raises
    ------
    ConfigError
        For another word, a number that is not whole or not one of 31 bits, or anything else.
    """
    if isinstance(value, str) and value in NAMED:
        return NAMED[value]
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    written = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS
    if (whole or written) and 0 <= int(value) < 2**31:
        return int(value)
    raise ConfigError(f"quality_bitmask: {value!r} is none of {', '.join(NAMED)}, nor a whole number below 2^31")
