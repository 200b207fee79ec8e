"""One stamp in a notebook gives what a run gives, and its own mistakes are named."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import Angle
from astropy.table import Table
from astropy.time import Time, TimeDelta

import batchvet
from batchvet.api import run
from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
from batchvet.errors import ConfigError, PositionError, StampError
from batchvet.pixels.tpf import read_tpf
from batchvet.sample import DIRECTORY
from batchvet.vetting import measure
from batchvet.vetting.place import check_place

TOI_5807 = {"period_days": 14.2423724, "t0_btjd": 3540.26317, "duration_hours": 4.046}


@pytest.fixture(scope="module")
def sample():
    (path,) = (DIRECTORY / "tpfs").glob("*-s0083-*")
    return read_tpf(path)


def test_same_row_and_verdict_as_a_run(config, survey):
    done = run(config)
    stars = pd.read_csv(survey.neighbours, dtype={"source_id": str})
    catalog = pd.read_csv(survey.catalog, dtype={"toi": str})
    candidate = catalog.iloc[0]
    assert (catalog["tic"] == candidate["tic"]).sum() == 1  # no companion to leave out
    expected = done.sectors[(done.sectors["toi"] == candidate["toi"]) & (done.sectors["sector"] == 1)].iloc[0]
    found = batchvet.vet(
        read_tpf(expected["source_file"]),
        **{
            name: float(candidate[name])
            for name in ("period_days", "t0_btjd", "duration_hours", "t0_err", "period_err")
        },
        neighbours=stars[stars["tic"] == candidate["tic"]].drop(columns="tic"),
        ra=float(candidate["ra"]),
        dec=float(candidate["dec"]),
    )
    for name in (
        "v09_max_depth_ppm",
        "target_offset_arcsec",
        "significance_sigma",
        "difference_snr",
        "v10_stability_metric",
    ):
        assert found.row[name] == pytest.approx(expected[name], rel=1e-6), name
    assert found.units["target_offset_arcsec"] == "arcsec"
    assert found.verdict.n_sectors_used == 1


def test_sample_of_toi_5807_gives_the_published_figure(sample):
    found = batchvet.vet(sample, **TOI_5807)
    assert found.row["v09_max_depth_ppm"] == 224066.93494969374
    assert found.verdict.verdict == "AMBIGUOUS"  # nobody else can be weighed; the place stands
    assert found.row["significance_sigma"] < 3
    assert np.isfinite([found.verdict.offset_arcsec, found.verdict.offset_cov_ra_ra]).all()
    assert "NO_NEIGHBOUR_TABLE" in found.row["flag_names"]


def test_lightkurve_file_is_taken_with_all_its_cadences(sample):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightkurve

        tpf = lightkurve.TessTargetPixelFile(sample.source, quality_bitmask="hardest")
    found = batchvet.vet(tpf, **TOI_5807, checks=["V09"])
    tpf.hdu.close()
    assert found.row["v09_max_depth_ppm"] == 224066.93494969374
    assert found.row["v08_status"] is None


def test_plot_returns_axes(sample):
    found = batchvet.vet(sample, **TOI_5807)
    axes = found.plot()
    assert len(np.ravel(axes)) >= 4


def test_single_transit_and_companions_are_understood(sample):
    single = batchvet.vet(sample, **(TOI_5807 | {"period_days": 0.0, "t0_btjd": 3568.747919}), checks=["V09"])
    assert single.row["n_transits"] == 1
    # two planets with one transit each, where the candidate's two are
    written = [{"period_days": 0 * u.d, "t0_btjd": 3540.27 + 14.2423724 * n, "duration_hours": 5.0} for n in (2, 3)]
    for others in ([Ephemeris(0.0, other["t0_btjd"], 5.0) for other in written], written):
        shadowed = batchvet.vet(sample, **TOI_5807, others=others)
        assert shadowed.verdict.verdict == "INCONCLUSIVE"
        assert "SAME_EPHEMERIS" not in shadowed.row["flag_names"]


STAR = {"source_id": "s", "ra": 308.5, "dec": 43.3, "tmag": 12.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration_hours": 0.0}, "duration_hours is 0, it must be positive"),
        ({"duration_hours": 400.0}, "not shorter than the period"),
        ({"period_days": -1.0}, 'period_days is "-1.0", outside'),
        ({"t0_btjd": np.nan}, "t0_btjd is missing"),
        ({"t0_btjd": 60540.0}, "looks like an MJD: subtract 56999.5"),
        ({"t0_btjd": 10540.26}, "looks like BJD - 2450000: subtract 7000"),
        ({"t0_err": -1.0}, "t0_err"),
        ({"ra": 308.57}, "ra is given without the dec"),
        ({"ra": 400.0, "dec": 1.0}, "ra is .* outside 0 to 360"),
        ({"others": [Ephemeris(3.0, 58000.0, 2.0)]}, r"others\[0\]: t0_btjd .* MJD"),
        ({"prf": "/nosuch"}, "prf: /nosuch is not a directory"),
        ({"period_days": 3.0 * u.m}, "period_days: 3.0 m cannot be had in d"),
        ({"checks": ["V99"]}, "V99"),
        ({"quality_bitmask": "soft"}, "soft"),
        ({"neighbours": [{"ra": 1.0}]}, "there is no source_id"),
        ({"neighbours": [STAR | {"ra": np.nan}]}, r"neighbours\[0\]: ra is missing"),
        ({"neighbours": [STAR, STAR | {"tmag": -5.0, "source_id": "t"}]}, r"neighbours\[1\]: tmag is .* outside -3"),
        ({"neighbours": [STAR | {"source_id": 4.6e18}]}, "floating-point"),
        ({"neighbours": [STAR, STAR]}, "the source s is there twice"),
        ({"neighbours": [Neighbour("s", np.nan, 1.0, 9.0)]}, "ra is missing"),
        ({"neighbours": object()}, "neighbours: a object is no table of stars"),
        ({"neighbours": "stars.csv"}, "neighbours: a str is no table.*read_csv"),
        ({"neighbours": [object()]}, r"neighbours\[0\]: a object is not a star"),
        ({"period_days": object()}, "period_days: a object is not a number"),
        ({"t0_btjd": [3540.26, 3554.5]}, "t0_btjd: a list is not a number"),
        ({"t0_btjd": Time([2460540.0, 2460541.0], format="jd")}, "t0_btjd: .* as one number"),
        ({"duration_hours": [4.0, 5.0] * u.h}, "duration_hours: .* as one number"),
        ({"others": [object()]}, r"others\[0\]: a object has no period_days"),
        ({"others": [{"period": 3.0}]}, r"others\[0\]: period is none of period_days"),
        ({"prf": object()}, "prf: a object is not a path"),
    ],
)
def test_mistakes_are_named(sample, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        batchvet.vet(sample, **(TOI_5807 | changes))
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("ra", "dec", "said"),
    [
        (308.5692 / 15, 43.3623, r"given as \(20\.57128, \+43\.36\d+\), which is not on the stamp .*\(308\.567"),
        (308.5692, 53.3623, "is not on the stamp"),
        (128.5692, -43.3623, "is not on the stamp"),
    ],
)
def test_a_place_off_the_stamp_is_refused_and_both_places_are_said(sample, ra, dec, said):
    with pytest.raises(PositionError, match=said):
        batchvet.vet(sample, **TOI_5807, ra=ra, dec=dec)


def test_a_catalogue_position_that_cannot_be_is_an_error_row_that_says_both(config, survey, tmp_path):
    catalog = pd.read_csv(survey.catalog, dtype={"toi": str})
    first = catalog.index[0]
    stars = pd.read_csv(survey.neighbours)
    moved = catalog.copy()
    moved.loc[first, "dec"] += 50.0 / 3600.0  # another star's, still on the stamp
    moved.loc[catalog.index[1], "ra"] /= 15.0
    moved.to_csv(tmp_path / "toi.csv", index=False)
    rows = run(config.model_copy(update={"catalog": tmp_path / "toi.csv"})).sectors
    wrong = rows[rows["toi"].isin(catalog["toi"][:2])]
    assert len(wrong) and (wrong["status"] == "error").all() and (wrong["error_kind"] == "position").all()
    assert wrong["v09_max_depth_ppm"].notna().all()  # which needs no position
    tic = catalog.loc[first, "tic"]
    own = stars[(stars["tic"] == tic) & (stars["source_id"].astype(str) == str(tic))].iloc[0]
    said = wrong.loc[wrong["toi"] == catalog.loc[first, "toi"], "error"].iloc[0]
    assert f"{own['dec']:+.3f}"[:-1] in said and "50 arcsec away" in said
    assert (rows.loc[~rows["toi"].isin(catalog["toi"][:2]), "status"] != "error").all()


def test_a_fast_star_may_stand_where_it_has_moved(sample):
    here = sample.target_position()
    years = sample.epoch - 2000.0
    star = replace(sample, ra=here[0], dec=here[1] - 10.0 * years / 3600.0, pmra=0.0, pmdec=1e4)
    published = Candidate("fast", 1, Ephemeris(1.0, 1.0, 1.0), ra=here[0], dec=here[1] - 90.0 / 3600.0)
    check_place(published, star)  # of epoch 2015.8, although a catalogue's are taken to be of 2000.0
    slow = replace(star, dec=here[1] - 0.1 * years / 3600.0, pmdec=100.0)
    with pytest.raises(PositionError, match="away"):
        check_place(published, slow)


def test_bjd_quantities_and_times_mean_the_same_as_btjd(sample):
    written = (
        {"t0_btjd": TOI_5807["t0_btjd"] + 2457000.0},
        {"t0_btjd": Time(TOI_5807["t0_btjd"] + 2457000.0, format="jd", scale="tdb")},
        {"period_days": 14.2423724 * 24 * u.h, "duration_hours": 4.046 * 60 * u.min},
        {"t0_btjd": Time(TOI_5807["t0_btjd"] + 2457000.0, format="jd", scale="tdb").utc, "t0_err": TimeDelta(60 * u.s)},
        {"period_days": np.array(14.2423724), "duration_hours": np.float32(4.046)},
    )
    rows = [batchvet.vet(sample, **(TOI_5807 | changes), checks=["V09"]).row for changes in ({}, *written)]
    assert {row["v09_max_depth_ppm"] for row in rows} == {224066.93494969374}


def test_positions_are_angles_or_degrees(sample):
    ra, dec = sample.target_position()
    written = ((ra, dec), (ra * u.deg, dec * u.deg), (Angle(ra, "deg").to("hourangle"), Angle(dec * 60, "arcmin")))
    rows = [batchvet.vet(sample, **TOI_5807, ra=one, dec=other).row for one, other in written]
    assert [row["offset_ra_arcsec"] for row in rows] == pytest.approx([rows[0]["offset_ra_arcsec"]] * 3, abs=1e-6)


def test_neighbours_come_from_tables_of_pandas_and_astropy(sample):
    stars = [STAR, STAR | {"source_id": "no magnitude", "dec": 43.31, "tmag": np.nan}]
    tables = (stars, pd.DataFrame(stars), Table(stars), [Neighbour(**star) for star in stars])
    found = []
    for table in tables:
        with pytest.warns(UserWarning, match="1 of 2 neighbours have no tmag"):
            found.append(batchvet.vet(sample, **TOI_5807, neighbours=table))
    assert len({json.dumps(asdict(vetted.verdict), default=str) for vetted in found}) == 1
    assert "NO_NEIGHBOUR_TABLE" not in found[0].verdict.flags


def test_something_else_than_a_stamp_is_refused():
    with pytest.raises(StampError, match="ndarray is not a target pixel file"):
        batchvet.vet(np.zeros((3, 3)), **TOI_5807)


def test_fault_of_ours_in_the_localisation_keeps_the_other_checks(config, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr(measure, "localize", broken)
    rows = run(config).sectors
    bad = rows[rows["v09_status"] == "ok"]
    assert (bad["status"] == "error").all()
    assert (bad["error_kind"] == "internal").all()
    assert bad["v09_max_depth_ppm"].notna().all()
    assert bad["error"].str.contains("ZeroDivisionError: oh no").all()


@pytest.mark.parametrize(
    ("t0_btjd", "period_days", "duration_hours", "kind"),
    [(3000.0, 0.0, 4.0, "no_cadence_in_transit"), (3540.26317, 1.0, 20.0, "no_cadence_out_of_transit")],
)
def test_nothing_to_measure_says_on_which_side_of_the_transit(sample, t0_btjd, period_days, duration_hours, kind):
    found = batchvet.vet(sample, t0_btjd=t0_btjd, period_days=period_days, duration_hours=duration_hours)
    assert (found.row["status"], found.row["error_kind"]) == ("skipped", kind)
    assert "INSUFFICIENT_DATA" in found.row["flag_names"]
    assert found.images == {}
    assert found.verdict.verdict == "INCONCLUSIVE"


def test_dip_is_located_where_only_the_depth_map_has_no_baseline(sample):
    """The localisation's windows are its own: between dips of 16 h a day there is a little light beside each."""
    found = batchvet.vet(sample, t0_btjd=3540.26317, period_days=1.0, duration_hours=16.0)
    assert (found.row["status"], found.row["v09_status"]) == ("ok", "skipped")
    assert found.row["target_offset_arcsec"] is not None
    assert len(found.images["difference"]) == sample.shape[0] * sample.shape[1]
