"""Of FLUX_ERR a cache keeps what the checks take of it, or all; and entries of before that are read."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import zarr
from small_stamp import SMALL
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.storage import MemoryStore, ZipStore

from batchvet.errors import CacheError
from batchvet.pixels.cache import Cache
from batchvet.pixels.entry import FORMAT_VERSION, decode, encode
from batchvet.pixels.error_summary import STRETCHES, ErrorSummary
from batchvet.pixels.quality import DEFAULT
from batchvet.pixels.stamp import Stamp

N = 6400
ARRAYS = ("time", "flux", "flux_err", "quality", "cadenceno", "pos_corr", "aperture")


def test_scattered_light_shows_in_its_stretch_and_nowhere_else():
    error = np.full((N, 2, 3), 3.0, dtype=np.float32)
    error[1000:1200, 0, 1] = 5.0  # stretches 10 and 11
    summary = ErrorSummary.of(error, np.zeros(N, dtype=np.int32))
    assert summary.mean_square.shape == (STRETCHES, 2, 3)
    expected = np.full((STRETCHES, 2, 3), 9.0)
    expected[10:12, 0, 1] = 25.0
    np.testing.assert_array_equal(summary.mean_square, expected)


def test_the_variance_of_some_cadences_is_that_of_their_stretches():
    error = np.full((N, 1, 2), 3.0, dtype=np.float32)
    error[:3200, 0, 1] = 1.0
    chosen = np.zeros(N, dtype=bool)
    chosen[3000:3400:2] = True  # a hundred in each half
    found = ErrorSummary.of(error, np.zeros(N, dtype=np.int32)).variance(chosen)
    np.testing.assert_allclose(found, [[9.0, 5.0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_errors_that_are_none_do_not_count(bad):
    error = np.full((N, 1, 2), 3.0, dtype=np.float32)
    error[::2, 0, 0] = bad
    error[:, 0, 1] = bad
    found = ErrorSummary.of(error, np.zeros(N, dtype=np.int32)).variance(np.ones(N, dtype=bool))
    np.testing.assert_allclose(found, [[9.0, 0.0]])


def test_flagged_cadences_count_only_where_a_stretch_has_no_others():
    error = np.full((N, 1, 1), 3.0, dtype=np.float32)
    quality = np.zeros(N, dtype=np.int32)
    flag = DEFAULT & -DEFAULT
    error[0:50], quality[0:50] = 90.0, flag  # half of the first stretch
    error[100:200], quality[100:200] = 7.0, flag  # all of the second
    summary = ErrorSummary.of(error, quality)
    np.testing.assert_allclose(summary.mean_square.ravel()[:3], [9.0, 49.0, 9.0])


def test_a_stamp_of_some_cadences_knows_their_errors():
    error = np.full((N, 1, 2), 3.0, dtype=np.float32)
    error[:3200] = 1.0
    summary = ErrorSummary.of(error, np.zeros(N, dtype=np.int32))
    late = np.arange(N) >= 3200
    chosen = summary.select(late)
    np.testing.assert_allclose(chosen.variance(np.ones(3200, dtype=bool)), 9.0)


def test_a_cache_keeps_the_summary_and_what_it_is_told_to_keep(tmp_path):
    for kept in ("summary", "full"):
        cache = Cache(tmp_path / kept, flux_err=kept)
        key = cache.write(SMALL).key
        stamp = cache.read(key)
        assert (stamp.flux_err is not None) == (kept == "full")
        np.testing.assert_array_equal(stamp.errors.mean_square, SMALL.errors.mean_square)
        assert cache.read(key, with_errors=False).flux_err is None
        np.testing.assert_array_equal(cache.read(key, with_errors=False).errors.mean_square, 9.0)
    names = zipfile.ZipFile(tmp_path / "summary" / key.name).namelist()
    assert "flux_err_mean_square/c/0/0/0" in names and not any(name.startswith("flux_err/") for name in names)


def test_a_stamp_without_errors_has_no_summary(tmp_path):
    cache = Cache(tmp_path)
    assert cache.read(cache.write(replace(SMALL, flux_err=None)).key).errors is None


def test_any_zarr_library_opens_an_entry(tmp_path: Path):
    (tmp_path / "entry.zip").write_bytes(encode(SMALL, whole_errors=True))
    with ZipStore(tmp_path / "entry.zip", mode="r") as store:
        group = zarr.open_group(store, mode="r", zarr_format=3)
        assert group.attrs["format_version"] == FORMAT_VERSION
        for name in ARRAYS:
            mine, theirs = getattr(SMALL, name), np.asarray(group[name][...])
            assert (theirs.dtype, theirs.tobytes()) == (mine.dtype, mine.tobytes()), name
        np.testing.assert_array_equal(group["flux_err_mean_square"][...], SMALL.errors.mean_square)


def written_by_zarr(stamp: Stamp, version: int) -> bytes:
    """An entry as version 1 was written, by zarr itself."""
    attributes = json.loads(zipfile.ZipFile(BytesIO(encode(stamp))).read("zarr.json"))["attributes"]
    members: dict = {}
    store = MemoryStore(members)
    attributes |= {"format_version": version, "arrays": list(ARRAYS)}
    group = zarr.create_group(store, zarr_format=3, attributes=attributes)
    for name in ARRAYS:
        values = getattr(stamp, name)
        group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=values.shape,
            filters=[TransposeCodec(order=(1, 2, 0))] if values.ndim == 3 else None,
            compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=4), Crc32cCodec()],
            fill_value=0,
            config={"write_empty_chunks": True},
        )[...] = values
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.to_bytes())
    return file.getvalue()


def test_an_entry_of_version_1_is_read_with_the_same_numbers():
    content = written_by_zarr(SMALL, 1)
    whole, without = decode(content, "old"), decode(content, "old", with_errors=False)
    for name in ARRAYS:
        assert getattr(whole, name).tobytes() == getattr(SMALL, name).tobytes(), name
    assert without.flux_err is None
    for stamp in (whole, without):
        np.testing.assert_array_equal(stamp.errors.mean_square, SMALL.errors.mean_square)


@pytest.mark.parametrize("version", [0, 3])
def test_an_entry_of_a_version_that_is_not_known_says_what_mends_it(version):
    with pytest.raises(CacheError, match=rf"format version {version}, this program reads 1 and 2; delete the entry"):
        decode(written_by_zarr(SMALL, version), "entry")


@pytest.mark.parametrize("whole_errors", [False, True])
def test_every_chunk_that_a_reader_needs_is_missed_when_it_is_not_there(whole_errors):
    content = encode(SMALL, whole_errors=whole_errors)
    with zipfile.ZipFile(BytesIO(content)) as old:
        chunks = [name for name in old.namelist() if "/c/" in name]
        assert len(chunks) == (8 if whole_errors else 7)
        for gone in chunks:
            file = BytesIO()
            with zipfile.ZipFile(file, "w") as new:
                for name in old.namelist():
                    if name != gone:
                        new.writestr(name, old.read(name))
            with pytest.raises(CacheError, match=f"chunk {gone} is missing"):
                decode(file.getvalue(), "entry")
