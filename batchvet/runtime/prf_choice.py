"""Which PRF files a run uses: its own directory's, or the archive's, fetched once for each CCD that is needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchvet.errors import ArchiveError, ConfigError
from batchvet.network.asking import Politeness
from batchvet.pixels.prf_fetch import fetch_prf
from batchvet.pixels.prf_files import prf_folder
from batchvet.runtime.config import RunConfig, short_hash
from batchvet.runtime.progress import Progress

if TYPE_CHECKING:
    from batchvet.runtime.plan import Task

#: Without these files a run goes on, so it does not wait long for them.
_HASTE = Politeness(attempts=3, longest_wait_s=5.0)


class PrfFiles:
    """Official PRF files as far as they are there, or come.

    Parameters
    ----------
    config : RunConfig
    ask : bool
        Whether files of a CCD may be fetched; they are only for ``prf: auto`` in a configuration that uses the network
        anyhow, for its stamps or its neighbours.
    """

    def __init__(self, config: RunConfig, *, ask: bool) -> None:
        self.note = ""  #: why official files are not used although they might have been
        self._config = config
        self._ask = ask and config.prf == "auto" and config.uses_network
        self._directory = prf_directory(config, must_exist=not self._ask)
        self._hashes: dict[tuple[int, int, int], str] = {}

    def settings_hash(self, sector: int, camera: int, ccd: int) -> str:
        """Changes when a setting that rows of this CCD depend on does; its PRF files count by name and size."""
        where = sector, camera, ccd
        if where not in self._hashes:
            files = self._files(*where) if self._directory and camera and ccd else []
            settings = self._config.science_settings() | {"prf": files or "empirical"}
            self._hashes[where] = short_hash(settings)
        return self._hashes[where]

    def _files(self, sector: int, camera: int, ccd: int) -> list[tuple[str, int]]:
        """Name and size of the PRF files of a CCD, after they were fetched if they may be."""
        folder = prf_folder(self._directory, sector, camera, ccd)
        if self._ask and not folder.is_dir():
            try:
                fetch_prf(self._directory, sector, camera, ccd, _HASTE)
            except ArchiveError as error:
                self._ask = False
                self.note = f"PRF files are not to be had, so the PRF is fitted to each stamp ({error})"
        return sorted((file.name, file.stat().st_size) for file in folder.glob("*.fits*"))


def prf_directory(config: RunConfig, *, must_exist: bool = True) -> Path | None:
    """Where official PRF files are looked for: the configured directory, else ``prf`` in the cache, if there.

    Raises
    ------
    ConfigError
        The configured directory is not one.
    """
    if config.prf == "empirical":
        return None
    if config.prf == "auto":
        kept = config.beside_cache("prf")
        return kept if kept.is_dir() or not must_exist else None
    directory = Path(config.prf)
    if not directory.is_dir():
        raise ConfigError(f"prf: {directory} is not a directory; name one with SPOC PRF files, or 'empirical'")
    return directory


def with_prf(tasks: Iterable[Task], config: RunConfig, progress: Progress) -> list[Task]:
    """Tasks whose stamps are in the cache, with the PRF files of their CCDs fetched and counted in their hashes."""
    files = PrfFiles(config, ask=True)
    ready = [
        replace(task, hashes=task.hashes | {"settings_hash": files.settings_hash(task.sector, task.camera, task.ccd)})
        for task in tasks
    ]
    if files.note:
        progress.say(files.note)
    return ready
