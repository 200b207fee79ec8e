"""Asking MAST which stamps it has.

The questions are those of lightkurve's ``search_targetpixelfile`` (observations by exact target name and author, then
their products), with many targets in one question where lightkurve asks target by target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from batchvet.network.politeness import Politeness

if TYPE_CHECKING:
    from astropy.table import Table

TARGETS_PER_QUESTION = 100
_OBSERVATIONS_PER_QUESTION = 500
TESSCUT = "TESScut"  #: author of cut-outs of the full-frame images


@dataclass(frozen=True)
class Product:
    """A target pixel file that the archive has, or can cut."""

    tic: int
    sector: int
    author: str  #: SPOC, TESS-SPOC or TESScut
    cadence_s: int  #: 0 when not known before the file is read
    location: str  #: ``mast:...``, the archive's name for it, or ``tesscut:...``
    size: int = 0  #: bytes; 0 when not known


class MastSearch:
    """Questions to MAST, one at a time.

    Parameters
    ----------
    politeness : Politeness, optional
    """

    def __init__(self, politeness: Politeness | None = None) -> None:
        from batchvet.network.mast_client import MastClient  # and requests, which who asks nobody does without

        self._client = MastClient(politeness)

    def stamps(self, tics: Sequence[int], authors: Sequence[str]) -> list[Product]:
        """Target pixel files of `tics` by `authors`, all sectors and exposures, unsorted.

        Raises
        ------
        ArchiveError
        """
        from batchvet.network.mast_client import nothing_is_an_answer

        several = f"{len(tics)} target{'s' * (len(tics) > 1)}"
        with nothing_is_an_answer():
            observations = self._client.ask(
                lambda: self._client.observations.query_criteria(
                    target_name=[str(tic) for tic in tics],
                    project="TESS",
                    provenance_name=list(authors),
                    dataproduct_type=["cube", "timeseries"],
                ),
                f"searching MAST for stamps of {several}",
            )
        observed = {str(row["obs_id"]): row for row in observations}
        found = []
        numbers = [str(row["obsid"]) for row in observed.values()]
        for start in range(0, len(numbers), _OBSERVATIONS_PER_QUESTION):
            products = self._files_of(numbers[start : start + _OBSERVATIONS_PER_QUESTION], several)
            found += [_product(observed, row) for row in products if _is_stamp(observed, row)]
        return found

    def _files_of(self, observations: list[str], several: str) -> Table:
        """All files of some observations, by their numbers."""
        return self._client.ask(
            lambda: self._client.observations.get_product_list(observations), f"listing MAST's files for {several}"
        )

    def cutouts(self, tic: int, ra: float, dec: float, pixels: int) -> list[Product]:
        """Cut-outs that TESScut can make around a position (deg), one a sector.

        Raises
        ------
        ArchiveError
        """
        from astropy.coordinates import SkyCoord

        from batchvet.network.mast_client import nothing_is_an_answer

        place = SkyCoord(ra, dec, unit="deg")
        with nothing_is_an_answer():
            sectors = self._client.ask(
                lambda: self._client.tesscut.get_sectors(coordinates=place), f"asking TESScut for sectors of TIC {tic}"
            )
        return [
            Product(
                tic=tic,
                sector=int(row["sector"]),
                author=TESSCUT,
                cadence_s=0,
                location=f"tesscut:tess-s{int(row['sector']):04d}-{row['camera']}-{row['ccd']}"
                f"_{tic:016d}_{ra:.6f}_{dec:.6f}_{pixels}x{pixels}_astrocut.fits",
            )
            for row in sectors
        ]


def download_url(location: str) -> str:
    """Address of a product's file.

    Parameters
    ----------
    location : str
        Of a :class:`Product`.
    """
    from astroquery.mast import conf

    if not location.startswith("tesscut:"):
        return f"{conf.server}/api/v0.1/Download/file?uri={quote(location, safe=':/')}"
    name, _, ra, dec, size, _ = location.removeprefix("tesscut:").split("_")
    pixels = size.split("x")[0]
    asked = {"ra": ra, "dec": dec, "y": pixels, "x": pixels, "units": "px", "sector": int(name.split("-")[1][1:])}
    return f"{conf.server}/tesscut/api/v0.1/astrocut?{urlencode(asked)}"


def file_name(location: str) -> str:
    """Name of a product's file on disk."""
    return location.removeprefix("tesscut:").rsplit("/", 1)[-1]


def _is_stamp(observed: Mapping[str, Any], row: Table.Row) -> bool:
    return str(row["productFilename"]).endswith("tp.fits") and str(row["obs_id"]) in observed


def _product(observed: Mapping[str, Any], row: Table.Row) -> Product:
    observation = observed[str(row["obs_id"])]
    return Product(
        tic=int(observation["target_name"]),
        sector=int(observation["sequence_number"]),
        author=str(observation["provenance_name"]),
        cadence_s=_seconds(observation["t_exptime"]),
        location=str(row["dataURI"]),
        size=int(row["size"]) if row["size"] is not None else 0,
    )


def _seconds(value: Any) -> int:
    seconds = float(value)
    return round(seconds) if math.isfinite(seconds) else 0
