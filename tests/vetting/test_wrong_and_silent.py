"""What would give a wrong verdict without a word: stars of another field, the candidate among the others, odd times."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table

import batchvet
from batchvet.catalog.candidate import Candidate, Ephemeris, Neighbour
from batchvet.errors import ConfigError, PositionError, StampError
from batchvet.pixels.npz_file import read_npz
from batchvet.pixels.tpf import read_tpf
from batchvet.sample import DIRECTORY
from batchvet.vetting.arguments import neighbours_of
from batchvet.vetting.companions import others_of
from batchvet.vetting.measure import NotLocalized, measure, observe
from batchvet.vetting.settings import Surroundings, VetSettings

TOI_5807 = {"period_days": 14.2423724, "t0_btjd": 3540.26317, "duration_hours": 4.046}
STARS = [
    {"source_id": "188646744", "ra": 308.569, "dec": 43.362, "tmag": 6.9},
    {"source_id": "b", "ra": 308.56, "dec": 43.37, "tmag": 13.0},
]


@pytest.fixture(scope="module")
def sample():
    (path,) = (DIRECTORY / "tpfs").glob("*-s0083-*")
    return read_tpf(path)


@pytest.mark.parametrize(
    "there",
    [
        lambda star: star | {"ra": star["ra"] / 15.0},
        lambda star: star | {"ra": np.radians(star["ra"]), "dec": np.radians(star["dec"])},
        lambda star: star | {"dec": star["dec"] + 1.0},
    ],
    ids=["hours", "radians", "another field"],
)
def test_stars_of_another_field_clear_nobody(sample, there):
    stars = [there(star) for star in STARS]
    with pytest.raises(PositionError, match=r"nearest star of its table of 2, .* deg from the target.*mend the table"):
        batchvet.vet(sample, **TOI_5807, neighbours=stars, checks=["V09"])
    settings = VetSettings(quality_bitmask=0)
    candidate = Candidate("5807.01", sample.tic, Ephemeris(14.2423724, 3540.26317, 4.046))
    few = sample.select(slice(0, 2000))  # of a run: an error row, and the other checks stand
    measured = measure(observe(few, settings), candidate, Surroundings((), neighbours_of(stars)), settings)
    assert isinstance(measured.localization, NotLocalized)
    assert measured.localization.fault.kind == "position"


def test_a_table_without_a_star_says_nothing_of_the_field(sample):
    found = [batchvet.vet(sample, **TOI_5807, neighbours=table).verdict for table in (None, [], Table(STARS)[:0])]
    assert len({json.dumps(asdict(verdict), default=str) for verdict in found}) == 1
    assert "NO_NEIGHBOUR_TABLE" in found[0].flags


def test_columns_of_astropy_are_in_their_own_units():
    plain = neighbours_of(STARS)
    table = Table(STARS)
    for name in ("ra", "dec"):
        table[name] = np.radians(table[name])
        table[name].unit = u.rad
    for given in (table, QTable(table)):
        assert [(star.ra, star.dec) for star in neighbours_of(given)] == [
            (pytest.approx(star.ra), pytest.approx(star.dec)) for star in plain
        ]


def test_a_star_without_a_magnitude_is_told():
    with pytest.warns(UserWarning, match="1 of 2 neighbours have no tmag: their light is fitted"):
        neighbours_of([STARS[0], STARS[1] | {"tmag": None}])


def test_a_column_of_another_name_is_pointed_at():
    theirs = [{"ID": "1", "ra": 1.0, "dec": 1.0, "Tmag": 9.0}]  # as of the TIC at MAST
    with pytest.raises(ConfigError, match=r"no source_id \(rename ID\?\); there is no tmag \(rename Tmag\?\)"):
        neighbours_of(theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"period_days": True}, "period_days: True is not a number"),
        ({"t0_err": np.bool_(False)}, "t0_err: False is not a number"),
        ({"checks": ()}, "checks: name at least one of V08"),
        ({"checks": None}, "checks: name at least one of V08"),
        ({"checks": "v09"}, "checks: v09 is none of V08"),
        ({"others": 3}, "others: a int is not a list"),
        ({"others": "abc"}, "others: a str is not a list"),
        ({"neighbours": Table(STARS).to_pandas()["ra"]}, "neighbours.*is not a star"),
        ({"prf": str(DIRECTORY)}, "has no SPOC PRF files"),
    ],
)
def test_what_cannot_be_meant_is_refused(sample, changes, message):
    with pytest.raises(ConfigError, match=message):
        batchvet.vet(sample, **(TOI_5807 | changes))


def test_one_check_may_stand_alone_and_others_may_be_none(sample):
    found = batchvet.vet(sample, **TOI_5807, checks="V09", others=None)
    assert found.row["v09_status"] == "ok" and found.row["v08_status"] is None


def test_the_candidate_among_the_others_does_not_hide_itself(sample):
    alone = batchvet.vet(sample, **TOI_5807)
    twin = {"period_days": TOI_5807["period_days"] + 1e-4, "t0_btjd": 3540.27, "duration_hours": 5.0}
    found = batchvet.vet(sample, **TOI_5807, others=[twin])
    assert found.verdict.n_sectors_used == 1 and repr(found.verdict) == repr(alone.verdict)  # NaN is not NaN
    assert "SAME_EPHEMERIS" in found.row["flag_names"] and "SAME_EPHEMERIS" not in alone.row["flag_names"]


@pytest.mark.parametrize(
    ("other", "is_twin"),
    [
        (Ephemeris(10.0, 1000.02, 3.0), True),  # the same signal by another name
        (Ephemeris(5.0, 1000.0, 3.0), True),  # at half the period: every transit is one of its
        (Ephemeris(20.0, 1000.0, 3.0), False),  # at twice the period: every other transit stays
        (Ephemeris(10.0, 1005.0, 3.0), False),  # the secondary
        (Ephemeris(10.1, 1000.0, 3.0), False),  # coincides only where the two begin
        (Ephemeris(0.0, 1000.0, 3.0), False),  # once
    ],
)
def test_only_what_has_all_its_dips_is_the_same(other, is_twin):
    candidate = Candidate("1.01", 1, Ephemeris(10.0, 1000.0, 3.0))
    companions = [candidate, Candidate("1.02", 1, other)]
    assert others_of(candidate, companions, 1000.0) == (() if is_twin else (other,), is_twin)


def test_two_single_transits_at_one_time_are_the_same():
    candidate = Candidate("1.01", 1, Ephemeris(0.0, 1000.0, 3.0))
    for t0, is_twin in ((1000.05, True), (1000.2, False)):
        assert others_of(candidate, [Candidate("1.02", 1, Ephemeris(0.0, t0, 3.0))], 1000.0)[1] == is_twin


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda time: time[::-1], r"times do not increase \(cadence"),
        (lambda time: np.r_[time[:3000], time[: len(time) - 3000]], r"times do not increase \(cadence 3"),
        (lambda time: time + 2457000.0, "which is no BTJD: subtract 2457000"),
        (lambda time: time * 86400.0, "which is no BTJD$"),
    ],
    ids=["backwards", "twice", "BJD", "seconds"],
)
def test_times_that_cannot_be_are_refused(sample, tmp_path, change, message):
    wrong = replace(sample, time=change(sample.time))
    with pytest.raises(StampError, match=message):
        batchvet.vet(wrong, **TOI_5807)
    np.savez(tmp_path / "a.npz", time=wrong.time, flux=wrong.flux, sector=83)
    with pytest.raises(StampError, match=f"a.npz.*{message}"):
        read_npz(tmp_path / "a.npz")


def test_a_file_without_times_says_so(sample):
    with pytest.raises(StampError, match="every cadence has an excluded quality flag or no time"):
        batchvet.vet(replace(sample, time=np.full_like(sample.time, np.nan), ra=308.567, dec=43.361), **TOI_5807)


def test_a_neighbour_near_the_target_is_of_the_field(sample):
    near = [Neighbour("far on the sky, near enough", 308.569, 43.362 + 0.4, 9.0)]
    assert batchvet.vet(sample, **TOI_5807, neighbours=near, checks=["V09"]).row["status"] == "ok"
