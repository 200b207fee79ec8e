"""The report: a directory of pages that opens from disk, without a server and without the network."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from batchvet.errors import RunError
from batchvet.report.pages import Pages, assets
from batchvet.results.reader import RunResults
from batchvet.runtime.progress import Progress, Silent

#: The file by which a report is known, so that nothing else is ever replaced.
_MARKER = ".batchvet-report"


def write_report(run: RunResults, directory: str | Path | None = None, progress: Progress = Silent()) -> Path:
    """Write the report of a run, finished or not.

    Parameters
    ----------
    run : RunResults
        As ``open_run`` gives it.
    directory : path, optional
        Where to; by default ``RUN/report``. A report that is there already is replaced at once when the new one is
        complete.
    progress : Progress
        Told of each candidate's page.

    Returns
    -------
    Path
        Of the page to open.

    Raises
    ------
    RunError
        The directory exists and is not a report.
    """
    place = Path(directory) if directory is not None else run.directory / "report"
    if place.exists() and not (place / _MARKER).exists() and (not place.is_dir() or any(place.iterdir())):
        raise RunError(f"{place}: not a report, so it is left alone; choose another directory with --output")
    fresh = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    try:
        _write(Pages(run), fresh, progress)
        _replace(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place / "index.html"


def _write(pages: Pages, place: Path, progress: Progress) -> None:
    (place / "candidates").mkdir(parents=True)
    (place / _MARKER).touch()
    (place / "assets").mkdir()
    for name, content in assets().items():
        (place / "assets" / name).write_bytes(content)
    lines = []
    progress.start("Writing pages", len(pages.names))
    for rows in pages.rows(list(pages.names), pages.run.images):
        (place / "candidates" / pages.names[rows.toi]).write_text(pages.candidate(rows), encoding="utf-8")
        lines.append(pages.line(rows))
        progress.advance()
    for name, text in {"index": pages.index(lines), **pages.others()}.items():
        (place / f"{name}.html").write_text(text, encoding="utf-8")


def _replace(fresh: Path, place: Path) -> None:
    """Put the new report in the old one's place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        old = fresh.with_name(fresh.name + "-old")
        place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old)
    else:
        fresh.rename(place)
