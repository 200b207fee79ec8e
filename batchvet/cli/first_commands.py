"""Commands for the first day: ``batchvet init`` and ``batchvet columns``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from batchvet.cli.console import Json, Quiet, Verbose, print_explained, print_json
from batchvet.errors import ConfigError
from batchvet.runtime.bars import Bars


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to look.", show_default=False)] = Path("."),
    name: Annotated[str, typer.Option(help="Of the file that is written into DIR.")] = "batchvet.yaml",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look at what lies in a directory and write a commented configuration of it. Never replaces a file."""
    from batchvet.runtime.first_config import (
        OWN_COLUMNS,
        catalog_said,
        neighbours_said,
        pixels_said,
        write_first_config,
    )
    from batchvet.runtime.look_around import look_around

    path = directory / name
    if path.exists():
        raise ConfigError(f"{path}: is there already and stays as it is; --name writes another one")
    with Bars(quiet=quiet, verbose=verbose) as bars:
        bars.start("Looking around", None)
        found = look_around(directory, bars.advance)
    write_first_config(path, found)
    if as_json:
        print_json(
            {
                "config": str(path),
                "catalog": found.catalog or None,
                "candidates": found.n_candidates,
                "bad_rows": found.n_bad_rows,
                "neighbours": found.neighbours or None,
                "files": found.pixels.n_files,
                "targets_with_files": len(found.targets_with_files),
                "sources": found.pixels.directories,
                "cache": found.cache or None,
                "prf": found.prf or None,
                "refused": found.refused,
            }
        )
        return
    print(f"catalogue   {found.catalog and f'{found.catalog}: '}{catalog_said(found)}")
    print(f"neighbours  {found.neighbours or neighbours_said(found)}")
    where = ", ".join(found.pixels.directories)
    print(f"pixels      {where and f'{where}: '}{pixels_said(found)}")
    if found.cache:
        print(f"cache       {found.cache}")
    if found.prf:
        print(f"PRF         {found.prf}")
    for reason in found.refused:
        print(f"cannot use  {reason}")
    print(f"written     {path}")
    if found.catalog:
        print(f"next        batchvet plan {quote(str(path))}")
    else:
        print(f"next        put candidates into {directory / 'toi.csv'}, its first line: {','.join(OWN_COLUMNS)}")
        print(f"then        batchvet plan {quote(str(path))}")


def columns(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="sectors, candidates, images, ...; all without it.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print every column of a run's tables with its unit and a sentence."""
    from batchvet.results.schema import described

    found = described()
    if table is not None and table not in found:
        raise ConfigError(f"there is no table {table!r}; there are {', '.join(found)}")
    wanted = {name: lines for name, lines in found.items() if table in (None, name)}
    if as_json:
        print_json(wanted)
        return
    for name, lines in wanted.items():
        if table is None:
            print(name)
        print_explained([(line["name"], line["unit"], line["text"]) for line in lines])
        if table is None:
            print()
