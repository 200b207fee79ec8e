"""Which flagged cadences to leave out: lightkurve's named bitmasks for TESS, without importing lightkurve.

Bits as in the TESS Science Data Products Description Document (EXP-TESS-ARC-ICD-0014), table 32.
"""

from __future__ import annotations

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

NAMED = {"none": 0, "default": DEFAULT, "hard": HARD, "hardest": 65535}


def parse_bitmask(value: str | int) -> int:
    """Turn ``none``, ``default``, ``hard``, ``hardest`` or a number into a bitmask.

    Raises
    ------
    ConfigError
        For another word or a negative number.
    """
    if isinstance(value, str) and value in NAMED:
        return NAMED[value]
    try:
        mask = int(value)
    except ValueError:
        mask = -1
    if mask < 0 or isinstance(value, bool):
        raise ConfigError(f"quality_bitmask: {value!r} is none of {', '.join(NAMED)}, nor a number >= 0")
    return mask
