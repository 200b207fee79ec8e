"""Whatever the archive does and however often the process is killed: all stamps, whole, each once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from loopback import Archive, random_faults
from stamps import stored
from test_ingest_from_mast import write_config

from batchvet.pixels.cache import Cache
from batchvet.pixels.sources import Asking
from batchvet.runtime.config import read_config
from batchvet.runtime.plan import make_plan


def command(archive: Archive, n_stamps: int, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """``batchvet ingest`` in a process of its own, which learns the archive's address from astroquery's own file."""
    archive.files += [stored(tic, 1 + tic % 3) for tic in range(1, n_stamps + 1)]
    archive.fault = random_faults(0.1, seed=7)
    config = write_config(tmp_path, list(range(1, n_stamps + 1)))
    content = yaml.safe_load(config.read_text()) | {"cluster": {"serial": True}}
    config.write_text(yaml.safe_dump(content))
    settings = tmp_path / "settings" / "astropy"
    settings.mkdir(parents=True)
    (settings / "astroquery.cfg").write_text(f"[mast]\nserver = {archive.url}\n")
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "settings"), "OMP_NUM_THREADS": "1"}
    return [sys.executable, "-m", "batchvet", "ingest", str(config), "--json"], environment


@pytest.mark.parametrize(
    ("n_stamps", "kills"),
    [(60, 3), pytest.param(500, 0, marks=pytest.mark.slow), pytest.param(500, 3, marks=pytest.mark.slow)],
)
def test_all_stamps_arrive_whole_and_once(n_stamps: int, kills: int, archive: Archive, tmp_path: Path) -> None:
    arguments, environment = command(archive, n_stamps, tmp_path)
    rng = random.Random(kills)
    for part in range(1, kills + 1):
        process = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        enough = n_stamps * part // (kills + 1)
        while sum(archive.served.values()) < enough and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["failed"] == []

    cache = Cache(tmp_path / "cache")
    assert cache.verify() == (n_stamps, [])
    entries = cache.index()
    assert {(key.tic, key.sector) for key in entries} == {(f.tic, f.sector) for f in archive.files}
    for key, entry in entries.items():
        stamp = cache.read(key)
        assert stamp.flux[0, 0, 0] == key.tic and np.isfinite(stamp.flux).all()
        assert entry.source_size == next(len(f.content) for f in archive.files if f.tic == key.tic)
    assert make_plan(read_config(tmp_path / "config.yaml"), asking=Asking(ask=False)).to_ingest() == ()
    left = [path.name for path in (tmp_path / "cache" / "downloads").iterdir()]
    assert left == []
    served = sum(archive.served.values())
    assert served <= n_stamps + kills * 8  # no more than what was on its way at a kill comes a second time


def test_an_interrupt_does_not_wait_for_a_silent_server(archive: Archive, tmp_path: Path) -> None:
    arguments, environment = command(archive, 20, tmp_path)
    archive.fault = lambda what, nth: "silent" if what.startswith("mast:") and "00000000000000" in what else None
    quiet = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(arguments, env=environment, **quiet) as process:
        try:
            while not archive.questions("file"):
                time.sleep(0.05)
            time.sleep(0.5)
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert time.monotonic() - start < 15.0  # the server's silence would last for a minute
