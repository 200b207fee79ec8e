"""The package's array types, and the one convention of axes and coordinates.

Axes. Images are ``[row, col]``, stamps ``[cadence, row, col]``; "flat" pixels are row by row. A place on the stamp is
always ``(row, col)``, 0-based, an integer being the centre of a pixel; a place on the sky is always ``(east, north)``
in arcsec of the target, or ``(ra, dec)`` in degrees. The two exceptions are other people's: POS_CORR is
``(column, row)`` as SPOC writes it, and a FITS WCS takes and gives ``(x, y) = (column, row)``; both are turned into
``(row, col)`` where they are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]  #: what is computed with
Float32Array = NDArray[np.float32]  #: pixels as the file has them
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]  #: positions in another array
IntegerArray = NDArray[np.integer[Any]]  #: numbers as a file has them, such as quality flags
