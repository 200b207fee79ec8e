"""``log.jsonl``: what happened in a run, one line per event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchvet.results.directory import LOG, now, writing


class EventLog:
    """Appends events to a file that stays open; each line is there at once, whatever comes after.

    Parameters
    ----------
    directory : path
        Of the run.

    Raises
    ------
    RunError
        It cannot be opened, or at any event not be written.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOG

    def __enter__(self) -> Self:
        with writing(self._path):
            self._file = open(self._path, "a", encoding="utf-8", buffering=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.write("interrupted")
        self._file.close()

    def write(self, event: str, **what: Any) -> None:
        """Append a line with the time, the event and what is said of it."""
        self.write_several(event, [what])

    def write_several(self, event: str, what: Iterable[Mapping[str, Any]]) -> None:
        """Append a line for each of several events of a kind, all at once."""
        time = now()
        lines = [json.dumps({"time": time, "event": event, **one}) + "\n" for one in what]
        with writing(self._path):
            self._file.write("".join(lines))
