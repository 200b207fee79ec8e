"""The pixel cache: every stamp once, whole or not at all, and an index that can always be rebuilt."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchvet.arrays import IntegerArray
from batchvet.columns import no_rows, number_column, numbers_of, one_word, truth_column, word_column
from batchvet.errors import CacheError, StampError, StorageError
from batchvet.pixels.entry import StampKey, check_seal, decode, encode, read_attributes
from batchvet.pixels.entry_table import CacheEntry as CacheEntry
from batchvet.pixels.entry_table import EntryTable
from batchvet.pixels.index_file import decode_table, encode_table, schema_of
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.storage import Listed, Storage
from batchvet.pixels.storage_location import open_storage

Found = TypeVar("Found")
FluxErr = Literal["summary", "full"]  #: what is kept of FLUX_ERR

SUFFIX = ".zarr.zip"
INDEX = "index.parquet"
_LISTED_AT_ONCE = 65_536
_FIELDS: list[pa.Field[Any]] = [
    pa.field("name", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("version", pa.int64()),
]
_LISTED = pa.schema(_FIELDS)
_NOWHERE = number_column(np.array([-1], dtype=np.int32))[0]


@dataclass(frozen=True)
class Damage:
    """An entry that cannot be trusted."""

    name: str
    reason: str


class Cache:
    """Stamps by (tic, sector, cadence) in a directory or bucket.

    Parameters
    ----------
    location : path, ``s3://bucket/prefix``, or Storage
        A directory is made when first written to; a bucket must be there.
    flux_err : "summary" or "full"
        What entries written from now on keep of FLUX_ERR: its mean square in every pixel over 64 stretches of the
        sector, which is all that the checks take, or every cadence too.

    Raises
    ------
    ConfigError
        An address that cannot be used.
    """

    def __init__(self, location: str | Path | Storage, flux_err: FluxErr = "summary") -> None:
        self.storage: Storage = open_storage(location) if isinstance(location, str | Path) else location
        self.flux_err = flux_err

    @property
    def location(self) -> str:
        return self.storage.location

    def write(
        self, stamp: Stamp, *, source_size: int = 0, source_mtime_ns: int = 0, replace: bool = False
    ) -> CacheEntry:
        """Commit a stamp: nobody ever sees a part of it. Without `replace` the first writer wins.

        Raises
        ------
        CacheError
            It cannot be written, or does not read back as it was.
        """
        if stamp.tic <= 0 or stamp.sector <= 0:
            raise CacheError(f"{stamp.source}: a stamp without TIC or sector cannot be cached")
        key = StampKey.of(stamp)
        content = encode(stamp, source_size, source_mtime_ns, whole_errors=self.flux_err == "full")

        def check(written: bytes) -> None:
            if written != content:
                raise CacheError(f"{self.location}/{key.name}: reads back otherwise than written; check the disk")

        self.storage.put(key.name, content, check, replace=replace)
        return _entry(Listed(key.name, len(content), 0), read_attributes(io.BytesIO(content), key.name))

    def read(self, key: StampKey, *, with_errors: bool = True) -> Stamp:
        """The stamp, all its cadences.

        Raises
        ------
        CacheError
            Missing, damaged, or of another target than its name says.
        """
        name = f"{self.location}/{key.name}"
        stamp = decode(self.storage.read(key.name), name, with_errors=with_errors)
        _check_identity(StampKey.of(stamp), key.name, name)
        return stamp

    def index(self) -> dict[StampKey, CacheEntry]:
        """All entries, as :meth:`entries`."""
        return {entry.key: entry for entry in self.entries()}

    def entries(self) -> EntryTable:
        """All entries. What is listed counts; the index file only saves opening each one.

        Entries that cannot be opened are left out: :meth:`verify` names them.

        Raises
        ------
        StorageError
            The place cannot be reached or refuses, as in every method.
        """
        known = self._read_index()
        blocks = [no_rows(_LISTED)]
        every = self.storage.list(SUFFIX)
        while block := list(islice(every, _LISTED_AT_ONCE)):
            names, *numbers = zip(*block, strict=True)
            columns = (number_column(np.array(values, dtype=np.int64)) for values in numbers)
            blocks.append(pa.table([word_column(names), *columns], schema=_LISTED))
        listed = pa.concat_tables(blocks)
        del blocks
        row = _rows_of_known(known, listed)
        unknown = [Listed(*one.values()) for one in listed.filter(truth_column(row < 0)).to_pylist()]
        del listed
        found = [entry for entry in self._each(self._open_entry, unknown) if entry is not None]
        there = known if np.count_nonzero(row >= 0) == known.num_rows else known.take(number_column(row[row >= 0]))
        entries = EntryTable(pa.concat_tables([there, EntryTable.of_entries(found).rows]) if found else there)
        if found or len(entries) != known.num_rows:
            # who may read but not write can do without the index file: it takes longer
            with contextlib.suppress(StorageError):
                self._write_index(entries.rows)
        return entries

    def is_one(self) -> bool:
        """Whether there is an index or an entry at all, as in every cache that was ever written to."""
        return any(True for _ in self.storage.list(INDEX)) or any(True for _ in self.storage.list(SUFFIX))

    def reindex(self) -> dict[StampKey, CacheEntry]:
        """Forget the index file and make it anew from the entries."""
        self._write_index(no_rows(schema_of(CacheEntry)))
        return self.index()

    def verify(self, progress: Callable[[int], None] | None = None) -> tuple[int, list[Damage]]:
        """Read every byte of every entry.

        Returns
        -------
        n_entries : int
        damages : list of Damage
        """
        damages: list[Damage] = []
        n_entries = 0
        for damage in self._each(self._look_for_damage, list(self.storage.list(SUFFIX))):
            n_entries += 1
            if damage is not None:
                damages.append(damage)
            if progress:
                progress(n_entries)
        return n_entries, damages

    def _each(self, look: Callable[[Listed], Found], several: Iterable[Listed]) -> Iterator[Found]:
        """`look` at each, as many at once as the storage likes, in order."""
        if self.storage.parallel == 1:
            yield from map(look, several)
            return
        with ThreadPoolExecutor(self.storage.parallel) as pool:
            yield from pool.map(look, several)

    def _look_for_damage(self, listed: Listed) -> Damage | None:
        try:
            content = self.storage.read(listed.name)
            check_seal(content, listed.name)
            stamp = decode(content, listed.name)
            _check_identity(StampKey.of(stamp), listed.name, listed.name)
        except StorageError:
            raise
        except (CacheError, StampError) as error:
            return Damage(listed.name, str(error))
        return None

    def _open_entry(self, listed: Listed) -> CacheEntry | None:
        try:
            with self.storage.open(listed.name) as file:
                attributes = read_attributes(file, listed.name)
            entry = _entry(listed, attributes)
            _check_identity(entry.key, listed.name, listed.name)
        except StorageError:
            raise
        except CacheError:
            return None
        return entry

    def _read_index(self) -> pa.Table:
        try:
            return decode_table(CacheEntry, self.storage.read(INDEX))
        except StorageError:
            raise
        except CacheError:  # missing, of another version or damaged: it is rebuilt
            return no_rows(schema_of(CacheEntry))

    def _write_index(self, rows: pa.Table) -> None:
        self.storage.put(INDEX, encode_table(rows), lambda written: None, replace=True)


def _names(known: pa.Table) -> Any:
    """Of each entry its name, as :attr:`.StampKey.name`."""
    sector, tic, cadence = (
        pc.utf8_lpad(pc.cast(known[name], pa.string()), width, "0")
        for name, width in (("sector", 4), ("tic", 16), ("cadence_s", 4))
    )
    first, slash, dash, last, between = map(one_word, ("s", "/", "-", f"s{SUFFIX}", ""))
    words: list[Any] = [first, sector, slash, tic, dash, cadence, last, between]
    return pc.binary_join_element_wise(*words)


def _rows_of_known(known: pa.Table, listed: pa.Table) -> IntegerArray:
    """Of each listed object its row in the index; -1 where that does not know it, or knows another version."""
    place: Any = pc.index_in(listed["name"], value_set=_names(known))
    row = numbers_of(place.fill_null(_NOWHERE)).astype(np.int64)
    if known.num_rows:
        for column in ("size", "version"):
            here = numbers_of(listed[column])
            row[numbers_of(known[column])[row] != here] = -1
    return row


def _entry(listed: Listed, attributes: dict[str, Any]) -> CacheEntry:
    return CacheEntry(
        tic=attributes["tic"],
        sector=attributes["sector"],
        cadence_s=max(1, round(attributes["cadence_s"])),
        size=listed.size,
        version=listed.version,
        n_cadences=attributes["n_cadences"],
        camera=attributes["camera"],
        ccd=attributes["ccd"],
        source=attributes["source"],
        source_size=attributes["source_size"],
        source_mtime_ns=attributes["source_mtime_ns"],
        source_sha256=attributes["source_sha256"],
    )


def _check_identity(key: StampKey, listed_name: str, name: str) -> None:
    if key.name != listed_name:
        raise CacheError(
            f"{name}: holds TIC {key.tic}, sector {key.sector}, {key.cadence_s} s, not what its name says; "
            "delete it and run 'batchvet ingest' again"
        )
