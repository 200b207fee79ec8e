"""Asking the TIC or Gaia DR3 for the stars around a target."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from batchvet.arrays import FloatArray
from batchvet.catalog.candidate import Neighbour
from batchvet.network.addresses import address
from batchvet.network.asking import CarefulSession, Host, PassingFault
from batchvet.network.mast_client import MastClient

#: Entries of the TIC that are no stars of their own (Paegert et al. 2021, arXiv 2108.04778).
PHANTOMS = frozenset({"DUPLICATE", "SPLIT", "ARTIFACT"})
_BRIGHTEST = -5.0
#: G - T of a star without a colour (Stassun et al. 2019, AJ 158, 138, section 2.2.1), mag.
_G_MINUS_T = 0.430
#: Colours for which their polynomial holds, mag.
_COLOURS = (-0.2, 3.5)
#: G is fainter than T for all but the bluest stars, by less than this (mag): how much fainter in G one has to look.
_REDDEST = 3.0

#: A search: TIC number, position (deg) to the stars around it.
Search = Callable[[int, float, float], list[Neighbour]]


@dataclass(frozen=True)
class Reach:
    """How far from a target, and how faint, stars are looked for."""

    radius_arcsec: float
    max_tmag: float  #: TESS magnitude


def tic_stars(client: MastClient, tic: int, ra: float, dec: float, reach: Reach) -> list[Neighbour]:
    """Stars of the TIC around a position, the target included.

    Parameters
    ----------
    client : MastClient
    tic : int
        The target.
    ra, dec : float
        Its position, deg, epoch 2000.0; NaN: the TIC's own.
    reach : Reach

    Returns
    -------
    list of Neighbour
        Named by TIC number, positions for epoch 2000.0; empty when the TIC does not know the target either.

    Raises
    ------
    ArchiveError

    Notes
    -----
    TIC 8 gives `ra` and `dec` moved to epoch 2000.0; the source catalogue's epoch belongs to `RA_orig`, `Dec_orig`
    (Stassun et al. 2019, AJ 158, 138, appendix A).
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    what = f"asking the TIC for the stars around TIC {tic}"
    if not (math.isfinite(ra) and math.isfinite(dec)):
        rows = client.ask(lambda: client.catalogs.query_criteria(catalog="TIC", ID=tic), what)
        if not len(rows):
            return []
        ra, dec = float(rows["ra"][0]), float(rows["dec"][0])
    place = SkyCoord(ra, dec, unit="deg")
    criteria = {"coordinates": place, "radius": reach.radius_arcsec * u.arcsec, "Tmag": [_BRIGHTEST, reach.max_tmag]}
    rows = client.ask(lambda: client.catalogs.query_criteria(catalog="TIC", **criteria), what)
    return [
        Neighbour(
            source_id=str(row["ID"]),
            ra=float(row["ra"]),
            dec=float(row["dec"]),
            tmag=float(row["Tmag"]),
            pmra=_number(row["pmRA"]),
            pmdec=_number(row["pmDEC"]),
            epoch=2000.0,
        )
        for row in rows
        if str(row["disposition"]) not in PHANTOMS or str(row["ID"]) == str(tic)
    ]


def gaia_stars(host: Host, session: CarefulSession, tic: int, ra: float, dec: float, reach: Reach) -> list[Neighbour]:
    """Stars of Gaia DR3 around a position; parameters as of :func:`tic_stars`.

    Returns
    -------
    list of Neighbour
        Named by Gaia's source number, positions for epoch 2016.0; empty for a target without a position.

    Raises
    ------
    ArchiveError
    """
    if not (math.isfinite(ra) and math.isfinite(dec)):
        return []
    query = (
        "SELECT source_id, ra, dec, pmra, pmdec, phot_g_mean_mag, phot_bp_mean_mag, phot_rp_mean_mag "
        "FROM gaiadr3.gaia_source "
        f"WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra!r}, {dec!r}, {reach.radius_arcsec / 3600!r})) "
        f"AND phot_g_mean_mag < {reach.max_tmag + _REDDEST!r}"
    )
    form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "csv", "QUERY": query}

    def question() -> list[dict[str, str]]:
        answer = session.post(address("BATCHVET_GAIA_URL"), data=form, timeout=host.politeness.timeout)
        answer.raise_for_status()
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        if not answer.text.lower().startswith("source_id,"):
            raise PassingFault("Gaia's archive sends a page, not a table")
        return rows

    rows = host.ask(question, f"asking Gaia DR3 for the stars around TIC {tic}")
    if not rows:
        return []
    g, bp, rp = ([_number(row[f"phot_{band}_mean_mag"]) for row in rows] for band in ("g", "bp", "rp"))
    tmag = tmag_from_gaia(g, _nan_for_zero(bp), _nan_for_zero(rp)).tolist()
    places = [(float(row["ra"]), float(row["dec"])) for row in rows]
    motions = [(_number(row["pmra"]), _number(row["pmdec"])) for row in rows]
    stars = [
        Neighbour(row["source_id"], *place, t, *motion, 2016.0)
        for row, place, t, motion in zip(rows, places, tmag, motions, strict=True)
    ]
    return [star for star in stars if star.tmag <= reach.max_tmag]


def tmag_from_gaia(g: ArrayLike, bp: ArrayLike, rp: ArrayLike) -> FloatArray:
    """TESS magnitude from Gaia's magnitudes.

    Parameters
    ----------
    g, bp, rp : array, mag
        NaN where `bp` or `rp` is not known, or a colour outside -0.2 to 3.5: T is then G - 0.430.

    Returns
    -------
    array, mag

    Notes
    -----
    Stassun et al. 2019 (AJ 158, 138), equation 1, scatter 0.006 mag; fitted to DR2, whose passbands differ from
    DR3's by 0.01 to 0.02 mag.
    """
    g = np.asarray(g, dtype=np.float64)
    colour = np.asarray(bp, dtype=np.float64) - np.asarray(rp, dtype=np.float64)
    fitted = g - 0.00522555 * colour**3 + 0.0891337 * colour**2 - 0.633923 * colour + 0.0324473
    known = (colour >= _COLOURS[0]) & (colour <= _COLOURS[1])
    return np.where(known, fitted, g - _G_MINUS_T)


def _number(value: Any) -> float:
    """A cell as a number; an empty or masked one is 0, as no known proper motion is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _nan_for_zero(values: list[float]) -> FloatArray:
    return np.where(np.asarray(values) == 0, np.nan, values)
