"""A disk that is too small, a true one: what fits is kept, the words say so, and with more room the run goes on."""

from __future__ import annotations

import subprocess

import pytest
from same_tables import same_tables

from batchvet.api import run
from batchvet.errors import RunError


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a size; gives what changes it."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(*options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(place)], check=True, capture_output=True)

    try:
        mount("-o", "size=200k")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    yield place, lambda size: mount("-o", f"remount,size={size}")
    subprocess.run(["umount", str(place)], check=True)


def test_tables_on_a_disk_that_fills_up(config, whole, small_disk):
    place, resize = small_disk
    config = config.model_copy(update={"output": place / "run"})
    with pytest.raises(
        RunError, match=r"small/run/.* cannot be written \(No space left on device\); what is done is kept"
    ):
        run(config)
    resize("60m")
    assert run(config).is_finished
    assert same_tables(config.output, whole)


def test_a_cache_on_a_disk_that_fills_up_costs_rows_that_are_tried_again(config, whole, small_disk):
    place, resize = small_disk
    resize("1500k")
    config = config.model_copy(update={"cache": str(place / "cache")})
    rows = run(config).sectors
    full = rows["status"] == "error"
    assert full.any()
    assert set(rows.loc[full, "error_kind"]) == {"storage"}
    assert rows.loc[full, "error"].str.contains("No space left on device").all()
    resize("100m")
    run(config)
    assert same_tables(config.output, whole)
