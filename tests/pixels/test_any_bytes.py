"""Whatever a file holds, reading it gives pixels or an error of ours: no crash, no hang, no memory that it asks for."""

from __future__ import annotations

import gzip
import io
import tempfile
import tracemalloc
import zipfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_stamp import SMALL

from batchvet.errors import CacheError, StampError
from batchvet.pixels import fits_file, npz_file
from batchvet.pixels.cache import CacheEntry
from batchvet.pixels.directory import DirectorySource
from batchvet.pixels.entry import decode, encode, read_attributes
from batchvet.pixels.index_file import decode_records, encode_records
from batchvet.pixels.npz_file import read_npz
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import read_tpf_bytes
from batchvet.simulate import SimulationSettings, draw_scene
from batchvet.simulate.detector import expose
from batchvet.simulate.files import write_target_pixel_file

ENTRY = encode(SMALL)
CARD, BLOCK = 80, 2880
#: What may stand behind the name of a card, and what a broken writer put there.
VALUES = ("-1", "0", "1", "3", "7", "1E99", "999999999999", "T", "'x'", "''", "'D'", "'121E'", "'121PE(9)'", "'(0,0)'",
          "'(99999,99999)'", "'16A'", "'\u00e9'", "", "NaN", "1.5", "(1,2)", "'TIC 1'", "2.0E0")  # fmt: skip
MOST_MEMORY = 22_000_000 + 20_000_000  #: bytes


@cache
def whole() -> bytes:
    """A simulated file of forty cadences."""
    scene = draw_scene(SimulationSettings(seed=3, sectors=(5,), shapes=((11, 11),)), 0)
    made = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as place,
        fits.open(write_target_pixel_file(expose(scene, 5), Path(place))) as hdus,
    ):
        hdus[1].data = hdus[1].data[:40]
        hdus.writeto(made, checksum=True)
    return made.getvalue()


def cards(content: bytes) -> list[int]:
    """Where the cards of all headers begin."""
    found, block, in_header = [], 0, True
    while block < len(content):
        if content[block : block + 8] in (b"SIMPLE  ", b"XTENSION"):
            in_header = True
        if in_header:
            found += range(block, block + BLOCK, CARD)
            in_header = not any(content[at : at + 8] == b"END     " for at in found[-BLOCK // CARD :])
        block += BLOCK
    return found


def is_read_or_refused(content: bytes, name: str = "tp.fits") -> None:
    """Read a file."""
    try:
        stamp = read_tpf_bytes(content, name)
    except StampError as error:
        assert name in str(error) and len(str(error)) < 600
    else:
        assert isinstance(stamp, Stamp) and stamp.flux.ndim == 3 and len(stamp.time) == len(stamp.flux)


edits = st.lists(st.tuples(st.floats(0, 0.9999), st.sampled_from(VALUES)), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(edits=edits)
def test_any_value_of_any_card_is_read_or_refused(edits):
    content = bytearray(whole())
    places = cards(whole())
    for where, value in edits:
        at = places[int(where * len(places))]
        content[at + 8 : at + CARD] = b"= " + value.rjust(20).encode("latin-1").ljust(CARD - 10)
    is_read_or_refused(bytes(content))
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "tp.fits").write_bytes(content)
        (found,) = DirectorySource(place).files()
        assert not found.error or "tp.fits" in found.error


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.floats(0, 0.9999), st.binary(min_size=1, max_size=200), st.booleans(), st.booleans())
def test_any_bytes_anywhere_in_a_file_are_read_or_refused(where, junk, packed, cut):
    at = int(where * len(whole()))
    content = whole()[:at] + junk + (b"" if cut else whole()[at + len(junk) :])
    is_read_or_refused(gzip.compress(content, 1) if packed else content, "tp.fits.gz" if packed else "tp.fits")


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=4000))
@example(b"SIMPLE  =                    T")
@example(b"\x1f\x8b\x08\x00")
def test_any_bytes_are_no_file(content):
    is_read_or_refused(content)
    is_read_or_refused(b"\x1f\x8b" + content, "tp.fits.gz")


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_does(monkeypatch):
    monkeypatch.setattr(fits_file, "MOST_BYTES", 20_000_000)
    bomb = gzip.compress(whole(), 1) + gzip.compress(bytes(1_000_000), 9) * 200
    with little_memory(), pytest.raises(StampError, match=r"tp\.fits\.gz: unpacks to more than 0\.02 GB"):
        read_tpf_bytes(bomb, "tp.fits.gz")


@contextmanager
def little_memory():
    """Fails when much is asked for."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_MEMORY


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.floats(0, 0.9999), st.binary(min_size=1, max_size=40), st.booleans())
def test_any_bytes_anywhere_in_a_cache_entry_are_the_stamp_or_an_error(where, junk, cut):
    at = int(where * len(ENTRY))
    content = ENTRY[:at] + junk + (b"" if cut else ENTRY[at + len(junk) :])
    for read in (decode, lambda content, name: read_attributes(io.BytesIO(content), name)):
        try:
            read(content, "entry")
        except CacheError as error:
            assert "entry" in str(error)
    try:
        stamp = decode(content, "entry")
    except CacheError:
        return
    assert stamp.flux.tobytes() == SMALL.flux.tobytes() and stamp.sha256 == SMALL.sha256


def rewritten(member: str, change) -> bytes:
    """The entry with a member that a broken or hostile program wrote."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(ENTRY)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == member else old.read(name))
    return made.getvalue()


@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("flux/zarr.json", b'"shape":[20,3,4]', b'"shape":[20000000,3000,4]'),
        ("flux/zarr.json", b'"shape":[20,3,4]', b'"shape":[20,3]'),
        ("flux/zarr.json", b'"name":"blosc"', b'"name":"frobn"'),
        ("time/zarr.json", b'"float64"', b'"object_"'),
        ("zarr.json", b'"arrays"', b'"errays"'),
        ("zarr.json", b'"tic"', b'"tac"'),
        ("zarr.json", b'"time","flux"', b'"../x","flu"'),
        ("zarr.json", b'"attributes"', b'"ettributes"'),
    ],
)
def test_an_entry_whose_words_lie_is_an_error(member, old, new):
    def change(content: bytes) -> bytes:
        packed = content.replace(b" ", b"").replace(b"\n", b"")
        assert old in packed
        return packed.replace(old, new)

    with little_memory(), pytest.raises(CacheError, match="entry"):
        decode(rewritten(member, change), "entry")


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.floats(0, 0.9999), st.binary(min_size=1, max_size=40))
def test_any_bytes_anywhere_in_an_index_are_the_records_or_an_error(where, junk):
    record = CacheEntry(1, 2, 120, 3, 4, 5, 1, 1, "a", 6, 7, "b")
    content = encode_records(CacheEntry, [record])
    at = int(where * len(content))
    with suppress(CacheError):
        assert decode_records(CacheEntry, content[:at] + junk + content[at + len(junk) :]) == [record]


def test_numbers_packed_to_be_unpacked_into_gigabytes_and_pickles_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(npz_file, "MOST_BYTES", 20_000_000)
    np.savez_compressed(tmp_path / "bomb.npz", flux=np.zeros((600, 100, 100), dtype=np.float32))
    np.savez(tmp_path / "pickle.npz", flux=np.array([{"a": 1}], dtype=object))
    for name, said in (("bomb.npz", "unpacks to more than"), ("pickle.npz", "a pickled object, which is not read")):
        with little_memory(), pytest.raises(StampError, match=f"{name}: .*{said}"):
            read_npz(tmp_path / name)
