"""`batchvet simulate` on the command line: every option reaches the files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from batchvet.pixels.tpf import read_tpf
from batchvet.runtime.config import read_config
from batchvet.simulate import SimulationSettings, draw_scene, mission_sectors, simulate_stamp


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "batchvet", "simulate", *map(str, arguments)], capture_output=True, text=True
    )


def rows(path):
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines))


def test_options_of_the_command_are_the_settings_of_the_scenes(tmp_path):
    done = run(
        tmp_path / "sim", "--targets", 1, "--sectors", 2, "--spread", "--seed", 9, "--scenario", "on_target", "--json",
        "--cadence", 600, "--cadence", 1800, "--tmag", 9, 10, "--snr", 20, 30, "--density", 1, 2, "--crowd", 5, 9,
        "--proper-motion", 0.5, "--motion-known-by", "table", "--period", 2, 3, "--duration", 2, 3, "--ttv", 0.1,
        "--secondary", 0.5, "--secondary-phase", 0.4, "--odd-even", 0.2, "--flares", 1, "--flares-in-transit", 1,
        "--flare-host", "target", "--asteroids", 1, "--cosmic-rays", 0.1, "--t0-offset", 0.2, "--drift", 1,
        "--table-limit", 15, "--pointing", "rough", "--jitter", 2, "--jitter-error", 0.001,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = SimulationSettings(
        seed=9, sectors=mission_sectors(2), scenario="on_target", cadence_s=(600.0, 1800.0), tmag_range=(9.0, 10.0),
        snr_range=(20.0, 30.0), density_range=(1.0, 2.0), crowd_range=(5, 9), proper_motion=0.5,
        motion_known_by=("table",), period_range=(2.0, 3.0), duration_range=(2.0, 3.0), ttv=0.1, secondary=0.5,
        secondary_phase=0.4, odd_even=0.2, flares=1, flares_in_transit=1, flare_host="target", asteroids=1,
        cosmic_rays=0.1, t0_offset=0.2, drift=1.0, neighbour_limit=15.0, pointing="rough", jitter=2.0,
        pos_corr_error_px=0.001,
    )  # fmt: skip
    scene = draw_scene(settings, 0)
    assert scene.flares and scene.asteroids
    files = sorted((tmp_path / "sim" / "tpfs").iterdir(), key=lambda path: read_tpf(path).sector)
    assert len(files) == json.loads(done.stdout)["files"] == 2
    for path, sector in zip(files, (1, 27), strict=True):
        assert np.array_equal(read_tpf(path).flux, simulate_stamp(scene, sector).flux, equal_nan=True)
    truth = rows(tmp_path / "sim" / "truth.csv")[0]
    assert (float(truth["secondary"]), float(truth["odd_even"])) == (0.5, 0.2)
    assert float(truth["ttv_days"]) > 0
    events = rows(tmp_path / "sim" / "truth_sectors.csv")
    assert sum(int(row["n_flares"]) for row in events if row["toi"] == truth["toi"]) == len(scene.flares) == 3
    assert sum(int(row["n_asteroids"]) for row in events if row["toi"] == truth["toi"]) == 1


def test_without_a_table_the_configuration_names_none(tmp_path):
    done = run(tmp_path / "sim", "--targets", 1, "--sectors", 1, "--no-table", "--motion-known-by", "nobody")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "sim" / "neighbours.csv").exists()
    assert read_config(tmp_path / "sim" / "config.yaml").neighbours is None
    assert rows(tmp_path / "sim" / "toi.csv")[0]["pmra"] == ""
    stamp = read_tpf(next((tmp_path / "sim" / "tpfs").iterdir()))
    assert np.isnan(stamp.pmra) and np.isfinite(stamp.ra)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--sectors", 60, "--spread"), "52"),
        (("--motion-known-by", "gossip"), "catalog"),
        (("--table-limit", "nan"), "neighbour_limit"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line_and_exits_with_2(tmp_path, arguments, told):
    done = run(tmp_path / "never", "--targets", 1, *arguments)
    assert done.returncode == 2
    assert told in done.stderr and "Traceback" not in done.stderr
