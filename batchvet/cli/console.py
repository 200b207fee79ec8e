"""What people see: progress on stderr, tables and JSON on stdout."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

EXIT_INTERNAL, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

#: The option of every command that prints a table.
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]

#: Options of every command that takes its time.
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="A line for every step; the traceback of an internal error.")
]

_PLAIN_SECONDS = 10.0  #: between lines of progress where there is no terminal


#: Columns that are shown although nothing stands in them.
_ALWAYS = ("verdict", "P", "SNR", 'offset"', "sigma")


class Bars:
    """Progress as a bar on a terminal, as a line now and then elsewhere; always on stderr.

    Parameters
    ----------
    quiet : bool
        Say nothing at all.
    verbose : bool
        A line for every phase that is done, on a terminal too.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._draws = self._console.is_terminal and not quiet
        self._verbose = verbose and not quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", style="red", markup=False),
            console=self._console,
            transient=True,
        )
        self._phase = ""
        self._task: Any = None
        self._begin()

    def __enter__(self) -> Bars:
        if self._draws:
            self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._line()
        if self._draws:
            self._bars.stop()

    def start(self, phase: str, total: int | None) -> None:
        self._line()
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._begin(phase, total)
        self._task = self._bars.add_task(phase, total=total, rate="", failed="")

    def advance(self, n: int = 1, failed: int = 0, n_bytes: int = 0) -> None:
        self._done += n
        self._failed += failed
        self._bytes += n_bytes
        text = f"{self._failed} failed" if self._failed else ""
        self._bars.update(self._task, advance=n, rate=self._rate(), failed=text)
        if not self._draws and time.monotonic() - self._said > _PLAIN_SECONDS:
            self._line()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _begin(self, phase: str = "", total: int | None = None) -> None:
        self._phase, self._total = phase, total
        self._done = self._failed = self._bytes = 0
        self._started = self._said = time.monotonic()

    def _rate(self) -> str:
        """Things a second, and of what came over the network how much, altogether and a second."""
        elapsed = max(time.monotonic() - self._started, 1e-3)
        rate = f"{self._done / elapsed:.1f}/s"
        return f"{rate}, {size(self._bytes)}, {size(self._bytes / elapsed)}/s" if self._bytes else rate

    def _line(self) -> None:
        """One line of plain text on how far the phase is, where there is no terminal to draw on or all is asked for."""
        if (self._draws and not self._verbose) or not self._done:
            return
        self._said = time.monotonic()
        elapsed = self._said - self._started
        rate = self._done / max(elapsed, 1e-3)
        text = f"{self._phase}: {self._done}"
        if self._total is not None:
            text += f" of {self._total}"
            if self._done < self._total:
                text += f", {duration((self._total - self._done) / rate)} left"
        text += f", {self._rate()}, {duration(elapsed)}"
        if self._failed:
            text += f", {self._failed} failed"
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)


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
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _order(key: Any) -> tuple[int, int, str]:
    written = str(key)
    return (0, int(written), "") if written.isdecimal() and len(written) < 19 else (1, 0, written)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | np.number) and not isinstance(value, bool))


def duration(seconds: float) -> str:
    """Such as ``12 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(n_bytes: float) -> str:
    """Such as ``12.3 MB``, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


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
