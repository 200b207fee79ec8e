"""Settings of a simulation without anything but stars and dips: pixels that can be worked out by hand."""

from __future__ import annotations

QUIET = {
    "noise": False,
    "flags": False,
    "jitter": 0.0,
    "scattered_light": 0.0,
    "variable_fraction": 0.0,
    "multi_fraction": 0.0,
    "single_fraction": 0.0,
    "wcs_error_px": 0.0,
}
