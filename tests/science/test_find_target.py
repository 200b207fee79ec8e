"""Which place on the sky is the target's, where catalogue, file and table have it at different times."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from made_stamps import made_stamp

from batchvet.catalog.candidate import Neighbour, move
from batchvet.science.sky import tangent_plane
from batchvet.science.stars import StarField, TargetPosition, find_target, place_stars
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

TIC, RA, DEC = 77, 120.0, -40.0
PMRA, PMDEC = 300.0, -400.0  # mas/yr: half an arcsecond a year


def stamp_of(**header):
    """One day of the sector of 2017.7, of a star at RA, DEC in 2000."""
    values = {"tic": TIC, "ra": RA, "dec": DEC, "pmra": math.nan, "pmdec": math.nan, "tmag": 11.0} | header
    return replace(made_stamp(days=1.0, noise=0.0), **values)


def entry(epoch, *, name=str(TIC), motion=True):
    """The star's entry in a table of that epoch."""
    ra, dec = move(RA, DEC, PMRA, PMDEC, epoch - 2000.0)
    return Neighbour(name, ra, dec, 11.0, PMRA if motion else 0.0, PMDEC if motion else 0.0, epoch)


def apart(place, ra, dec):
    return math.hypot(*tangent_plane(place.ra, place.dec, ra, dec))


def is_at_the_star(place, stamp):
    return apart(place, *move(RA, DEC, PMRA, PMDEC, stamp.epoch - 2000.0)) < 0.01


@pytest.mark.parametrize("name", [str(TIC), "Gaia 5"])
def test_motion_that_only_the_table_knows_is_followed(name):
    stamp = stamp_of()
    found = find_target(stamp, StarField(TargetPosition(TIC, RA, DEC), [entry(2016.0, name=name)]))
    assert found.place.source_id == name
    assert is_at_the_star(found.place, stamp)
    assert found.disagrees  # file and catalogue have it where it was in 2000


def test_place_that_all_agree_on_raises_nothing():
    stamp = stamp_of(pmra=PMRA, pmdec=PMDEC)
    found = find_target(stamp, StarField(TargetPosition(TIC, RA, DEC, PMRA, PMDEC), [entry(2016.0)]))
    assert is_at_the_star(found.place, stamp)
    assert not found.disagrees


@pytest.mark.parametrize("year", [1991.25, 2016.0])
def test_star_of_the_targets_name_is_found_anywhere_on_its_path(year):
    """A catalogue whose positions are of another epoch than 2000 has the star 4" and 8" off, without its motion."""
    stamp = stamp_of()
    ra, dec = move(RA, DEC, PMRA, PMDEC, year - 2000.0)
    table = [entry(2016.0), Neighbour("8", RA + 20 / 3600, DEC, 13.0)]
    found = find_target(stamp, StarField(TargetPosition(TIC, ra, dec), table))
    assert found.place.source_id == str(TIC)
    assert is_at_the_star(found.place, stamp)


def test_place_beside_the_star_declared_under_its_number_is_a_target_of_its_own():
    stamp = stamp_of()
    star = replace(entry(2016.0), pmra=0.0, pmdec=0.0, ra=RA, dec=DEC)
    beside = RA + 10.0 / 3600 / math.cos(math.radians(DEC))
    found = find_target(stamp, StarField(TargetPosition(TIC, beside, DEC), [star]))
    assert found.disagrees
    assert found.place.source_id not in ("", star.source_id)
    assert apart(found.place, beside, DEC) < 0.01
    target, neighbour = place_stars(stamp, found, [star])
    assert target.is_target and not neighbour.is_target
    assert neighbour.source_id == star.source_id
    assert (neighbour.east, neighbour.north) == pytest.approx((-10.0, 0.0), abs=0.01)


@pytest.mark.parametrize("known_by", ["file", "catalogue"])
def test_table_without_motions_takes_those_that_are_known(known_by):
    """A table of epoch 2000 without the columns: the star would stay where it was 18 years ago."""
    stamp = stamp_of(pmra=PMRA, pmdec=PMDEC) if known_by == "file" else stamp_of()
    target = TargetPosition(TIC, RA, DEC, *((PMRA, PMDEC) if known_by == "catalogue" else ()))
    found = find_target(stamp, StarField(target, [entry(2000.0, motion=False)]))
    assert is_at_the_star(found.place, stamp)
    nowhere = find_target(stamp_of(), StarField(TargetPosition(TIC, RA, DEC), [entry(2000.0, motion=False)]))
    assert apart(nowhere.place, RA, DEC) < 0.01


def test_fast_star_of_a_simulated_survey_is_where_it_truly_is():
    """The simulator moves it half an arcsecond a year and tells the table alone."""
    settings = SimulationSettings(seed=3, sectors=(1,), proper_motion=0.5, motion_known_by=("table",))
    for index in range(3):
        scene = draw_scene(settings, index)
        stamp, candidate = simulate_stamp(scene, 1), scene.candidates[0]
        target = TargetPosition(scene.tic, candidate.ra, candidate.dec, candidate.pmra, candidate.pmdec)
        found = find_target(stamp, StarField(target, scene.neighbours()))
        ra, dec = scene.stars.at(stamp.epoch)
        assert apart(found.place, float(ra[0]), float(dec[0])) < 0.02
        assert found.place.source_id == str(scene.tic)
        assert found.disagrees


@pytest.mark.parametrize("motion", [True, False])
@pytest.mark.parametrize("known_by", ["file", "catalogue"])
@pytest.mark.parametrize("rate", [0.5, 3.0])
def test_fast_star_of_another_name_has_one_identity_in_every_sector(rate, known_by, motion):
    """From 2018 to 2035, `rate` arcsec a year, in a table of Gaia's names and epoch, with its motions or without."""
    moves = 600.0 * rate, -800.0 * rate  # mas/yr
    ra, dec = move(RA, DEC, *moves, 16.0)
    table = [Neighbour("Gaia 5", ra, dec, 11.0, *(moves if motion else ()), epoch=2016.0)]
    table.append(Neighbour("Gaia 6", RA + 4 / 3600, DEC, 11.5, epoch=2016.0))
    stamp = stamp_of(pmra=moves[0], pmdec=moves[1]) if known_by == "file" else stamp_of()
    target = TargetPosition(TIC, RA, DEC, *(moves if known_by == "catalogue" else ()))
    for year in (2018.0, 2020.5, 2023.0, 2028.0, 2035.0):
        sector = replace(stamp, time=stamp.time + 365.25 * (year - stamp.epoch))
        found = find_target(sector, StarField(target, table))
        assert found.place.source_id == "Gaia 5", year
        assert apart(found.place, *move(RA, DEC, *moves, year - 2000.0)) < 0.02


def test_magnitude_in_the_file_is_not_that_of_a_place_beside_its_star():
    place = beside("", 10.0)
    assert find_target(stamp_of(), StarField(TargetPosition(TIC, RA, DEC))).place.tmag == 11.0
    assert math.isnan(find_target(stamp_of(), StarField(TargetPosition(TIC, place.ra, place.dec))).place.tmag)


@pytest.mark.parametrize("known_by", ["file", "catalogue"])
def test_magnitude_in_the_file_is_that_of_its_star_where_only_one_of_them_knows_how_it_moves(known_by):
    """Both have it at one place in 2000. Without a magnitude no pixel of a bright star would count as full."""
    motion = PMRA, PMDEC
    stamp = stamp_of(tmag=6.0, **(dict(zip(("pmra", "pmdec"), motion, strict=True)) if known_by == "file" else {}))
    target = TargetPosition(TIC, RA, DEC, *(motion if known_by == "catalogue" else ()))
    assert find_target(stamp, StarField(target)).place.tmag == 6.0


def beside(name, arcsec, tmag=11.0):
    """A star that far east of the target and that stands still."""
    return Neighbour(name, (RA + arcsec / 3600 / math.cos(math.radians(DEC))) % 360.0, DEC, tmag)


def identity(*table, ra=RA):
    """The name that the target of no entry of its own gets."""
    return find_target(stamp_of(ra=ra), StarField(TargetPosition(TIC, ra, DEC), table)).place.source_id


def test_nearest_star_within_two_arcseconds_is_the_target():
    stars = [beside("far", 1.9), beside("near", 0.4), beside("between", -1.0)]
    assert identity(*stars) == identity(*stars[::-1]) == "near"
    assert identity(beside("beyond", 2.1)) == str(TIC)


def test_star_of_another_brightness_is_not_the_target():
    """By more than 2 mag; one whose magnitude nobody knows may be it."""
    assert identity(beside("fainter", 0.2, 13.1), beside("alike", 1.0, 12.9)) == "alike"
    assert identity(beside("brighter", 0.2, 8.9)) == str(TIC)
    assert identity(beside("unknown", 0.2, math.nan), beside("alike", 1.0)) == "unknown"


@pytest.mark.parametrize("ra", [1e-5, 360.0 - 1e-5])
def test_target_beside_the_origin_of_right_ascension_is_found_across_it(ra):
    across = Neighbour("across", (360.0 - ra) % 360.0, DEC, 11.0)
    assert identity(across, ra=ra) == "across"
    fast = Neighbour("fast", 359.999, DEC, 11.0, pmra=500.0, epoch=1990.0)  # 2.8" west of the origin; there in 1996
    assert identity(fast, ra=ra) == "fast"


@pytest.mark.parametrize("name", ["77", "TIC 77", "TIC-77", "tic77", "Tic  77"])
def test_star_of_the_targets_number_is_found_however_it_is_written(name):
    """Before a nearer star of another name; and a place beside it is known to be one."""
    own, nearer = beside(name, 1.5), beside("TIC 770", 0.1)
    assert identity(nearer, own) == name
    stamp, place = stamp_of(), beside("", 10.0)
    found = find_target(stamp, StarField(TargetPosition(TIC, place.ra, place.dec, tmag=11.0), [beside(name, 0.0)]))
    assert found.disagrees
    assert found.place.source_id == f"{TIC} as declared"
    assert math.isnan(found.place.tmag)  # the magnitude of that number is the star's


def test_star_at_the_declared_place_is_the_target_although_the_number_is_another_stars():
    """Declared by the number of the brighter star of a blend, at the place of the fainter."""
    place = beside("", 10.0)
    table = [beside(str(TIC), 0.0, 9.0), beside("blended", 10.3, 14.0)]
    found = find_target(stamp_of(), StarField(TargetPosition(TIC, place.ra, place.dec, tmag=9.0), table))
    assert (found.place.source_id, found.place.tmag) == ("blended", 14.0)
    assert found.disagrees
    assert found.is_star


@pytest.mark.parametrize("known_by", ["file", "catalogue"])
def test_place_is_known_to_be_the_files_star_where_only_one_of_them_knows_how_it_moves(known_by):
    """Nobody tells its magnitude: it is a star all the same, and not a place without light beside one."""
    motion = PMRA, PMDEC
    moving = dict(zip(("pmra", "pmdec"), motion, strict=True)) if known_by == "file" else {}
    stamp = stamp_of(tmag=math.nan, **moving)
    target = TargetPosition(TIC, RA, DEC, *(motion if known_by == "catalogue" else ()))
    found = find_target(stamp, StarField(target, [beside("other", 60.0)]))
    assert found.is_star
    there = TargetPosition(TIC, beside("", 10.0).ra, DEC)
    assert not find_target(stamp_of(tmag=math.nan), StarField(there, [beside("other", 60.0)])).is_star


def test_place_without_light_is_lit_where_nobody_else_is():
    place = TargetPosition(TIC, beside("", 10.0).ra, DEC)
    stamp = stamp_of(tmag=math.nan)
    for table in (None, [beside("off the stamp", 2000.0)]):
        found = find_target(stamp, StarField(place, table))
        assert place_stars(stamp, found, table)[0].is_listed
    near = [beside("near", 0.0)]
    assert not place_stars(stamp, find_target(stamp, StarField(place, near)), near)[0].is_listed
