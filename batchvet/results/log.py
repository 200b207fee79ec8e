"""``log.jsonl``: what happened in a run, one line per event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from batchvet.errors import RunError


class EventLog:
    """Appends events to a file that stays open; each line is there at once, whatever comes after.

    Parameters
    ----------
    path : path

    Raises
    ------
    RunError
        It cannot be opened, or at any event not be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> EventLog:
        try:
            self._file = open(self._path, "a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._refused(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.write("interrupted")
        self._file.close()

    def write(self, event: str, **what: Any) -> None:
        """Append a line with the time, the event and what is said of it."""
        try:
            self._file.write(json.dumps({"time": now(), "event": event, **what}) + "\n")
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunError:
        return RunError(
            f"{self._path}: cannot be written ({error.strerror}); what is done is kept, mend it and run again"
        )


def now() -> str:
    """Universal time, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
