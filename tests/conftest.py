"""Where the real pixels are, and the fixtures that more than one folder uses."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a suite in the background: its children would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("BATCHVET_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real TESS pixels and PRF files; a test that needs it is marked ``real_data``."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("real pixels not found: put them in ../shared/data or set BATCHVET_SHARED")
    return data
