"""``batchvet compare``: a run against what is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_json, print_table, working
from batchvet.errors import RunError
from batchvet.runtime.bars import counted

_ROWS_SHOWN = 40


def compare(
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    truth: Annotated[
        Path,
        typer.Argument(
            help="Table with dispositions or hosts, another run, or known_hosts.", metavar="TRUTH", show_default=False
        ),
    ],
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hold verdicts and hosts against a table of dispositions or hosts, or another run; the report has it too."""
    from batchvet.results.comparison import compare_run, keep_comparison
    from batchvet.results.reader import RunResults

    results = RunResults(run)
    with working("Comparing", quiet, verbose):
        found = compare_run(results, truth)
    try:
        keep_comparison(results, found)
    except RunError as error:  # somebody else's run
        print(f"not kept for the report: {error}", file=sys.stderr)
    if as_json:
        print_json(found)
        return
    verdicts = sorted({verdict for counted in found["confusion"].values() for verdict in counted})
    if found["confusion"]:
        print_table(
            [
                {"known": known, **{verdict: counted.get(verdict, 0) for verdict in verdicts}}
                for known, counted in found["confusion"].items()
            ]
        )
        print()
    hosts = found["hosts"]
    if hosts["right"] + hosts["wrong"]:
        surely = hosts["wrong_with_p_above_0.95"]
        print(f"hosts: {hosts['right']} right, {hosts['wrong']} wrong, {surely} of them with P >= 0.95\n")
    if found["disagreements"]:
        print_table(found["disagreements"][:_ROWS_SHOWN])
        print()
    n = len(found["disagreements"])
    print(f"{found['compared']} of {counted(found['candidates'], 'candidate')} compared, {counted(n, 'disagreement')}")
