"""The columns of a plan's tasks: about a hundred bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import batchvet
from batchvet.arrays import IndexArray, IntegerArray
from batchvet.columns import number_column, numbers_of, one_word, word_column, word_column_of_bytes
from batchvet.pixels.entry_table import EntryTable
from batchvet.runtime.earlier_rows import WantedRows
from batchvet.runtime.tasks import Cached, Missing, Offered, Pixels, Task, version_of
from batchvet.vocabulary import ErrorKind

CACHED, OFFERED, MISSING, NOWHERE = range(4)  #: kinds of pixels; nowhere: not even a file that cannot be used
_HASHES = ("stamp_hash", "candidate_hash", "neighbours_hash", "settings_hash")
_WIDTH = 16  #: letters of such a word, at most
_CODES = 64  #: of cameras and CCDs: there are fewer
_BLOCK = 65_536  #: entries whose words are looked at together
#: Numbers of a task, and how many bytes each takes, in the words of :mod:`array`.
_NUMBERS = {"tic": "q", "sector": "q", "kind": "b", "size": "q", "ccd": "b", "origin": "i", "number": "i"}

Word = NDArray[np.bytes_]

#: Hash of the settings that tasks of a sector, camera and CCD depend on.
SettingsHash = Callable[[int, int, int], str]


@dataclass(frozen=True)
class TaskColumns:
    """What is kept of each task, sorted by target and sector; rows are its candidates, task after task."""

    tic: IntegerArray
    sector: IntegerArray
    kind: IntegerArray  #: of its pixels
    size: IntegerArray  #: bytes of its pixels
    ccd: IntegerArray  #: eight times the camera, and the CCD
    origin: IntegerArray  #: of whom it is made
    number: IntegerArray  #: which of its origin's tasks it is
    first_row: IntegerArray  #: of each task, and the number of all rows
    toi: pa.Array[Any]  #: of each row
    hashes: dict[str, Word]  #: by the table's columns, a word each

    @property
    def n_rows(self) -> IntegerArray:
        """Rows of each task."""
        return np.diff(self.first_row)

    @cached_property
    def task_of_row(self) -> IndexArray:
        """Of each row its task."""
        return np.repeat(np.arange(len(self.tic)), self.n_rows)

    def wanted(self) -> WantedRows:
        """The rows by name."""
        return WantedRows(self.toi, self.sector[self.task_of_row])

    def hashes_of_rows(self, column: str) -> pa.Array[Any]:
        """What a column of hashes is to say of each row."""
        if column not in self.hashes:
            return pa.repeat(one_word(batchvet.__version__), int(self.first_row[-1]))
        return word_column_of_bytes(self.hashes[column][self.task_of_row])


#: Sector, number among its origin's tasks, row of its entry among the cache's, and the candidates whose rows it makes.
CachedTask = tuple[int, int, int, Sequence[str]]


class ColumnsOfTasks:
    """Collects tasks into columns.

    Parameters
    ----------
    entries : EntryTable
        Of the cache; needed for :meth:`add_cached`.
    settings_hash : callable
        Likewise.
    """

    def __init__(
        self, entries: EntryTable | None = None, settings_hash: SettingsHash = lambda sector, camera, ccd: ""
    ) -> None:
        self._entries, self._settings_hash = entries, settings_hash
        self._numbers = {name: array(code) for name, code in _NUMBERS.items()}
        self._n_rows = array("i")
        self._entry = array("i")  #: of each task the row of its entry, where that says all; else -1
        self._toi: list[str] = []
        self._hashes = {name: bytearray() for name in _HASHES}

    def add(self, task: Task, origin: int, number: int) -> None:
        """Take a task, the `number`-th of its origin."""
        numbers = (task.tic, task.sector, _kind(task.pixels), _size(task.pixels), _ccd(task.pixels), origin, number)
        for each, value in zip(self._numbers.values(), numbers, strict=True):
            each.append(value)
        self._n_rows.append(len(task.candidates))
        self._entry.append(-1)
        self._toi.extend([candidate.toi for candidate in task.candidates])
        words = (task.pixels.stamp_hash, task.candidate_hash, task.neighbours_hash, task.settings_hash)
        for column, word in zip(self._hashes.values(), words, strict=True):
            column += _padded(word)

    def add_cached(self, tic: int, origin: int, tasks: Sequence[CachedTask], hashes: tuple[str, str]) -> None:
        """Take tasks of a target, of each of which its entry of the cache says all that it is.

        Parameters
        ----------
        tic, origin : int
        tasks : sequence of CachedTask
        hashes : tuple of str
            Of the catalogue's rows of the target, and of the neighbour table's.
        """
        n = len(tasks)
        sectors, numbers, rows, tois = zip(*tasks, strict=True)
        nothing = (0,) * n
        columns = ((tic,) * n, sectors, (CACHED,) * n, nothing, nothing, (origin,) * n, numbers)
        for each, values in zip(self._numbers.values(), columns, strict=True):
            each.extend(values)
        self._n_rows.extend(map(len, tois))
        self._entry.extend(rows)
        for several in tois:
            self._toi.extend(several)
        for column, word in zip(self._hashes.values(), ("", *hashes, ""), strict=True):
            column += _padded(word) * n

    def columns(self) -> TaskColumns:
        """The tasks, sorted; what was collected is given up."""
        tic, sector = (np.frombuffer(self._numbers[name], _NUMBERS[name]) for name in ("tic", "sector"))
        order = np.lexsort((sector, tic))
        del tic, sector
        numbers = {name: np.frombuffer(self._numbers.pop(name), code)[order] for name, code in _NUMBERS.items()}
        hashes = {name: np.frombuffer(self._hashes.pop(name), f"S{_WIDTH}")[order] for name in _HASHES}
        self._look_up(numbers, hashes, np.frombuffer(self._entry, np.int32)[order])
        n_rows = np.frombuffer(self._n_rows, np.int32).astype(np.int64)
        before = np.concatenate([[0], np.cumsum(n_rows)])
        first_row = np.concatenate([[0], np.cumsum(n_rows[order])])
        row = np.arange(first_row[-1]) + np.repeat(before[:-1][order] - first_row[:-1], n_rows[order])
        toi = word_column(self._toi).take(number_column(row))
        return TaskColumns(**numbers, first_row=first_row, toi=toi, hashes=hashes)

    def _look_up(self, numbers: Mapping[str, IntegerArray], hashes: Mapping[str, Word], entry: IntegerArray) -> None:
        """Fill in what entries of the cache say of their tasks."""
        mine = np.flatnonzero(entry >= 0)
        if self._entries is None or not mine.size:
            return
        rows, entry = self._entries.rows, entry[mine]
        camera, ccd = (numbers_of(rows[name])[entry] for name in ("camera", "ccd"))
        numbers["size"][mine] = numbers_of(rows["size"])[entry]
        numbers["ccd"][mine] = _code(camera, ccd)
        hashes["stamp_hash"][mine] = _stamp_hashes(rows, entry)
        places, place = np.unique(
            256 * numbers["sector"][mine].astype(np.int64) + numbers["ccd"][mine], return_inverse=True
        )
        found = [self._settings_hash(one // 256, *divmod(one % 256, 8)) for one in places.tolist()]
        hashes["settings_hash"][mine] = np.array(found, f"S{_WIDTH}")[place]


def _kind(pixels: Pixels) -> int:
    match pixels:
        case Cached():
            return CACHED
        case Offered():
            return OFFERED
        case Missing():
            return NOWHERE if is_nowhere(pixels) else MISSING


def is_nowhere(pixels: Pixels) -> bool:
    """Whether there is not even a file that cannot be used."""
    return isinstance(pixels, Missing) and pixels.problem.kind in (ErrorKind.MISSING_TPF, ErrorKind.NOT_ASKED)


def _size(pixels: Pixels) -> int:
    return 0 if isinstance(pixels, Missing) else pixels.size


def _ccd(pixels: Pixels) -> int:
    return int(_code(pixels.camera, pixels.ccd)) if isinstance(pixels, Cached) else 0


def _code(camera: Any, ccd: Any) -> IntegerArray:
    """Eight times the camera, and the CCD; 0 where the file does not say, or says what TESS does not have."""
    return np.where((camera > 0) & (camera <= 4) & (ccd > 0) & (ccd <= 4), 8 * camera + ccd, 0)


def _stamp_hashes(rows: pa.Table, entry: IntegerArray) -> Word:
    """Of entries, what changes with their pixels."""
    found = np.empty(len(entry), f"S{_WIDTH}")
    for start in range(0, len(entry), _BLOCK):
        some = rows.select(["source_sha256", "source"]).take(number_column(entry[start : start + _BLOCK]))
        words = zip(some["source_sha256"].to_pylist(), some["source"].to_pylist(), strict=True)
        found[start : start + _BLOCK] = [version_of(str(sha256), str(source)) for sha256, source in words]
    return found


def _padded(word: str) -> bytes:
    return word.encode().ljust(_WIDTH, b"\0")
