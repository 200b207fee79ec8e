"""What lies in a run's directory: the names of its files, its lock and the plan file.

The tables are in :mod:`.parts`, the events in :mod:`.log`, the end in :mod:`.success`. Whatever is written
here is whole or not there.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import batchvet
from batchvet.atomic import write_atomically
from batchvet.errors import RunError
from batchvet.results.schema import FORMAT_VERSION

PLAN = "plan.json"
LOG = "log.jsonl"
CANDIDATES = "candidates.parquet"
HOSTS = "hosts"  #: directory of the stars that could make the dips
MATCHES = "matches.parquet"  #: whose ephemeris is whose; `batchvet match` writes it
REJECTS = "rejects.csv"  #: rows of the catalogue that were left out
_LOCK = ".lock"


@contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Hold the directory, made if need be, against other processes that write a run.

    Raises
    ------
    RunError
        It cannot be written, or another run is writing there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise RunError(f"{directory}: cannot be written ({error.strerror}); choose another --output") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{directory}: another batchvet run is writing here; wait for it or choose --output"
            ) from error
        yield


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what a file system says of `path` into a RunError: there is no room, or no permission."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror}); what is done is kept, mend it and run again"
        ) from error


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file at once. Raises RunError as :func:`writing`."""
    with writing(path):
        write_atomically(path, content)


def write_plan(directory: Path, plan: Mapping[str, Any], identity: str) -> dict[str, str]:
    """Write ``plan.json``.

    Parameters
    ----------
    directory : path
    plan : mapping
        What was planned, from what; the versions are added.
    identity : str
        Changes when the plan does.

    Returns
    -------
    dict
        What stands in the footer of every table that is made by this plan.
    """
    versions = {"format_version": FORMAT_VERSION, "software_version": batchvet.__version__, "written": now()}
    write_json(directory / PLAN, {**versions, **plan})
    return {"plan": identity, "version": batchvet.__version__, "format_version": str(FORMAT_VERSION)}


def read_plan(directory: Path) -> dict[str, Any]:
    """``plan.json`` of a run.

    Raises
    ------
    RunError
        Missing, damaged, or written by a program with another format.
    """
    path = directory / PLAN
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = plan["format_version"]
    except OSError as error:
        raise RunError(f"{directory}: not a batchvet run (no plan.json); 'batchvet run CONFIG' makes one") from error
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged; run 'batchvet run CONFIG' again to write it anew") from error
    if version != FORMAT_VERSION:
        age = "a newer" if isinstance(version, int) and version > FORMAT_VERSION else "another"
        raise RunError(
            f"{path}: written by {age} version of batchvet (format {version}, this one has {FORMAT_VERSION})"
        )
    return plan


def now() -> str:
    """Universal time, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file at once. Raises RunError as :func:`writing`."""
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())
