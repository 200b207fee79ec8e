"""Commands that look after data: ``batchvet cache …``, ``batchvet catalog …`` and ``batchvet export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchvet.cli.console import EXIT_SOME_FAILED, Json, Quiet, Verbose, print_json, print_table, working
from batchvet.errors import ConfigError
from batchvet.runtime.bars import Bars, counted

if TYPE_CHECKING:
    from batchvet.pixels.cache import Cache

cache_app = typer.Typer(no_args_is_help=True, help="Look after the pixel cache.")
catalog_app = typer.Typer(no_args_is_help=True, help="Fetch a catalogue.")

CacheLocation = Annotated[str, typer.Argument(help="Directory or s3:// address.", metavar="CACHE", show_default=False)]


def export(
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File, replaced when it is there.")],
    table: Annotated[str, typer.Option(help="candidates, hosts, matches, sectors, images or evidence.")] = "candidates",
    format: Annotated[
        str | None, typer.Option(help="ecsv, fits, csv or votable; without it what the file's name ends in.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a table with its units for other programs: ECSV, FITS, CSV or VOTable."""
    from batchvet.results.export import export as write
    from batchvet.results.reader import RunResults

    with working("Writing", quiet, verbose):
        path = write(RunResults(run), table, output, format)
    print(path)


@cache_app.command("list")
def cache_list(cache: CacheLocation, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """List what the cache holds."""
    with working("Reading the index", quiet, verbose):
        entries = sorted(_existing_cache(cache).index().values(), key=lambda entry: entry.key)
    rows = [
        {
            "TIC": entry.tic,
            "sector": entry.sector,
            "cadence [s]": entry.cadence_s,
            "cadences": entry.n_cadences,
            "MB": entry.size / 1e6,
            "source": Path(entry.source).name,
        }
        for entry in entries
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@cache_app.command("verify")
def cache_verify(cache: CacheLocation, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Read every byte of the cache and name what is damaged."""
    found = _existing_cache(cache)
    with Bars(quiet=quiet, verbose=verbose) as bars:
        bars.start("Reading the cache", None)
        n_entries, damages = found.verify(lambda n: bars.advance())
    if as_json:
        print_json({"entries": n_entries, "damaged": [{"name": d.name, "reason": d.reason} for d in damages]})
    else:
        for damage in damages:
            print(f"damaged: {damage.reason}")
        print(f"{counted(n_entries, 'entry', 'entries')} read, {len(damages)} damaged")
    if damages:
        raise typer.Exit(EXIT_SOME_FAILED)


@cache_app.command("reindex")
def cache_reindex(cache: CacheLocation, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Make the index anew from the entries."""
    with working("Reading the cache", quiet, verbose):
        n_entries = len(_existing_cache(cache).reindex())
    print_json({"entries": n_entries}) if as_json else print(counted(n_entries, "entry", "entries"))


@catalog_app.command("toi")
def catalog_toi(
    output: Annotated[Path, typer.Option(help="CSV; OUTPUT.json beside it says when and where it came from.")],
    where: Annotated[str | None, typer.Option(help='Which to keep, such as "tmag < 12 and period_days < 10".')] = None,
    service: Annotated[str, typer.Option(help="exofop or nasa.")] = "exofop",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fetch the TOI table of today."""
    from batchvet.catalog.toi_table import fetch_toi_table
    from batchvet.results.ours import refuse_file_of_a_run

    refuse_file_of_a_run(output)
    with working("Fetching the table", quiet, verbose):
        table = fetch_toi_table(output, service=service, where=where)
    if as_json:
        print_json(asdict(table) | {"path": str(table.path)})
    else:
        more = f", {table.n_unusable} of them without a usable ephemeris" if table.n_unusable else ""
        if table.n_companions:
            more += f", and {counted(table.n_companions, 'other')} of the same targets, whose dips are left out"
        print(f"{table.n_kept} of {counted(table.n_rows, 'candidate')} in {table.path}{more}")


def _existing_cache(location: str) -> Cache:
    from batchvet.pixels.cache import Cache

    if "://" not in location and not Path(location).is_dir():
        raise ConfigError(f"{location}: no such cache; 'batchvet ingest CONFIG' makes one")
    cache = Cache(location)
    if not cache.is_one():
        raise ConfigError(f"{location}: not a pixel cache, there is neither an index nor a stamp in it")
    return cache
