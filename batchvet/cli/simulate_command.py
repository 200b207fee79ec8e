"""``batchvet simulate``: pixels with known truth, and every axis of the sky that they can have."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_json
from batchvet.runtime.bars import Bars, counted

Range = tuple[float, float]

#: Parameters of the command that are no field of SimulationSettings, or are turned into one.
_OWN = ["directory", "targets", "sectors", "spread", "seed", "cadence", "scenario", "overwrite", "workers"]
_OWN += ["as_json", "quiet", "verbose"]
_SCENARIOS = (
    "mixed, or one kind of scene: on_target; off_target, on another star of the table; crowded, on either with stars "
    "close by; not_in_table, on a star that the table lacks; no_dip, where the catalogue has one."
)


def simulate(  # house: one parameter for each option
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where files go.", show_default=False)],
    targets: Annotated[int, typer.Option(min=1)] = 20,
    sectors: Annotated[int, typer.Option(min=1, help="Sectors 1 to N, one after the other.")] = 3,
    spread: Annotated[bool, typer.Option("--spread", help="Over years, as the mission does.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    cadence: Annotated[
        list[float] | None, typer.Option(help="20 to 1800 s; given several times, each file draws one. [1800]")
    ] = None,
    scenario: Annotated[str, typer.Option(help=_SCENARIOS)] = "mixed",
    overwrite: Annotated[bool, typer.Option(help="Replace a previous simulation.")] = False,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    tmag_range: Annotated[Range | None, typer.Option("--tmag", help="Of targets. [8.5 13.5]")] = None,
    snr_range: Annotated[Range | None, typer.Option("--snr", help="Of the dip, all sectors. [5 50]")] = None,
    density_range: Annotated[
        Range | None, typer.Option("--density", help="Stars per arcmin² brighter than 18. [0.5 5]")
    ] = None,
    crowd_range: Annotated[
        tuple[int, int] | None, typer.Option("--crowd", help="So many more stars on the stamp. [0 0]")
    ] = None,
    proper_motion: Annotated[float | None, typer.Option(help="Of targets, arcsec a year.")] = None,
    period_range: Annotated[Range | None, typer.Option("--period", help="Days. [0.8 15]")] = None,
    duration_range: Annotated[Range | None, typer.Option("--duration", help="Hours; else as of a Sun.")] = None,
    ttv: Annotated[float | None, typer.Option(help="Scatter of transit times, durations.")] = None,
    secondary: Annotated[float | None, typer.Option(help="Secondary eclipse, fraction of the depth.")] = None,
    secondary_phase: Annotated[float | None, typer.Option(help="Its phase. [0.5]")] = None,
    odd_even: Annotated[float | None, typer.Option(help="Odd against even transits, fraction of the depth.")] = None,
    flares: Annotated[int | None, typer.Option(help="Of each target and sector.")] = None,
    flares_in_transit: Annotated[int | None, typer.Option(help="Transits with one in their window.")] = None,
    flare_host: Annotated[str | None, typer.Option(help="target, neighbour or any. [any]")] = None,
    asteroids: Annotated[int | None, typer.Option(help="Transits during which one crosses the stamp.")] = None,
    cosmic_rays: Annotated[float | None, typer.Option(help="Per pixel and day, left in the files.")] = None,
    t0_offset: Annotated[float | None, typer.Option(help="Of the catalogue, durations.")] = None,
    drift: Annotated[float | None, typer.Option(help="Of the ephemeris until the last sector, durations.")] = None,
    neighbour_table: Annotated[bool, typer.Option("--table/--no-table", help="Whether neighbours are known.")] = True,
    neighbour_limit: Annotated[float | None, typer.Option("--table-limit", help="Tmag where it ends. [18.5]")] = None,
    motion_known_by: Annotated[
        list[str] | None,
        typer.Option("--motion-known-by", help="table, header, catalog (several times for several) or nobody. [all]"),
    ] = None,
    prf_directory: Annotated[Path | None, typer.Option(help="Official PRF files for the stars.")] = None,
    pointing: Annotated[str | None, typer.Option(help="flight or rough. [flight]")] = None,
    jitter: Annotated[float | None, typer.Option(help="Times its motion. [1]")] = None,
    pos_corr_error_px: Annotated[float | None, typer.Option("--jitter-error", help="Of POS_CORR, pixels.")] = None,
    pos_corr: Annotated[str | None, typer.Option(help="measured, zero or absent. [measured]")] = None,
) -> None:
    """Make SPOC-format target pixel files with known truth, and a configuration to vet them."""
    from batchvet.simulate import mission_sectors
    from batchvet.simulate import simulate as make

    with Bars(quiet=quiet, verbose=verbose) as bars:
        bars.start("Simulating targets", targets)
        made = make(
            directory,
            targets=targets,
            sectors=mission_sectors(sectors) if spread else sectors,
            seed=seed,
            cadence_s=tuple(cadence or [1800.0]),
            scenario=scenario,
            overwrite=overwrite,
            workers=workers,
            progress=lambda done, total: bars.advance(),
            **_options(context),
        )
    summary = {
        "directory": str(made.directory),
        "config": str(made.config),
        "truth": str(made.truth),
        "files": len(made.files),
    }
    if as_json:
        print_json(summary)
        return
    print(f"{counted(len(made.files), 'file')} in {made.directory / 'tpfs'}, the truth in {made.truth}")
    print(f"next: batchvet run {quote(str(made.config))}")


def _options(context: typer.Context) -> dict[str, Any]:
    """The fields of SimulationSettings that were asked for; the others keep their defaults."""
    given = {name: value for name, value in context.params.items() if name not in _OWN and value not in (None, [])}
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    if options.get("motion_known_by") == ("nobody",):
        options["motion_known_by"] = ()
    return options
