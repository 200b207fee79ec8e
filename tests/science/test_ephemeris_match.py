"""Ephemerides that agree along the chances of luck, of stars that can share light; what luck does, is not told."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from batchvet.catalog.reader import read_catalog
from batchvet.science.detector_sharing import OnCcd
from batchvet.science.ephemeris_match import Ephemerides, match


def ephemerides(n: int, rng: np.random.Generator) -> Ephemerides:
    """Candidates all over the sky, periods log-uniform from 0.5 to 30 days, errors as published ones are."""
    period = np.exp(rng.uniform(np.log(0.5), np.log(30), n))
    return Ephemerides(
        period_days=period,
        period_err_days=10 ** rng.uniform(-6, -4, n) * period,
        t0_btjd=1400 + rng.uniform(0, 2000, n),
        t0_err_days=10 ** rng.uniform(-4, -2.5, n),
        duration_days=0.1 + 0.05 * rng.random(n),
        ra=rng.uniform(0, 360, n),
        dec=np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        tmag=rng.uniform(8, 14, n),
        star=np.arange(n, dtype=float),
    )


def copied(
    entries: Ephemerides,
    of: list[int],
    rng: np.random.Generator,
    *,
    ratio: float = 1.0,
    apart: float = 60.0,
    late: float = 0.0,
) -> Ephemerides:
    """The entries, and behind them stars `apart` (arcsec) that show the dips of some of them, measured anew."""
    more = {item.name: getattr(entries, item.name)[of].copy() for item in fields(entries)}
    period, error = more["period_days"], np.fmax(more["period_err_days"], 1e-6 * more["period_days"])
    n_later = rng.integers(-20, 20, len(of))
    more["t0_btjd"] += (
        period * n_later * max(ratio, 1.0) + late + rng.normal(size=len(of)) * np.fmax(more["t0_err_days"], 1e-3)
    )
    more["period_days"] = ratio * (period + rng.normal(size=len(of)) * error)
    more["period_err_days"] = ratio * more["period_err_days"]
    more["dec"] = more["dec"] + np.where(more["dec"] > 0, -1, 1) * apart / 3600
    more["star"] = 1e9 + more["star"]
    return Ephemerides(**{name: np.concatenate([getattr(entries, name), values]) for name, values in more.items()})


def pairs(found) -> set[tuple[int, int]]:
    return {(one.candidate, one.other) for one in found}


@pytest.mark.parametrize("ratio", [1.0, 2.0, 0.5, 3.0])
def test_an_injected_pair_is_found_in_both_directions(ratio):
    rng = np.random.default_rng(1)
    entries = copied(ephemerides(1000, rng), list(range(40)), rng, ratio=ratio)
    found = match(entries, 1040)
    hits = [n for n in range(40) if {(n, 1000 + n), (1000 + n, n)} <= pairs(found)]
    assert len(hits) >= 39
    told = {(one.candidate, one.other): one.ratio for one in found}
    assert all(told[n, 1000 + n] == ratio and told[1000 + n, n] == 1 / ratio for n in hits)
    assert {one.kind for one in found} == {"near"} and max(abs(one.separation_arcsec - 60) for one in found) < 0.1


def test_luck_makes_fewer_than_one_match_in_a_thousand():
    found = match(ephemerides(8000, np.random.default_rng(2)), 8000)
    assert len({one.candidate for one in found}) <= 8


def test_many_random_neighbours_match_as_rarely_as_the_chance_says():
    """All within one field of 100 arcsec: 400 candidates, each with 399 neighbours."""
    rng = np.random.default_rng(3)
    entries = replace(ephemerides(400, rng), ra=rng.uniform(0, 0.02, 400), dec=rng.uniform(0, 0.02, 400))
    for limit in (0.01, 0.1):
        assert len({one.candidate for one in match(entries, 400, limit=limit)}) <= 400 * limit * 1.5 + 3


def test_same_period_at_another_time_is_no_match():
    rng = np.random.default_rng(4)
    entries = ephemerides(300, rng)
    entries = replace(entries, period_err_days=1e-6 * entries.period_days, t0_btjd=1400 + rng.uniform(0, 30, 300))
    moved = copied(entries, list(range(20)), rng, late=0.45 * 0.5)
    assert not pairs(match(moved, 320)) & {(n, 300 + n) for n in range(20)}


def test_candidates_of_one_star_are_not_held_against_each_other():
    rng = np.random.default_rng(5)
    entries = copied(ephemerides(100, rng), [7], rng, apart=0.0)
    assert match(entries, 101)[0].kind == "same_place"
    star = entries.star.copy()
    star[100] = star[7]
    assert match(replace(entries, star=star), 101) == []


def test_stars_of_a_table_are_what_candidates_are_held_against_not_the_other_way_round():
    rng = np.random.default_rng(6)
    entries = copied(ephemerides(100, rng), [7], rng)
    assert pairs(match(entries, 100)) == {(7, 100)}


class Seen:
    """Each entry in one sector."""

    def __init__(self, places: list[OnCcd]) -> None:
        self.of = places

    def places(self, one: int, other: int) -> tuple[list[OnCcd], list[OnCcd]]:
        return [self.of[one]], [self.of[other]]


def test_a_column_of_the_ccd_is_shared_by_stars_far_apart():
    rng = np.random.default_rng(7)
    entries = copied(ephemerides(300, rng), [7], rng, apart=10800.0)
    seen = Seen([OnCcd(1, 1, 1, float(rng.uniform(45, 2092)), float(rng.uniform(1, 2048))) for _ in range(301)])
    here = seen.of[7]
    seen.of[300] = here._replace(column=here.column + 1.0, row=(here.row + 700) % 2048)
    (one, _) = match(entries, 301, seen)
    assert one.kind == "same_column" and one.p < 1e-4
    seen.of[300] = here._replace(column=(here.column + 40.0) % 2000, row=(here.row + 700) % 2048)
    assert {one.kind for one in match(entries, 301, seen)} <= {"same_camera"}


def test_a_ghost_is_told_from_farther_away_than_a_camera_is_wide():
    rng = np.random.default_rng(7)
    entries = copied(ephemerides(300, rng), [7], rng, apart=30 * 3600.0)
    assert match(entries, 301) == []
    seen = Seen([OnCcd(1, 1, 1, float(rng.uniform(45, 2092)), 300.0 + n) for n in range(301)])
    seen.of[300] = seen.of[7]._replace(ccd=3, column=seen.of[7].column + 12.0)
    assert [(one.candidate, one.other, one.kind) for one in match(entries, 301, seen)] == [
        (7, 300, "opposite"),
        (300, 7, "opposite"),
    ]


@pytest.mark.parametrize("ratio", [1.0, 2.0, 0.5, 3.0, 1 / 3])
def test_dips_at_the_time_of_the_secondary_are_found_and_said_to_be(ratio):
    """The second star dips half the shorter period off the first: at the secondary of whichever is the binary."""
    rng = np.random.default_rng(10)
    entries = ephemerides(1000, rng)
    period = entries.period_days[:30]
    later = copied(entries, list(range(30)), rng, ratio=ratio)
    later.t0_btjd[1000:] += period * min(ratio, 1.0) / 2
    found = {(one.candidate, one.other): one for one in match(later, 1030)}
    hits = [n for n in range(30) if (n, 1000 + n) in found]
    assert len(hits) >= 29
    assert {found[n, 1000 + n].phase for n in hits} == {0.5}
    assert {found[n, 1000 + n].ratio for n in hits} == {ratio}
    assert max(abs(found[n, 1000 + n].epoch_difference_days) for n in hits) < 0.15
    primary = match(copied(entries, list(range(30)), rng, ratio=ratio), 1030)
    assert {one.phase for one in primary} == {0.0}


def test_what_has_no_period_or_place_is_held_against_nobody():
    rng = np.random.default_rng(8)
    entries = copied(ephemerides(50, rng), [7], rng)
    for name, nothing in (("period_days", 0.0), ("ra", np.nan), ("t0_btjd", np.nan)):
        values = getattr(entries, name).copy()
        values[7] = nothing
        assert match(replace(entries, **{name: values}), 51) == []


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["exofop_toi_2025-10", "nasa_toi_2026-07-23"])
def test_50_pairs_among_the_published_ephemerides_are_found(shared_data, name):
    """Places are shuffled among the candidates, so that the table's own true pairs are none."""
    candidates = read_catalog(shared_data / "toi_tables" / f"{name}.csv.gz").candidates
    rng = np.random.default_rng(9)

    def of(values) -> np.ndarray:
        return np.array(list(values), dtype=float)

    place = rng.permutation(len(candidates))
    entries = Ephemerides(
        period_days=of(c.ephemeris.period_days for c in candidates),
        period_err_days=of(c.ephemeris.period_err_days for c in candidates),
        t0_btjd=of(c.ephemeris.t0_btjd for c in candidates),
        t0_err_days=of(c.ephemeris.t0_err_days for c in candidates),
        duration_days=of(c.ephemeris.duration_days for c in candidates),
        ra=of(c.ra for c in candidates)[place],
        dec=of(c.dec for c in candidates)[place],
        tmag=of(c.tmag for c in candidates)[place],
        star=of(c.tic for c in candidates),
    )
    n = len(entries)
    periodic = np.flatnonzero((entries.period_days > 0) & (entries.period_days < 30) & np.isfinite(entries.ra))
    sources = rng.choice(periodic, 50, replace=False).tolist()
    found = pairs(match(copied(entries, sources, rng, apart=100.0), n + 50))
    assert sum((n + k, source) in found for k, source in enumerate(sources)) >= 48
    assert len({one for one, other in found if one < n and other < n}) <= n / 1000
