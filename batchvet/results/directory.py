"""What lies in a run's directory: the names of its files, its lock and the plan file.

The tables are in :mod:`.parts`, the events in :mod:`.log`, the end in :mod:`.success`. Whatever is written
here is whole or not there.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
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
COMPARISON = "comparison.json"  #: what it was last held against; `batchvet compare` writes it
CALIBRATION = "calibration.json"  #: what its candidates are judged with, where its own check said so
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
    path = directory / _LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
    except OSError as error:
        raise RunError(f"{directory}: cannot be written ({error.strerror}); choose another --output") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(directory, _holder(path)) from error
        except OSError:  # a file system without locks, as some of NFS: what is written there has to do
            holder = _holder(path)
            if _may_live(holder):
                raise _held(directory, holder) from None
        lock.seek(0)
        lock.truncate()
        lock.write(json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": now()}) + "\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _holder(lock: Path) -> dict[str, Any]:
    """Who wrote a lock file: host, process, since; empty when nobody holds it, or it does not say."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        return {"host": str(holder["host"]), "process": int(holder["process"]), "since": str(holder["since"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _may_live(holder: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a lock file may be there still; on another host that cannot be seen."""
    if not holder:
        return False
    if holder["host"] != socket.gethostname():
        return True
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _held(directory: Path, holder: Mapping[str, Any]) -> RunError:
    who = f"process {holder['process']} on {holder['host']} since {holder['since']}" if holder else "another process"
    return RunError(
        f"{directory}: another batchvet run is writing here ({who}); wait for it, or choose --output. If it is gone "
        f"and this stays, delete {directory / _LOCK}"
    )


def is_being_written(directory: Path) -> bool:
    """Whether some process holds the directory as :func:`sole_writer`."""
    try:
        with (directory / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when the file is closed
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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


def has_plan(directory: Path) -> bool:
    """Whether there is a plan that can be read: a run writes it anew where there is none."""
    try:
        read_plan(directory)
    except RunError:
        return False
    return True


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
        newer = isinstance(version, int) and version > FORMAT_VERSION
        config = quote(str(plan.get("config_file") or "CONFIG"))
        anew = f"'batchvet run {config} --output ANOTHER' makes its tables anew, from the same cache"
        remedy = "read it with that version" if newer else anew
        raise RunError(
            f"{path}: written by {'a newer' if newer else 'an earlier'} version of batchvet "
            f"{plan.get('software_version', '')} (format {version}, this one reads {FORMAT_VERSION}); {remedy}"
        )
    return plan


def now() -> str:
    """Universal time, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file at once. Raises RunError as :func:`writing`."""
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())
