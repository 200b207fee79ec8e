"""What people see on stdout: tables and JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated, Any

import typer

from batchvet.runtime.bars import Bars

EXIT_INTERNAL, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

#: The option of every command that prints a table.
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]

#: Options of every command.
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="A line for every step; the traceback of an internal error.")
]


@contextmanager
def working(phase: str, quiet: bool, verbose: bool) -> Iterator[Bars]:
    """Say on stderr that something is being done which cannot tell how far it is."""
    with Bars(quiet=quiet, verbose=verbose) as bars:
        bars.start(phase, None)
        yield bars


#: Columns that are shown although nothing stands in them.
_ALWAYS = ("verdict", "P", "SNR", 'offset"', "sigma")


def print_table(rows: Sequence[dict[str, Any]], *, optional: int = 0) -> None:
    """A table on stdout, aligned, one line for each row; on a terminal lines are cut where it ends.

    Parameters
    ----------
    rows : sequence of dict
    optional : int
        So many columns at the end are left out where the screen, 80 columns in a pipe, is too narrow for them.
    """
    if not rows:
        print("nothing to show")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    width = console.width
    names = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows) or name in _ALWAYS]
    cells = [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    needed = len([name for name in names if name in list(rows[0])[: len(rows[0]) - optional]])
    while len(widths) > needed and sum(widths) + 2 * (len(widths) - 1) > width:
        widths.pop()
    numeric = [all(_is_number(row[name]) for row in rows) for name in names]
    for number, row in enumerate([names, *cells]):
        aligned = [
            text.rjust(size) if is_number else text.ljust(size)
            for text, size, is_number in zip(row, widths, numeric, strict=False)
        ]
        line = "  ".join(aligned).rstrip()
        if console.is_terminal:
            line = line if len(line) <= width else line[: width - 1] + "…"
            console.print(Text(line, style="bold" if number == 0 else ""), soft_wrap=True)
        else:
            print(line)


def print_explained(lines: Sequence[tuple[str, ...]]) -> None:
    """Lines of words, the last of them a sentence, aligned on stdout; on a terminal a sentence goes on below itself."""
    widths = [max(map(len, column)) for column in list(zip(*lines, strict=True))[:-1]]
    before = sum(widths) + 2 * len(widths)
    room = max(get_terminal_size().columns - before, 30) if sys.stdout.isatty() else sys.maxsize
    for *words, sentence in lines:
        start = "".join(word.ljust(width + 2) for word, width in zip(words, widths, strict=True))
        for number, text in enumerate(wrap(sentence, room) or [""]):
            print((start if number == 0 else " " * before) + text)


def print_json(value: Any) -> None:
    """JSON on stdout with sorted keys, numbers as such; what could not be measured is null."""
    json.dump(plain(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """A value as JSON knows it: numpy types unwrapped, NaN and missing values null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in sorted(value.items(), key=lambda pair: _order(pair[0]))}
    if hasattr(value, "tolist"):  # an array of NumPy, or a number
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _order(key: Any) -> tuple[int, int, str]:
    written = str(key)
    return (0, int(written), "") if written.isdecimal() and len(written) < 19 else (1, 0, written)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    value = plain(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.0f}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(str(item) for item in value)
    return str(value)
