"""Writing files whole or not at all: a reader sees the old file or the new one, whatever cuts the power."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def write_atomically(
    path: Path, content: bytes | memoryview, *, check: Callable[[bytes], None] | None = None, replace: bool = True
) -> None:
    """Write under a hidden name beside `path`, sync, then take the real name at once.

    Parameters
    ----------
    path : path
        Its directory is made when it is not there.
    content : bytes or memoryview
    check : callable, optional
        Given what reads back before the name is taken; by raising it keeps the file from being there.
    replace : bool
        Whether a file that is there is replaced; else the first writer wins and a later one leaves what is there.

    Raises
    ------
    OSError
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(temporary.read_bytes())
        if replace:
            os.replace(temporary, path)
        else:
            _claim(temporary, path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make a rename within `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _claim(temporary: Path, final: Path) -> None:
    try:
        os.link(temporary, final)  # fails when the name is taken, where a rename would replace
    except FileExistsError:
        return
    except OSError:  # a file system without hard links: replacing by the same content is as good
        os.replace(temporary, final)
