"""Dips of the same star that are not the dip: a binary's secondary eclipse is no noise, and is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_scenes import STEADY, located
from made_stamps import FLUX, made_stamp, snr_of, star, vetted

from batchvet.catalog.candidate import Ephemeris
from batchvet.simulate import SimulationSettings, draw_scene, simulate_stamp

BINARY = Ephemeris(2.5, 1001.2, 4.0)
SCENES = SimulationSettings(
    seed=12,
    sectors=(1,),
    scenario="on_target",
    snr_range=(150.0, 200.0),
    period_range=(1.5, 4.0),
    **STEADY,
)


def eclipsing(seed, phase, depth, noise):
    """A binary of that depth whose secondary is half as deep, and the same without its secondary."""
    alone = made_stamp(seed=seed, jitter=0.003, noise=noise, depth=depth, ephemeris=BINARY)
    later = replace(BINARY, t0_btjd=BINARY.t0_btjd + phase * BINARY.period_days)
    half = BINARY.duration_days / 2
    lost = np.clip((half - np.abs(later.time_from_transit(alone.time))) / (0.3 * half), 0.0, 1.0)
    flux = alone.flux - FLUX * 0.5 * depth * lost[:, None, None] * star()
    return replace(alone, flux=flux.astype(np.float32)), alone


@pytest.mark.parametrize("phase", [0.5, 0.37])
@pytest.mark.parametrize(("depth", "noise"), [(0.02, 10.0), (0.3, 200.0)])
def test_binary_keeps_its_signal_to_noise_beside_its_secondary(phase, depth, noise):
    both, alone = (vetted(stamp, BINARY) for stamp in eclipsing(1, phase, depth, noise))
    assert snr_of(both, star()) == pytest.approx(snr_of(alone, star()), rel=0.15)
    assert "SECONDARY_SEEN" in both.flags
    assert "SECONDARY_SEEN" not in alone.flags
    assert both.n_transits == alone.n_transits


def test_very_deep_eclipse_is_not_its_own_secondary():
    """At a signal to noise of 2000, 1.4 durations from the primary; a third of the signal to noise is left."""
    alone = vetted(eclipsing(1, 0.5, 0.3, 10.0)[1], BINARY)
    assert "SECONDARY_SEEN" not in alone.flags
    assert snr_of(alone, star()) > 1500


@pytest.mark.parametrize("index", range(3))
def test_simulated_binary_keeps_its_signal_to_noise(index):
    """The simulator's secondaries are its own, at half the depth and half a period later."""
    found = {}
    for depth in (0.0, 0.5):
        scene = draw_scene(replace(SCENES, secondary=depth), index)
        found[depth] = located(scene, simulate_stamp(scene, 1))
    assert found[0.5].difference_snr == pytest.approx(found[0.0].difference_snr, rel=0.15)
    assert "SECONDARY_SEEN" in found[0.5].localization_flags
    assert "SECONDARY_SEEN" not in found[0.0].localization_flags
    assert found[0.5].significance_sigma < 3.5


def test_noise_has_no_secondary():
    for seed in range(4, 10):
        assert "SECONDARY_SEEN" not in vetted(made_stamp(seed=seed, jitter=0.003, depth=0.0), BINARY).flags


@pytest.mark.parametrize(("period", "t0"), [(2.3, 1011.1), (1.7, 1010.85)])
def test_another_star_s_eclipses_are_no_noise_either(period, t0):
    """Of a period that nobody knows, never in the only transit's window: the dip is as sure as without them."""
    ephemeris, other = Ephemeris(0.0, 1010.0, 3.0), Ephemeris(period, t0, 4.0)
    quiet = made_stamp(seed=9, jitter=0.003, ephemeris=ephemeris)
    during = np.abs(other.time_from_transit(quiet.time)) < other.duration_days / 2
    flux = quiet.flux - 0.03 * FLUX * during[:, None, None] * star(5.0, 6.3)
    eclipsed = replace(quiet, flux=flux.astype(np.float32))
    assert snr_of(vetted(eclipsed, ephemeris), star()) > 0.9 * snr_of(vetted(quiet, ephemeris), star())
