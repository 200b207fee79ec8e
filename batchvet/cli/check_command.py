"""``batchvet check``: a run against itself."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_json, print_table, working
from batchvet.runtime.bars import counted


def check(
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    apply: Annotated[
        bool, typer.Option("--apply", help="Keep the scale as the run's calibration, for the next judging.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hold a run against itself: are its errors honest, where are its stars off, what failed."""
    from batchvet.results.directory import CALIBRATION
    from batchvet.results.reader import RunResults
    from batchvet.results.run_calibration import apply_scale
    from batchvet.results.self_check import check_run

    results = RunResults(run)
    with working("Checking", quiet, verbose):
        found = check_run(results)
    applied = apply_scale(results) if apply else None
    if as_json:
        print_json(found if applied is None else found | {"applied": applied})
        return
    groups = [("all", "joint", found["scale"])]
    groups += [(name, one["group"], one) for name, several in found["by"].items() for one in several]
    print_table(
        [
            {
                "by": name,
                "group": group,
                "offsets": scale["n"],
                "scale": scale["scale"],
                "+-": scale["error"],
                "beyond 3 sigma": scale["beyond_3_sigma"],
                "KS p": scale["ks_p"],
            }
            for name, group, scale in groups
        ]
    )
    print()
    for words in found["words"]:
        print(words)
    for kind, n in found["failures"].items():
        print(f"{counted(n, 'row')}: {kind}")
    if applied is not None:
        config = quote(str(results.plan.get("config_file") or "CONFIG"))
        print(
            f"Errors are multiplied by {applied['error_scale']:.3f} +- {applied['error']:.3f} from the next judging on "
            f"(calibration {applied['version']}):\nbatchvet run {config} --output {quote(str(run))} judges all "
            f"candidates anew, without pixels. {run / CALIBRATION} holds it; without that file all is as before."
        )
