"""Progress in a notebook: one line under the cell, with a bar, that is written over."""

from __future__ import annotations

import html
import sys
import time
from typing import Any

from batchvet.runtime.bars import duration, size

_SECONDS = 0.2  #: between two looks of the line


def in_notebook() -> bool:
    """Whether this is a notebook's kernel (Jupyter, Colab, an editor's), not a terminal or a script."""
    shell = sys.modules.get("IPython")
    found: Any = shell.get_ipython() if shell is not None else None
    return getattr(found, "kernel", None) is not None


class NotebookProgress:
    """Shows the phase that a run is in, how far it is, how fast, and how long it will take."""

    def __init__(self) -> None:
        from IPython import display  # a notebook has it

        self._html = display.HTML
        self._said: list[str] = []
        self._begin("", None)
        self._line = display.display(self._html(""), display_id=True)

    def start(self, phase: str, total: int | None) -> None:
        self._begin(phase, total)
        self._show()

    def advance(self, n: int = 1, failed: int = 0, n_bytes: int = 0) -> None:
        self._done += n
        self._failed += failed
        self._bytes += n_bytes
        if self._done == self._total or time.monotonic() - self._shown > _SECONDS:
            self._show()

    def say(self, text: str) -> None:
        self._said.append(text)
        self._show()

    def _begin(self, phase: str, total: int | None) -> None:
        self._phase, self._total = phase, total
        self._done = self._failed = self._bytes = 0
        self._started = self._shown = time.monotonic()

    def _show(self) -> None:
        self._shown = time.monotonic()
        lines = [html.escape(text) for text in self._said]
        if self._phase:
            bar = f'<progress value="{self._done}" max="{self._total}"></progress> ' if self._total else ""
            lines.append(bar + html.escape(self._words()))
        self._line.update(self._html(f'<div style="font-family: monospace">{"<br>".join(lines)}</div>'))

    def _words(self) -> str:
        rate = self._done / max(self._shown - self._started, 1e-3)
        words = [f"{self._phase}: {self._done}" + ("" if self._total is None else f" of {self._total}")]
        if self._done:
            words.append(f"{rate:.1f}/s")
            if self._total and self._done < self._total:
                words.append(f"{duration((self._total - self._done) / rate)} left")
        if self._bytes:
            words.append(size(self._bytes))
        if self._failed:
            words.append(f"{self._failed} failed")
        return ", ".join(words)
