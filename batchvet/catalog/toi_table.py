"""The current TOI table from ExoFOP or the NASA Exoplanet Archive, kept with its date and checksum."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.cells import text
from batchvet.catalog.condition import Condition, parse_condition
from batchvet.catalog.layouts import LAYOUTS
from batchvet.catalog.reader import Catalog, read_catalog
from batchvet.catalog.table import open_table
from batchvet.errors import CatalogError, ConfigError
from batchvet.network.addresses import address
from batchvet.network.asking import CarefulSession, Host, PassingFault
from batchvet.network.politeness import Politeness

#: The columns of the NASA archive's TOI table that we read.
_NASA_COLUMNS = (
    "toi",
    "tid",
    "pl_orbper",
    "pl_orbpererr1",
    "pl_tranmid",
    "pl_tranmiderr1",
    "pl_trandurh",
    "pl_trandep",
    "ra",
    "dec",
    "st_pmra",
    "st_pmdec",
    "st_tmag",
    "tfopwg_disp",
)

_OF_EPHEMERIS = ("period_days", "t0_btjd", "duration_hours")
_OF_CANDIDATE = ("tic", "depth_ppm", "ra", "dec", "pmra", "pmdec", "tmag")


@dataclass(frozen=True)
class ToiTable:
    """What was fetched and what of it was kept."""

    path: Path
    service: str
    fetched: str  #: UTC, ISO
    sha256: str  #: of the file as written
    n_rows: int  #: rows that the service sent
    n_kept: int  #: rows in the file
    n_unusable: int  #: of these, rows that cannot be vetted, such as one without an epoch
    n_companions: int = 0  #: further rows in the file, of the same targets, only for their dips to be left out


def fetch_toi_table(
    output: str | Path,
    *,
    service: str = "exofop",
    where: str | None = None,
    politeness: Politeness | None = None,
) -> ToiTable:
    """Fetch the TOI table of today.

    Parameters
    ----------
    output : path
        CSV in the service's own columns; ``OUTPUT.json`` beside it says when and where it came from and its SHA-256.
    service : "exofop" or "nasa"
    where : str, optional
        Which candidates to keep, such as ``"tmag < 12 and period_days < 10"``: comparisons of a candidate's `toi`,
        `tic`, `period_days`, `t0_btjd`, `duration_hours`, `depth_ppm`, `ra`, `dec`, `pmra`, `pmdec`, `tmag` with
        numbers, joined by ``and``, ``or``, ``not`` and brackets. A value that is not known fulfils no comparison.
        Rows that are no usable candidates are then left out. Further candidates of the same targets stay in the
        file, marked in a column ``companion_only``: they are not vetted, but their dips are left out of the others'.
    politeness : Politeness, optional

    Raises
    ------
    ConfigError
        `where` or `service` cannot be understood, or the file cannot be written.
    ArchiveError
        The service does not answer.
    CatalogError
        It answers with something else than a TOI table, or no candidate is left.
    """
    output = Path(output)
    condition = parse_condition(where, ("toi", *_OF_EPHEMERIS, *_OF_CANDIDATE)) if where else None
    content, url = _fetched(service, Host(politeness))
    arriving = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _write(arriving, content)
        catalog = read_catalog(arriving, keep_going=True)
        n_rows = n_kept = len(catalog.candidates) + len(catalog.rejected)
        n_unusable, n_companions = len(catalog.rejected), 0
        if condition is not None:
            content, n_kept, n_companions = _chosen(arriving, catalog, condition)
            if not n_kept:
                raise CatalogError(f"none of the {n_rows} candidates fulfils {where!r}")
            n_unusable = 0
            _write(arriving, content)
        fetched = datetime.now(UTC).isoformat(timespec="seconds")
        sha256 = hashlib.sha256(content).hexdigest()
        table = ToiTable(output, service, fetched, sha256, n_rows, n_kept, n_unusable, n_companions)
        os.replace(arriving, output)
        _write(arriving, _said(table, url, where))
        os.replace(arriving, output.with_name(output.name + ".json"))
    except CatalogError as error:
        raise CatalogError(str(error).replace(str(arriving), f"that {service} sends")) from None
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written ({error.strerror})") from error
    finally:
        arriving.unlink(missing_ok=True)
    return table


def _said(table: ToiTable, url: str, where: str | None) -> bytes:
    """What stands beside the file: where it came from and what was kept of it."""
    said = {"url": url, "where": where} | {k: v for k, v in vars(table).items() if k != "path"}
    return (json.dumps(said, indent=2, sort_keys=True) + "\n").encode()


def _fetched(service: str, host: Host) -> tuple[bytes, str]:
    """The table as the service sends it, and from where."""
    if service == "exofop":
        url, asked = address("BATCHVET_EXOFOP_URL"), {}
    elif service == "nasa":
        url = address("BATCHVET_NASA_URL")
        asked = {"query": f"select {','.join(_NASA_COLUMNS)} from toi", "format": "csv"}
    else:
        raise ConfigError(f"service: {service!r} is neither exofop nor nasa")

    def question() -> bytes:
        with session.get(url, params=asked, timeout=host.politeness.timeout) as answer:
            answer.raise_for_status()
            if answer.content.lstrip()[:1] == b"<" or not answer.content.strip():
                raise PassingFault("the service sends a page, not a table")
            return answer.content

    with CarefulSession() as session:
        return host.ask(question, f"fetching the TOI table of {service}"), url


def _values(candidate: Candidate) -> dict[str, float]:
    """What a condition can speak of."""
    named = {name: getattr(candidate.ephemeris, name) for name in _OF_EPHEMERIS}
    named |= {name: getattr(candidate, name) for name in _OF_CANDIDATE}
    try:
        return named | {"toi": float(candidate.toi)}
    except ValueError:
        return named | {"toi": math.nan}


def _chosen(path: Path, catalog: Catalog, condition: Condition) -> tuple[bytes, int, int]:
    """The table of those that fulfil the condition and of their siblings, and how many there are of both."""
    fulfil = [c for c in catalog.candidates if condition(_values(c))]
    targets, kept = {c.tic for c in fulfil}, {c.toi for c in fulfil}
    companions = {c.toi for c in catalog.candidates if c.tic in targets} - kept
    return _rows_of(path, kept, companions), len(kept), len(companions)


def _rows_of(path: Path, kept: set[str], companions: set[str]) -> bytes:
    """The table with only those candidates, in the service's own columns and one more that marks companions."""
    table = open_table(path, LAYOUTS, "TOI table")
    column = table.positions["toi"]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    mark = ("companion_only",) if companions else ()
    writer.writerow((*table.columns, *mark))
    for _, row in table.rows:
        name = text(row[column]) if column < len(row) else ""
        if name in kept or name in companions:
            writer.writerow((*row, *(int(name in companions) for _ in mark)))
    return written.getvalue().encode()


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
