"""The official PRF files of one CCD from the archive: all of them, read once, or none."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

from batchvet.errors import ArchiveError, ConfigError
from batchvet.network.addresses import address
from batchvet.network.asking import CarefulSession, Host
from batchvet.network.politeness import Politeness
from batchvet.pixels.download import Downloader, Wanted
from batchvet.pixels.prf_files import prf_folder, read_prf
from batchvet.vocabulary import ErrorKind

_LINK = re.compile(r'href="(?:[^"]*/)?(tess\d+-prf-\d-\d-row\d{4}-col\d{4}\.fits)"', re.IGNORECASE)


def fetch_prf(directory: Path, sector: int, camera: int, ccd: int, politeness: Politeness | None = None) -> Path:
    """Fetch the PRF files of a CCD unless they are there.

    Parameters
    ----------
    directory : path
        Kept in the archive's layout.
    sector, camera, ccd : int
    politeness : Politeness, optional

    Returns
    -------
    path
        The CCD's folder.

    Raises
    ------
    ArchiveError
        The archive does not answer, or does not hold a whole grid of PRF tables there.
    """
    folder = prf_folder(directory, sector, camera, ccd)
    if folder.is_dir():
        return folder
    name = f"{folder.parent.name}/{folder.name}"
    host = Host(politeness)
    url = f"{address('BATCHVET_PRF_URL')}/{name}"
    with CarefulSession() as session:
        page = host.ask(lambda: _page(session, f"{url}/", host), f"listing the PRF files of {name}")
    files = sorted(set(_LINK.findall(page)))
    arriving = directory / f".arriving-{uuid.uuid4().hex}"
    try:
        to = prf_folder(arriving, sector, camera, ccd)
        with Downloader(to, directory / "quarantine", host.politeness) as downloader:
            for fetched in downloader.fetch(Wanted(f"{url}/{file}", file) for file in files):
                if fetched.error is not None:
                    raise fetched.error
        read_prf(arriving, sector, camera, ccd)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():  # another process may have been first
            to.rename(folder)
    except ConfigError as error:
        raise ArchiveError(
            f"the archive's PRF files of {name} cannot be used: {error}", kind=ErrorKind.LAYOUT
        ) from error
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return folder


def _page(session: CarefulSession, url: str, host: Host) -> str:
    answer = session.get(url, timeout=host.politeness.timeout)
    answer.raise_for_status()
    return answer.text
