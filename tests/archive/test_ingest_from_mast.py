"""From a table of candidates and an archive to a filled cache, through the same functions as the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from loopback import Archive, random_faults
from stamps import stamp_file, stored

from batchvet.errors import ArchiveError, ConfigError
from batchvet.pixels.cache import Cache
from batchvet.pixels.entry import StampKey
from batchvet.pixels.mast import Downloaded
from batchvet.pixels.sources import Asking, Offer
from batchvet.runtime import fill
from batchvet.runtime.config import read_config
from batchvet.runtime.ingest import IngestFile
from batchvet.runtime.plan import make_plan
from batchvet.runtime.tasks import Cached, Missing

QUICK = {"attempts": 30, "first_wait_s": 0.001, "longest_wait_s": 0.01, "read_timeout_s": 5.0}


def write_config(tmp_path: Path, tics: list[int], sectors: str = "", **mast: object) -> Path:
    rows = [f'{tic}.01,{tic},3.0,1501.0,2.0,10.0,-20.0,"{sectors}"' for tic in tics]
    header = "toi,tic,period_days,t0_btjd,duration_hours,ra,dec,sectors"
    (tmp_path / "toi.csv").write_text("\n".join([header, *rows]) + "\n")
    config = {
        "catalog": "toi.csv",
        "sources": [{"mast": {"politeness": QUICK} | mast}],
        "cluster": {"serial": True},
        "output": "run",
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def ingest(config: Path) -> dict[str, Any]:
    return fill.ingest(read_config(config))


def left_over(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "downloads").iterdir())


def test_the_cache_holds_each_stamp_as_the_archive_has_it(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, sector) for tic in (21, 22) for sector in (3, 4)]
    done = ingest(write_config(tmp_path, [21, 22, 23]))
    assert (done["ingested"], done["missing"], done["failed"]) == (4, 1, [])
    cache = Cache(tmp_path / "cache")
    for file in archive.files:
        stamp = cache.read(StampKey(file.tic, file.sector, 120))
        assert stamp.flux[0, 0, 0] == file.tic
        assert stamp.source == file.uri
    assert left_over(tmp_path) == []


def test_what_is_cached_is_neither_searched_nor_fetched_again(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 3) for tic in (21, 22)]
    config = write_config(tmp_path, [21, 22, 23])
    ingest(config)
    n_asked = len(archive.asked)
    assert ingest(config)["ingested"] == 0
    assert len(archive.asked) == n_asked
    plan = make_plan(read_config(config), asking=Asking(ask=False))
    assert plan.summary()["tasks_cached"] == 2
    assert plan.summary()["targets_not_asked"] == 0
    assert [task.pixels.problem.kind for task in plan.tasks if isinstance(task.pixels, Missing)] == ["missing_tpf"]


def test_a_plan_without_the_network_says_what_it_does_not_know(archive: Archive, tmp_path: Path) -> None:
    plan = make_plan(read_config(write_config(tmp_path, [21, 22])), asking=Asking(ask=False))
    assert plan.summary()["targets_not_asked"] == 2
    assert {task.pixels.problem.kind for task in plan.tasks} == {"not_asked"}
    assert archive.asked == []


def test_a_sector_that_the_archive_lacks_is_missing(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(21, 3))
    config = write_config(tmp_path, [21], sectors="3,4")
    done = ingest(config)
    assert (done["ingested"], done["missing"]) == (1, 1)
    plan = make_plan(read_config(config), asking=Asking(ask=False))
    there, missing = sorted(plan.tasks, key=lambda task: task.sector)
    assert (there.sector, type(there.pixels)) == (3, Cached)
    assert (missing.sector, missing.pixels.problem.kind) == (4, "missing_tpf")


def test_a_cutout_becomes_the_stamp_of_its_target(archive: Archive, tmp_path: Path) -> None:
    archive.cutouts[7] = stamp_file(0, 7, cut=True, exptime=600.0)
    archive.cutouts_near = (10.0, -20.0)
    done = ingest(write_config(tmp_path, [21], tesscut=True))
    assert (done["ingested"], done["failed"]) == (1, [])
    stamp = Cache(tmp_path / "cache").read(StampKey(21, 7, 600))
    assert (stamp.tic, stamp.sector) == (21, 7)
    assert "BACKGROUND_INCLUDED" in stamp.flags
    assert make_plan(read_config(tmp_path / "config.yaml"), asking=Asking(ask=False)).summary()["tasks_cached"] == 1


def test_a_bad_file_is_a_failure_that_names_where_it_is_kept(archive: Archive, tmp_path: Path) -> None:
    good, other = stored(21, 3), stored(22, 3)
    archive.files += [good, type(other)(22, 3, "SPOC", 120.0, other.uri, stamp_file(99, 3))]  # of another target
    done = ingest(write_config(tmp_path, [21, 22]))
    assert done["ingested"] == 1
    (failed,) = done["failed"]
    kept = tmp_path / "cache" / "quarantine" / other.uri.rsplit("/", 1)[-1]
    assert failed["error_kind"] == "identity"
    assert kept.exists() and str(kept) in failed["error"]
    assert left_over(tmp_path) == []


def test_an_archive_that_is_away_ends_the_ingest_and_keeps_what_came(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 3) for tic in range(1, 31)]
    first = {f.uri for f in archive.files[:5]}
    archive.fault = lambda what, nth: "503" if what.startswith("mast:") and what not in first else None
    config = write_config(tmp_path, list(range(1, 31)), politeness=QUICK | {"attempts": 2})
    with pytest.raises(ArchiveError, match="10 files in a row"):
        ingest(config)
    assert len(Cache(tmp_path / "cache").index()) == 5
    archive.fault = lambda what, nth: None
    assert ingest(config)["ingested"] == 25
    assert max(archive.served.values()) == 1


def test_workers_get_files_while_others_are_fetched(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 3) for tic in range(1, 41)]
    archive.fault = random_faults(0.1, seed=3)
    config = write_config(tmp_path, list(range(1, 41)))
    content = yaml.safe_load(config.read_text()) | {"cluster": {"workers": 2}}
    config.write_text(yaml.safe_dump(content))
    done = ingest(config)
    assert (done["ingested"], done["failed"]) == (40, [])
    cache = Cache(tmp_path / "cache")
    first_pixels = [cache.read(StampKey(tic, 3, 120)).flux[0, 0, 0] for tic in range(1, 41)]
    np.testing.assert_array_equal(first_pixels, np.arange(1, 41))


def test_a_file_that_another_run_has_just_cached_is_no_failure(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(21, 3))
    ingest(write_config(tmp_path, [21]))
    file = archive.files[0]
    offer = Offer(21, 3, 120, file.uri, len(file.content), source=Downloaded(str(tmp_path / "deleted_tp.fits")))
    work = IngestFile(str(tmp_path / "cache"))
    assert work(offer).tic == 21
    other = replace(offer, location="mast:TESS/product/never_seen_tp.fits")
    assert work(other).kind == "unreadable"


def test_a_file_that_a_killed_run_left_is_cleared_up(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(21, 3), stored(22, 3)]
    config = write_config(tmp_path, [21])
    ingest(config)
    left = tmp_path / "cache" / "downloads" / archive.files[0].uri.rsplit("/", 1)[-1]
    left.write_bytes(archive.files[0].content)
    write_config(tmp_path, [21, 22])
    assert ingest(config)["ingested"] == 1
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("mast", "problem"),
    [
        ({"author": "SPOK"}, "author"),
        ({"exptime": 0}, "exptime"),
        ({"tesscuts": True}, "tesscuts"),
        ({"politeness": {"connections": 0}}, "at least 1"),
        ({"politeness": {"connection": 2}}, "connection"),
        ({"politeness": {"read_timeout_s": 0}}, "positive"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(mast: dict[str, object], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_config(write_config(tmp_path, [21], **mast))


def test_one_author_and_one_exposure_need_no_list(tmp_path: Path) -> None:
    mast = read_config(write_config(tmp_path, [21], author="TESS-SPOC", exptime=120)).sources[0].mast
    assert (mast.author, mast.exptime) == (("TESS-SPOC",), (120,))
