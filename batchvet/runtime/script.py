"""Workers that leave the user's script alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import spawn
from typing import Any

_WORKER = "Dask Worker"  #: how the names of Dask's processes begin


@contextmanager
def not_imported() -> Iterator[None]:
    """Workers that are started meanwhile do not import the script that runs.

    A process that is spawned imports the script of its parent, so that one without
    ``if __name__ == "__main__":`` would start itself once more in every worker. Ours need nothing of it. Other
    processes, of the script's own, are started as ever.
    """
    usual = spawn.get_preparation_data

    def without_script(name: str) -> dict[str, Any]:
        data: dict[str, Any] = usual(name)
        if name.startswith(_WORKER):
            data.pop("init_main_from_path", None)
            data.pop("init_main_from_name", None)
        return data

    spawn.get_preparation_data = without_script
    try:
        yield
    finally:
        spawn.get_preparation_data = usual
