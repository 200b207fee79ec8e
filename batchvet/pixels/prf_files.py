"""Reading the official SPOC PRF files in the archive's layout.

``start_s0001/cam4_ccd1/tess2018243163601-prf-4-1-row0001-col0045.fits``: 25 nodes a CCD, each a 117 x 117
table of pixel-integrated samples, 9 a pixel, whose centre is sample 58. Sectors 1 to 3 use ``start_s0001``,
later ones ``start_s0004``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np

from batchvet.arrays import FloatArray
from batchvet.errors import ConfigError

_NODE_NAME = re.compile(r"-prf-(\d)-(\d)-row(\d{4})-col(\d{4})\.fits(?:\.gz)?$")
_FIRST_SECTOR_OF_SECOND_SET = 4


@dataclass(frozen=True, eq=False)
class PrfNodes:
    """The PRF of one CCD at a grid of places."""

    rows: FloatArray  #: CCD rows of the nodes, increasing
    columns: FloatArray  #: CCD columns of the nodes, increasing
    tables: FloatArray  #: [node row, node column, sample row, sample column]
    sampling: int  #: samples per pixel


def prf_folder(directory: str | Path, sector: int, camera: int, ccd: int) -> Path:
    """Where the archive's layout keeps the nodes of that CCD for that sector."""
    start = 1 if sector < _FIRST_SECTOR_OF_SECOND_SET else _FIRST_SECTOR_OF_SECOND_SET
    return Path(directory) / f"start_s{start:04d}" / f"cam{camera}_ccd{ccd}"


def checked_prf_directory(directory: str | Path) -> Path:
    """A directory that has official PRF files, be it of other CCDs than are wanted.

    Raises
    ------
    ConfigError
        It is no directory, or there is no such file in it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"prf: {directory} is not a directory; name one with SPOC PRF files, or say 'empirical'")
    if next(directory.glob("start_s*/cam*_ccd*/*.fits*"), None) is None:
        raise ConfigError(
            f"prf: {directory} has no SPOC PRF files (start_s0001/cam1_ccd1/*.fits); put them there, or say 'empirical'"
        )
    return directory


def find_prf(directory: str | Path, sector: int, camera: int, ccd: int) -> PrfNodes | None:
    """The nodes for that CCD, or None when the directory has none for it (or the CCD is unknown, 0).

    Raises
    ------
    ConfigError
        The folder is there but cannot be used.
    """
    if not (camera and ccd) or not prf_folder(directory, sector, camera, ccd).is_dir():
        return None
    return read_prf(directory, sector, camera, ccd)


def read_prf(directory: str | Path, sector: int, camera: int, ccd: int) -> PrfNodes:
    """Read all nodes of one CCD; kept in memory for the next call.

    Raises
    ------
    ConfigError
        The folder or a node is missing, or a file is not a PRF table.
    """
    return _read_folder(prf_folder(directory, sector, camera, ccd), camera, ccd)


@lru_cache(maxsize=4)  # 2.7 MB a CCD; a worker meets its targets CCD by CCD
def _read_folder(folder: Path, camera: int, ccd: int) -> PrfNodes:
    if not folder.is_dir():
        raise ConfigError(f"no PRF folder {folder}: put the SPOC PRF files there or set prf: empirical")
    tables: dict[tuple[int, int], FloatArray] = {}
    samplings = set()
    for path in sorted(folder.iterdir()):
        match = _NODE_NAME.search(path.name)
        if match is None:
            continue
        if (int(match[1]), int(match[2])) != (camera, ccd):
            raise ConfigError(f"{path} is of camera {match[1]} CCD {match[2]}: move it to its own folder")
        table, sampling = _read_node(path, (int(match[3]), int(match[4])))
        tables[int(match[3]), int(match[4])] = table
        samplings.add(sampling)
    return _assemble(folder, tables, samplings)


def _assemble(folder: Path, tables: Mapping[tuple[int, int], FloatArray], samplings: set[int]) -> PrfNodes:
    rows = sorted({row for row, _ in tables})
    columns = sorted({column for _, column in tables})
    if len(rows) < 2 or len(columns) < 2:
        raise ConfigError(f"{folder} holds {len(tables)} PRF nodes, not a grid: download that CCD's 25 files again")
    missing = [f"row{r:04d}-col{c:04d}" for r in rows for c in columns if (r, c) not in tables]
    if missing:
        raise ConfigError(f"{folder} lacks the PRF nodes {', '.join(missing)}: download them again")
    if len(samplings) > 1 or len({table.shape for table in tables.values()}) > 1:
        raise ConfigError(f"{folder} mixes PRF tables of different sampling: download that CCD's files again")
    stack = np.array([[tables[r, c] for c in columns] for r in rows])
    return PrfNodes(np.array(rows, float), np.array(columns, float), stack, samplings.pop())


def _read_node(path: Path, place: tuple[int, int]) -> tuple[FloatArray, int]:
    """Table and samples per pixel of one file, checked against its own header and its name."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyUserWarning)  # how astropy reports a truncated file
            with fits.open(BytesIO(path.read_bytes()), memmap=False) as hdus:
                header, data = hdus[0].header, hdus[0].data
                table = None if data is None else np.ascontiguousarray(data, dtype=np.float64)
    except (OSError, TypeError, ValueError, AstropyUserWarning) as error:
        raise ConfigError(f"{path} is not a readable FITS file ({error}): download it again") from error
    sampling = int(header.get("NSAMP", 0))
    if table is None or table.ndim != 2 or sampling < 1 or not np.isfinite(table).all() or table.max() <= 0:
        raise ConfigError(f"{path} holds no PRF table: download it again")
    if (header.get("CCD_RREF"), header.get("CCD_CREF")) != place:
        raise ConfigError(f"{path} is of another place on the CCD than its name says: download it again")
    centre = tuple((size - 1) // 2 + 1 for size in table.shape)
    if table.shape[0] % 2 == 0 or (header.get("CRPIX2P"), header.get("CRPIX1P")) != centre:
        raise ConfigError(f"{path} has its centre elsewhere than its middle sample: download it again")
    return table, sampling
