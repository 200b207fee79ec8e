"""Everything that can go wrong in a way that a user can mend.

Grouped by what the person who catches them would do. Each carries a `kind`, a word of :class:`.vocabulary.ErrorKind`
that stands in the table's ``error_kind`` column and in the log.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from batchvet.vocabulary import ErrorKind


class BatchvetError(Exception):
    """Base of all errors that batchvet raises on purpose."""

    kind: ErrorKind = ErrorKind.ERROR


class ConfigError(BatchvetError, ValueError):
    """The configuration or a command's arguments: mend the file or the call."""

    kind = ErrorKind.CONFIG


class CatalogError(BatchvetError, ValueError):
    """A catalogue or neighbour table has rows or columns that cannot be used: mend the table."""

    kind = ErrorKind.CATALOG


class PositionError(CatalogError):
    """A target cannot be where the catalogue says: mend its position or its TIC number. In a batch this is a row."""

    kind = ErrorKind.POSITION


class _ErrorOfKind(BatchvetError):
    """An error whose `kind` is told when it is raised; the class's own where it is not."""

    def __init__(self, message: str, *, kind: ErrorKind | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind

    def __reduce__(self) -> tuple[object, ...]:  # keeps kind when an error crosses a process boundary
        return _rebuild, (type(self), str(self), self.kind)


class StampError(_ErrorOfKind, ValueError):
    """A target pixel file cannot be used: replace the file. In a batch this becomes a row.

    `kind` says why: those of :attr:`.vocabulary.Layer.FILE`, or ``all_flagged``.
    """

    kind = ErrorKind.STAMP


class InsufficientData(StampError):
    """The stamp is fine but does not hold what the check needs, such as a cadence in transit.

    `kind` says what: ``no_transit``, ``gap``, ``no_cadences`` or ``no_pixels``.
    """

    kind = ErrorKind.INSUFFICIENT_DATA


class CacheError(BatchvetError, OSError):
    """A cache entry is missing, damaged or not what its name says: delete it and ingest again."""

    kind = ErrorKind.CACHE


class StorageError(CacheError):
    """The place where a cache lies cannot be reached or refuses; nothing is known against its entries: run again."""

    kind = ErrorKind.STORAGE


class ArchiveError(_ErrorOfKind, OSError):
    """A server on the network did not give what was asked for: run again later, or name another source.

    `kind` says why: those of :attr:`.vocabulary.Layer.ARCHIVE`, of which ``unreachable`` and ``changed`` may pass, or
    what is wrong with the file that came, as for :class:`StampError`.
    """

    kind = ErrorKind.ARCHIVE


class RunError(BatchvetError, RuntimeError):
    """A run directory cannot be opened, resumed or written: choose another one or mend it."""

    kind = ErrorKind.RUN


@dataclass(frozen=True)
class Problem:
    """Why there is no result, as a row tells it: what remains of an error once it was caught."""

    kind: ErrorKind
    text: str  #: what happened, to which file or target, what to do about it

    @classmethod
    def of(cls, error: BatchvetError) -> Self:
        """An error that a user can mend."""
        return cls(error.kind, str(error))

    @classmethod
    def internal(cls, error: Exception) -> Self:
        """Any other exception: a fault of ours, with what to report."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        what = f"{type(error).__name__}: {error}"
        return cls(ErrorKind.INTERNAL, f"a fault in batchvet, please report it: {what} ({where})")


def _rebuild(cls: type[_ErrorOfKind], message: str, kind: ErrorKind) -> _ErrorOfKind:
    return cls(message, kind=kind)
