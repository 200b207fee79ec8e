"""The report's pages as text: made all at once for a report on disk, or one by one when somebody opens them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, select_autoescape

import batchvet
from batchvet.report.candidate_page import CandidateRows, candidate_context
from batchvet.report.check_page import check_context, compare_context
from batchvet.report.index_page import about_context, index_context, index_row
from batchvet.report.raster import colour_bar
from batchvet.report.style import LIGHT_MAP, SIGNED_MAP
from batchvet.report.view import Row, rows_of
from batchvet.results.comparison import kept_comparison
from batchvet.results.reader import RunResults

if TYPE_CHECKING:
    import pandas as pd

#: Candidates whose rows are taken out of the tables at a time.
_BATCH = 256
_NO_NAMES = ("run", "output", "out", "results")


class Pages:
    """The pages of one run.

    Parameters
    ----------
    run : RunResults
    """

    def __init__(self, run: RunResults) -> None:
        self.run = run
        self._templates = Environment(
            loader=PackageLoader("batchvet.report"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "version": batchvet.__version__,
            "run_name": run_name(run.directory),
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        self._command = _command(run)

    @cached_property
    def names(self) -> dict[str, str]:
        """By candidate the name of its page, in the pages' order."""
        run = self.run
        return page_names(sorted(set(run.sectors["toi"]) | set(run.candidates["toi"]), key=natural_order))

    @cached_property
    def _order(self) -> dict[str, int]:
        return {toi: number for number, toi in enumerate(self.names)}

    def candidate(self, rows: CandidateRows) -> str:
        """The page of a candidate."""
        order, place = list(self.names), self._order[rows.toi]
        turn = {"previous": self._link(order, place - 1), "next": self._link(order, place + 1)}
        context = candidate_context(rows, self._command)
        return self._templates.get_template("candidate.html").render(assets="../assets", **turn, **context)

    def index(self, lines: list[dict[str, Any]]) -> str:
        """The first page, of the candidates' lines."""
        return self._page("index", {**index_context(self.run, lines), "check": self._check, "comparison": self._known})

    def others(self) -> dict[str, str]:
        """The other pages by name: about, check and, where the run was held against something, compare."""
        contexts = {"about": about_context(self.run), "check": self._check}
        if self._known is not None:
            contexts["compare"] = self._known
        return {name: self._page(name, context) for name, context in contexts.items()}

    def line(self, rows: CandidateRows) -> dict[str, Any]:
        """A candidate's line on the first page."""
        return index_row(rows, f"candidates/{self.names[rows.toi]}")

    def rows(self, tois: Sequence[str], images: pd.DataFrame | None) -> Iterator[CandidateRows]:
        """The rows of candidates, in their order, with what `images` has of them."""
        run = self.run
        text = {**run.candidates.attrs.get("text", {}), **run.sectors.attrs.get("text", {})}
        units = {**run.candidates.attrs.get("units", {}), **run.sectors.attrs.get("units", {})}
        for start in range(0, len(tois), _BATCH):
            batch = list(tois[start : start + _BATCH])
            frames = (run.sectors, images, run.candidates, run.hosts)
            tables = [_by_candidate(frame, batch) if frame is not None else {} for frame in frames]
            for toi in batch:
                sectors, found, candidate, stars = (table.get(toi, []) for table in tables)
                yield CandidateRows(toi, candidate[0] if candidate else None, sectors, found, units, text, stars)

    def _page(self, name: str, context: Mapping[str, Any]) -> str:
        return self._templates.get_template(f"{name}.html").render(assets="assets", **context)

    @cached_property
    def _check(self) -> dict[str, Any]:
        return check_context(self.run)

    @cached_property
    def _known(self) -> dict[str, Any] | None:
        found = kept_comparison(self.run.directory)
        return None if found is None else compare_context(found, self.names)

    def _link(self, order: list[str], place: int) -> dict[str, str] | None:
        return {"toi": order[place], "page": self.names[order[place]]} if 0 <= place < len(order) else None


def assets() -> dict[str, bytes]:
    """The files that pages need besides themselves."""
    found = {name: files("batchvet.report").joinpath("assets", name).read_bytes() for name in _ASSETS}
    return found | {f"{colour_map}.png": colour_bar(colour_map) for colour_map in (SIGNED_MAP, LIGHT_MAP)}


_ASSETS = ("report.css", "report.js")


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


def _command(run: RunResults) -> str:
    """What to type to run a row again, with places for its target and sector."""
    config = run.plan.get("config_file") or "CONFIG"
    quoted = json.dumps(str(config)) if re.search(r"[^\w./+-]", str(config)) else str(config)
    return f"batchvet run {quoted} --only {{tic}}:{{sector}} --output again"
