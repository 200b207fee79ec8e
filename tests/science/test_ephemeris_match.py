"""Ephemerides that agree along the chances of luck, of stars that can share light; what luck does, is not told."""

from __future__ import annotations

import time
from dataclasses import fields, replace

import numpy as np
import pytest

from batchvet.catalog.reader import read_catalog
from batchvet.science.ephemeris_match import Ephemerides, OnCcd, match


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


def test_a_column_of_the_ccd_is_shared_by_stars_far_apart():
    rng = np.random.default_rng(7)
    entries = copied(ephemerides(300, rng), [7], rng, apart=10800.0)
    seen = OnCcd(np.arange(301), np.zeros(301, dtype=int), rng.uniform(0, 2048, 301))
    seen.column[300] = seen.column[7] + 1.0
    (one, _) = match(entries, 301, seen)
    assert one.kind == "same_column" and one.p < 1e-4
    seen.column[300] = seen.column[7] + 40.0
    assert {one.kind for one in match(entries, 301, seen)} <= {"same_camera"}


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
    start = time.perf_counter()
    found = pairs(match(copied(entries, sources, rng, apart=100.0), n + 50))
    assert time.perf_counter() - start < 30.0
    assert sum((n + k, source) in found for k, source in enumerate(sources)) >= 48
    assert len({one for one, other in found if one < n and other < n}) <= n / 1000
