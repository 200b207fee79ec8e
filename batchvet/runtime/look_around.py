"""What lies in a directory: a catalogue, neighbour stars, target pixel files, a cache. Nothing is changed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from batchvet.catalog.layouts import LAYOUTS
from batchvet.catalog.neighbours import read_neighbours
from batchvet.catalog.plain_neighbours import NEIGHBOURS
from batchvet.catalog.reader import Catalog, read_catalog
from batchvet.catalog.table import open_table
from batchvet.errors import BatchvetError, CatalogError, ConfigError, StampError
from batchvet.pixels.fits_file import Identity, checked_identity, identity_from_name, read_head
from batchvet.pixels.listing import files_below
from batchvet.results.directory import PLAN

_TABLES = (".csv", ".csv.gz", ".txt", ".psv", ".tsv", ".parquet")
_FITS = (".fits", ".fits.gz")
_ENTRY = ".zarr.zip"
_DEEPEST_TABLE = 2  #: folders down to which tables are looked for

#: Files of a mission's other products.
_OTHER_FITS = re.compile(r"(_|-)(lc|fast-lc|dvt|cbv|ffic|ffir)\.fits(\.gz)?$")
_PRF = re.compile(r"^(?P<directory>.*?)/?start_s\d{4}/cam\d_ccd\d/[^/]*-prf-[^/]*$")


@dataclass(frozen=True)
class PixelFiles:
    """Target pixel files, as far as their names and headers say."""

    directories: tuple[str, ...] = ()  #: relative to where was looked, with forward slashes
    n_files: int = 0
    n_unreadable: int = 0
    n_cutouts: int = 0  #: that know a position only
    targets: frozenset[int] = frozenset()
    sectors: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Surroundings:
    """What lies in a directory. Paths are relative to it, with forward slashes; empty where there is none."""

    directory: Path
    catalog: str = ""
    layout: str = ""  #: of the catalogue
    n_candidates: int = 0
    n_bad_rows: int = 0
    targets: frozenset[int] = frozenset()  #: of the catalogue
    other_catalogs: tuple[str, ...] = ()
    neighbours: str = ""
    pixels: PixelFiles = PixelFiles()
    cache: str = ""
    prf: str = ""  #: directory of official PRF files
    refused: tuple[str, ...] = ()  #: tables that look like one of ours and cannot be read, with the reason

    @property
    def targets_with_files(self) -> frozenset[int]:
        """Targets of the catalogue that a file names."""
        return self.targets & self.pixels.targets


def look_around(directory: str | Path, progress: Callable[[int], None] = lambda n: None) -> Surroundings:
    """Look at everything below a directory.

    Parameters
    ----------
    directory : path
    progress : callable
        Told how many more files were looked at.

    Raises
    ------
    ConfigError
        It is not a directory, or cannot be listed.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such directory; name one that holds a catalogue or target pixel files")
    try:
        paths = [found.path for found in files_below(directory, (*_TABLES, *_FITS, _ENTRY, PLAN)) if not found.is_lost]
    except OSError as error:
        raise ConfigError(f"{error.filename or directory}: cannot be listed ({error.strerror})") from error
    caches = sorted({_above(path, 2) for path in paths if path.endswith(_ENTRY)})
    runs = {_above(path, 1) for path in paths if PurePosixPath(path).name == PLAN}
    rest = [path for path in paths if not any(_is_below(path, made) for made in (*caches, *runs))]
    catalogs, neighbours, refused = _tables(directory, rest, progress)
    best = max(catalogs, key=lambda path: len(catalogs[path].candidates), default="")
    found = catalogs.get(best)
    prf = next((match["directory"] or "." for path in rest if (match := _PRF.match(path))), "")
    return Surroundings(
        directory=directory,
        catalog=best,
        layout=found.layout if found else "",
        n_candidates=len(found.candidates) if found else 0,
        n_bad_rows=len(found.rejected) if found else 0,
        targets=frozenset(candidate.tic for candidate in found.candidates) if found else frozenset(),
        other_catalogs=tuple(path for path in catalogs if path != best),
        neighbours=neighbours[0] if neighbours else "",
        pixels=_pixel_files(directory, rest, progress),
        cache=caches[0] if caches else "",
        prf=prf,
        refused=tuple(refused),
    )


def _above(path: str, levels: int) -> str:
    return str(PurePosixPath(path).parents[levels - 1]) if len(PurePosixPath(path).parents) >= levels else "."


def _is_below(path: str, directory: str) -> bool:
    return directory != "." and path.startswith(f"{directory}/")


def _tables(
    directory: Path, paths: Sequence[str], progress: Callable[[int], None]
) -> tuple[dict[str, Catalog], list[str], list[str]]:
    """Catalogues by path, neighbour tables, and what looks like one of them and cannot be used."""
    catalogs: dict[str, Catalog] = {}
    neighbours: list[str] = []
    refused: list[str] = []
    for path in paths:
        if not path.endswith(_TABLES) or path.count("/") > _DEEPEST_TABLE:
            continue
        progress(1)
        try:
            layout = open_table(directory / path, (*LAYOUTS, NEIGHBOURS), "table").layout
        except CatalogError:
            continue  # a table of something else
        try:
            if layout is NEIGHBOURS:
                read_neighbours(directory / path, keep_going=True)
                neighbours.append(path)
            else:
                catalogs[path] = read_catalog(directory / path, keep_going=True)
        except BatchvetError as error:
            refused.append(str(error).splitlines()[0])
    return catalogs, neighbours, refused


def _pixel_files(directory: Path, paths: Sequence[str], progress: Callable[[int], None]) -> PixelFiles:
    files = [p for p in paths if p.endswith(_FITS) and not _PRF.match(p) and not _OTHER_FITS.search(p)]
    said = list(_identities(directory, files, progress))
    known = [identity for identity in said if identity is not None and identity.sector]
    return PixelFiles(
        directories=_directories(files),
        n_files=len(files),
        n_unreadable=len(said) - len(known),
        n_cutouts=sum(identity.tic is None for identity in known),
        targets=frozenset(identity.tic for identity in known if identity.tic),
        sectors=frozenset(identity.sector for identity in known if identity.sector),
    )


def _identities(directory: Path, files: Sequence[str], progress: Callable[[int], None]) -> Iterator[Identity | None]:
    """Of each file, what its name says, or where that is not enough its headers; None where they cannot be read."""
    for path in files:
        progress(1)
        named = identity_from_name(path)
        if named.sector:
            yield named
            continue
        try:
            yield checked_identity(directory / path, read_head(directory / path)[0])
        except StampError:
            yield None


def _directories(files: Sequence[str]) -> tuple[str, ...]:
    """The directories that hold the files: the deepest one of each folder that lies where was looked."""
    if any("/" not in path for path in files):
        return (".",)
    folders: dict[str, list[str]] = {}
    for path in files:
        folders.setdefault(path.split("/")[0], []).append(os.path.dirname(path))
    return tuple(os.path.commonpath(inner) for _, inner in sorted(folders.items()))
