"""The same against the true services: ``pytest -m network tests/archive``. They only ask for what stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchvet.catalog.reader import read_catalog
from batchvet.catalog.star_search import Reach, gaia_stars, tic_stars
from batchvet.catalog.toi_table import fetch_toi_table
from batchvet.network.asking import CarefulSession, Host
from batchvet.network.mast_client import MastClient
from batchvet.pixels.download import Downloader, Wanted
from batchvet.pixels.mast import MastChoice, MastSource
from batchvet.pixels.mast_search import MastSearch, download_url, file_name
from batchvet.pixels.prf_fetch import fetch_prf
from batchvet.pixels.prf_files import read_prf
from batchvet.pixels.storage import LocalStorage
from batchvet.pixels.tpf import read_tpf

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

WASP_126 = 25155310
PLACE = (63.3737, -69.2266)  # deg, of WASP-126


def test_mast_offers_the_sectors_of_wasp_126(tmp_path: Path) -> None:
    source = MastSource(MastChoice(exptimes=(120,)), LocalStorage(tmp_path))
    sectors = {offer.sector: offer for offer in source.offers({WASP_126: PLACE})}
    assert {1, 2, 3, 4} <= set(sectors)
    assert sectors[1].location.endswith("tess2018206045859-s0001-0000000025155310-0120-s_tp.fits")


def test_a_file_of_mast_arrives_and_is_read(tmp_path: Path) -> None:
    source = MastSource(MastChoice(exptimes=(120,)), LocalStorage(tmp_path))
    offer = next(offer for offer in source.offers({WASP_126: PLACE}) if offer.sector == 1)
    with Downloader(tmp_path / "downloads", tmp_path / "quarantine") as downloader:
        path = downloader.fetch_one(Wanted(download_url(offer.location), file_name(offer.location), offer.size))
    stamp = read_tpf(path)
    assert (stamp.tic, stamp.sector, stamp.shape) == (WASP_126, 1, (11, 11))


def test_tesscut_cuts_what_it_lists(tmp_path: Path) -> None:
    product = next(p for p in MastSearch().cutouts(WASP_126, *PLACE, 11) if p.sector == 1)
    with Downloader(tmp_path / "downloads", tmp_path / "quarantine") as downloader:
        path = downloader.fetch_one(Wanted(download_url(product.location), file_name(product.location)))
    assert read_tpf(path).shape == (11, 11)


def test_the_tic_and_gaia_agree_on_the_brightest_star() -> None:
    reach = Reach(radius_arcsec=100.0, max_tmag=16.0)
    tic = min(tic_stars(MastClient(), WASP_126, *PLACE, reach), key=lambda star: star.tmag)
    with CarefulSession() as session:
        gaia = min(gaia_stars(Host(), session, WASP_126, *PLACE, reach), key=lambda star: star.tmag)
    assert tic.source_id == str(WASP_126)
    assert gaia.tmag == pytest.approx(tic.tmag, abs=0.1)
    assert gaia.at(2016.0) == pytest.approx(tic.at(2016.0), abs=1.0 / 3600)


def test_prf_files_are_a_grid(tmp_path: Path) -> None:
    fetch_prf(tmp_path, 1, 4, 2)
    assert read_prf(tmp_path, 1, 4, 2).tables.shape == (5, 5, 117, 117)


@pytest.mark.parametrize("service", ["exofop", "nasa"])
def test_toi_tables_hold_the_known_planets(service: str, tmp_path: Path) -> None:
    table = fetch_toi_table(tmp_path / "toi.csv", service=service, where="tmag < 11")
    assert table.n_rows > 7000
    candidates = {candidate.toi: candidate for candidate in read_catalog(table.path).candidates}
    assert candidates["114.01"].tic == WASP_126
