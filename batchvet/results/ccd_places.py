"""Where a run's targets and other stars fall on the CCDs."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from batchvet.arrays import BoolArray, FloatArray
from batchvet.results.reader import RunResults
from batchvet.results.row_index import gathered, row_index
from batchvet.science.detector_sharing import OnCcd
from batchvet.science.ephemeris_match import unit_vectors

_LEFT_OUT = 45.0  #: column of SPOC's files, counted from 1, of a CCD's first pixel that sees the sky
_SIDE = 2048.0  #: pixels of a CCD
_CORNER_DEG = 17.7  #: from a camera's axis to the corner of its field


class CcdPlaces:
    """Places of a run's candidates, and of further stars behind them, sector by sector.

    Targets with pixels in the run are where those show them. Between others, and for stars that are no target, places
    are what TESS's pointing says (tess-point, Burke et al. 2020, ASCL 2003.001), which a pixel of aberration lacks: so
    two are held against each other by what is known of both.

    Parameters
    ----------
    run : RunResults
    ra, dec : ndarray
        Degrees, the candidates' first, in the order of `run.candidates`.
    """

    def __init__(self, run: RunResults, ra: FloatArray, dec: FloatArray) -> None:
        self._ra, self._dec = ra, dec
        candidates = run.candidates["toi"]
        number = pd.Series(np.arange(len(candidates)), index=candidates)
        index = row_index(run.directory, ("camera", "ccd"))
        rows = index.rows.select(["toi", "sector", "camera", "ccd"]).to_pandas()
        self._sectors = _by_entry(number, rows, rows["sector"].tolist())
        pixels = gathered(
            run.directory, "images", index, ("toi", "sector", "column", "row", "target_col", "target_row")
        ).to_pandas()
        pixels = pixels.merge(rows, on=["toi", "sector"]).dropna(subset=["target_col", "target_row"])
        pixels = pixels[pixels["camera"] > 0]
        places = [
            OnCcd(int(sector), int(camera), int(ccd), float(column), float(row))
            for sector, camera, ccd, column, row in zip(
                pixels["sector"],
                pixels["camera"],
                pixels["ccd"],
                pixels["column"] + pixels["target_col"],
                pixels["row"] + pixels["target_row"],
                strict=True,
            )
        ]
        self._seen: dict[int, list[OnCcd]] = _by_entry(number, pixels, places)
        self._computed = lru_cache(maxsize=100_000)(self._from_pointing)

    def places(self, one: int, other: int) -> tuple[list[OnCcd], list[OnCcd]]:
        """Places of two entries, of both as pixels show them, or of both as the pointing says."""
        mine, theirs = self._seen.get(one, []), self._seen.get(other, [])
        if {place.sector for place in mine} & {place.sector for place in theirs}:
            return mine, theirs
        return self._computed(one), self._computed(other)

    def _from_pointing(self, entry: int) -> list[OnCcd]:
        """In the sectors of the entry's rows; in all that are known for one without."""
        ra, dec = self._ra[entry], self._dec[entry]
        wanted = {sector for sector in self._sectors.get(entry, ()) if sector > 0}
        found = []
        for number in np.flatnonzero(self._looked_at(ra, dec)):
            sector = int(self._pointing.sectors[number])
            if wanted and sector not in wanted:
                continue
            camera, ccd, _, _, column, row = self._pointing.fpgObjs[number].radec2pix(np.array([ra]), np.array([dec]))
            places = zip(camera, ccd, column + _LEFT_OUT, row + 1.0, strict=True) if len(camera) else ()
            found += [OnCcd(sector, int(cam), int(c), float(x), float(y)) for cam, c, x, y in places if _on_chip(x, y)]
        return found

    def _looked_at(self, ra: float, dec: float) -> BoolArray:
        """Of each sector, whether one of its cameras looks that way."""
        axes = unit_vectors(self._pointing.camRa, self._pointing.camDec)
        return np.asarray((axes @ unit_vectors(ra, dec) > np.cos(np.radians(_CORNER_DEG))).any(axis=0))

    @cached_property
    def _pointing(self) -> Any:
        from tess_stars2px import TESS_Spacecraft_Pointing_Data

        return TESS_Spacecraft_Pointing_Data()


def _on_chip(column: float, row: float) -> bool:
    return _LEFT_OUT <= column <= _LEFT_OUT + _SIDE and 1.0 <= row <= 1.0 + _SIDE


def _by_entry(number: pd.Series[int], rows: pd.DataFrame, values: list[Any]) -> dict[int, list[Any]]:
    """Values of rows, by the number of the rows' candidate."""
    found: dict[int, list[Any]] = {}
    for entry, value in zip(rows["toi"].map(number), values, strict=True):
        if np.isfinite(entry):
            found.setdefault(int(entry), []).append(value)
    return found
