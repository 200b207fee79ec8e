"""One made run with every kind of candidate, for all tests of this folder."""

from __future__ import annotations

import pytest
from made_run import EVIL, KINDS, make_run

from batchvet.api import Run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Candidates 101.01 to 106.01, one of each kind, in that order, and one with a malicious name."""
    tois = {f"{101 + number}.01": kind for number, kind in enumerate(KINDS)}
    return make_run(tmp_path_factory.mktemp("runs") / "every kind", {**tois, EVIL: "on_target"})
