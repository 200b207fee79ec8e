"""Everything that can go wrong in a way that a user can mend.

Grouped by what the person who catches them would do. Each carries a stable ``kind``: the word that stands
in the table's ``error_kind`` column and in the log.
"""

from __future__ import annotations


class BatchvetError(Exception):
    """Base of all errors that batchvet raises on purpose."""

    kind = "error"


class ConfigError(BatchvetError, ValueError):
    """The configuration or a command's arguments: mend the file or the call."""

    kind = "config"


class CatalogError(BatchvetError, ValueError):
    """A catalogue or neighbour table has rows or columns that cannot be used: mend the table."""

    kind = "catalog"


class _ErrorOfKind(BatchvetError):
    """An error whose ``kind`` is told when it is raised."""

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind

    def __reduce__(self):  # keeps kind when an error crosses a process boundary
        return _rebuild, (type(self), str(self), self.kind)


class StampError(_ErrorOfKind, ValueError):
    """A target pixel file cannot be used: replace the file. In a batch this becomes a row.

    ``kind`` says why: ``unreadable``, ``truncated``, ``not_fits``, ``empty``, ``identity``, ``no_pixels``,
    ``no_wcs``, ...
    """

    kind = "stamp"


class InsufficientData(StampError):
    """The stamp is fine but does not hold what the check needs, such as a cadence in transit."""

    kind = "insufficient_data"


class CacheError(BatchvetError, OSError):
    """A cache entry is missing, damaged or not what its name says: delete it and ingest again."""

    kind = "cache"


class StorageError(CacheError):
    """The place where a cache lies cannot be reached or refuses; nothing is known against its entries: run again."""

    kind = "storage"


class ArchiveError(_ErrorOfKind, OSError):
    """A server on the network did not give what was asked for: run again later, or name another source.

    ``kind`` says why: ``unreachable`` (it may pass), ``refused``, ``interrupted``, or what is wrong with the file that
    it sent, as for :class:`StampError`.
    """

    kind = "archive"


class RunError(BatchvetError, RuntimeError):
    """A run directory cannot be opened, resumed or written: choose another one or mend it."""

    kind = "run"


def _rebuild(cls: type[Exception], message: str, kind: str) -> Exception:
    return cls(message, kind=kind)
