"""What stands on a candidate's page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markupsafe import Markup

from batchvet.report.candidate_facts import facts
from batchvet.report.drawing import sector_drawings, sky_drawing
from batchvet.report.light_drawing import light_drawings, timing_drawing
from batchvet.report.light_view import light_view, timed_transits
from batchvet.report.star_table import stars_context
from batchvet.report.view import Row, SectorView, SkyView, names, number, sector_view, sky_view, text
from batchvet.report.words import display_name, sector_caption, shown
from batchvet.results.schema import CHECKS, HOST_NAMES, hosts_of
from batchvet.vocabulary import ErrorKind, explain

#: Columns that are told elsewhere on the page, or that lead to it.
_NOT_IN_TABLES = {"toi", "tic", "sector", "error", "host_candidates", *(f"host_{name}" for name in HOST_NAMES)}
#: Columns about where a row comes from.
_PROVENANCE = ("seconds", "software_version", "source_file")


@dataclass(frozen=True, eq=False)
class CandidateRows:
    """All rows of one candidate."""

    toi: str
    candidate: Row | None  #: of the table `candidates`; None while the run is not finished
    sectors: list[Row]
    images: list[Row]
    units: Mapping[str, str]  #: column -> unit
    text: Mapping[str, str]  #: column -> sentence
    stars: list[Row] = field(default_factory=list)  #: of the table `hosts`

    @property
    def tic(self) -> int:
        rows = [self.candidate] if self.candidate is not None else self.sectors
        return int(rows[0]["tic"])

    @property
    def verdict(self) -> str:
        return text(self.candidate, "verdict") if self.candidate is not None else ""

    @cached_property
    def views(self) -> list[SectorView]:
        """Each sector as it is drawn."""
        images = {int(image["sector"]): image for image in self.images}
        return [sector_view(row, images.get(int(row["sector"])), self.candidate) for row in self.sectors]

    @cached_property
    def sky(self) -> SkyView:
        """The sky as it is drawn."""
        candidate = self.candidate if self.candidate is not None else {"toi": self.toi, "tic": self.tic}
        return sky_view(candidate, self.sectors, self.images)

    def flags(self) -> dict[str, list[str]]:
        """Flags that bear on the verdict, and where each was raised."""
        found: dict[str, list[str]] = {}
        for flag in names(self.candidate, "flag_names") if self.candidate is not None else ():
            found.setdefault(flag, []).append("all sectors")
        for row in self.sectors:
            for flag in names(row, "flag_names"):
                found.setdefault(flag, []).append(f"sector {int(row['sector'])}")
        return found

    def check_flags(self) -> dict[str, list[str]]:
        """Flags of V08, V09 and V10, and where each was raised."""
        found: dict[str, list[str]] = {}
        for row in self.sectors:
            for flag in (flag for check in CHECKS for flag in names(row, f"{check.lower()}_flags")):
                found.setdefault(flag, []).append(f"sector {int(row['sector'])}")
        return found


def candidate_context(rows: CandidateRows, command: str) -> dict[str, Any]:
    """What the template of a candidate's page is filled with.

    Parameters
    ----------
    rows : CandidateRows
    command : str
        With ``{tic}`` and ``{sector}`` where the row's go.
    """
    return {
        "toi": display_name(rows.toi),
        "tic": rows.tic,
        "verdict": rows.verdict,
        "verdict_text": explain(rows.verdict) or "The candidate has not been judged.",
        "sky": None if rows.sky.is_empty else sky_drawing(rows.sky),
        "facts": facts(_with_magnitude(rows)),
        "lights": _lights(rows),
        **stars_context(rows.stars or _likely_stars(rows), display_name(rows.toi), rows.sky),
        "flags": [_flag(flag, where) for flag, where in rows.flags().items()],
        "check_flags": [_flag(flag, where) for flag, where in rows.check_flags().items()],
        "sectors": [_sector(row, view, command) for row, view in zip(rows.sectors, rows.views, strict=True)],
        "has_images": bool(rows.images),
        "tables": list(_tables(rows)),
    }


def _with_magnitude(rows: CandidateRows) -> Row:
    """The candidate's row, the target's magnitude from the scene where the catalogue has none."""
    row = dict(rows.candidate or {})
    if not math.isfinite(number(row, "tmag")):
        row["tmag"] = _target_tmag(rows)
    return row


def _target_tmag(rows: CandidateRows) -> float:
    return next((star.tmag for view in rows.views for star in view.stars if star.is_target), math.nan)


def _lights(rows: CandidateRows) -> list[Markup]:
    """What there is to see in time: the folded light, and how the transits keep time."""
    name = display_name(rows.toi)
    view = light_view(rows.images, rows.candidate)
    drawn = light_drawings(view, name) if view is not None else []
    transits = timed_transits(rows.sectors)
    return [*drawn, timing_drawing(transits, name)] if transits else drawn


def _likely_stars(rows: CandidateRows) -> list[Row]:
    """The likely hosts of a run without a table of hosts, with the magnitudes of the stamp's scene."""
    tmag = {star.source_id: star.tmag for view in reversed(rows.views) for star in view.stars}
    target = _target_tmag(rows)
    return [
        {**host, "tmag": (of_it := tmag.get(host["source_id"], math.nan)), "delta_tmag": of_it - target}
        for host in hosts_of(rows.candidate or {})
    ]


def _flag(flag: str, where: list[str]) -> dict[str, str]:
    places = ", ".join(place for place in where if place != "all sectors")
    return {"name": flag, "where": places, "text": explain(flag) or "A flag that this version does not know."}


def _sector(row: Row, view: SectorView, command: str) -> dict[str, Any]:
    return {
        "number": view.sector,
        "status": view.status,
        "failure": _failure(text(row, "error_kind")),
        "reason": view.reason,
        "caption": sector_caption(view) if view.images else "",
        "drawings": sector_drawings(view),
        "command": command.format(tic=view.tic, sector=view.sector),
    }


def _failure(kind: str) -> str:
    """What a kind of failure is called at the head of its reason; one of another version by its own name."""
    words = next((known.text for known in ErrorKind if known == kind), kind)
    return f"{words[:1].upper()}{words[1:]}:" if words else ""


def _tables(rows: CandidateRows) -> Iterable[dict[str, Any]]:
    """Every number with its unit, in groups."""
    if rows.candidate is not None:
        columns = [name for name in rows.candidate if name not in _NOT_IN_TABLES]
        yield _table("All sectors together", columns, [rows.candidate], ["all sectors"], rows.units)
    if not rows.sectors:
        return
    headings = [f"sector {int(row['sector'])}" for row in rows.sectors]
    columns = [name for name in rows.sectors[0] if name not in _NOT_IN_TABLES]
    groups: dict[str, list[str]] = {"Sector by sector": []}
    for name in columns:
        groups.setdefault(_group(name), []).append(name)
    for title, members in groups.items():
        yield _table(title, members, rows.sectors, headings, rows.units)


def _group(name: str) -> str:
    if name in _PROVENANCE or name.endswith("_hash"):
        return "Provenance"
    check = name.split("_", 1)[0].upper()
    return f"{check}, {CHECKS[check].title}" if check in CHECKS else "Sector by sector"


def _table(
    title: str, columns: list[str], rows: list[Row], headings: list[str], units: Mapping[str, str]
) -> dict[str, Any]:
    lines = [
        {"name": name, "unit": units.get(name, ""), "cells": [shown(row.get(name)) for row in rows]} for name in columns
    ]
    return {"title": title, "headings": headings, "lines": lines}
