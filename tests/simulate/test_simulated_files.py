"""The files that simulate writes: SPOC's layout, readable by everybody, the same from the same seed."""

from __future__ import annotations

import csv
import hashlib
import re
import warnings

import numpy as np
import pytest
from astropy.io import fits

from batchvet.catalog.neighbours import read_neighbours
from batchvet.catalog.reader import read_catalog
from batchvet.errors import ConfigError
from batchvet.pixels.tpf import read_tpf
from batchvet.runtime.config import read_config
from batchvet.simulate import SimulationSettings, draw_scene, simulate, simulate_stamp


def rows(path):
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines))


def checksums(survey):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in survey.files}


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulated"), targets=6, sectors=2, seed=21, multi_fraction=0.5)


@pytest.fixture(scope="module")
def scenes():
    settings = SimulationSettings(seed=21, sectors=(1, 2), multi_fraction=0.5)
    return [draw_scene(settings, index) for index in range(6)]


def test_our_reader_finds_the_stamp_that_was_simulated(survey, scenes):
    for number, path in enumerate(survey.files):
        scene, sector = scenes[number // 2], (1, 2)[number % 2]
        read, made = read_tpf(path), simulate_stamp(scene, sector)
        for name in ("time", "flux", "flux_err", "quality", "cadenceno", "pos_corr", "aperture"):
            assert np.array_equal(getattr(read, name), getattr(made, name), equal_nan=name != "quality"), name
        for name in ("tic", "sector", "camera", "ccd", "cadence_s", "column", "row"):
            assert getattr(read, name) == getattr(made, name), name
        for name in ("ra", "dec", "pmra", "pmdec", "tmag"):
            assert getattr(read, name) == pytest.approx(getattr(made, name), abs=1e-12), name


def test_lightkurve_opens_the_files_and_its_wcs_finds_the_stars_where_they_are(survey, scenes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightkurve

    path, scene = survey.files[1], scenes[0]
    tpf = lightkurve.read(path, quality_bitmask="none")
    stamp = simulate_stamp(scene, 2)
    assert isinstance(tpf, lightkurve.TessTargetPixelFile)
    assert np.array_equal(tpf.flux.value, stamp.flux, equal_nan=True)
    assert np.array_equal(tpf.flux_err.value, stamp.flux_err, equal_nan=True)
    assert (tpf.targetid, tpf.sector, tpf.camera, tpf.ccd) == (scene.tic, 2, stamp.camera, stamp.ccd)
    assert (tpf.column, tpf.row) == (stamp.column, stamp.row)
    assert np.array_equal(tpf.pos_corr1, stamp.pos_corr[:, 0], equal_nan=True)
    assert tpf.pipeline_mask.sum() == np.count_nonzero(stamp.aperture & 2) > 3
    ra, dec = scene.stars.at(stamp.epoch)
    pixels = tpf.wcs.all_world2pix(np.stack([ra, dec], axis=1), 0)
    true = np.stack(scene.positions(2), axis=1) - scene.pointings[2].wcs_error
    assert np.abs(pixels - true).max() < 1e-4
    tpf.hdu.close()


def test_files_state_that_they_are_simulated_and_their_checksums_hold(survey):
    with fits.open(survey.files[0], checksum=True) as hdus:
        for hdu in hdus:
            assert hdu.header["SIMDATA"] is True
            assert hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1
        hdus.verify("exception")
        assert np.all(hdus["PIXELS"].data["RAW_CNTS"] == -1)


@pytest.mark.real_data
def test_keywords_and_columns_are_those_of_the_archive(survey, shared_data):
    ours_only = {"NEXTEND", "DATASUM", "CHECKSUM", "NAXIS1", "NAXIS2"}
    with fits.open(next((shared_data / "wasp126").glob("*s0001*"))) as real, fits.open(survey.files[0]) as ours:
        for number in range(3):
            assert set(ours[number].header) - set(real[number].header) <= ours_only
        assert ours[1].columns.names == real[1].columns.names
        for mine, theirs in zip(ours[1].columns, real[1].columns, strict=True):
            assert (mine.format[-1], mine.unit) == (theirs.format[-1], theirs.unit)
        known = {"TICID", "OBJECT", "SECTOR", "CAMERA", "CCD", "RA_OBJ", "PMRA", "TESSMAG", "TSTART", "DATE-OBS"}
        assert known <= set(ours[0].header)


def test_names_are_the_archives(tmp_path):
    star = "0000000900000001"
    names = {
        1800.0: rf"hlsp_tess-spoc_tess_phot_{star}-s0001_tess_v1_tp\.fits",
        600.0: rf"hlsp_tess-spoc_tess_phot_{star}-s0001_tess_v1_tp\.fits",
        120.0: rf"tess2018\d{{9}}-s0001-{star}-0120-s_tp\.fits",
        20.0: rf"tess2018\d{{9}}-s0001-{star}-0120-a_fast-tp\.fits",
    }
    for cadence_s, name in names.items():
        made = simulate(tmp_path / f"{cadence_s:.0f}", targets=1, sectors=1, cadence_s=cadence_s, shapes=((5, 5),))
        assert re.fullmatch(name, made.files[0].name)
        assert read_tpf(made.files[0]).cadence_s == cadence_s


def test_tables_are_read_by_the_catalogue_and_agree_with_the_truth(survey, scenes):
    catalog = read_catalog(survey.catalog)
    neighbours = read_neighbours(survey.neighbours)
    truth = {row["toi"]: row for row in rows(survey.truth)}
    candidates = {c.toi: c for c in catalog.candidates}
    assert set(candidates) == set(truth) == {d.toi for scene in scenes for d in scene.dips}
    for scene in scenes:
        for dip in scene.dips:
            row, candidate = truth[dip.toi], candidates[dip.toi]
            assert candidate.tic == scene.tic and candidate.sectors == (1, 2)
            assert float(row["t0_btjd"]) == dip.ephemeris.t0_btjd
            assert abs(candidate.ephemeris.t0_btjd - dip.ephemeris.t0_btjd) < 5 * candidate.ephemeris.t0_err_days
            assert float(row["snr"]) == pytest.approx(scene.joint_snr(dip.toi))
            if dip.host is not None:
                assert int(row["host_source_id"]) == scene.stars.source_id[dip.host]
                assert float(row["separation_arcsec"]) == pytest.approx(np.hypot(*scene.offset_arcsec(dip.host)))
        listed = {star.source_id for star in neighbours.of(scene.tic)}
        assert listed == {star.source_id for star in scene.neighbours()}
    assert all(row["host_source_id"] == "" for row in truth.values() if row["kind"] == "no_dip")


def test_the_truth_of_each_sector_is_where_the_dip_shows_on_the_stamp(survey):
    truth = rows(survey.truth_sectors)
    assert len(truth) == 2 * len(rows(survey.truth))
    for path in survey.files:
        stamp = read_tpf(path)
        mine = [row for row in truth if int(row["tic"]) == stamp.tic and int(row["sector"]) == stamp.sector]
        column, row = stamp.wcs.all_world2pix(*stamp.target_position(), 0)
        assert float(mine[0]["target_column"]) == pytest.approx(float(column), abs=0.1)
        assert float(mine[0]["target_row"]) == pytest.approx(float(row), abs=0.1)
        assert (int(mine[0]["ccd_column"]), int(mine[0]["ccd_row"])) == (stamp.column, stamp.row)


def test_the_configuration_is_ready_to_run(survey):
    config = read_config(survey.config)
    assert config.catalog == survey.catalog
    assert config.neighbours == survey.neighbours


def test_two_workers_write_the_same_bytes_as_one(survey, tmp_path):
    parallel = simulate(tmp_path / "two", targets=6, sectors=2, seed=21, multi_fraction=0.5, workers=2)
    assert checksums(parallel) == checksums(survey)
    for name in ("catalog", "neighbours", "truth", "truth_sectors"):
        assert getattr(parallel, name).read_bytes() == getattr(survey, name).read_bytes()


def test_compressed_files_hold_the_same(survey, tmp_path):
    done = []
    small = simulate(
        tmp_path / "gz", targets=1, sectors=2, seed=21, multi_fraction=0.5, compressed=True,
        progress=lambda *counts: done.append(counts),
    )  # fmt: skip
    assert done == [(1, 1)]
    assert [path.suffixes for path in small.files] == [[".fits", ".gz"]] * 2
    assert np.array_equal(read_tpf(small.files[1]).flux, read_tpf(survey.files[1]).flux, equal_nan=True)


def test_absent_pointing_is_absent_for_the_reader(tmp_path):
    for pos_corr in ("absent", "zero"):
        made = simulate(tmp_path / pos_corr, targets=1, sectors=1, pos_corr=pos_corr, shapes=((5, 5),))
        assert read_tpf(made.files[0]).pos_corr is None


@pytest.mark.real_data
def test_stars_can_have_the_official_prf(tmp_path, shared_data):
    made = simulate(tmp_path / "spoc", targets=3, sectors=(3, 4), prf_directory=shared_data / "prf")
    ccds = {(stamp.camera, stamp.ccd) for stamp in map(read_tpf, made.files)}
    assert ccds <= {(4, 1), (4, 2), (1, 1), (3, 2)}
    assert str((shared_data / "prf").resolve()) in made.config.read_text()
    with pytest.raises(ConfigError, match="start_s0001"):
        simulate(tmp_path / "wrong", targets=1, sectors=1, prf_directory=shared_data / "wasp126")
    assert not (tmp_path / "wrong").exists()


def test_only_a_previous_simulation_is_overwritten(tmp_path):
    somebodys = tmp_path / "data"
    somebodys.mkdir()
    (somebodys / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ConfigError, match="not empty and holds no simulation"):
        simulate(somebodys, targets=1, sectors=1, overwrite=True)
    assert (somebodys / "thesis.txt").read_text() == "irreplaceable"
    first = simulate(tmp_path / "sim", targets=2, sectors=1, shapes=((5, 5),))
    (tmp_path / "sim" / "cache").mkdir()
    (tmp_path / "sim" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="overwrite"):
        simulate(tmp_path / "sim", targets=1, sectors=1)
    second = simulate(tmp_path / "sim", targets=1, sectors=1, overwrite=True, shapes=((5, 5),))
    assert len(first.files) == 2 and not first.files[1].exists() and second.files[0].exists()
    assert not (tmp_path / "sim" / "cache").exists()
    assert (tmp_path / "sim" / "notes.txt").exists()
    with pytest.raises(ConfigError, match="is a file"):
        simulate(somebodys / "thesis.txt", targets=1, sectors=1)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"targets": 0}, "targets"),
        ({"targets": 1.5}, "targets"),
        ({"sectors": 0}, "sectors"),
        ({"sectors": (1, 1)}, "sectors"),
        ({"seed": -1}, "seed"),
        ({"cadence_s": 1.0}, "cadence_s"),
        ({"cadence_s": float("nan")}, "cadence_s"),
        ({"scenario": "odd"}, "on_target"),
        ({"snr_range": (0, 5)}, "snr_range"),
        ({"snr_range": (9, 5)}, "snr_range"),
        ({"shapes": ((3, 3),)}, "shapes"),
        ({"pos_corr": "maybe"}, "absent"),
        ({"prf": "airy"}, "moffats"),
        ({"variable_fraction": 1.2}, "variable_fraction"),
        ({"jitters": 1}, "unknown option jitters"),
        ({"cadence_s": (120.0, 10.0)}, "cadence_s"),
        ({"cadence_s": ()}, "cadence_s"),
        ({"tmag_range": (9, 8)}, "tmag_range"),
        ({"crowd_range": (9, 8)}, "crowd_range"),
        ({"proper_motion": -1}, "proper_motion"),
        ({"motion_known_by": ("gossip",)}, "catalog"),
        ({"drift": -1}, "drift"),
        ({"ttv": float("nan")}, "ttv"),
        ({"secondary": 1.5}, "secondary"),
        ({"secondary_phase": 0.99}, "secondary_phase"),
        ({"flares": -1}, "flares"),
        ({"asteroids": 1.5}, "asteroids"),
        ({"flare_host": "moon"}, "neighbour"),
        ({"pointing": "steady"}, "rough"),
        ({"pos_corr_error_px": -1}, "pos_corr_error_px"),
        ({"duration_range": (3, 2)}, "duration_range"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, bad, told):
    with pytest.raises(ConfigError, match=told):
        simulate(tmp_path / "never", **{"targets": 1, "sectors": 1, **bad})
    assert not (tmp_path / "never").exists()


def test_a_dip_as_long_as_its_period_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="duration_range"):
        simulate(tmp_path / "never", targets=1, sectors=1, period_range=(0.05, 0.05), duration_range=(2, 2))
