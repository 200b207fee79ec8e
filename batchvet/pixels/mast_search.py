"""Asking MAST which stamps it has, through astroquery. Imported by the client only; astroquery on the first question.

The questions are those of lightkurve's ``search_targetpixelfile`` (observations by exact target name and author, then
their products), with many targets in one question where lightkurve asks target by target. Where the archive is, how
long an answer may take and the size of a page are astroquery's own settings (``astroquery.mast.conf``).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from batchvet.network import Host, PassingFault, Politeness

if TYPE_CHECKING:
    from astropy.table import Table

Answer = TypeVar("Answer")

TARGETS_PER_QUESTION = 100
_OBSERVATIONS_PER_QUESTION = 500
_SECONDS_FOR_A_SEARCH = 120.0
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
        self._politeness = politeness or Politeness()
        self._host = Host(self._politeness)

    def stamps(self, tics: Sequence[int], authors: Sequence[str]) -> list[Product]:
        """Target pixel files of `tics` by `authors`, all sectors and exposures, unsorted.

        Raises
        ------
        ArchiveError
        """
        several = f"{len(tics)} target{'s' * (len(tics) > 1)}"
        observations = self.ask(
            lambda: self._observations.query_criteria(
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
            part = numbers[start : start + _OBSERVATIONS_PER_QUESTION]
            products = self.ask(
                lambda part=part: self._observations.get_product_list(part), f"listing MAST's files for {several}"
            )
            found += [_product(observed, row) for row in products if _is_stamp(observed, row)]
        return found

    def cutouts(self, tic: int, ra: float, dec: float, pixels: int) -> list[Product]:
        """Cut-outs that TESScut can make around a position (deg), one a sector.

        Raises
        ------
        ArchiveError
        """
        from astropy.coordinates import SkyCoord

        place = SkyCoord(ra, dec, unit="deg")
        sectors = self.ask(
            lambda: self._tesscut.get_sectors(coordinates=place), f"asking TESScut for sectors of TIC {tic}"
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

    def ask(self, question: Callable[[], Answer], what: str) -> Answer:
        """Ask astroquery, again when the fault may pass. Raises ArchiveError."""
        from astroquery.exceptions import NoResultsWarning, RemoteServiceError
        from astroquery.exceptions import TimeoutError as SearchTimeout

        def quietly() -> Answer:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", NoResultsWarning)  # nothing found is an answer
                    return question()
            except (RemoteServiceError, SearchTimeout) as error:
                raise PassingFault(
                    f"the archive says {str(error).splitlines()[0] if str(error) else 'nothing'}"
                ) from error

        return self._host.ask(quietly, what)

    @cached_property
    def _observations(self) -> Any:
        from astroquery.mast import ObservationsClass

        return self._with_time_outs(ObservationsClass())

    @cached_property
    def _tesscut(self) -> Any:
        from astroquery.mast import TesscutClass

        return self._with_time_outs(TesscutClass())

    @cached_property
    def catalogs(self) -> Any:
        """``astroquery.mast.Catalogs``, with a limit on how long an answer may take."""
        from astroquery.mast import CatalogsClass

        return self._with_time_outs(CatalogsClass())

    def _with_time_outs(self, service: Any) -> Any:
        """astroquery sets none itself: a server that falls silent would hold it for ever."""
        for scheme in ("https://", "http://"):
            service._session.mount(scheme, _TimedAdapter(self._politeness))
        return service


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


class _TimedAdapter(HTTPAdapter):
    def __init__(self, politeness: Politeness) -> None:
        super().__init__()
        self._timeout = (politeness.connect_timeout_s, max(politeness.read_timeout_s, _SECONDS_FOR_A_SEARCH))

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)


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
