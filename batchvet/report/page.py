"""The report: a directory of pages that opens from disk, without a server and without the network."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

import batchvet
from batchvet.errors import RunError
from batchvet.report.candidate_page import CandidateRows, candidate_context
from batchvet.report.index_page import about_context, index_context, index_row
from batchvet.report.raster import colour_bar
from batchvet.report.style import LIGHT_MAP, SIGNED_MAP
from batchvet.report.view import Row, rows_of
from batchvet.runtime.progress import Progress, Silent

#: Candidates whose rows are taken out of the tables at a time.
_BATCH = 256
_NO_NAMES = ("run", "output", "out", "results")
#: The file by which a report is known, so that nothing else is ever replaced.
_MARKER = ".batchvet-report"


class Results(Protocol):
    """What the report needs of a run."""

    directory: Path
    plan: dict[str, Any]

    @property
    def sectors(self) -> pd.DataFrame: ...
    @property
    def candidates(self) -> pd.DataFrame: ...
    @property
    def images(self) -> pd.DataFrame: ...


def write_report(run: Results, directory: str | Path | None = None, progress: Progress = Silent()) -> Path:
    """Write the report of a run, finished or not.

    Parameters
    ----------
    run : Run
        Opened by ``open_run``.
    directory : path, optional
        Where to; by default ``RUN/report``. A report that is there already is replaced at once when the new one is
        complete.
    progress : Progress
        Told of each candidate's page.

    Returns
    -------
    Path
        Of the page to open.

    Raises
    ------
    RunError
        The directory exists and is not a report.
    """
    place = Path(directory) if directory is not None else run.directory / "report"
    if place.exists() and not (place / _MARKER).exists() and (not place.is_dir() or any(place.iterdir())):
        raise RunError(f"{place}: not a report, so it is left alone; choose another directory with --output")
    fresh = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    try:
        _write(run, fresh, progress)
        _replace(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place / "index.html"


def _write(run: Results, place: Path, progress: Progress) -> None:
    (place / "candidates").mkdir(parents=True)
    (place / _MARKER).touch()
    _write_assets(place / "assets")
    pages = Environment(
        loader=PackageLoader("batchvet.report"), autoescape=select_autoescape(), trim_blocks=True, lstrip_blocks=True
    )
    pages.globals |= {
        "version": batchvet.__version__,
        "run_name": run_name(run.directory),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    names = page_names(sorted(set(run.sectors["toi"]) | set(run.candidates["toi"]), key=natural_order))
    command = _command(run)
    template = pages.get_template("candidate.html")
    order = list(names)
    rows = []
    progress.start("Writing pages", len(order))
    for position, candidate in enumerate(_candidates(run, order)):
        turn = {
            "previous": _link(names, order, position - 1),
            "next": _link(names, order, position + 1),
        }
        text = template.render(assets="../assets", **turn, **candidate_context(candidate, command))
        (place / "candidates" / names[candidate.toi]).write_text(text, encoding="utf-8")
        rows.append(index_row(candidate, f"candidates/{names[candidate.toi]}"))
        progress.advance()
    index = pages.get_template("index.html").render(assets="assets", **index_context(run, rows))
    (place / "index.html").write_text(index, encoding="utf-8")
    about = pages.get_template("about.html").render(assets="assets", **about_context(run))
    (place / "about.html").write_text(about, encoding="utf-8")


def _write_assets(place: Path) -> None:
    place.mkdir()
    for name in ("report.css", "report.js"):
        (place / name).write_bytes(files("batchvet.report").joinpath("assets", name).read_bytes())
    for colour_map in (SIGNED_MAP, LIGHT_MAP):
        (place / f"{colour_map}.png").write_bytes(colour_bar(colour_map))


def _replace(fresh: Path, place: Path) -> None:
    """Put the new report in the old one's place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        old = fresh.with_name(fresh.name + "-old")
        place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old)
    else:
        fresh.rename(place)


def _candidates(run: Results, order: list[str]) -> Iterator[CandidateRows]:
    """The rows of every candidate, in order."""
    text = {**run.candidates.attrs.get("text", {}), **run.sectors.attrs.get("text", {})}
    units = {**run.candidates.attrs.get("units", {}), **run.sectors.attrs.get("units", {})}
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        tables = [_by_candidate(frame, batch) for frame in (run.sectors, run.images, run.candidates)]
        for toi in batch:
            sectors, images, candidate = (table.get(toi, []) for table in tables)
            yield CandidateRows(toi, candidate[0] if candidate else None, sectors, images, units, text)


def _by_candidate(frame: pd.DataFrame, batch: list[str]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for row in rows_of(frame[frame["toi"].isin(batch)]):
        rows.setdefault(row["toi"], []).append(row)
    return rows


def run_name(directory: Path) -> str:
    """What a run is called: its directory, with the one above it where the name alone says nothing."""
    place = directory.resolve()
    return place.name if place.name.lower() not in _NO_NAMES else f"{place.parent.name}/{place.name}".lstrip("/")


def page_names(tois: list[str]) -> dict[str, str]:
    """A file name for each candidate: its own name where that is safe everywhere, and never the same twice."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for number, toi in enumerate(tois):
        stem = re.sub(r"[^0-9A-Za-z.+-]+", "_", toi).strip("._")[:80] or "candidate"
        if stem != toi or stem.lower() in taken:
            stem = f"{stem}_{number}"
        taken.add(stem.lower())
        names[toi] = f"{stem}.html"
    return names


def natural_order(toi: str) -> list[tuple[int, int, str]]:
    """Sort key that puts 99.01 before 101.01."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", toi)]


def _link(names: dict[str, str], order: list[str], position: int) -> dict[str, str] | None:
    if not 0 <= position < len(order):
        return None
    return {"toi": order[position], "page": names[order[position]]}


def _command(run: Results) -> str:
    """What to type to run a row again, with places for its target and sector."""
    config = run.plan.get("config_file") or "CONFIG"
    quoted = json.dumps(str(config)) if re.search(r"[^\w./+-]", str(config)) else str(config)
    return f"batchvet run {quoted} --only {{tic}}:{{sector}} --output again"
