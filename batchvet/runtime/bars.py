"""Progress as people see it: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_PLAIN_SECONDS = 10.0  #: between lines of progress where there is no terminal


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
        from rich.console import Console  # 0.05 s, which help and mistakes do not wait for

        self._console = Console(stderr=True, quiet=quiet)
        self._verbose = verbose and not quiet
        self._bars = _drawn_on(self._console) if self._console.is_terminal and not quiet else None
        self._phase = ""
        self._task: Any = None
        self._begin()

    def __enter__(self) -> Bars:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._line()
        if self._bars is not None:
            self._bars.stop()

    def start(self, phase: str, total: int | None) -> None:
        self._line()
        self._begin(phase, total)
        if self._bars is not None:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(phase, total=total, done="", rate="", failed="")

    def advance(self, n: int = 1, failed: int = 0, n_bytes: int = 0) -> None:
        self._done += n
        self._failed += failed
        self._bytes += n_bytes
        if self._bars is not None:
            text = f"{self._failed} failed" if self._failed else ""
            done = str(self._done) if self._total is None else f"{self._done}/{self._total}"
            self._bars.update(self._task, advance=n, done=done, rate=self._rate(), failed=text)
        elif time.monotonic() - self._said > _PLAIN_SECONDS:
            self._line()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _begin(self, phase: str = "", total: int | None = None) -> None:
        self._phase, self._total = phase, total
        self._done = self._failed = self._bytes = self._told = 0
        self._started = self._said = time.monotonic()

    def _rate(self) -> str:
        """Things a second, and of what came over the network how much, altogether and a second."""
        elapsed = max(time.monotonic() - self._started, 1e-3)
        rate = f"{self._done / elapsed:.1f}/s"
        return f"{rate}, {size(self._bytes)}, {size(self._bytes / elapsed)}/s" if self._bytes else rate

    def _line(self) -> None:
        """One line of plain text on how far the phase is, where there is no terminal to draw on or all is asked for."""
        if (self._bars is not None and not self._verbose) or not self._done or self._done == self._told:
            return
        self._told = self._done
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


def _drawn_on(console: Console) -> Progress:
    """The bar, and what stands beside it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[done]}", markup=False),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", style="red", markup=False),
        console=console,
        transient=True,
    )


def duration(seconds: float) -> str:
    """Such as ``12 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(n: int, one: str, several: str = "") -> str:
    """Such as ``1 row``, ``2 rows`` or ``3 entries``."""
    return f"{n} {one if n == 1 else several or one + 's'}"


def size(n_bytes: float) -> str:
    """Such as ``12.3 MB``, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
