"""``batchvet view``: the report of a run, page by page as they are opened."""

from __future__ import annotations

import signal
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from batchvet.cli.console import Quiet, Verbose


def view(
    run: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="RUN", show_default=False)],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look at the report without writing it: pages are made when they are opened, on this machine alone."""
    from batchvet.report.viewer import Viewer
    from batchvet.results.reader import RunResults

    with Viewer(RunResults(run), port) as viewer:
        print(f"{viewer.address}  (Ctrl-C ends it)", flush=True)
        if browser:
            webbrowser.open(viewer.address)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # is how it ends, not an interrupt of its work
        with suppress(KeyboardInterrupt):
            viewer.serve_forever()
