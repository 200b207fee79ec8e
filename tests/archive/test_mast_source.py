"""MAST is asked once for each target; the stated rule picks the product; what it lacks is remembered."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from loopback import QUICK, Archive
from stamps import stamp_file, stored

from batchvet.errors import ArchiveError
from batchvet.pixels.mast import MastChoice, MastSource
from batchvet.pixels.mast_search import MastSearch
from batchvet.pixels.sources import Asking, Offer
from batchvet.pixels.storage import LocalStorage


def source(tmp_path: Path, choice: MastChoice | None = None, **options: Any) -> MastSource:
    return MastSource(choice or MastChoice(), LocalStorage(tmp_path / "cache"), Asking(**options), QUICK)


def offered(source: MastSource, tics: Iterable[int]) -> dict[tuple[int, int], Offer]:
    return {(offer.tic, offer.sector): offer for offer in source.offers({tic: (10.0, -20.0) for tic in tics})}


def test_every_sector_of_every_target_is_offered_with_its_size(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, sector) for tic in (11, 12) for sector in (1, 5)]
    got = offered(source(tmp_path), [11, 12, 13])
    assert {key: (offer.location, offer.size) for key, offer in got.items()} == {
        (f.tic, f.sector): (f.uri, len(f.content)) for f in archive.files
    }


def test_the_search_finds_what_lightkurve_finds(archive: Archive) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optional parts
        import lightkurve

    archive.files += [stored(11, 1), stored(11, 1, exptime=20), stored(11, 2), stored(12, 1)]
    archive.files.append(stored(11, 3, "TESS-SPOC", 200))
    theirs = lightkurve.search_targetpixelfile("TIC 11", author=("SPOC", "TESS-SPOC")).table
    ours = MastSearch(QUICK).stamps([11], ("SPOC", "TESS-SPOC"))
    assert {(p.location, p.sector, p.author, p.cadence_s, p.size) for p in ours} == {
        (row["dataURI"], row["sequence_number"], row["author"], row["exptime"], row["size"]) for row in theirs
    }
    assert len(ours) == 4


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (MastChoice(), {1: 120, 2: 20}),
        (MastChoice(exptimes=(120,)), {1: 120}),
        (MastChoice(exptimes=(20, 120)), {1: 20, 2: 20}),
        (MastChoice(authors=("SPOC", "TESS-SPOC")), {1: 120, 2: 20, 3: 200}),
        (MastChoice(authors=("TESS-SPOC", "SPOC")), {1: 1800, 2: 20, 3: 200}),
    ],
)
def test_author_order_counts_before_exposure_order(
    choice: MastChoice, expected: dict[int, int], archive: Archive, tmp_path: Path
) -> None:
    archive.files += [stored(11, 1), stored(11, 1, exptime=20), stored(11, 2, exptime=20)]
    archive.files += [stored(11, 1, "TESS-SPOC", 1800), stored(11, 3, "TESS-SPOC", 200)]
    got = offered(source(tmp_path, choice), [11])
    assert {sector: offer.cadence_s for (_, sector), offer in got.items()} == expected


def test_of_two_deliveries_the_later_is_taken(archive: Archive, tmp_path: Path) -> None:
    first, second = stored(11, 1), stored(11, 1)
    later = second.uri.replace("tess2018", "tess2019")
    archive.files += [first, type(second)(11, 1, "SPOC", 120.0, later, second.content)]
    assert offered(source(tmp_path), [11])[11, 1].location == later


def test_a_target_is_asked_for_once(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(11, 1))
    first = offered(source(tmp_path), [11, 12])
    n_asked = len(archive.asked)
    assert offered(source(tmp_path), [12, 11]) == first
    assert len(archive.asked) == n_asked
    offered(source(tmp_path), [11, 12, 13])
    assert archive.questions("search")[-1] == "['13']"


def test_many_targets_are_asked_for_in_few_questions(archive: Archive, tmp_path: Path) -> None:
    archive.files += [stored(tic, 1) for tic in range(1, 4)]
    assert len(offered(source(tmp_path), range(1, 251))) == 3
    assert len(archive.questions("search")) == 4  # three hundreds, and the files of the first


def test_what_is_remembered_too_long_or_refreshed_is_asked_again(archive: Archive, tmp_path: Path) -> None:
    assert offered(source(tmp_path), [11]) == {}
    archive.files.append(stored(11, 1))
    assert offered(source(tmp_path), [11]) == {}
    assert len(offered(source(tmp_path, MastChoice(remember_days=-1.0)), [11])) == 1
    archive.files.append(stored(11, 2))
    assert len(offered(source(tmp_path, refresh=True), [11])) == 2


def test_a_plan_asks_nothing_and_says_what_it_does_not_know(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(11, 1))
    offered(source(tmp_path), [11])
    n_asked = len(archive.asked)
    planning = source(tmp_path, MastChoice(remember_days=-1.0), ask=False)
    assert set(offered(planning, [11, 12])) == {(11, 1)}
    assert planning.not_asked == {12}
    assert len(archive.asked) == n_asked


@pytest.mark.parametrize("fault", ["503", "429", "html", "drop"])
def test_a_search_outlives_a_passing_fault(fault: str, archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(11, 1))
    archive.fault = lambda what, nth: fault if nth < 3 else None
    assert set(offered(source(tmp_path), [11])) == {(11, 1)}


def test_answers_given_before_the_archive_went_away_are_kept(archive: Archive, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: "503" if "'101'" in what else None
    with pytest.raises(ArchiveError, match=r"searching MAST for stamps of 50 targets: .* 503"):
        offered(source(tmp_path), range(1, 151))
    planning = source(tmp_path, ask=False)
    offered(planning, range(1, 151))
    assert planning.not_asked == set(range(101, 151))


def test_a_silent_search_is_given_up(archive: Archive, tmp_path: Path) -> None:
    archive.fault = lambda what, nth: "drop"
    with pytest.raises(ArchiveError, match="the connection fails or breaks, 6 times"):
        offered(source(tmp_path), [11])


def test_cutouts_fill_the_sectors_without_a_stamp(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(11, 1))
    archive.cutouts |= {sector: stamp_file(0, sector, cut=True) for sector in (1, 2)}
    archive.cutouts_near = (10.0, -20.0)
    got = offered(source(tmp_path, MastChoice(cutout_pixels=11)), [11])
    assert got[11, 1].location == archive.files[0].uri
    assert got[11, 2].location.startswith("tesscut:tess-s0002-1-2_0000000000000011_10.000000_-20.000000_11x11")
    assert set(offered(source(tmp_path), [11])) == {(11, 1)}  # without the fallback, whatever is remembered with it


def test_a_damaged_memory_is_asked_anew(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(11, 1))
    offered(source(tmp_path), [11])
    (kept,) = (tmp_path / "cache" / "sources").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert set(offered(source(tmp_path), [11])) == {(11, 1)}


def test_old_answers_hold_when_the_archive_is_away(archive: Archive, tmp_path: Path) -> None:
    archive.files.append(stored(11, 1))
    offered(source(tmp_path), [11])
    archive.fault = lambda what, nth: "503"
    old = source(tmp_path, MastChoice(remember_days=-1.0))
    assert set(offered(old, [11])) == {(11, 1)}
    assert "answers are older than" in old.note
    with pytest.raises(ArchiveError):
        offered(source(tmp_path, refresh=True), [11])
    with pytest.raises(ArchiveError):
        offered(source(tmp_path), [11, 12])
