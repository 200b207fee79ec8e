"""The cache keeps what it was given to the last bit, whole or not at all, on disk and in a bucket alike."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stamp import SMALL

from batchvet.errors import CacheError, StorageError
from batchvet.pixels.bucket import Bucket
from batchvet.pixels.cache import INDEX, Cache, CacheEntry
from batchvet.pixels.entry import StampKey, check_seal, decode, encode
from batchvet.pixels.index_file import decode_records, encode_records
from batchvet.pixels.stamp import Stamp

ARRAYS = ("time", "flux", "flux_err", "quality", "cadenceno", "pos_corr", "aperture")


@pytest.fixture(params=["disk", "s3"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Cache:
    """An empty cache on disk, or in a bucket."""
    if request.param == "disk":
        return Cache(tmp_path / "cache", flux_err="full")
    return Cache(f"{request.getfixturevalue('s3').url}/some/prefix", flux_err="full")


def put(cache: Cache, name: str, content: bytes) -> None:
    """Write past the cache: what damage and carelessness do."""
    cache.storage.put(name, content, lambda written: None, replace=True)


def same(a: Stamp, b: Stamp) -> bool:
    """Every field alike, arrays to the last bit."""
    for f in fields(Stamp):
        if f.name == "summary":  # test_error_summary.py
            continue
        one, other = getattr(a, f.name), getattr(b, f.name)
        if isinstance(one, np.ndarray):
            if (one.dtype, one.shape, one.tobytes()) != (other.dtype, other.shape, other.tobytes()):
                return False
        elif one != other and not (one != one and other != other):
            return False
    return True


def test_a_stamp_comes_back_to_the_last_bit_nan_payloads_and_signed_zeros_too(cache: Cache, small_stamp: Stamp) -> None:
    flux = small_stamp.flux.copy()
    flux.view(np.uint32)[0, 0] = [0x7FC00001, 0xFFC0BEEF, 0x7F800001, 0x80000000]  # quiet, signed, signalling NaN, -0
    flux[1, 0] = [np.inf, -np.inf, np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max]
    time = small_stamp.time.copy()
    time[3] = np.nan
    stamp = replace(small_stamp, flux=flux, time=time, pmra=np.nan)
    entry = cache.write(stamp, source_size=5, source_mtime_ns=7)
    assert same(cache.read(entry.key), stamp)
    assert (entry.source_size, entry.source_mtime_ns, entry.source_sha256) == (5, 7, stamp.sha256)


def test_arrays_that_a_file_lacks_stay_lacking(cache: Cache, small_stamp: Stamp) -> None:
    stamp = replace(small_stamp, flux_err=None, pos_corr=None)
    assert same(cache.read(cache.write(stamp).key), stamp)


def test_errors_are_left_unread_on_request(cache: Cache, small_stamp: Stamp) -> None:
    key = cache.write(small_stamp).key
    assert same(cache.read(key, with_errors=False), replace(small_stamp, flux_err=None))


def test_the_same_stamp_gives_the_same_bytes(small_stamp: Stamp) -> None:
    content = encode(small_stamp, 1, 2)
    assert content == encode(replace(small_stamp, flux=np.asfortranarray(small_stamp.flux)), 1, 2)
    with zipfile.ZipFile(BytesIO(content)) as archive:  # no time of writing, which would tell later bytes from these
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_first_writer_wins_unless_told_to_replace(cache: Cache, small_stamp: Stamp) -> None:
    later = replace(small_stamp, flux=small_stamp.flux + 1)
    key = cache.write(small_stamp).key
    cache.write(later)
    assert same(cache.read(key), small_stamp)
    before = cache.index()[key].version
    cache.write(later, replace=True)
    assert same(cache.read(key), later)
    assert cache.index()[key].version != before


def test_the_index_knows_every_entry_and_only_those(cache: Cache, small_stamp: Stamp) -> None:
    stamps = [replace(small_stamp, tic=tic, sector=sector) for tic in (1, 2) for sector in (1, 27)]
    stamps.append(replace(small_stamp, tic=1, sector=27, cadence_s=20.0))
    for stamp in stamps:
        cache.write(stamp)
    index = cache.index()
    assert set(index) == {StampKey.of(stamp) for stamp in stamps}
    assert index[StampKey(1, 27, 20)].n_cadences == 20
    assert {entry.camera for entry in index.values()} == {1}


def empty(content: bytes) -> bytes:
    return b""


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    return content[:99] + bytes([content[99] ^ 1]) + content[100:]


@pytest.mark.parametrize("damage", [empty, cut, flip, lambda content: b"PAR1 not parquet PAR1"])
def test_a_damaged_index_is_made_anew(cache: Cache, small_stamp: Stamp, damage: Callable) -> None:
    cache.write(small_stamp)
    right = cache.index()
    put(cache, INDEX, damage(cache.storage.read(INDEX)))
    assert cache.index() == right
    assert Cache(cache.location).index() == right


def test_a_stale_index_follows_the_entries(cache: Cache, small_stamp: Stamp) -> None:
    first = cache.write(small_stamp).key
    cache.index()
    second = cache.write(replace(small_stamp, tic=7)).key
    replaced = cache.write(replace(small_stamp, sha256="cd" * 32), replace=True)
    index = cache.index()
    assert set(index) == {first, second}
    assert index[first].source_sha256 == replaced.source_sha256
    assert cache.reindex() == index


def test_a_sound_cache_verifies(cache: Cache, small_stamp: Stamp) -> None:
    for tic in (1, 2, 3):
        cache.write(replace(small_stamp, tic=tic))
    cache.index()
    seen: list[int] = []
    assert cache.verify(seen.append) == (3, [])
    assert seen == [1, 2, 3]


def test_verify_names_what_is_damaged_and_nothing_else(cache: Cache, small_stamp: Stamp) -> None:
    for tic in range(1, 8):
        cache.write(replace(small_stamp, tic=tic))
    content = {tic: cache.storage.read(StampKey(tic, 83, 120).name) for tic in range(1, 8)}
    damaged = {
        2: flip(content[2]),
        3: cut(content[3]),
        4: b"",
        5: without_member(content[5], "flux/c/0/0/0"),
        6: content[7],  # of another target
    }
    for tic, bad in damaged.items():
        put(cache, StampKey(tic, 83, 120).name, bad)
    put(cache, "s0083/notes.zarr.zip", b"something else")
    n_entries, found = cache.verify()
    assert n_entries == 8
    names = {damage.name: damage.reason for damage in found}
    assert set(names) == {StampKey(tic, 83, 120).name for tic in damaged} | {"s0083/notes.zarr.zip"}
    assert "TIC 7" in names[StampKey(6, 83, 120).name]
    for tic in damaged:
        with pytest.raises(CacheError):
            cache.read(StampKey(tic, 83, 120))
    # 2 and 5 are damaged in their pixels, which the index does not look at
    assert {key.tic for key in cache.index()} == {1, 2, 5, 7}


def test_verify_finds_a_changed_bit_that_no_reader_looks_at(cache: Cache, small_stamp: Stamp) -> None:
    key = cache.write(small_stamp).key
    content = cache.storage.read(key.name)
    time_of_first_member = 10  # within its local header, which is not read when the zip file's directory is
    put(cache, key.name, content[:time_of_first_member] + b"\x01" + content[time_of_first_member + 1 :])
    assert same(cache.read(key), small_stamp)
    n_entries, damages = cache.verify()
    assert n_entries == 1 and [damage.name for damage in damages] == [key.name]


def test_a_missing_chunk_is_an_error_that_names_it(cache: Cache, small_stamp: Stamp) -> None:
    key = cache.write(small_stamp).key
    put(cache, key.name, without_member(cache.storage.read(key.name), "quality/c/0"))
    with pytest.raises(CacheError, match=r"0000000188646744-0120s.*quality/c/0 is missing.*batchvet ingest"):
        cache.read(key)


def without_member(content: bytes, name: str) -> bytes:
    """The zip file without one member, its sums all right."""
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        new.comment = old.comment
        assert name in old.namelist()
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
    return file.getvalue()


def test_what_is_not_there_is_an_error_that_says_what_to_do(cache: Cache) -> None:
    with pytest.raises(CacheError, match=r"0000000000000005-0120s.*'batchvet ingest'"):
        cache.read(StampKey(5, 1, 120))
    assert cache.index() == {}


CONTENT = encode(SMALL, whole_errors=True)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found_wherever_it_is(data: st.DataObject) -> None:
    changed = bytearray(CONTENT)
    at = data.draw(st.integers(0, len(CONTENT) - 1))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CacheError, match="not as it was written"):
        check_seal(bytes(changed), "entry")
    try:
        stamp = decode(bytes(changed), "entry")
    except CacheError:
        return
    assert same(stamp, SMALL)  # a bit that no reader looks at


def test_a_member_said_to_be_packed_is_damage() -> None:
    starts = [at for at in range(len(CONTENT)) if CONTENT.startswith(b"PK\x01\x02", at)]
    assert len(starts) > 10
    for start in starts:
        changed = bytearray(CONTENT)
        changed[start + 10] = zipfile.ZIP_DEFLATED
        with pytest.raises(CacheError):
            decode(bytes(changed), "entry")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_an_entry_cut_anywhere_is_no_entry(data: st.DataObject) -> None:
    end = CONTENT.rindex(b"PK\x05\x06") + 22  # of the zip file's directory; the seal follows
    short = CONTENT[: data.draw(st.integers(0, len(CONTENT) - 1))]
    with pytest.raises(CacheError):
        check_seal(short, "entry")
    if len(short) < end:
        with pytest.raises(CacheError):
            decode(short, "entry")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_index_with_a_flipped_bit_is_right_or_not_used(data: st.DataObject) -> None:
    entries = [
        CacheEntry(tic, 83, 120, 5000 + tic, 1, 20, 1, 2, f"tess-{tic}.fits", 9, 9, f"{tic:064x}") for tic in range(5)
    ]
    content = bytearray(encode_records(CacheEntry, entries))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = decode_records(CacheEntry, bytes(content))
    except CacheError:
        return
    assert read == entries


def test_an_index_whose_words_are_bytes_is_not_used() -> None:
    """As one flipped bit of the header makes them, which no checksum of a page covers."""
    entry = CacheEntry(1, 83, 120, 5000, 1, 20, 1, 2, "tess.fits", 9, 9, f"{1:064x}")
    table = pq.read_table(BytesIO(encode_records(CacheEntry, [entry])))
    place = table.column_names.index("source_sha256")
    table = table.set_column(place, pa.field("source_sha256", pa.binary()), table["source_sha256"].cast(pa.binary()))
    file = BytesIO()
    pq.write_table(table, file)
    with pytest.raises(CacheError):
        decode_records(CacheEntry, file.getvalue())


INGEST = """
import sys
from batchvet.pixels.bucket import Bucket
from batchvet.pixels.cache import Cache
sys.path.insert(0, sys.argv[3])
from small_stamp import SMALL
cache = Cache(sys.argv[1], flux_err="full")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    cache.write(SMALL, replace=sys.argv[2] == "replace")
    cache.read(cache.write(SMALL, replace=sys.argv[2] == "replace").key)
"""


@pytest.mark.parametrize("how", ["first wins", "replace"])
def test_two_processes_that_ingest_one_target_both_succeed(cache: Cache, small_stamp: Stamp, how: str) -> None:
    command = [sys.executable, "-c", INGEST, cache.location, how, str(Path(__file__).parent)]
    with started(command) as one, started(command) as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in (one, other):
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
    assert list(cache.index()) == [StampKey.of(small_stamp)]
    assert [listed.name for listed in cache.storage.list("")] == [INDEX, StampKey.of(small_stamp).name]
    assert same(cache.read(StampKey.of(small_stamp)), small_stamp)
    assert cache.verify() == (1, [])


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


STOP_IN = """
import os, sys, time
from batchvet.pixels.bucket import Bucket
from batchvet.pixels.cache import Cache
sys.path.insert(0, sys.argv[3])
from small_stamp import SMALL
def stop(*args):
    print("stopped", flush=True)
    time.sleep(60)
setattr(os, sys.argv[2], stop)
Cache(sys.argv[1]).write(SMALL)
"""


@pytest.fixture
def killed_while(tmp_path: Path) -> Callable[[str], Path]:
    def kill(call: str) -> Path:
        command = [sys.executable, "-c", STOP_IN, str(tmp_path / "cache"), call, str(Path(__file__).parent)]
        with started(command) as process:
            assert process.stdout.readline() == "stopped\n"
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        return tmp_path / "cache"

    return kill


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_kill_in_the_middle_of_a_write_leaves_no_entry(
    killed_while: Callable[[str], Path], small_stamp: Stamp, call: str
) -> None:
    directory = killed_while(call)
    left = [path.name for path in directory.rglob("*") if path.is_file()]
    assert len(left) == 1 and left[0].startswith(".")
    cache = Cache(directory, flux_err="full")
    assert cache.index() == {}
    assert cache.verify() == (0, [])
    cache.write(small_stamp)
    assert cache.verify() == (1, [])
    assert same(cache.read(StampKey.of(small_stamp)), small_stamp)


def test_who_may_only_read_has_an_index_all_the_same(
    cache: Cache, small_stamp: Stamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = cache.write(small_stamp).key

    def refused(*args: object, **how: object) -> None:
        raise StorageError("cannot be written")

    monkeypatch.setattr(type(cache.storage), "put", refused)
    assert list(cache.index()) == list(cache.index()) == [key]
    with pytest.raises(StorageError):
        cache.reindex()


@pytest.mark.parametrize("use", [Cache.index, Cache.verify, lambda cache: cache.write(SMALL)])
def test_a_cache_that_cannot_be_is_an_error_that_names_it(tmp_path: Path, use: Callable) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StorageError, match=r"file.*choose another cache"):
        use(Cache(tmp_path / "file"))


def test_what_does_not_read_back_is_not_committed(
    cache: Cache, small_stamp: Stamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as damaged:
        damaged.setattr(Bucket, "read", lambda self, key, etag="": b"other bytes")
        damaged.setattr(Path, "read_bytes", lambda self: b"other bytes")
        with pytest.raises(CacheError, match=r"0120s\.zarr\.zip: reads back otherwise than written"):
            cache.write(small_stamp)
    assert list(cache.storage.list("")) == []
    if "://" not in cache.location:
        assert not [path for path in Path(cache.location).rglob("*") if path.is_file()]


@pytest.mark.parametrize("change", [{"tic": 0}, {"sector": 0}])
def test_a_stamp_of_nobody_is_refused(cache: Cache, small_stamp: Stamp, change: dict) -> None:
    with pytest.raises(CacheError, match="without TIC or sector"):
        cache.write(replace(small_stamp, **change))


def test_links_in_circles_in_a_cache_are_passed_over(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a.zarr.zip").symlink_to(tmp_path / "b.zarr.zip")
    (tmp_path / "b.zarr.zip").symlink_to(tmp_path / "a.zarr.zip")
    assert Cache(tmp_path).index() == {}
