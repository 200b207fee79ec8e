"""`RUN/hosts`: every star of every judged candidate, as the candidates' own rows have it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import SkyCoord

from batchvet.api import open_run, run


def test_every_star_of_every_candidate_is_a_row(whole):
    run = open_run(whole)
    hosts, candidates = run.hosts, run.candidates
    assert set(hosts["toi"]) == set(candidates["toi"])
    assert hosts.groupby("toi")["is_target"].sum().eq(1).all()
    assert not hosts.duplicated(["toi", "source_id"]).any()
    assert hosts.attrs["units"]["separation_arcsec"] == "arcsec"
    assert pd.read_parquet(whole / "hosts")[list(hosts.columns)].equals(hosts)


def moved(row, year):
    """The catalogue's place of a target at that time, as astropy has it."""
    years = (year - 2000.0) * u.year
    motion = row["pmra"] * u.mas / u.year * years, row["pmdec"] * u.mas / u.year * years
    return SkyCoord(row["ra"], row["dec"], unit="deg").spherical_offsets_by(*motion)


def test_it_says_what_the_candidates_say(whole):
    run = open_run(whole)
    for row in run.candidates.to_dict("records"):
        stars = run.hosts[run.hosts["toi"] == row["toi"]].set_index("source_id")
        for listed in row["host_candidates"]:
            star = stars.loc[listed["source_id"]]
            for name in ("probability", "separation_arcsec", "depth_required", "log_likelihood", "prior"):
                assert star[name] == listed[name]
        target = stars[stars["is_target"]].iloc[0]
        assert target["probability"] == row["p_target"] and target["separation_arcsec"] == 0.0
        if np.isfinite(row["ra"]):
            place = moved(row, 2018.6375)  # the middle of sectors 1 and 2
            east, north = place.spherical_offsets_to(SkyCoord(row["source_ra"], row["source_dec"], unit="deg"))
            assert abs(east.arcsec - row["offset_ra_arcsec"]) < 1e-3
            assert abs(north.arcsec - row["offset_dec_arcsec"]) < 1e-3
            there = SkyCoord(target["ra"], target["dec"], unit="deg")
            assert moved(row, 2018.6).separation(there).arcsec < 1e-3


def test_stars_that_are_lost_are_made_anew(done_config):
    before = run(done_config).hosts
    (part,) = (done_config.output / "hosts").glob("part-*.parquet")
    part.unlink()
    again = run(done_config)
    assert again.is_finished and again.hosts.equals(before)


def test_places_that_the_catalogue_lacks_are_those_of_the_files(config, whole, tmp_path):
    catalog = pd.read_csv(config.catalog, dtype={"toi": str})
    without = tmp_path / "without_places.csv"
    catalog.drop(columns=["ra", "dec", "pmra", "pmdec"], errors="ignore").to_csv(without, index=False)
    found, known = run(config.model_copy(update={"catalog": without})), open_run(whole)
    names = ["toi", "source_id"]
    both = found.hosts.merge(known.hosts[known.hosts["ra"].notna()], on=names, suffixes=("", "_known"))
    assert len(both) > 20
    apart = SkyCoord(both["ra"], both["dec"], unit="deg").separation(
        SkyCoord(both["ra_known"], both["dec_known"], unit="deg")
    )
    assert apart.arcsec.max() < 0.5
    dips = found.candidates.merge(known.candidates[known.candidates["source_ra"].notna()], on="toi")
    apart = SkyCoord(dips["source_ra_x"], dips["source_dec_x"], unit="deg").separation(
        SkyCoord(dips["source_ra_y"], dips["source_dec_y"], unit="deg")
    )
    assert len(dips) >= 3 and apart.arcsec.max() < 0.5
