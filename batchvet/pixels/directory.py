"""A directory of target pixel files as a source: headers are read once, and the index of them is kept."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batchvet.errors import CacheError, ConfigError, StampError, StorageError
from batchvet.pixels.fits_file import checked_identity, identity_from_name, read_head, understood
from batchvet.pixels.index_file import decode_records, encode_records
from batchvet.pixels.listing import files_below
from batchvet.pixels.sources import SAME_TARGET_ARCSEC, Asking, Offer
from batchvet.pixels.storage import Storage

_SUFFIXES = (".fits", ".fits.gz")


@dataclass(frozen=True)
class FoundFile:
    """What one file's name and headers say."""

    path: str  #: relative to the directory
    size: int  #: bytes
    mtime_ns: int
    tic: int  #: 0 when it says none (TESScut)
    sector: int  #: 0 when it says none
    cadence_s: int  #: 0 when it says none
    ra: float  #: deg, of the target or cut-out, NaN when it says none
    dec: float
    date: str
    error_kind: str  #: why the file cannot be used, "" when nothing is known against it
    error: str


class DirectorySource:
    """SPOC, TESS-SPOC and TESScut files in a directory and all below it.

    Parameters
    ----------
    directory : path
    index_storage : Storage, optional
        Where the index of headers is kept between runs, usually the cache's.
    asking : Asking
        Of which a directory has nothing but someone to tell how many files were looked at.

    Raises
    ------
    ConfigError
        The directory does not exist.
    """

    remote = False
    not_asked: frozenset[int] = frozenset()
    note = ""

    def __init__(
        self,
        directory: str | Path,
        index_storage: Storage | None = None,
        asking: Asking = Asking(),
    ) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise ConfigError(f"sources: {self.directory} is not a directory; name one that holds target pixel files")
        self._index_storage = index_storage
        self._asking = asking
        digest = hashlib.sha256(str(self.directory.resolve()).encode()).hexdigest()[:16]
        self._index_name = f"sources/directory-{digest}.parquet"

    def offers(
        self, targets: Mapping[int, tuple[float, float]], sectors: Mapping[int, Collection[int]] | None = None
    ) -> Iterator[Offer]:
        """Files for `targets`; files of other targets and files without a TIC near none of them are passed over."""
        finder = _NearestTarget(targets)
        for found in self.files():
            tic = found.tic or finder.near(found.ra, found.dec)
            if tic in targets and found.sector:
                yield Offer(
                    tic=tic,
                    sector=found.sector,
                    cadence_s=found.cadence_s,
                    location=str(self.directory / found.path),
                    size=found.size,
                    mtime_ns=found.mtime_ns,
                    date=found.date,
                    error_kind=found.error_kind,
                    error=found.error,
                )

    def files(self) -> list[FoundFile]:
        """Every ``.fits`` and ``.fits.gz`` file; only new and changed ones are opened."""
        known = {found.path: found for found in self._read_index()}
        files, opened = [], 0
        for number, (path, size, mtime_ns) in enumerate(_walk(self.directory), start=1):
            found = known.get(path)
            if found is None or (found.size, found.mtime_ns) != (size, mtime_ns):
                found = _look_into(self.directory, path, size, mtime_ns)
                opened += 1
            files.append(found)
            self._asking.progress(number)
        if opened or len(files) != len(known):
            self._write_index(files)
        return files

    def _read_index(self) -> Iterable[FoundFile]:
        if self._index_storage is None:
            return []
        try:
            return decode_records(FoundFile, self._index_storage.read(self._index_name))
        except StorageError:
            raise
        except CacheError:
            return []  # missing, of another version or damaged: it is made anew

    def _write_index(self, files: list[FoundFile]) -> None:
        if self._index_storage is not None:
            content = encode_records(FoundFile, files)
            # who may read but not write can do without the index: it takes longer
            with contextlib.suppress(StorageError):
                self._index_storage.put(self._index_name, content, lambda written: None, replace=True)


class _NearestTarget:
    """Finds the target of a file that knows its position only."""

    def __init__(self, targets: Mapping[int, tuple[float, float]]) -> None:
        self._tics = np.array(list(targets), dtype=np.int64)
        self._positions = np.array(list(targets.values()), dtype=float).reshape(-1, 2)

    def near(self, ra: float, dec: float) -> int:
        """TIC number of the target within 10 arcsec, 0 when there is none."""
        if not (np.isfinite(ra) and np.isfinite(dec)) or not self._tics.size:
            return 0
        d_ra = (self._positions[:, 0] - ra + 180.0) % 360.0 - 180.0
        apart = np.hypot(d_ra * np.cos(np.radians(dec)), self._positions[:, 1] - dec) * 3600.0
        if not np.any(apart <= SAME_TARGET_ARCSEC):
            return 0
        return int(self._tics[np.nanargmin(apart)])


def _walk(directory: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and mtime of every file below; of a link that leads nowhere its target's row says so."""
    try:
        for found in files_below(directory, _SUFFIXES):
            yield found.path, found.size, found.mtime_ns
    except OSError as error:
        place = error.filename or directory
        raise ConfigError(f"sources: {place} cannot be listed ({error.strerror}); make it readable") from error


def _look_into(directory: Path, path: str, size: int, mtime_ns: int) -> FoundFile:
    named = identity_from_name(path)
    try:
        primary, table = read_head(directory / path)
        with understood(path):
            said = checked_identity(path, primary)
            exposure = table.get("TIMEDEL") if table is not None else None
            place, date = (primary.get("RA_OBJ"), primary.get("DEC_OBJ")), str(primary.get("DATE", ""))
    except StampError as error:
        message = str(error) if str(directory) in str(error) else f"{directory}/{error}"
        return FoundFile(
            path,
            size,
            mtime_ns,
            named.tic or 0,
            named.sector or 0,
            0,
            np.nan,
            np.nan,
            "",
            error.kind,
            message,
        )
    return FoundFile(
        path=path,
        size=size,
        mtime_ns=mtime_ns,
        tic=said.tic or 0,
        sector=said.sector or 0,
        cadence_s=_cadence_s(exposure),
        ra=_number(place[0]),
        dec=_number(place[1]),
        date=date,
        error_kind="",
        error="",
    )


def _cadence_s(exposure: object) -> int:
    """Seconds, of a header's days; 0 when it does not say."""
    days = _number(exposure)
    return round(days * 86400) if 0 < days < 1 else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
