"""Pixels are taken as people have them: paths, open files, stamps, one sector or several."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

import batchvet
from batchvet.errors import ConfigError, StampError
from batchvet.pixels.npz_file import read_npz
from batchvet.pixels.tpf import read_tpf
from batchvet.sample import DIRECTORY, write_sample
from batchvet.vetting.given_pixels import stamps_of

WASP_126 = {"period_days": 3.28878, "t0_btjd": 1327.5205, "duration_hours": 3.49}
PATHS = sorted((DIRECTORY / "tpfs").glob("*-s000[12]-*"))
TOI_5807 = next((DIRECTORY / "tpfs").glob("*-s0083-*"))


@pytest.fixture(scope="module")
def both():
    return batchvet.vet(PATHS, **WASP_126)


@pytest.fixture(scope="module")
def lightkurve():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightkurve

        return lightkurve


def test_several_sectors_give_the_verdict_of_a_run(tmp_path):
    run = batchvet.run(write_sample(tmp_path), executor="serial")
    row = run.candidates[run.candidates["toi"] == "114.01"].iloc[0]
    found = batchvet.vet(PATHS, **WASP_126 | {"neighbours": _stars()})
    # the tables hold evidence in single precision, and the catalogue's ephemeris has errors
    assert found.verdict.verdict == row["verdict"] == "ON_TARGET"
    assert found.verdict.n_sectors_used == row["n_sectors_used"] == 2
    assert found.verdict.offset_arcsec == pytest.approx(row["offset_arcsec"], rel=0.02)
    assert found.verdict.significance_sigma == pytest.approx(row["significance_sigma"], rel=0.02)
    for sector in (1, 2):
        alone = batchvet.vet(PATHS[sector - 1], **WASP_126 | {"neighbours": _stars()})
        assert alone.row == found.rows[sector - 1]
        assert alone.verdict.significance_sigma != found.verdict.significance_sigma


def _stars():
    stars = pd.read_csv(DIRECTORY / "neighbours.csv", dtype={"source_id": str})
    return stars[stars["tic"] == 25155310].drop(columns="tic")


def test_paths_open_files_collections_and_stamps_mean_the_same(both, lightkurve):
    files = [lightkurve.TessTargetPixelFile(path, quality_bitmask="hardest") for path in PATHS]
    several = (
        [str(path) for path in PATHS],
        iter(PATHS),
        files,
        lightkurve.TargetPixelFileCollection(files),
        [read_tpf(PATHS[1]), files[0].hdu],
    )
    verdicts = {json.dumps(asdict(batchvet.vet(given, **WASP_126).verdict), default=str) for given in several}
    for file in files:
        file.hdu.close()
    assert verdicts == {json.dumps(asdict(both.verdict), default=str)}


def test_each_sector_has_its_row_and_the_table_its_units(both):
    assert [row["sector"] for row in both.rows] == [1, 2] == both.sectors["sector"].to_list()
    assert both.sectors.attrs["units"]["target_offset_arcsec"] == "arcsec"
    assert len(both.images_of_rows) == 2
    for only in ("row", "images"):
        with pytest.raises(ConfigError, match="sectors 1, 2: 'rows'"):
            getattr(both, only)


def test_what_is_seen_of_several_sectors(both):
    assert len(np.ravel(both.plot())) == 3  # two sectors and the sky
    assert len(np.ravel(both.plot(2))) >= 4
    with pytest.raises(ConfigError, match="sector 3: there is 1, 2"):
        both.plot(3)


@pytest.fixture
def npz(tmp_path):
    """The sample's TOI-5807 as arrays, as anybody would write them."""
    stamp = read_tpf(TOI_5807)
    arrays = {name: getattr(stamp, name) for name in ("time", "flux", "quality", "cadenceno", "aperture", "flux_err")}
    arrays |= {name: getattr(stamp, name) for name in ("tic", "sector", "column", "row", "ra", "dec", "tmag")}
    return {name: value for name, value in arrays.items() if value is not None}, stamp, tmp_path / "stamp.npz"


@pytest.mark.parametrize("header", [lambda h: json.dumps(dict(h)), lambda h: fits.Header(dict(h)).tostring()])
def test_arrays_in_a_npz_file_are_a_stamp(npz, header):
    arrays, stamp, path = npz
    np.savez(path, **arrays, wcs_header=header(stamp.wcs_header))
    ephemeris = {"period_days": 14.2423724, "t0_btjd": 3540.26317, "duration_hours": 4.046}
    found, expected = (batchvet.vet(given, **ephemeris) for given in (path, stamp))
    assert found.row["tic"] == 188646744
    assert found.row["v09_max_depth_ppm"] == 224066.93494969374
    assert found.row["offset_ra_arcsec"] == pytest.approx(
        expected.row["offset_ra_arcsec"], abs=0.05
    )  # without POS_CORR


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sector": None}, "there is no sector in it"),
        ({"wcs_header": np.array({"CRVAL1": 1.0}, dtype=object)}, r"wcs_header is a pickled object.*json\.dumps"),
        ({"wcs_header": "?"}, "neither the text of a FITS header"),
        ({"flux": np.zeros((3, 3), np.float32)}, "not a series of images"),
        ({"quality": np.zeros(3, np.int32)}, r"quality has the shape \(3,\)"),
        ({"tmag": "bright"}, "tmag is not a number"),
    ],
)
def test_a_npz_file_says_what_it_lacks(npz, change, said):
    arrays, _, path = npz
    arrays = {name: value for name, value in (arrays | change).items() if value is not None}
    np.savez(path, **arrays)
    with pytest.raises(StampError, match=said) as caught:
        read_npz(path)
    assert str(path) in str(caught.value)


def test_what_is_no_npz_file_is_told(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"nothing of that kind")
    with pytest.raises(StampError, match=r"not a \.npz file"):
        read_npz(tmp_path / "x.npz")
    with pytest.raises(StampError, match="cannot be read"):
        read_npz(tmp_path / "there is none.npz")


class Curve:
    """As lightkurve's light curves: without pixels."""

    flux = np.zeros(3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 3)), "a ndarray is not a target pixel file"),
        (Curve(), "a Curve is not"),
        ([Curve()], "a Curve is not"),
        (3, "a int is not"),
        ([], "the list of target pixel files is empty"),
        ("/nosuch/x.fits", "/nosuch/x.fits: cannot be read"),
        (DIRECTORY, "is a directory; pass its files"),
        ([*PATHS, PATHS[0]], "sector 1 is there twice"),
        ([PATHS[0], TOI_5807], r"is of TIC 25155310, .* is of TIC 188646744: pass the files of one target"),
    ],
)
def test_what_cannot_be_vetted_is_named(given, said):
    with pytest.raises(StampError, match=said) as caught:
        list(stamps_of(given))
    assert " at 0x" not in str(caught.value)


def test_a_file_that_lies_in_memory_has_no_address(tmp_path):
    class Opened:  # lightkurve keeps what it was given as its path, a list of HDUs too
        def __init__(self, hdus):
            self.hdu = self.path = hdus

    with fits.open(PATHS[0]) as hdus:
        found = batchvet.vet(Opened(hdus), **WASP_126, checks=["V09"])
        del hdus[1]
        with pytest.raises(StampError, match="target pixel file in memory: ") as caught:
            batchvet.vet(Opened(hdus), **WASP_126)
    assert found.row["v09_status"] == "ok"
    assert " at 0x" not in str(caught.value)
