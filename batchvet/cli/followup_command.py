"""``batchvet followup``: which stars to watch, when, and how deep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_json, print_table, working
from batchvet.runtime.bars import counted

_ROWS_SHOWN = 40
_SHOWN = {
    "toi": "TOI",
    "mid_time_utc": "UTC",
    "mid_time_error_minutes": "+- min",
    "source_id": "star",
    "word": "word",
    "depth_required_ppm": "needs [ppm]",
    "duration_hours": "hours",
    "tmag": "Tmag",
    "separation_arcsec": 'apart"',
}
_SHOWN_FROM = {
    "toi": "TOI",
    "mid_time_site_utc": "UTC there",
    "mid_time_error_minutes": "+- min",
    "source_id": "star",
    "depth_required_ppm": "needs [ppm]",
    "visible": "visible",
    "altitude_deg": "alt",
    "sun_altitude_deg": "Sun",
    "moon_separation_deg": "Moon",
}
_OPTIONAL = 3  #: columns at the end that a narrow screen has no room for


def followup(  # house: options of a command
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First night, such as 2026-12-01, UTC.")],
    days: Annotated[float, typer.Option(help="How many days from then.")] = 30.0,
    toi: Annotated[list[str] | None, typer.Option(help="Only this candidate; may be given again.")] = None,
    site: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Seen from: latitude,longitude,height (deg, m), or an observatory."),
    ] = None,
    min_altitude: Annotated[float, typer.Option(help="Degrees, below which a star is not visible from there.")] = 30.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV with all columns.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List the stars to watch at each coming dip, with the eclipse that each would need."""
    from batchvet.atomic import write_atomically
    from batchvet.results.followup import followup as listed
    from batchvet.results.ours import refuse_file_of_a_run
    from batchvet.results.reader import RunResults

    if output is not None:
        refuse_file_of_a_run(output)
    with working("Listing stars", quiet, verbose):
        found = listed(RunResults(run), start, days, toi or (), site=site, min_altitude=min_altitude)
    if output is not None:
        write_atomically(output, found.to_csv(index=False).encode())
    if as_json:
        print_json(found.to_dict("records"))
        return
    shown = _SHOWN if site is None else _SHOWN_FROM
    print_table(
        [{head: row[name] for name, head in shown.items()} for row in found.head(_ROWS_SHOWN).to_dict("records")],
        optional=_OPTIONAL,
    )
    more = f"; the first {_ROWS_SHOWN} are shown" if len(found) > _ROWS_SHOWN else ""
    print(
        f"\n{counted(len(found), 'row')}{more}"
        + (f"; all in {output}" if output is not None else "; -o FILE.csv writes all")
    )
