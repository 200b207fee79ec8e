"""A file from the archive is whole and right, or it is not there."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from loopback import FAULTS, QUICK, Archive, random_faults
from stamps import stored

from batchvet.errors import ArchiveError
from batchvet.network.politeness import Politeness
from batchvet.pixels.download import Downloader, Fetched, Wanted
from batchvet.pixels.mast_search import download_url, file_name
from batchvet.pixels.tpf import read_tpf


@pytest.fixture
def one(archive: Archive) -> Wanted:
    """The only file of the archive."""
    file = stored(77, 5, n_cadences=2000)
    archive.files.append(file)
    return Wanted(download_url(file.uri), file_name(file.uri), len(file.content))


def downloader(tmp_path: Path, politeness: Politeness = QUICK) -> Downloader:
    return Downloader(tmp_path / "downloads", tmp_path / "quarantine", politeness)


def fetch_one(wanted: Wanted, tmp_path: Path, politeness: Politeness = QUICK) -> Path:
    with downloader(tmp_path, politeness) as fetching:
        return fetching.fetch_one(wanted)


def hidden(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "downloads").iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_outlived(fault: str, archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: fault if nth == 1 else None
    path = fetch_one(one, tmp_path)
    assert path.read_bytes() == archive.files[0].content
    assert hidden(tmp_path) == []
    assert not list((tmp_path / "quarantine").glob("*"))


@pytest.mark.parametrize(
    ("fault", "kind"), [("html", "not_fits"), ("checksum", "checksum"), ("truncated", "truncated")]
)
def test_a_file_that_stays_bad_is_kept_apart_and_named(
    fault: str, kind: str, archive: Archive, one: Wanted, tmp_path: Path
) -> None:
    archive.fault = lambda what, nth: fault
    one = Wanted(one.url, one.name)  # without the size that the archive lists, only the content tells
    with pytest.raises(ArchiveError) as caught:
        fetch_one(one, tmp_path)
    assert caught.value.kind == kind
    kept = tmp_path / "quarantine" / one.name
    assert kept.exists() and str(kept) in str(caught.value)
    assert not (tmp_path / "downloads" / one.name).exists()
    assert len(archive.questions("file")) == 3


@pytest.mark.parametrize("fault", ["503", "drop"])
def test_a_server_that_stays_away_is_given_up(fault: str, archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: fault
    archive.resumable = False
    with pytest.raises(ArchiveError, match="6 times; run again later") as caught:
        fetch_one(one, tmp_path)
    assert caught.value.kind == "unreachable"
    assert not (tmp_path / "downloads" / one.name).exists()


def test_a_file_that_is_not_there_is_asked_for_once(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"404") as caught:
        fetch_one(Wanted(download_url("mast:TESS/product/no_tp.fits"), "no_tp.fits"), tmp_path)
    assert caught.value.kind == "refused"
    assert len(archive.questions("file")) == 1


def test_a_broken_transfer_goes_on_where_it_broke(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: "drop" if nth < 3 else None
    came = []
    with Downloader(tmp_path / "downloads", tmp_path / "quarantine", QUICK, came.append) as fetching:
        assert fetching.fetch_one(one).read_bytes() == archive.files[0].content
    assert len(archive.ranges) == 2
    assert sum(came) == one.size  # no byte came twice


def test_a_part_of_a_replaced_file_is_not_continued(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: "drop"
    with pytest.raises(ArchiveError):
        fetch_one(one, tmp_path, Politeness(attempts=1))
    archive.fault = lambda what, nth: None
    newer = stored(77, 5, n_cadences=2100)
    archive.files[:] = [newer]
    path = fetch_one(Wanted(one.url, one.name, len(newer.content)), tmp_path)
    assert path.read_bytes() == newer.content


def test_a_part_without_a_validator_is_fetched_anew(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / f".partial-{one.name}").write_bytes(b"somebody's bytes")
    assert fetch_one(one, tmp_path).read_bytes() == archive.files[0].content


def test_retry_after_is_honoured_by_every_thread(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 1) for tic in range(1, 9)]
    archive.retry_after = "1"
    archive.fault = lambda what, nth: "429" if nth == 1 and "0000001-0120" in what else None
    times: list[float] = []
    original = archive.fault
    archive.fault = lambda what, nth: (times.append(time.monotonic()), original(what, nth))[1]
    list(downloader(tmp_path).fetch(wanted(archive)))
    assert max(b - a for a, b in itertools.pairwise(times)) >= 0.9


def test_a_server_that_wants_to_be_left_alone_for_long_is(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.retry_after = "86400"
    archive.fault = lambda what, nth: "429"
    with pytest.raises(ArchiveError, match="left alone for 86400 s"):
        fetch_one(one, tmp_path)
    assert len(archive.questions("file")) == 1


def test_no_more_connections_than_agreed(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 1) for tic in range(1, 25)]
    archive.fault = lambda what, nth: "slow"
    list(downloader(tmp_path).fetch(wanted(archive)))
    assert 2 <= archive.most_at_once <= 4


def test_a_slow_body_is_broken_off_and_continued(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: "slow" if nth == 1 else None
    hasty = Politeness(attempts=3, first_wait_s=0.01, read_timeout_s=0.02, slowest_bytes_per_s=1e12)
    assert fetch_one(one, tmp_path, hasty).read_bytes() == archive.files[0].content
    assert len(archive.questions("file")) >= 2


def test_a_redirect_to_plain_http_elsewhere_is_refused(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: "redirect"
    archive.url = "http://example.invalid"
    with pytest.raises(ArchiveError, match="not https"):
        fetch_one(one, tmp_path)


def test_an_archive_that_is_away_stops_the_downloads(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 1) for tic in range(1, 40)]
    archive.fault = lambda what, nth: "503"
    with pytest.raises(ArchiveError, match="10 files in a row"):
        list(downloader(tmp_path, Politeness(attempts=2, first_wait_s=0.01)).fetch(wanted(archive)))
    assert len(archive.questions("file")) < 2 * 25


def test_a_file_that_is_there_is_not_fetched_again(archive: Archive, one: Wanted, tmp_path: Path) -> None:
    fetch_one(one, tmp_path)
    fetch_one(one, tmp_path)
    assert len(archive.questions("file")) == 1


def test_a_cutout_comes_out_of_its_zip_file(archive: Archive, tmp_path: Path) -> None:
    from stamps import stamp_file

    archive.cutouts[3] = stamp_file(5, 3, cut=True)
    location = "tesscut:tess-s0003-1-2_0000000000000005_10.000000_-20.000000_11x11_astrocut.fits"
    path = fetch_one(Wanted(download_url(location), file_name(location)), tmp_path)
    assert archive.questions("file") == ["cutout 3 11x11"]
    stamp = read_tpf(path)
    assert (stamp.tic, stamp.sector) == (0, 3)


def test_under_every_kind_of_fault_all_files_come_whole(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 1) for tic in range(1, 101)]
    archive.fault = random_faults(0.1, seed=1)
    stubborn = Politeness(attempts=30, first_wait_s=0.001, longest_wait_s=0.01, read_timeout_s=5.0)
    got = list(downloader(tmp_path, stubborn).fetch(wanted(archive)))
    assert [fetched.error for fetched in got] == [None] * 100
    by_name = {file_name(file.uri): file.content for file in archive.files}
    assert {fetched.path.name: fetched.path.read_bytes() for fetched in got} == by_name


def wanted(archive: Archive) -> list[Wanted]:
    return [Wanted(download_url(f.uri), file_name(f.uri), len(f.content)) for f in archive.files]


def test_errors_come_with_their_file(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 1) for tic in (1, 2)]
    missing = Wanted(download_url("mast:none_tp.fits"), "none_tp.fits")
    got = {fetched.wanted.name: fetched for fetched in downloader(tmp_path).fetch([missing, *wanted(archive)])}
    assert isinstance(got["none_tp.fits"], Fetched) and got["none_tp.fits"].error.kind == "refused"
    assert sum(fetched.path is not None for fetched in got.values()) == 2
