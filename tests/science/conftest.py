"""The scripts that score the localisation, to be imported by the tests that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture()
def scripts(monkeypatch) -> Path:
    """Folder of the scripts, from which a test may import while it runs."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return SCRIPTS


@pytest.fixture()
def pixels(scripts):
    """`scripts/real_pixels.py`: the real stamps, and what it puts into them."""
    import real_pixels

    return real_pixels
