"""A run that another process is working on: how far it is, how fast, how long it will take."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchvet.results.directory import LOG, is_being_written
from batchvet.results.row_index import row_index

_RECENT_BYTES = 1 << 17  #: of the log that the rate is taken from: some 500 rows


@dataclass(frozen=True)
class AtWork:
    """What a run at work has done so far."""

    doing: str  #: in words
    rows_done: int  #: in the table, up to half a minute behind
    status: dict[str, int]  #: of these, by status
    rows_per_second: float | None  #: lately; None before there are two rows
    seconds_left: float | None  #: until all rows are there, at that rate
    silent_seconds: float  #: since the log's last line


def at_work(directory: Path, n_rows: int) -> AtWork | None:
    """How far a run is that some process is working on; None where none is.

    Parameters
    ----------
    directory : path
    n_rows : int
        Of the finished table.
    """
    if not is_being_written(directory):
        return None
    events = list(_recent(directory / LOG))
    times = [event["time"] for event in events]
    silent = (datetime.now(UTC) - times[-1]).total_seconds() if times else 0.0
    status: Counter[str] = Counter(map(str, row_index(directory, ["status"]).rows["status"].to_pylist()))
    done = sum(status.values())
    rows = [event["time"] for event in events if event["event"] == "row"]
    rate = _rate(rows)
    left = max(n_rows - done, 0)
    return AtWork(
        doing=_doing(events, left),
        rows_done=done,
        status=dict(sorted(status.items())),
        rows_per_second=rate,
        seconds_left=left / rate if rate else None,
        silent_seconds=max(silent, 0.0),
    )


def _doing(events: list[dict[str, Any]], left: int) -> str:
    if not any(event["event"] in ("started", "row") for event in events):
        return "planning"
    if not any(event["event"] == "row" for event in events):
        return "getting pixels ready"
    return "vetting" if left else "judging candidates"


def _rate(times: list[datetime]) -> float | None:
    """Rows a second lately."""
    if len(times) < 2:
        return None
    seconds = (times[-1] - times[0]).total_seconds()
    return (len(times) - 1) / seconds if seconds > 0 else None


def _recent(path: Path) -> Iterator[dict[str, Any]]:
    """The last events of the log since the run was last started, their times as such."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _RECENT_BYTES))
            lines = file.read().splitlines()[1 if size > _RECENT_BYTES else 0 :]
    except OSError:
        return
    events = []
    for line in lines:
        try:
            event = json.loads(line)
            events.append(event | {"time": datetime.fromisoformat(event["time"])})
        except (ValueError, KeyError, TypeError):
            continue  # a line that is just being written
    started = max((n for n, event in enumerate(events) if event["event"] == "started"), default=0)
    ended = max((n for n, event in enumerate(events) if event["event"] in ("finished", "interrupted")), default=-1)
    yield from events[max(started, ended + 1) :]
