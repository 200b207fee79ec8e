"""The layouts of a candidate table, told apart by their columns.

Sources of the column names: our own; ExoFOP-TESS, both the table behind its download link
(``Epoch (BJD)``, sexagesimal ``RA``, as CSV or with bars) and the export of its web page (banner lines,
``Transit Epoch (BJD)``, ``RA (deg)``, ``Period error``); the NASA Exoplanet Archive's column definitions of its
TOI table; the TOI lists of the TESS Science Office (tev.mit.edu, whose names for period and duration had no unit before
2021); and the statistics of SPOC's Threshold Crossing Events (MAST, ``*_dvr-tcestats.csv``, those of the first sectors
with names of their own).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: What stands below the header of a table with a row of units or types.
_UNITS = frozenset(
    {"d", "day", "days", "h", "hr", "hrs", "hour", "hours", "bjd", "btjd", "jd", "yr", "year", "ppm", "mag", "mags"}
    | {"deg", "degree", "degrees", "hms", "dms", "sexagesimal", "mas/yr", "none", "unitless"}
    | {"int", "integer", "long", "float", "double", "real", "char", "string", "text"}
)


@dataclass(frozen=True)
class Layout:
    """How one kind of table names what we read. Names are compared in lower case, the first that exists counts."""

    name: str  #: own, exofop, nasa, mit, tce or neighbours
    title: str  #: as it stands in messages
    required: Mapping[str, tuple[str, ...]]  #: our field: the column names it may have
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: the same, may be absent
    zero_is_missing: bool = False  #: whether a time of 0 means that none is known
    published: bool = False  #: a list that somebody else keeps: its user cannot mend a row

    def missing(self, columns: Sequence[str]) -> list[str]:
        """Names of the required columns that are not there."""
        present = set(map(normal, columns))
        return [names[0] for names in self.required.values() if present.isdisjoint(names)]

    def positions(self, columns: Sequence[str]) -> dict[str, int]:
        """Where each of our fields stands in the table.

        Raises
        ------
        ValueError
            A column that is used has its name twice.
        """
        present = list(map(normal, columns))
        found = {}
        for ours, names in {**self.required, **self.optional}.items():
            name = next((name for name in names if name in present), None)
            if name is None:
                continue
            if present.count(name) > 1:
                raise ValueError(f'the column "{name}" occurs {present.count(name)} times')
            found[ours] = present.index(name)
        return found


#: What ``batchvet catalog toi --where`` adds to any layout.
_MARKS = {"companion_only": ("companion_only",)}

OWN = Layout(
    name="own",
    title="own columns",
    required={
        "toi": ("toi",),
        "tic": ("tic",),
        "period_days": ("period_days",),
        "t0": ("t0_btjd",),
        "duration_hours": ("duration_hours",),
    },
    optional={
        "depth_ppm": ("depth_ppm",),
        "ra": ("ra",),
        "dec": ("dec",),
        "pmra": ("pmra",),
        "pmdec": ("pmdec",),
        "tmag": ("tmag",),
        "sectors": ("sectors",),
        "t0_err": ("t0_err",),
        "period_err": ("period_err",),
        **_MARKS,
    },
)

EXOFOP = Layout(
    name="exofop",
    title="ExoFOP TOI table",
    required={
        "toi": ("toi",),
        "tic": ("tic id",),
        "period_days": ("period (days)",),
        "t0": ("epoch (bjd)", "transit epoch (bjd)"),
        "duration_hours": ("duration (hours)",),
    },
    optional={
        "depth_ppm": ("depth (ppm)",),
        "ra": ("ra (deg)", "ra"),
        "dec": ("dec (deg)", "dec"),
        "pmra": ("pm ra (mas/yr)",),
        "pmdec": ("pm dec (mas/yr)",),
        "tmag": ("tess mag",),
        "sectors": ("sectors",),
        "t0_err": ("epoch (bjd) err", "transit epoch (bjd) err", "transit epoch error"),
        "period_err": ("period (days) err", "period error"),
        **_MARKS,
    },
    zero_is_missing=True,
    published=True,
)

NASA = Layout(
    name="nasa",
    title="NASA Exoplanet Archive TOI table",
    required={
        "toi": ("toi",),
        "tic": ("tid",),
        "period_days": ("pl_orbper",),
        "t0": ("pl_tranmid",),
        "duration_hours": ("pl_trandurh",),
    },
    optional={
        "depth_ppm": ("pl_trandep",),
        "ra": ("ra", "rastr"),
        "dec": ("dec", "decstr"),
        "pmra": ("st_pmra",),
        "pmdec": ("st_pmdec",),
        "tmag": ("st_tmag",),
        "sectors": ("sectors",),
        "t0_err": ("pl_tranmiderr1",),
        "period_err": ("pl_orbpererr1",),
        **_MARKS,
    },
    zero_is_missing=True,
    published=True,
)

MIT = Layout(
    name="mit",
    title="TOI list of the TESS Science Office",
    required={
        "toi": ("full toi id",),
        "tic": ("tic",),
        "period_days": ("orbital period (days) value", "orbital period value"),
        "t0": ("orbital epoch value",),
        "duration_hours": ("transit duration (hours) value", "transit duration value"),
    },
    optional={
        "depth_ppm": ("transit depth value",),
        "ra": ("tic right ascension",),
        "dec": ("tic declination",),
        "tmag": ("tmag value",),
        "sectors": ("sectors",),
        "t0_err": ("orbital epoch error",),
        "period_err": ("orbital period (days) error", "orbital period error"),
        **_MARKS,
    },
    zero_is_missing=True,
    published=True,
)

#: Their `sectors` is the range that was searched, not where the target was seen.
TCE = Layout(
    name="tce",
    title="SPOC TCE statistics",
    required={
        "toi": ("tceid",),
        "tic": ("ticid",),
        "period_days": ("tce_period", "orbitalperioddays"),
        "t0": ("tce_time0bt", "transitepochbtjd"),
        "duration_hours": ("tce_duration", "transitdurationhours"),
    },
    optional={
        "depth_ppm": ("tce_depth",),
        "t0_err": ("tce_time0bt_err",),
        "period_err": ("tce_period_err",),
        **_MARKS,
    },
    zero_is_missing=True,
    published=True,
)

LAYOUTS = (OWN, EXOFOP, NASA, MIT, TCE)


def normal(name: str) -> str:
    """A column name as it is compared: lower case, single blanks."""
    return " ".join(name.lower().split())


def recognise(columns: Sequence[str], layouts: Sequence[Layout]) -> Layout | None:
    """The layout that most of these columns belong to; None when fewer than two required ones are there."""

    def present(layout: Layout) -> int:
        return len(layout.required) - len(layout.missing(columns))

    best = max(layouts, key=present)
    return best if present(best) >= 2 else None


def is_unit_row(row: Sequence[object], positions: Mapping[str, int]) -> bool:
    """Whether a row below the header holds units or types instead of a candidate."""
    written = [
        str(row[position]).strip().strip("[]()").lower()
        for ours, position in positions.items()
        if ours not in ("toi", "source_id") and position < len(row)
    ]
    written = [word for word in written if word]
    return bool(written) and all(word in _UNITS for word in written)
