"""Least values that keep quotients, roots and logarithms defined where there is nothing: far below what is measured."""

from __future__ import annotations

import numpy as np

LEAST_INFORMATION = 1e-300  #: Fisher information of a flux: of a star that no pixel with data sees
LEAST_PLACE_VARIANCE = 1e-300  #: pixel²: of a place that is known exactly
LEAST_FLUX = 1e-300  #: e-/s: of a star to which a fit gives no light
LEAST_PRIOR = 1e-300  #: prior weight: of stars none of which can have the dip
LEAST_NOISE = float(np.finfo(np.float64).tiny)  #: e-/s, or its square: of pixels that never change
LEAST_SPREAD = 1e-12  #: of whitened samples, which scatter by about 1, and of their variance
LEAST_WEIGHT = 1e-12  #: of cadences by a template, and of depths by these, where there are none
LEAST_RESIDUAL = 1e-12  #: of whitened residuals, likewise
