"""Which stars are weighed as hosts: those bright enough for the dip, the same in every sector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_scenes import STEADY, located

from batchvet.science.hosts import DEEPEST
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

CROWDED = SimulationSettings(
    seed=17,
    sectors=(1, 2, 3),
    scenario="on_target",
    snr_range=(60.0, 70.0),
    crowd_range=(80, 100),
    density_range=(0.5, 0.6),
    tmag_range=(11.0, 12.0),
    period_range=(1.5, 3.0),
    **STEADY,
)


@pytest.mark.parametrize("index", range(2))
def test_able_stars_of_a_crowd_are_the_same_in_every_sector(index):
    """A star that one sector leaves out counts as unseen there, and loses to one that all sectors weigh."""
    scene = draw_scene(CROWDED, index)
    found = [located(scene, simulate_stamp(scene, sector)).evidence for sector in CROWDED.sectors]
    assert min(one.dip.snr for one in found) > 15
    middle = (np.array(scene.shape[::-1]) - 1) / 2
    places = np.array([scene.positions(sector) for sector in CROWDED.sectors])  # [sector, (column, row), star]
    on_all = np.all(np.abs(places - middle[:, None]) < 7.0, axis=(0, 1))
    dip = scene.dips[0].depth * scene.stars.flux[0]
    able = scene.stars.known & on_all & (scene.stars.flux > 1.3 * dip)
    expected = set(map(str, scene.stars.source_id[able]))
    assert len(expected) > 30
    for one in found:
        assert expected <= set(one.hosts.source_id)


def test_stars_too_faint_for_the_dip_are_not_weighed():
    scene = draw_scene(replace(CROWDED, snr_range=(900.0, 1000.0)), 0)
    hosts = located(scene, simulate_stamp(scene, 1)).evidence.hosts
    dip = scene.dips[0].depth * scene.stars.flux[0]
    faint = set(map(str, scene.stars.source_id[DEEPEST * scene.stars.flux < 0.3 * dip]))
    assert len(faint) > 10
    assert not faint & set(hosts.source_id)
    assert hosts.is_target[0] and hosts.source_id[0] == str(scene.tic)
