"""Files below a directory, links followed but not in circles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class ListedFile(NamedTuple):
    """A file, or a link that leads to none."""

    path: str  #: relative to the directory, with forward slashes
    size: int = 0  #: bytes
    mtime_ns: int = 0
    is_lost: bool = False  #: a link that leads nowhere, or in a circle


def files_below(
    directory: Path, suffixes: str | tuple[str, ...], prefix: str = "", above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[ListedFile]:
    """Every file below whose name ends so, sorted; hidden ones are left out.

    A link to a directory that it lies in is not followed; pipes and the like are no files.

    Raises
    ------
    OSError
        A directory cannot be listed; `filename` says which.
    """
    place = os.stat(directory)
    here = (place.st_dev, place.st_ino)
    if here in above:
        return
    for entry in sorted(os.scandir(directory), key=lambda e: e.name):
        if entry.name.startswith("."):
            continue
        name = f"{prefix}{entry.name}"
        try:
            is_directory, is_file = entry.is_dir(), entry.is_file()
            status = entry.stat() if is_file else None
        except OSError:  # links that point at each other, or a file that has just gone
            is_directory, status = False, None
        if is_directory:
            yield from files_below(Path(entry.path), suffixes, f"{name}/", above | {here})
        elif not entry.name.endswith(suffixes):
            continue
        elif status is not None:
            yield ListedFile(name, status.st_size, status.st_mtime_ns)
        elif entry.is_symlink():
            yield ListedFile(name, is_lost=True)
