"""``batchvet check``: a run against itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_json, print_table, working
from batchvet.runtime.bars import counted


def check(
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hold a run against itself: are its errors honest, where are its stars off, what failed."""
    from batchvet.results.reader import RunResults
    from batchvet.results.self_check import check_run

    with working("Checking", quiet, verbose):
        found = check_run(RunResults(run))
    if as_json:
        print_json(found)
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
