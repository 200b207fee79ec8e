"""What stands on a candidate's page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from batchvet.report.drawing import sector_drawings, sky_drawing
from batchvet.report.view import Row, SectorView, SkyView, names, number, sector_view, sky_view, text
from batchvet.report.words import NOTHING, depth_in_words, display_name, plain, probability, sector_caption, shown
from batchvet.results.schema import CHECKS, HOST_NAMES, hosts_of
from batchvet.vocabulary import ErrorKind, explain

#: Columns that are told elsewhere on the page, or that lead to it.
_NOT_IN_TABLES = {"toi", "tic", "sector", "error", *(f"host_{name}" for name in HOST_NAMES)}
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
        "key_figures": _key_figures(rows.candidate or {}),
        "hosts": _hosts(rows.candidate or {}),
        "flags": [_flag(flag, where) for flag, where in rows.flags().items()],
        "check_flags": [_flag(flag, where) for flag, where in rows.check_flags().items()],
        "sectors": [_sector(row, view, command) for row, view in zip(rows.sectors, rows.views, strict=True)],
        "has_images": bool(rows.images),
        "tables": list(_tables(rows)),
    }


def _key_figures(row: Row) -> list[dict[str, str]]:
    """The figures at the top of the page, those that there are."""

    def of(name: str) -> float:
        return number(row, name)

    def with_error(name: str, variance: str) -> str:
        return f"{plain(of(name))} ± {plain(math.sqrt(of(variance)))}″" if math.isfinite(of(name)) else NOTHING

    figures = {
        "Target's probability": probability(of("p_target")),
        "Offset from the target": _with_unit(of("offset_arcsec"), "″"),
        "East": with_error("offset_ra_arcsec", "offset_cov_ra_ra"),
        "North": with_error("offset_dec_arcsec", "offset_cov_dec_dec"),
        "Significance of the offset": _with_unit(of("significance_sigma"), " σ"),
        "Classical offset (DV)": _with_unit(of("dv_offset_arcsec"), "″"),
        "Its significance": _with_unit(of("dv_significance_sigma"), " σ"),
        "Chance that sectors agree so little": probability(of("sector_consistency_p")),
        "Sectors used": f"{shown(row.get('n_sectors_used'))} of {shown(row.get('n_sectors'))}" if row else NOTHING,
    }
    return [{"label": label, "shown": value} for label, value in figures.items() if value != NOTHING]


def _with_unit(value: float, unit: str) -> str:
    return plain(value) + (unit if math.isfinite(value) else "")


def _hosts(row: Row) -> list[dict[str, str]]:
    return [
        {
            "source_id": host["source_id"],
            "probability": probability(host["probability"]),
            "separation": plain(host["separation_arcsec"]),
            "depth": depth_in_words(host["depth_required"]),
        }
        for host in hosts_of(row)
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
