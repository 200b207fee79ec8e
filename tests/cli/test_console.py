"""What people and programs read on stdout."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from batchvet.cli.console import print_json, print_table
from batchvet.runtime.bars import Bars, duration, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (12.4, "12 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 05 min")],
)
def test_durations_are_read_at_a_glance(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("n_bytes", "words"), [(999, "999 B"), (12_300_000, "12.3 MB"), (1.5e12, "1.5 TB"), (2e15, "2000.0 TB")]
)
def test_sizes_are_in_powers_of_1000(n_bytes, words):
    assert size(n_bytes) == words


def test_json_has_null_for_what_could_not_be_measured_and_no_numpy(capsys):
    print_json({"b": np.float64("nan"), "a": np.array([1, 2]), 3: (None, np.bool_(True), float("inf"))})
    assert json.loads(capsys.readouterr().out) == {"3": [None, True, None], "a": [1, 2], "b": None}


def test_a_table_in_a_pipe_is_aligned_text(capsys):
    print_table([{"TOI": "114.01", "depth": 0.5}, {"TOI": "5807.01", "depth": float("nan")}])
    assert capsys.readouterr().out == "TOI      depth\n114.01     0.5\n5807.01      -\n"


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns, as rich takes one to be."""
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def plain_text(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_brackets_of_units_and_names_are_no_markup(terminal, capsys):
    print_table([{"TOI": "x[/b]y", "depth [ppm]": 0.5, "note": "[red]"}])
    with Bars() as bars:
        bars.start("Vetting [/b]", 3)
        bars.advance(1, failed=1)
        bars.say("TOI x[/b]y [arcsec]")
    printed = capsys.readouterr()
    for words in ("x[/b]y", "depth [ppm]", "[red]"):
        assert words in plain_text(printed.out)
    assert "TOI x[/b]y [arcsec]" in plain_text(printed.err)
    assert "Vetting [/b]" in plain_text(printed.err)


def test_a_phase_is_told_once_when_all_of_it_is_done(monkeypatch, capsys):
    monkeypatch.setattr("batchvet.runtime.bars._PLAIN_SECONDS", -1.0)  # a line whenever something is done
    with Bars() as bars:
        bars.start("Vetting", 2)
        bars.advance()
        bars.advance()
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "Vetting: 1 of 2",
        "Vetting: 2 of 2",
    ]
