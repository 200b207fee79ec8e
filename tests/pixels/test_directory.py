"""A directory of files as a source: everything found, headers read once, the right one chosen."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest
from astropy.io import fits

from batchvet.errors import ConfigError, StorageError
from batchvet.pixels import directory as module
from batchvet.pixels.directory import DirectorySource
from batchvet.pixels.sources import Offer, best_offers, read_offered_file
from batchvet.pixels.storage import LocalStorage
from batchvet.simulate import simulate


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("sim") / "sim", targets=2, sectors=2, seed=1).files


@pytest.fixture
def nested(files, tmp_path):
    """Two files at the top, two in folders, one of them compressed, and things that are no stamps."""
    import gzip

    top = tmp_path / "tpfs"
    (top / "a" / "b").mkdir(parents=True)
    shutil.copy(files[0], top)
    shutil.copy(files[1], top)
    shutil.copy(files[2], top / "a")
    (top / "a" / "b" / f"{files[3].name}.gz").write_bytes(gzip.compress(files[3].read_bytes()))
    (top / "notes.txt").write_text("not a stamp")
    (top / ".hidden.fits").write_text("not a stamp")
    return top


def test_nested_and_compressed_files_are_found(nested):
    found = DirectorySource(nested).files()
    assert [(f.sector, f.error) for f in found] == [(2, ""), (1, ""), (1, ""), (2, "")]
    targets = {f.tic: (0.0, 0.0) for f in found}
    assert len(targets) == 2
    assert len(list(DirectorySource(nested).offers(targets))) == 4
    assert list(DirectorySource(nested).offers({5: (0.0, 0.0)})) == []


def test_headers_are_read_once(nested, tmp_path, monkeypatch):
    storage = LocalStorage(tmp_path / "cache")
    opened = []
    read_head = module.read_head
    monkeypatch.setattr(module, "read_head", lambda path: opened.append(path) or read_head(path))
    first = DirectorySource(nested, storage).files()
    assert len(opened) == 4
    assert DirectorySource(nested, storage).files() == first
    assert len(opened) == 4
    changed = nested / first[-1].path
    with fits.open(changed, mode="update") as hdus:
        hdus[0].header["DATE"] = "2030-01-01"
    assert DirectorySource(nested, storage).files() != first
    assert opened[4:] == [changed]


def test_damaged_index_is_made_anew(nested, tmp_path):
    storage = LocalStorage(tmp_path / "cache")
    first = DirectorySource(nested, storage).files()
    for index in (tmp_path / "cache").rglob("*.parquet"):
        index.write_bytes(b"PAR1 not a table")
    assert DirectorySource(nested, storage).files() == first


def test_index_that_cannot_be_kept_is_done_without(nested, tmp_path):
    assert len(DirectorySource(nested, ReadOnly(tmp_path / "empty")).files()) == 4


class ReadOnly(LocalStorage):
    """A cache of somebody else's."""

    def put(self, name, content, check, *, replace):
        raise StorageError(f"{name}: cannot be written (Permission denied)")


def test_file_without_a_header_is_known_by_its_name(nested, files):
    broken = nested / files[0].name
    broken.write_text("<html>Not Found</html>")
    source = DirectorySource(nested)
    (bad,) = [f for f in source.files() if f.error]
    assert bad.error_kind == "not_fits"
    assert bad.tic and bad.sector
    assert str(broken) in bad.error
    (offer,) = [o for o in source.offers({bad.tic: (0.0, 0.0)}) if o.sector == bad.sector]
    assert offer.error_kind == "not_fits"


def test_file_that_says_nothing_is_offered_for_no_target(nested):
    fits.PrimaryHDU().writeto(nested / "mine.fits")
    source = DirectorySource(nested)
    assert "mine.fits" in [found.path for found in source.files() if not found.sector and not found.tic]
    targets = {found.tic: (found.ra, found.dec) for found in source.files() if found.tic}
    assert not [offer for offer in source.offers(targets) if offer.location.endswith("mine.fits")]


def test_tesscut_file_goes_to_the_target_at_its_position(nested, files):
    with fits.open(files[0]) as hdus:
        ra, dec, tic = (hdus[0].header[key] for key in ("RA_OBJ", "DEC_OBJ", "TICID"))
        del hdus[0].header["TICID"], hdus[0].header["OBJECT"]
        hdus[0].header["CREATOR"] = "astrocut"
        hdus.writeto(nested / f"tess-s{hdus[0].header['SECTOR']:04d}-1-1_{ra:.6f}_{dec:.6f}_11x11_astrocut.fits")
    (nested / files[0].name).unlink()
    source = DirectorySource(nested)
    near = [o for o in source.offers({tic: (ra, dec + 5 / 3600), 1: (ra + 1, dec)}) if "astrocut" in o.location]
    assert [o.tic for o in near] == [tic]
    assert read_offered_file(near[0]).tic == tic
    assert not [o for o in source.offers({tic: (ra, dec + 30 / 3600)}) if "astrocut" in o.location]


def test_link_that_leads_nowhere_is_a_file_that_cannot_be_read(nested, files):
    link = nested / files[3].name
    link.symlink_to(nested / "nowhere.fits")
    (bad,) = [f for f in DirectorySource(nested).files() if f.error]
    assert (bad.path, bad.error_kind, bad.tic > 0, bad.sector) == (files[3].name, "unreadable", True, 2)


def test_links_are_followed_but_not_in_circles(nested, tmp_path):
    before = len(DirectorySource(nested).files())
    (nested / "a" / "top").symlink_to(nested)
    assert len(DirectorySource(nested).files()) == before
    (tmp_path / "other").symlink_to(nested)
    assert len(DirectorySource(tmp_path / "other").files()) == before


def test_links_that_point_at_each_other_end_nothing(nested, files, tmp_path):
    n = len(list(DirectorySource(nested).files()))
    for name, other in (("one", "two"), ("two", "one"), (f"x{files[0].name}", f"y{files[0].name}")):
        (nested / name).symlink_to(nested / other)
    (nested / f"y{files[0].name}").symlink_to(nested / f"x{files[0].name}")
    found = DirectorySource(nested).files()
    assert len(found) == n + 2
    assert {f.error_kind for f in found if f.path.startswith(("x", "y"))} == {"unreadable"}


def test_pipe_is_no_file_to_wait_for(nested, files):
    before = len(DirectorySource(nested).files())
    os.mkfifo(nested / "pipe.fits")
    assert len(DirectorySource(nested).files()) == before


def test_folder_that_cannot_be_listed_is_named(nested, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=r"tpfs cannot be listed \(Permission denied\)"):
        DirectorySource(nested).files()


def test_missing_directory_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="is not a directory; name one"):
        DirectorySource(tmp_path / "nowhere")


def test_best_offer_does_not_depend_on_the_listing():
    base = Offer(1, 2, 120, "b.fits", date="2020-01-01")
    offers = [
        base,
        replace(base, location="a.fits"),
        replace(base, location="old.fits", date="2019-01-01"),
        replace(base, cadence_s=20, location="fast.fits"),
        replace(base, cadence_s=1800, location="slow.fits"),
        replace(base, location="0.fits", error="broken"),
    ]
    for order in (offers, offers[::-1]):
        assert best_offers(order)[1, 2].location == "a.fits"
    assert best_offers(offers[3:5])[1, 2].cadence_s == 20
