"""Stars far apart on the sky that share light on the detector, where tess-point puts them."""

from __future__ import annotations

import numpy as np
import pytest
from tess_stars2px import TESS_Spacecraft_Pointing_Data

from batchvet.science.detector_sharing import EXPECTED, OnCcd, shared

HERE = OnCcd(sector=5, camera=2, ccd=1, column=745.3, row=812.8)


def on(**other: float) -> str:
    return shared([HERE], [HERE._replace(**other)])


def test_a_column_is_shared_from_edge_to_edge_of_one_ccd_in_one_sector():
    assert on(row=2040.0, column=747.0) == "same_column"
    assert on(row=2040.0, column=748.0) == ""
    assert on(row=2040.0, sector=6) == on(row=2040.0, camera=3) == on(row=2040.0, ccd=2) == ""


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_what_is_mirrored_at_the_boresight_is_opposite(camera):
    """The mirror is a rotation of directions by 180 degrees about the camera's axis, which needs no pixels."""
    pointing = TESS_Spacecraft_Pointing_Data(trySector=7)
    ra, dec = np.radians(pointing.camRa[camera - 1, 0]), np.radians(pointing.camDec[camera - 1, 0])
    axis = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    rng = np.random.default_rng(camera)

    def place(direction: np.ndarray) -> OnCcd:
        where = np.degrees([np.arctan2(direction[1], direction[0]), np.arcsin(direction[2])])
        found = pointing.fpgObjs[0].radec2pix(where[:1] % 360, where[1:])
        return OnCcd(7, int(found[0][0]), int(found[1][0]), float(found[4][0]) + 45, float(found[5][0]) + 1)

    for _ in range(5):
        sideways = np.cross(axis, rng.normal(size=3))
        angle = np.radians(rng.uniform(2.0, 10.5))
        star = np.cos(angle) * axis + np.sin(angle) * sideways / np.linalg.norm(sideways)
        mirrored = 2 * (axis @ star) * axis - star
        assert shared([place(star)], [place(mirrored)]) == "opposite"
        turned = star + 0.01 * np.cross(axis, sideways / np.linalg.norm(sideways))  # half a degree about the axis
        assert shared([place(turned / np.linalg.norm(turned))], [place(mirrored)]) != "opposite"


def test_outputs_are_read_at_the_same_time_every_other_one_backwards():
    """The first column of a CCD is read with its 1024th, 1025th and last: outputs begin at 45, 557, 1069 and 1581."""
    first = HERE._replace(column=45.0)
    together = [
        column for column in range(46, 2093) if shared([first], [first._replace(column=column)]) == "cross_talk"
    ]
    assert together == [1066, 1067, 1068, 1069, 1070, 1071, 2090, 2091, 2092]
    assert shared([first], [first._replace(ccd=4)]) == "cross_talk"
    assert shared([first], [first._replace(column=1068.0, row=first.row + 3)]) == ""


def test_stars_expected_are_those_that_meet_by_chance():
    rng = np.random.default_rng(1)
    sky = [
        OnCcd(1, 1, int(c), float(x), float(y))
        for c, x, y in zip(
            rng.integers(1, 5, 60_000), rng.uniform(45, 2093, 60_000), rng.uniform(1, 2049, 60_000), strict=True
        )
    ]
    target = OnCcd(1, 1, 2, 700.0, 900.0)
    told = [shared([target], [one]) for one in sky]
    around = 60_000 * 1810.0 / 576.0  # stars within 24 degrees, of the density of the camera
    assert told.count("same_column") == pytest.approx(EXPECTED["same_column"] * around, rel=0.3)
    assert told.count("opposite") == pytest.approx(EXPECTED["opposite"] * around, abs=10)
    assert told.count("cross_talk") == pytest.approx(EXPECTED["cross_talk"] * around, abs=4)
