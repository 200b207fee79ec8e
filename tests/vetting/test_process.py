"""How a process is set up while it measures."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

import batchvet.vetting.process as process
from batchvet.vetting.process import measuring

#: Arrays of 4 MB that come and go; the pages that had to be fetched from the system for them.
ARRAYS = """
import resource, sys
import numpy as np
from batchvet.vetting.process import measuring
def work():
    for _ in range(100):
        np.ones(500_000)
if sys.argv[1] == "measuring":
    with measuring():
        work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_libraries_are_looked_for_once(monkeypatch):
    looked = []
    kept = process.ThreadpoolController
    monkeypatch.setattr(process, "ThreadpoolController", lambda: looked.append(1) or kept())
    process._libraries.cache_clear()
    for _ in range(5):
        with measuring():
            pass
    assert len(looked) == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library, which keeps memory as it likes")
def test_memory_is_kept_between_measurements_even_where_dask_would_have_it_given_back():
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    pages = {
        how: int(subprocess.check_output([sys.executable, "-c", ARRAYS, how], env=environment))
        for how in ("plainly", "measuring")
    }
    assert pages["plainly"] > 50_000 and pages["measuring"] < 5_000
