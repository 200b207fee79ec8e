"""The stars around every target from an archive: asked for once, kept beside the cache."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.catalog.candidate import Candidate, Neighbour
from batchvet.catalog.neighbours import NeighbourTable, read_neighbours
from batchvet.catalog.star_store import StarStore
from batchvet.columns import no_rows, numbers_of
from batchvet.errors import CacheError
from batchvet.pixels.sources import Asking
from batchvet.pixels.storage import Storage
from batchvet.runtime.settings import FetchedNeighbours, StarSettings

_NUMBERS = ("ra", "dec", "tmag", "pmra", "pmdec", "epoch")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("tic", pa.int64(), nullable=False),
    pa.field("asked", pa.string(), nullable=False),
    pa.field("source_id", pa.string(), nullable=False),  # empty: the catalogue has no star there
    *(pa.field(name, pa.float64(), nullable=False) for name in _NUMBERS),
]
_SCHEMA = pa.schema(_FIELDS)


@dataclass(frozen=True)
class StarFields:
    """What is known of the targets' surroundings."""

    table: NeighbourTable | None  #: None: no stars are wanted
    not_asked: frozenset[int] = frozenset()  #: targets that the catalogue has not been asked for


def stars_around(
    neighbours: Path | FetchedNeighbours | None,
    targets: Mapping[int, Sequence[Candidate]],
    kept_in: Storage,
    asking: Asking,
    *,
    keep_going: bool = False,
) -> StarFields:
    """The stars around the targets, wherever the configuration takes them from.

    Parameters
    ----------
    neighbours : path of a table, FetchedNeighbours, or None
    targets : mapping of TIC number to candidates
    kept_in : Storage
        Where an archive's answers are kept.
    asking : Asking
    keep_going : bool
        Leave bad rows of a table out instead of refusing it.

    Raises
    ------
    CatalogError
        The table cannot be used.
    ArchiveError
        The archive did not answer; what it has answered is kept.
    """
    match neighbours:
        case None:
            return StarFields(None)
        case Path():
            return StarFields(read_neighbours(neighbours, keep_going=keep_going))
        case FetchedNeighbours(mast=settings):
            positions = {tic: (group[0].ra, group[0].dec) for tic, group in targets.items()}
            return star_fields(settings, positions, kept_in, asking)


def star_fields(
    settings: StarSettings,
    targets: Mapping[int, tuple[float, float]],
    kept_in: Storage,
    asking: Asking = Asking(),
) -> StarFields:
    """Stars around each target, from what is kept and from the catalogue for the rest.

    Parameters
    ----------
    settings : StarSettings
    targets : mapping
        TIC number to position, deg, epoch 2000.0, NaN when not known.
    kept_in : Storage
    asking : Asking
        Whether to ask the catalogue for targets of which nothing is kept, or for all of them again.

    Raises
    ------
    ArchiveError
        The catalogue did not answer; what it has answered is kept.
    """
    folder = f"neighbours/{settings.catalogue}-{settings.radius_arcsec:g}-{settings.max_tmag:g}"
    kept = _read(kept_in, folder)
    unknown = [tic for tic in sorted(targets) if tic not in kept.targets or (asking.refresh and asking.ask)]
    if not (asking.ask and unknown):
        return StarFields(kept.table, frozenset(unknown))
    from batchvet.runtime.star_questions import asked  # and requests, which who asks nobody does without

    n_asked = 0
    for part in asked(settings, unknown, targets):
        _write(kept_in, folder, part)
        n_asked += len(part)
        asking.progress(n_asked)
    return StarFields(_read(kept_in, folder).table, frozenset())


@dataclass(frozen=True)
class _Kept:
    targets: frozenset[int]  #: that the catalogue has been asked for
    table: NeighbourTable


def _read(kept_in: Storage, folder: str) -> _Kept:
    """Everything that is kept; where a target was asked for twice, the later answer. A damaged part is asked anew."""
    parts = []
    for listed in kept_in.list(".parquet"):
        if listed.name.startswith(f"{folder}/"):
            try:
                part = pq.ParquetFile(io.BytesIO(kept_in.read(listed.name)), page_checksum_verification=True).read()
                parts.extend([part] if part.schema.equals(_SCHEMA) else [])
            except (CacheError, pa.ArrowException, OSError):
                continue
    parts = sorted((part for part in parts if part.num_rows), key=lambda part: part["asked"][0].as_py())
    rows = pa.concat_tables([no_rows(_SCHEMA), *parts])
    tic = numbers_of(rows["tic"])
    part_of_row = np.repeat(np.arange(len(parts)), [part.num_rows for part in parts])
    targets, target_of_row = np.unique(tic, return_inverse=True)
    latest = np.full(len(targets), -1)
    np.maximum.at(latest, target_of_row, part_of_row)
    names = np.array(rows["source_id"].to_pylist(), dtype=object)
    stars = (part_of_row == latest[target_of_row]) & (names != "")
    order = np.flatnonzero(stars)[np.argsort(tic[stars], kind="stable")]
    numbers = np.column_stack([numbers_of(rows[name]) for name in _NUMBERS])[order]
    sha256 = hashlib.sha256("\n".join(names[order]).encode() + numbers.tobytes()).hexdigest()
    store = StarStore([(tic[order], names[order].tolist(), numbers)], len(_NUMBERS))
    table = NeighbourTable(Path(kept_in.location) / folder, sha256, store)
    return _Kept(frozenset(targets.tolist()), table)


def _write(kept_in: Storage, folder: str, part: Mapping[int, list[Neighbour]]) -> None:
    now = datetime.now(UTC).isoformat()
    rows = [
        {"tic": tic, "asked": now, "source_id": star.source_id} | {name: getattr(star, name) for name in _NUMBERS}
        for tic, stars in part.items()
        for star in stars or [Neighbour("", 0.0, 0.0, 0.0)]
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), file, compression="zstd", write_page_checksum=True)
    kept_in.put(f"{folder}/part-{uuid.uuid4().hex}.parquet", file.getvalue(), lambda content: None, replace=False)
