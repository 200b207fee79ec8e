"""The rule of the verdict, case by case, and what calibration does to probabilities."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from made_evidence import made_evidence

from batchvet.science.calibration import DEFAULT, Calibration
from batchvet.science.circumstances import Circumstances
from batchvet.science.hypotheses import Hypotheses, normalised
from batchvet.science.joint import vet_candidate, weigh
from batchvet.science.verdict import VerdictInput, decide

CLEAR = VerdictInput(
    n_sectors=3,
    snr=15.0,
    p_artefact=0.0,
    consistency_p=0.5,
    at_edge=False,
    p_target=0.99,
    p_target_group=0.99,
    p_best_other=0.005,
    offset_sigma=1.0,
)


def verdict_of(**changes):
    return decide(replace(CLEAR, **changes))[0]


def test_probable_target_is_on_target():
    assert decide(CLEAR) == ("ON_TARGET", ())


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"n_sectors": 0}, "NO_VALID_TRANSIT"),
        ({"snr": 4.9}, "LOW_SNR"),
        ({"snr": math.nan}, "LOW_SNR"),
        ({"p_artefact": 0.6}, "ARTEFACT"),
        ({"consistency_p": 1e-4}, "SECTORS_INCONSISTENT"),
        ({"spoilt": True}, "SPOILT_DIP"),
        ({"at_edge": True}, "SOURCE_AT_EDGE"),
    ],
)
def test_each_obstacle_makes_it_inconclusive_and_is_named(changes, flag):
    assert decide(replace(CLEAR, **changes)) == ("INCONCLUSIVE", (flag,))


def test_one_sector_has_no_consistency_and_needs_none():
    assert verdict_of(n_sectors=1, consistency_p=math.nan) == "ON_TARGET"


def test_improbable_target_with_a_probable_neighbour_or_a_far_offset_is_off_target():
    off = {"p_target": 0.001, "p_target_group": 0.001}
    assert verdict_of(**off, p_best_other=0.98) == "OFF_TARGET"
    assert verdict_of(**off, p_best_other=0.6, offset_sigma=3.5) == "OFF_TARGET"
    assert verdict_of(**off, p_best_other=0.6, offset_sigma=2.0) == "AMBIGUOUS"


def test_neither_probable_nor_improbable_is_ambiguous():
    assert verdict_of(p_target=0.6, p_target_group=0.6, p_best_other=0.4) == "AMBIGUOUS"
    assert verdict_of(p_target=0.02, p_target_group=0.02, p_best_other=0.97) == "AMBIGUOUS"


def test_offset_that_the_target_cannot_explain_is_not_on_target():
    assert verdict_of(offset_sigma=3.5) == "AMBIGUOUS"


def test_without_a_table_only_a_confined_and_probable_dip_is_on_target():
    assert verdict_of(has_table=False, confined=True) == "ON_TARGET"
    assert verdict_of(has_table=False, confined=False) == "AMBIGUOUS"
    assert verdict_of(has_table=False, confined=True, p_target=0.94, p_target_group=0.94) == "AMBIGUOUS"


@pytest.mark.parametrize("confined", [True, False])
def test_without_a_table_nothing_is_off_target(confined):
    off = {"p_target": 1e-6, "p_target_group": 1e-6, "p_best_other": 0.0, "offset_sigma": 40.0}
    assert verdict_of(**off) == "OFF_TARGET"
    assert verdict_of(**off, has_table=False, confined=confined) == "AMBIGUOUS"


def test_with_a_table_a_dip_need_not_be_confined():
    assert verdict_of(confined=False) == "ON_TARGET"


def test_calibration_keeps_the_order_and_the_sum():
    calibration = Calibration("t", (5.0, 20.0), {"spoc": (0.5, 1.0)}, {"spoc": (0.06, 0.0)})
    log_weight = np.array([0.0, -3.0, -8.0])
    p = calibration.probabilities(Hypotheses(log_weight), 5.0, "spoc").values
    assert p.sum() == pytest.approx(1.0)
    # the hypotheses: one star, a star that is not in the table, an artefact
    assert p == pytest.approx(0.94 * normalised(0.5 * log_weight) + [0.0, 0.06, 0.0])
    assert np.argmax(p) == 0


def test_calibration_is_interpolated_in_the_log_of_the_signal_to_noise_and_held_beyond():
    calibration = Calibration("t", (5.0, 20.0), {"spoc": (0.5, 1.0)}, {"spoc": (0.06, 0.0)})
    assert calibration.at(10.0, "spoc") == pytest.approx((0.75, 0.03))
    assert calibration.at(1.0, "spoc") == pytest.approx((0.5, 0.06))
    assert calibration.at(1e3, "spoc") == pytest.approx((1.0, 0.0))


def test_a_candidate_unlike_any_scene_of_the_calibration_is_flagged():
    evidence = made_evidence(np.random.default_rng(1), [(0.0, 0.0, 10.0)], (0.0, 0.0), 200.0, sectors=2)
    scenes = Circumstances.of(evidence, weigh(evidence)[0].snr)
    assert scenes.tmag == (10.0, 10.0) and scenes.n_sectors == (2, 2) and scenes.cadence_s == (1800.0, 1800.0)
    known = replace(DEFAULT, domain=asdict(scenes))
    assert "OUTSIDE_CALIBRATION" not in vet_candidate(evidence, known).flags
    for name, (least, most) in asdict(scenes).items():
        for span in ((least * 1.01, most * 2), (least / 2, most * 0.99), (math.nan, math.nan)):
            elsewhere = replace(known, domain={**known.domain, name: span})
            assert "OUTSIDE_CALIBRATION" in vet_candidate(evidence, elsewhere).flags, name


def test_a_magnitude_that_one_sector_lacks_is_not_known():
    evidence = made_evidence(np.random.default_rng(1), [(0.0, 0.0, 10.0)], (0.0, 0.0), 200.0, sectors=2)
    nameless = replace(evidence[1], hosts=replace(evidence[1].hosts, tmag=np.array([math.nan])))
    for several in ([evidence[0], nameless], [nameless, evidence[0]]):
        assert all(map(math.isnan, Circumstances.of(several, 20.0).tmag))


def test_the_calibration_that_ships_says_how_it_was_made():
    assert DEFAULT.version
    for source in ("spoc", "empirical"):
        assert len(DEFAULT.sharpness[source]) == len(DEFAULT.confusion[source]) == len(DEFAULT.snr)
        assert all(0 < value <= 1.5 for value in DEFAULT.sharpness[source])
        assert all(0 <= value < 0.2 for value in DEFAULT.confusion[source])
