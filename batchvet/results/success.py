"""``_SUCCESS.json``, written last: every planned row is there, and these are the files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import batchvet
from batchvet.errors import RunError
from batchvet.results.directory import CANDIDATES, HOSTS, now, write_json
from batchvet.results.parts import part_files
from batchvet.results.row_index import RowIndex
from batchvet.results.schema import FORMAT_VERSION, TABLES

SUCCESS = "_SUCCESS.json"


def write_success(directory: Path, index: RowIndex, judged_with: Mapping[str, Any]) -> None:
    """Say that every planned row is there: counts, and the SHA-256 of every table's files.

    Parameters
    ----------
    directory : path
    index : RowIndex
        With the column `status`.
    judged_with : mapping
        Settings that the candidates' probabilities depend on.
    """
    parts = (part for table in sorted(TABLES) for part in part_files(directory, table).values())
    files = [directory / CANDIDATES, *sorted((directory / HOSTS).glob("part-*.parquet")), *parts]
    content = {
        "format_version": FORMAT_VERSION,
        "software_version": batchvet.__version__,
        "finished": now(),
        "judged_with": dict(judged_with),
        "rows": len(index),
        "candidates": len(index.rows["toi"].unique()),
        "status": dict(sorted(Counter(index.rows["status"].to_pylist()).items())),
        "sha256": {str(f.relative_to(directory)): _sha256(f) for f in files},
    }
    write_json(directory / SUCCESS, content)


def withdraw_success(directory: Path) -> None:
    """Say no longer that every planned row is there."""
    (directory / SUCCESS).unlink(missing_ok=True)


def is_finished(directory: Path) -> bool:
    """Whether every planned row was there when the run last ended."""
    return (directory / SUCCESS).exists()


def is_whole(directory: Path, judged_with: Mapping[str, Any]) -> bool:
    """Whether the run was finished, its candidates judged with these settings, and its files are still there."""
    success = _read(directory)
    names = success.get("sha256", {})
    return bool(names) and success["judged_with"] == judged_with and all((directory / name).exists() for name in names)


def judged_otherwise(directory: Path, judged_with: Mapping[str, Any]) -> bool:
    """Whether the run was finished with its candidates judged with other settings."""
    success = _read(directory)
    return bool(success) and success["judged_with"] != judged_with


def refuse_altered(directory: Path) -> None:
    """See that the files of a finished run that are there are as they were written.

    Raises
    ------
    RunError
        One is not; the message names it.
    """
    for name, sha256 in _read(directory).get("sha256", {}).items():
        path = directory / name
        try:
            same = _sha256(path) == sha256
        except FileNotFoundError:
            continue  # what it held is made anew
        except OSError as error:
            raise RunError(
                f"{path}: cannot be read ({error.strerror}); mend that, or delete it and run again"
            ) from error
        if not same:
            raise RunError(
                f"{path}: damaged, or changed since it was written; delete it and run again: its rows are made anew"
            )


def _read(directory: Path) -> dict[str, Any]:
    """The success file; empty when there is none that can be read."""
    try:
        success = json.loads((directory / SUCCESS).read_bytes())
        return {"sha256": dict(success["sha256"]), "judged_with": success["judged_with"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sha256(path: Path) -> str:
    """Of a file's bytes; a gigabyte takes about a second."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
