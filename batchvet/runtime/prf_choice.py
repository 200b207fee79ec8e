"""Which PRF files a run uses: its own directory's, or the archive's, fetched once for each CCD that is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchvet.errors import ArchiveError
from batchvet.network.politeness import Politeness
from batchvet.pixels.prf_files import checked_prf_directory, prf_folder
from batchvet.runtime.hashes import short_hash

#: Without these files a run goes on, so it does not wait long for them.
_HASTE = Politeness(attempts=3, longest_wait_s=5.0)


@dataclass(frozen=True)
class PrfChoice:
    """What a configuration says about the PRF."""

    prf: str  #: auto, empirical, or a directory of official files
    kept_in: Path  #: where `auto` looks for official files, and keeps those that it fetches
    may_fetch: bool  #: whether the configuration uses the network anyhow, for its stamps or its neighbours

    def directory(self, *, must_exist: bool = True) -> Path | None:
        """Where official PRF files are looked for: the configured directory, else those that are kept, if there.

        Raises
        ------
        ConfigError
            The configured directory is not one, or has no PRF files.
        """
        if self.prf == "empirical":
            return None
        if self.prf == "auto":
            return self.kept_in if self.kept_in.is_dir() or not must_exist else None
        return checked_prf_directory(self.prf)


class PrfFiles:
    """Official PRF files as far as they are there, or come.

    Parameters
    ----------
    choice : PrfChoice
    settings : mapping
        What else a row's numbers depend on, apart from its inputs.
    ask : bool
        Whether files of a CCD may be fetched, where the choice allows it.
    """

    def __init__(self, choice: PrfChoice, settings: Mapping[str, Any], *, ask: bool) -> None:
        self.note = ""  #: why official files are not used although they might have been
        self._settings = dict(settings)
        self._ask = ask and choice.prf == "auto" and choice.may_fetch
        self._directory = choice.directory(must_exist=not self._ask)
        self._hashes: dict[tuple[int, int, int], str] = {}

    def settings_hash(self, sector: int, camera: int, ccd: int) -> str:
        """Changes when a setting that rows of this CCD depend on does; its PRF files count by name and size."""
        where = sector, camera, ccd
        if where not in self._hashes:
            files = self._files(self._directory, *where) if self._directory and camera and ccd else []
            self._hashes[where] = short_hash(self._settings | {"prf": files or "empirical"})
        return self._hashes[where]

    def _files(self, directory: Path, sector: int, camera: int, ccd: int) -> list[tuple[str, int]]:
        """Name and size of the PRF files of a CCD, after they were fetched if they may be."""
        folder = prf_folder(directory, sector, camera, ccd)
        if self._ask and not folder.is_dir():
            from batchvet.pixels.prf_fetch import fetch_prf  # and requests, which who asks nobody does without

            try:
                fetch_prf(directory, sector, camera, ccd, _HASTE)
            except ArchiveError as error:
                self._ask = False
                self.note = f"PRF files are not to be had, so the PRF is fitted to each stamp ({error})"
        return sorted((file.name, file.stat().st_size) for file in folder.glob("*.fits*"))
