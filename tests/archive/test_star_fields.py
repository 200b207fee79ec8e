"""Stars around a target are asked for once, and are where the catalogue says at the epoch that it says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback import QUICK, Archive
from test_ingest_from_mast import write_config

from batchvet.catalog.star_search import tmag_from_gaia
from batchvet.errors import ArchiveError
from batchvet.pixels.sources import Asking
from batchvet.pixels.storage import LocalStorage
from batchvet.runtime.config import read_config
from batchvet.runtime.plan import make_plan
from batchvet.runtime.settings import StarSettings
from batchvet.runtime.star_fields import StarFields, star_fields

HERE = (10.0, -20.0)


def star(tic: int, d_arcsec: float = 0.0, tmag: float = 12.0, **others: Any) -> dict[str, Any]:
    place = {"ra": 10.0, "dec": -20.0 + d_arcsec / 3600, "RA_orig": 10.001, "Dec_orig": -20.001}
    return {"ID": str(tic), "Tmag": tmag, "pmRA": 100.0, "pmDEC": -50.0, "disposition": None} | place | others


def fields(tmp_path: Path, targets: dict[int, tuple[float, float]], **options: Any) -> StarFields:
    settings = StarSettings(politeness=QUICK, **options.pop("settings", {}))
    return star_fields(settings, targets, LocalStorage(tmp_path / "cache"), Asking(**options))


def test_stars_of_the_tic_are_for_epoch_2000(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1), star(2, 30.0), star(3, 300.0), star(4, 10.0, tmag=19.0)]
    found = fields(tmp_path, {1: HERE}).table.of(1)
    assert [s.source_id for s in found] == ["1", "2"]  # the others are too far and too faint
    assert (found[1].ra, found[1].epoch, found[1].tmag) == (10.0, 2000.0, 12.0)
    ra, dec = found[1].at(2020.0)
    assert dec == pytest.approx(-20.0 + 30 / 3600 - 50e-3 * 20 / 3600, abs=1e-12)
    assert ra == pytest.approx(10.0 + 100e-3 * 20 / 3600 / math.cos(math.radians(20)), rel=1e-6)


def test_phantoms_of_the_tic_are_no_stars_and_no_motion_is_none(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1, disposition="SPLIT"), star(2, 5.0, disposition="DUPLICATE")]
    archive.stars += [star(3, 9.0, disposition="ARTIFACT"), star(4, 20.0, pmRA=None, pmDEC=None)]
    found = fields(tmp_path, {1: HERE}).table.of(1)
    assert [s.source_id for s in found] == ["1", "4"]  # the target itself stays, whatever it is called
    assert (found[1].pmra, found[1].pmdec) == (0.0, 0.0)


def test_a_target_without_a_position_is_found_by_its_number(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1), star(2, 30.0)]
    found = fields(tmp_path, {1: (math.nan, math.nan)}).table.of(1)
    assert [s.source_id for s in found] == ["1", "2"]


def test_each_target_is_asked_for_once_even_when_it_has_no_stars(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1)]
    targets = {1: HERE, 9: (200.0, 50.0)}
    first = fields(tmp_path, targets)
    n_asked = len(archive.asked)
    again = fields(tmp_path, targets, ask=False)
    assert len(archive.asked) == n_asked
    assert again.table.of(1) == first.table.of(1)
    assert (again.table.of(9), again.not_asked) == (None, frozenset())
    assert again.table.sha256_of(1) == first.table.sha256_of(1)


def test_refresh_replaces_what_is_kept(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1), star(2, 5.0)]
    fields(tmp_path, {1: HERE})
    archive.stars.pop()
    assert len(fields(tmp_path, {1: HERE}).table.of(1)) == 2
    assert len(fields(tmp_path, {1: HERE}, refresh=True).table.of(1)) == 1
    assert len(fields(tmp_path, {1: HERE}).table.of(1)) == 1


def test_answers_given_before_the_catalogue_went_away_are_kept(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1)]
    targets = {tic: (10.0 + tic, -20.0) for tic in range(1, 101)}
    archive.fault = lambda what, nth: "503" if "90.0, -20.0" in what else None
    with pytest.raises(ArchiveError, match="asking the TIC for the stars around TIC 80"):
        fields(tmp_path, targets)
    assert fields(tmp_path, targets, ask=False).not_asked == set(range(51, 101))


def test_a_search_of_stars_outlives_passing_faults(archive: Archive, tmp_path: Path) -> None:
    archive.stars += [star(1)]
    archive.fault = lambda what, nth: {1: "503", 2: "html", 3: "drop"}.get(nth)
    assert len(fields(tmp_path, {1: HERE}).table.of(1)) == 1


def test_gaia_stars_carry_their_epoch_and_a_tess_magnitude(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHVET_GAIA_URL", f"{archive.url}/gaia")
    rows = [
        "source_id,ra,dec,pmra,pmdec,phot_g_mean_mag,phot_bp_mean_mag,phot_rp_mean_mag",
        "4611686018427387904,10.001,-20.001,7.5,-3.25,12.0,12.5,11.5",
        "4611686018427387905,10.002,-20.002,,,15.0,,",
        "4611686018427387906,10.003,-20.003,,,19.5,,",
    ]
    archive.pages["/gaia"] = "\n".join(rows).encode()
    found = fields(tmp_path, {1: HERE}, settings={"catalogue": "gaia"}).table.of(1)
    assert [s.source_id for s in found] == ["4611686018427387904", "4611686018427387905"]
    assert (found[0].epoch, found[0].pmra, found[0].pmdec) == (2016.0, 7.5, -3.25)
    assert found[0].tmag == pytest.approx(12.0 - 0.00522555 + 0.0891337 - 0.633923 + 0.0324473, abs=1e-12)
    assert found[1].tmag == pytest.approx(14.57)
    (query,) = archive.questions("gaia")
    assert "CIRCLE(10.0, -20.0, 0.05555" in query and "gaiadr3" in query


def test_the_magnitude_of_the_sun_and_of_a_red_dwarf() -> None:
    """Against colours of standard stars: the Sun has G - T about 0.45, an M5 dwarf about 1.2 (Stassun et al. 2019)."""
    assert 4.67 - tmag_from_gaia(4.67, 5.0, 4.18) == pytest.approx(0.43, abs=0.03)
    assert 10.0 - tmag_from_gaia(10.0, 11.65, 8.8) == pytest.approx(1.2, abs=0.1)
    assert np.isfinite(tmag_from_gaia([10.0, 10.0], [np.nan, 20.0], [9.0, 9.0])).all()


def test_a_plan_says_whose_stars_it_does_not_know(archive: Archive, tmp_path: Path) -> None:
    path = write_config(tmp_path, [21, 22])
    path.write_text(path.read_text() + "neighbours: {mast: {radius_arcsec: 100, max_tmag: 17}}\n")
    plan = make_plan(read_config(path), asking=Asking(ask=False))
    assert plan.summary()["neighbours_not_asked"] == 2
    assert archive.asked == []
    archive.stars += [star(21), star(5, 20.0)]
    asked = make_plan(read_config(path))
    assert asked.summary()["neighbours_not_asked"] == 0
    assert [[s.source_id for s in task.surroundings.neighbours] for task in asked.tasks] == [["21", "5"], ["21", "5"]]
