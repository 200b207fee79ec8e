"""Whether a directory is a run of ours: nothing of anybody else's is ever replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.errors import ConfigError, RunError
from batchvet.results.directory import CANDIDATES, LOG, PLAN, REJECTS
from batchvet.results.schema import FORMAT_VERSION, TABLES
from batchvet.results.success import SUCCESS


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


def refuse_file_of_a_run(path: Path) -> None:
    """See that an output takes no file's place by which a run is known or in which its rows are.

    Raises
    ------
    ConfigError
        `path` is one of these.
    """
    place = path.absolute()
    names = (PLAN, CANDIDATES, SUCCESS, LOG, REJECTS)
    run = place.parent.parent if place.parent.name in TABLES else place.parent
    if (place.name in names or run != place.parent) and (run / PLAN).is_file():
        raise ConfigError(f"{path}: belongs to the run in {run}, so it is left alone; choose another file")


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
    parts = [part for table in sorted(TABLES) for part in sorted((directory / table).glob("*.parquet"))]
    for path in (*parts, directory / CANDIDATES):
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException):
            continue
        if b"batchvet.plan" in (schema.metadata or {}) or {"toi", "tic", "sector"} <= set(schema.names):
            return True
    return False
