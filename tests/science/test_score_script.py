"""The scripts that score and calibrate the localisation."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest


def test_score_runs_and_reports_every_figure_that_is_promised(scripts):
    command = [sys.executable, str(scripts / "score_localization.py"), "--scenes", "2", "--sectors", "1", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    report = json.loads(done.stdout)
    assert set(report["by_prf"]) == {"known", "empirical"}
    for figures in report["by_prf"].values():
        assert figures["scenes"] == 2
        for name in ("position", "sector_position", "hosts", "verdicts", "reliability", "hosts_by_separation"):
            assert name in figures


def test_matrix_has_a_row_for_each_value_that_is_asked_for_and_does_not_depend_on_the_number_of_processes(scripts):
    found = []
    for jobs in ("1", "2"):
        command = [
            sys.executable,
            str(scripts / "score_localization.py"),
            "--matrix",
            "--rows",
            "motion=table",
            "single",
        ]
        done = subprocess.run(
            [*command, "--scenes", "6", "--jobs", jobs, "--json"],
            capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        rows = json.loads(done.stdout)
        assert [row["row"] for row in rows] == ["single=1 transit", "motion=table"]
        for row in rows:
            assert row.pop("seconds") > 0
            assert row["n"] == 6 and row["prf"] == "empirical"
            for name in ("hosts_right", "sure_right", "wrong", "decided", "coverage_68", "coverage_95"):
                assert name in row
        found.append(json.dumps(rows, sort_keys=True))
    assert found[0] == found[1]


def test_every_row_of_the_matrix_is_a_setting_of_the_simulator_and_has_a_name_of_its_own(scripts):
    from localization_matrix import ROWS, rows_named

    from batchvet.simulate import SimulationSettings

    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert SimulationSettings(**row.options) is not None
    assert {row.axis for row in rows_named(["drift", "table=none"])} == {"drift", "table"}
    assert len(rows_named(["table=none"])) == 1
    axes = {row.axis for row in ROWS}
    assert axes >= {"sectors", "cadence", "drift", "t0", "ttv", "secondary", "flares", "asteroids", "tmag", "density"}
    assert axes >= {"motion", "table", "short", "long", "pointing"}


def test_calibration_error_is_the_mean_gap_between_stated_and_true(scripts):
    from score_localization import expected_calibration_error

    p = np.array([0.95] * 10 + [0.05] * 10)
    true = np.array([1] * 8 + [0] * 2 + [0] * 10, dtype=float)
    assert expected_calibration_error(p, true) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_limit_of_a_bright_dip_is_near_the_published_one(scripts):
    """About 17.6"/SNR per axis with photon noise, 20.8"/SNR with uniform noise."""
    from localization_scenes import cramer_rao

    from batchvet.simulate import SimulationSettings, draw_scene

    settings = SimulationSettings(seed=2, sectors=(1,), jitter=0.0, scenario="on_target")
    for index in range(5):
        scene = draw_scene(settings, index)
        snr = scene.snr[scene.dips[0].toi, 1]
        sigma = np.sqrt(np.trace(cramer_rao(scene, 1, 0)) / 2)
        assert 12 < sigma * snr < 30


def test_calibration_finds_how_far_too_sure_probabilities_are(scripts):
    """Truths drawn from weights 0.6 times as sharp as stated: the fit moves there, held back by its prior."""
    from make_calibration import fit

    from batchvet.science.hypotheses import Hypotheses

    rng, known = np.random.default_rng(1), []
    for _ in range(800):
        log_weight = np.append(rng.normal(0, 4, 3), [-30.0, -30.0])  # three stars, one that no table has, an artefact
        p = np.exp(0.6 * log_weight)
        known.append(
            (
                Hypotheses(log_weight),
                float(np.exp(rng.uniform(np.log(5), np.log(30)))),
                int(rng.choice(5, p=p / p.sum())),
            )
        )
    sharpness, confusion = fit(known)
    assert np.all((sharpness > 0.5) & (sharpness < 0.9))
    assert np.all(confusion < 0.01)
    # In every tenth scene it was a star that no table has: they count as often as the prior expects, 1 %.
    unlisted = [
        (log_weight, snr, 3 if number % 10 == 0 else true) for number, (log_weight, snr, true) in enumerate(known)
    ]
    _, confusion = fit(unlisted)
    assert np.all((confusion > 0.002) & (confusion < 0.03))


def test_ideal_observer_knows_separate_stars_and_cannot_tell_near_ones(scripts):
    from dataclasses import replace

    from localization_scenes import depth_information, distance_to_imitator, ideal_accuracy

    from batchvet.simulate import SimulationSettings, draw_scene

    scene = draw_scene(SimulationSettings(seed=2, sectors=(1,), scenario="off_target", snr_range=(30, 40)), 0)
    host, toi = scene.dips[0].host, scene.dips[0].toi
    information = depth_information(scene, (1,))
    assert scene.dips[0].depth * np.sqrt(information[host, host]) == pytest.approx(scene.snr[toi, 1], rel=0.05)
    assert distance_to_imitator(scene, information, host) > 25
    assert ideal_accuracy(scene, information, host) == 1.0
    blended = information.copy()  # the target looks just like the host
    blended[0], blended[:, 0] = information[host], information[:, host]
    blended[0, 0] = blended[0, host] = blended[host, 0] = information[host, host]
    assert distance_to_imitator(scene, blended, host) == pytest.approx(0.0, abs=1e-6)
    assert ideal_accuracy(scene, blended, host) < 0.95
    faint = replace(scene, dips=(replace(scene.dips[0], depth=1e-9),))
    assert ideal_accuracy(faint, information, host) < 0.7
