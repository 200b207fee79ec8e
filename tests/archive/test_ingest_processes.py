"""What the processes of an ingest load and keep."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback import Archive
from stamps import stored
from test_killed_ingest import command

from batchvet.pixels.mast import Downloaded
from batchvet.pixels.sources import Offer
from batchvet.runtime.ingest import IngestFile

WORKER = """
import pickle, sys
work, offer = pickle.load(sys.stdin.buffer)
done = work(offer)
assert done.tic == 21, done
print(",".join(name for name in ("lightkurve", "astroquery", "batchvet") if name in sys.modules))
"""


def test_a_worker_imports_neither_lightkurve_nor_astroquery(tmp_path: Path) -> None:
    file = stored(21, 3)
    (tmp_path / "tp.fits").write_bytes(file.content)
    offer = Offer(21, 3, 120, file.uri, len(file.content), source=Downloaded(str(tmp_path / "tp.fits")))
    sent = pickle.dumps((IngestFile(str(tmp_path / "cache")), offer))
    done = subprocess.run([sys.executable, "-c", WORKER], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "batchvet"


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.slow
def test_the_client_needs_no_more_memory_for_the_thousandth_file(archive: Archive, tmp_path: Path) -> None:
    arguments, environment = command(archive, 1000, tmp_path)
    archive.fault = lambda what, nth: None
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    sizes: dict[int, float] = {}
    for n_files in (200, 600, 980):
        while len(archive.served) < n_files and process.poll() is None:
            time.sleep(0.02)
        sizes[n_files] = resident_mb(process.pid)
    assert process.wait() == 0
    print(sizes)
    assert sizes[980] - sizes[200] < 10.0
