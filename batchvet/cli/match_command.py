"""``batchvet match``: whose ephemeris is whose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_json, print_table, working
from batchvet.runtime.bars import counted

_ROWS_SHOWN = 40


def match(
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    with_table: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="Known eclipsing binaries and variables.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find candidates with the ephemeris of another, or of a known variable; writes RUN/matches.parquet."""
    from batchvet.results.matches import match_run
    from batchvet.results.reader import RunResults

    with working("Matching", quiet, verbose):
        found = match_run(RunResults(run), with_table)
    if as_json:
        print_json(found.to_dict("records"))
        return
    best = found.sort_values("match_p").drop_duplicates("toi")
    print_table(
        [
            {
                "TOI": row["toi"],
                "TIC": row["tic"],
                "has the ephemeris of": row["ephemeris_match"],
                "how": row["match_kind"],
                "chance": row["match_p"],
                "P ratio": row["period_ratio"],
                "phase": row["match_phase"],
                'apart"': row["separation_arcsec"],
            }
            for row in best.head(_ROWS_SHOWN).to_dict("records")
        ]
    )
    more = f"; the first {_ROWS_SHOWN} are shown" if len(best) > _ROWS_SHOWN else ""
    who = f"{counted(len(best), 'candidate')} {'has' if len(best) == 1 else 'have'} the ephemeris of another"
    told = f"{who}, {counted(len(found), 'match', 'matches')}"
    print(f"\n{told} in {run / 'matches.parquet'}{more}")
