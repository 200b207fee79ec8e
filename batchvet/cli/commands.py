"""The commands: results on stdout, progress on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchvet import __version__
from batchvet.cli.check_command import check
from batchvet.cli.compare_command import compare
from batchvet.cli.console import EXIT_SOME_FAILED, Json, Quiet, Verbose, print_json, print_table, working
from batchvet.cli.data_commands import cache_app, catalog_app, export
from batchvet.cli.first_commands import columns, init
from batchvet.cli.followup_command import followup
from batchvet.cli.match_command import match
from batchvet.cli.simulate_command import simulate
from batchvet.cli.view_command import view
from batchvet.errors import ConfigError
from batchvet.runtime.bars import Bars, counted, duration, size
from batchvet.vocabulary import ErrorKind, Status

if TYPE_CHECKING:
    from batchvet.runtime.config import RunConfig
    from batchvet.runtime.run import RunOptions

_ROWS_SHOWN = 40
_NO_PIXELS = (ErrorKind.MISSING_TPF, ErrorKind.NOT_ASKED)

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Whose dip is it? Pixel-level vetting of TESS Objects of Interest.",
    epilog="Exit codes: 0 done; 1 internal error; 2 bad usage, configuration or catalogue; 3 finished, but some "
    "tasks failed (they are rows); 130 interrupted (143, 129 by SIGTERM, SIGHUP), run again to go on.",
)
app.add_typer(cache_app, name="cache")
app.add_typer(catalog_app, name="catalog")

Config = Annotated[Path, typer.Argument(help="Configuration, YAML; configs/ has examples.", show_default=False)]
RunDirectory = Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)]
Toi = Annotated[
    str,
    typer.Argument(
        help="Such as 5807.01; or the TIC number of a target that has no other.", metavar="TOI", show_default=False
    ),
]
KeepGoing = Annotated[bool, typer.Option(help="Leave bad rows of catalogue and neighbours out, not refuse them.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a published list too for a row that cannot be vetted.")]
Refresh = Annotated[bool, typer.Option(help="Ask archives again, whatever is remembered of them.")]
CachedOnly = Annotated[bool, typer.Option("--cached-only", help="Only what the cache holds; ask no source.")]
ExecutorName = Annotated[str | None, typer.Option(help="serial, or dask for workers on this machine.")]


@app.callback(invoke_without_command=True)
def version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Global options."""
    if version:
        print(__version__)
        raise typer.Exit


app.command()(init)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where configuration, cache and run go.")] = Path("batchvet-demo"),
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Vet the embedded sample of real TESS pixels."""
    from batchvet.report.page import write_report
    from batchvet.results.reader import RunResults
    from batchvet.runtime.config import read_config
    from batchvet.runtime.run import RunOptions
    from batchvet.sample import write_sample

    bars = Bars(quiet=quiet, verbose=verbose)
    _run_and_report(read_config(write_sample(output)), RunOptions(), bars, as_json=as_json)
    page = write_report(RunResults(output / "run"))  # of two candidates, in no time
    print(f"report      {page}", file=sys.stderr if as_json else sys.stdout)


@app.command()
def plan(  # house: options of a command
    config: Config,
    keep_going: KeepGoing = False,
    strict: Strict = False,
    cached_only: CachedOnly = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what would run: counts, cached and missing, bytes, time. Changes nothing but the cache's index of files."""
    from batchvet.pixels.sources import Asking
    from batchvet.runtime.config import configured
    from batchvet.runtime.plan import make_plan

    with Bars(quiet=quiet, verbose=verbose) as bars:
        asking = Asking(ask=False, progress=lambda n: bars.advance())
        settings = configured(config, cached_only=cached_only)
        made = make_plan(settings, keep_going=keep_going, strict=strict, asking=asking, progress=bars)
        bars.start("Counting", None)
        summary = made.summary()
    if as_json:
        print_json(summary)
        return
    listed = f"{counted(summary['candidates'], 'candidate')} of {counted(summary['targets'], 'target')}"
    print(f"{listed} ({summary['layout']} catalogue)")
    print(f"{counted(summary['rows'], 'row')} in {counted(summary['tasks'], 'task')}, one for each target and sector")
    print(f"  cached      {counted(summary['tasks_cached'], 'task')}, {size(summary['bytes_cached'])}")
    print(f"  to ingest   {counted(summary['tasks_to_ingest'], 'task')}, {size(summary['bytes_to_ingest'])}")
    print(f"  no pixels   {counted(summary['tasks_missing'], 'task')} (missing or unreadable; they become rows)")
    if summary["rows_left_out"]:
        print(f"  left out    {counted(summary['rows_left_out'], 'row')} without pixels (only_with_pixels)")
    if summary["targets_not_asked"] or summary["neighbours_not_asked"]:
        unknown = (
            f"files of {counted(summary['targets_not_asked'], 'target')}, "
            f"neighbours of {counted(summary['neighbours_not_asked'], 'target')}"
        )
        print(f"  not known   {unknown}: 'batchvet ingest' asks the archive")
    print(f"  rows done   {summary['rows_done']}, stale {summary['rows_stale']}, to do {summary['rows_to_do']}")
    time = f"about {duration(summary['estimated_seconds'])}" if summary["rows_to_do"] else "nothing to do"
    print(f"  time        {time}")
    if summary["rejected_candidates"]:
        print(
            f"  rejected    {counted(summary['rejected_candidates'], 'catalogue row')}; 'batchvet run' puts "
            "such rows into rejects.csv"
        )
    if made.note:
        print(f"  note        {made.note}")
    print(f"  next        batchvet run {quote(str(config))}")


@app.command()
def ingest(  # house: options of a command
    config: Config,
    executor: ExecutorName = None,
    keep_going: KeepGoing = False,
    strict: Strict = False,
    refresh: Refresh = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fill the cache only."""
    from batchvet.runtime.config import configured
    from batchvet.runtime.fill import ingest as fill_cache
    from batchvet.runtime.run import RunOptions

    options = RunOptions(keep_going=keep_going, refresh=refresh, strict=strict)
    with Bars(quiet=quiet, verbose=verbose) as bars:
        done = fill_cache(configured(config, executor=executor), options, bars)
    if as_json:
        print_json(done)
    else:
        print(f"cached before {done['cached']}, ingested {done['ingested']}, without pixels {done['missing']}")
        for failure in done["failed"]:
            print(f"failed: TIC {failure['tic']}, sector {failure['sector']}: {failure['error']}")
    if done["failed"]:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command()
def run(  # house: options of a command
    config: Config,
    output: Annotated[Path | None, typer.Option(help="Instead of the configuration's output.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many targets.")] = None,
    only: Annotated[str | None, typer.Option(metavar="TIC:SECTOR", help="Only this task.")] = None,
    executor: ExecutorName = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler.")] = None,
    keep_going: KeepGoing = False,
    strict: Strict = False,
    retry_failed: Annotated[bool, typer.Option(help="Do rows again that ended in an error.")] = False,
    refresh: Refresh = False,
    cached_only: CachedOnly = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Vet the catalogue; on an output that has rows, go on where it stopped."""
    from batchvet.runtime.config import configured
    from batchvet.runtime.run import RunOptions

    options = RunOptions(limit, _task(only), keep_going, retry_failed, refresh, strict)
    settings = configured(config, output=output, executor=executor, scheduler=scheduler, cached_only=cached_only)
    _run_and_report(settings, options, Bars(quiet=quiet, verbose=verbose), as_json=as_json)


@app.command()
def status(run: RunDirectory, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Say what is done, what failed and why, what is stale and why, what to type next; of a run at work its rate."""
    from batchvet.runtime.status import next_command, run_status, work_in_words

    with Bars(quiet=quiet, verbose=verbose) as bars:
        found = run_status(run, bars)
    if as_json:
        print_json(found)
        return
    if found["at_work"]:
        print(work_in_words(found, duration))
        for name, n in found["status"].items():
            print(f"  {name}: {n}")
        return
    open_rows = f"{found['rows_stale']} stale, {found['rows_to_do']} to do"
    print(f"{found['rows_done']} of {counted(found['rows'], 'row')} done, {open_rows}")
    for why, n in found["stale"].items():
        print(f"  stale: {n} because of {why}")
    for name, n in found["status"].items():
        print(f"  {name}: {n}")
    if found["judged_otherwise"]:
        print(f"  to be judged anew: {found['judged_otherwise']} candidates (calibration or priors have changed)")
    for candidate in found["not_judged"][:_ROWS_SHOWN]:
        print(f"  not judged: TOI {candidate['toi']}: {candidate['error']}")
    nowhere = [failure for failure in found["failures"] if failure["error_kind"] in _NO_PIXELS]
    failures = [failure for failure in found["failures"] if failure["error_kind"] not in _NO_PIXELS]
    for failure in failures[:_ROWS_SHOWN]:
        print(f"  {failure['status']}: TOI {failure['toi']}, sector {failure['sector']}: {failure['error']}")
    if len(failures) > _ROWS_SHOWN:
        print(f"  and {len(failures) - _ROWS_SHOWN} more; --json lists all")
    if nowhere:
        print(f"  without pixels: {len(nowhere)}; --json lists them")
    print(next_command(found))


@app.command()
def show(run: RunDirectory, toi: Toi, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Print one candidate: verdict, hosts and sectors in words on a terminal, JSON sector by sector elsewhere."""
    from batchvet.results.reader import RunResults
    from batchvet.results.views import show as shown

    results = RunResults(run)
    if as_json or not sys.stdout.isatty():
        print_json(shown(results, toi))
    else:
        from batchvet.cli.candidate import print_candidate

        print_candidate(results, toi)


@app.command()
def plot(  # house: options of a command
    run: RunDirectory,
    toi: Toi,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG, PDF or SVG.", show_default=False)],
    sector: Annotated[int | None, typer.Option(help="Only this sector; without it all, and the sky.")] = None,
    light_curves: Annotated[bool, typer.Option(help="Each pixel's folded light curve; needs --sector.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw a candidate: one sector's images, all sectors and the sky, or each pixel's light curve."""
    from batchvet.report.plot import save_figure, save_plot
    from batchvet.results.reader import RunResults

    if light_curves:
        from batchvet.report.stamps import light_curves_of

        if sector is None:
            raise ConfigError("--light-curves needs --sector")
        with working("Drawing", quiet, verbose):
            path = save_figure(light_curves_of(RunResults(run), toi, sector), output)
    else:
        with working("Drawing", quiet, verbose):
            path = save_plot(RunResults(run), toi, sector, output)
    print(path)


@app.command()
def report(
    run: RunDirectory,
    output: Annotated[Path | None, typer.Option(help="Instead of RUN/report.", show_default=False)] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the report: pages that open from disk, without a server or the network."""
    from batchvet.report.page import write_report
    from batchvet.results.reader import RunResults

    with Bars(quiet=quiet, verbose=verbose) as bars:
        path = write_report(RunResults(run), output, bars)
    print(path)


app.command()(check)
app.command()(compare)
app.command()(match)
app.command()(followup)
app.command()(view)
app.command()(export)
app.command()(columns)
app.command()(simulate)


def _run_and_report(config: RunConfig, options: RunOptions, bars: Bars, *, as_json: bool) -> None:
    from batchvet.results.views import OPTIONAL_COLUMNS, counts, overview
    from batchvet.runtime.run import run as vet_catalog

    with bars:
        done = vet_catalog(config, options, bars)
    summary = counts(done)
    if as_json:
        print_json(summary)
    else:
        print_table(overview(done, _ROWS_SHOWN), optional=OPTIONAL_COLUMNS)
        if summary["candidates"] > _ROWS_SHOWN:
            print(f"... and {counted(summary['candidates'] - _ROWS_SHOWN, 'more candidate')}")
        _print_summary(summary, done.directory)
    if summary["status"].get(Status.ERROR) or summary["not_judged"]:
        raise typer.Exit(EXIT_SOME_FAILED)


def _print_summary(summary: dict[str, Any], directory: Path) -> None:
    def listed(counted: dict[str, int]) -> str:
        return ", ".join(f"{n} {name}" for name, n in counted.items()) or "none"

    print()
    print(f"rows        {listed(summary['status'])}")
    if summary["error_kind"]:
        print(f"reasons     {listed(summary['error_kind'])}")
    print(f"verdicts    {listed(summary['verdict'])}")
    if summary["not_judged"]:
        print(f"not judged  {summary['not_judged']}; 'batchvet status' says why, run again to try again")
    print(f"results     {directory}")
    print(f"in pandas   pd.read_parquet({str(directory / 'sectors')!r})")
    where = quote(str(directory))
    print(f"next        batchvet show {where} TOI, or batchvet report {where}")
    if not summary["finished"]:
        print(f"not all rows are there yet: batchvet status {where}")


def _task(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    tic, colon, sector = text.partition(":")
    if not (colon and tic.strip().isdecimal() and sector.strip().isdecimal()):
        raise ConfigError(f"--only: {text!r} is not TIC:SECTOR, such as 188646744:83")
    return int(tic), int(sector)
