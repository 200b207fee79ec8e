"""What lies in a run's directory: the names of its files, its lock, the plan file and the success file.

The tables are in :mod:`.parts`, the events in :mod:`.log`. Whatever is written here is whole or not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

import batchvet
from batchvet.atomic import write_atomically
from batchvet.errors import RunError
from batchvet.results.schema import FORMAT_VERSION, TABLES

if TYPE_CHECKING:
    import pandas as pd  # workers, who write nothing, do without it

PLAN = "plan.json"
LOG = "log.jsonl"
CANDIDATES = "candidates.parquet"
SUCCESS = "_SUCCESS.json"  #: written last: every planned row is there
REJECTS = "rejects.csv"  #: rows of the catalogue that were left out
_LOCK = ".lock"


def part_files(directory: Path, table: str) -> list[Path]:
    """Files of `sectors`, `images` or `evidence`, oldest first."""
    return sorted((directory / table).glob("part-*.parquet"))


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
    _write_json(directory / PLAN, {**versions, **plan})
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


def write_success(directory: Path, sectors: pd.DataFrame, judged_with: Mapping[str, Any]) -> None:
    """Say that every planned row is there: counts, and the SHA-256 of every table's files.

    Parameters
    ----------
    directory : path
    sectors : DataFrame
        Columns `toi` and `status` of that table.
    judged_with : mapping
        Settings that the candidates' probabilities depend on.
    """
    files = [directory / CANDIDATES, *(path for table in sorted(TABLES) for path in part_files(directory, table))]
    content = {
        "format_version": FORMAT_VERSION,
        "software_version": batchvet.__version__,
        "finished": now(),
        "judged_with": dict(judged_with),
        "rows": len(sectors),
        "candidates": int(sectors["toi"].nunique()),
        "status": {status: int(n) for status, n in sectors["status"].value_counts().sort_index().items()},
        "sha256": {str(f.relative_to(directory)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
    }
    _write_json(directory / SUCCESS, content)


def withdraw_success(directory: Path) -> None:
    """Say no longer that every planned row is there."""
    (directory / SUCCESS).unlink(missing_ok=True)


def is_finished(directory: Path) -> bool:
    """Whether every planned row was there when the run last ended."""
    return (directory / SUCCESS).exists()


def is_whole(directory: Path, judged_with: Mapping[str, Any]) -> bool:
    """Whether the run was finished, its candidates judged with these settings, and its tables are still there."""
    try:
        success = json.loads((directory / SUCCESS).read_bytes())
        files, settings = success["sha256"], success["judged_with"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return settings == judged_with and all((directory / name).exists() for name in files)


def refuse_other_directory(directory: Path) -> None:
    """See that a run can go on, or begin, in a directory: nothing of anybody else's is ever replaced.

    Raises
    ------
    RunError
        Its tables were written by a program with another format, or it has files of a run's names that are none.
    """
    try:
        version = json.loads((directory / PLAN).read_bytes())["format_version"]
    except (OSError, ValueError, KeyError, TypeError):
        foreign = [name for name in (PLAN, CANDIDATES, SUCCESS, LOG, REJECTS, *TABLES) if _is_other(directory / name)]
        if foreign and not _has_our_tables(directory):
            raise RunError(
                f"{directory}: not a run, but it has files of a run's names ({', '.join(foreign)}), which are left "
                "alone; choose another --output"
            ) from None
        return  # no run yet, or a plan that is written anew
    if version != FORMAT_VERSION:
        raise RunError(
            f"{directory}: holds tables of format {version}, this version writes {FORMAT_VERSION}; "
            "choose another --output, or delete the directory to make them anew"
        )


def _is_other(path: Path) -> bool:
    """Whether there is something that a run without a plan does not leave: an empty folder, or its rejects."""
    if path.is_dir():
        return any(path.iterdir())
    if path.name == REJECTS and path.is_file():
        with path.open("rb") as file:
            return not file.readline().startswith(b"line,reason")
    return path.exists()


def _has_our_tables(directory: Path) -> bool:
    """Whether a table in it is one of ours: a run whose plan was lost."""
    parts = [part for table in sorted(TABLES) for part in part_files(directory, table)]
    for path in (*parts, directory / CANDIDATES):
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException):
            continue
        if b"batchvet.plan" in (schema.metadata or {}) or {"toi", "tic", "sector"} <= set(schema.names):
            return True
    return False


def now() -> str:
    """Universal time, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())
