"""A run's tables as people use them: pandas, with the units in ``attrs``."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from batchvet.errors import RunError
from batchvet.results.schema import CANDIDATES_SCHEMA, FORMAT_VERSION, TABLES
from batchvet.results.writer import read_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Run:
    """A run directory, read only. Tables are read when first asked for.

    Parameters
    ----------
    directory : path

    Raises
    ------
    RunError
        It is not a run, or one of another format version.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.plan = read_plan_file(self.directory)

    def __repr__(self) -> str:
        return f"<batchvet run {self.directory}: {self.plan['n_rows']} rows planned>"

    @cached_property
    def sectors(self) -> pd.DataFrame:
        """One row per candidate and sector, sorted; units in ``attrs["units"]``, sentences in ``attrs["text"]``."""
        return self._frame("sectors")

    @cached_property
    def images(self) -> pd.DataFrame:
        """Images of each row of `sectors` that has pixels."""
        return self._frame("images")

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """What each localised sector contributes to its candidate's verdict."""
        return self._frame("evidence")

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """One row per candidate, all sectors together; empty until the run has finished."""
        path = self.directory / "candidates.parquet"
        if not path.exists():
            return _described(CANDIDATES_SCHEMA.empty_table())
        return _described(_checked(path, lambda: pq.ParquetFile(path, page_checksum_verification=True).read()))

    @property
    def is_finished(self) -> bool:
        """Whether every planned row was there when the run last ended."""
        return (self.directory / "_SUCCESS.json").exists()

    def of(self, toi: str) -> pd.DataFrame:
        """The sectors of one candidate.

        Raises
        ------
        RunError
            The run has no such candidate; the message names those that look alike.
        """
        toi = str(toi).strip().removeprefix("TOI").strip(" -")
        rows = self.sectors[self.sectors["toi"] == toi]
        if rows.empty:
            alike = sorted({name for name in self.sectors["toi"] if name.split(".")[0] == toi.split(".")[0]})[:5]
            hint = f"; it has {', '.join(alike)}" if alike else ""
            raise RunError(f"{self.directory}: no candidate {toi!r} in this run{hint}")
        return rows

    def plot(self, toi: str, sector: int | None = None, *, ax: Axes | None = None, panel: str = "difference") -> Any:
        """Draw a candidate; see :func:`batchvet.report.plot.plot`. Returns the axes, shows nothing."""
        from batchvet.report.plot import plot  # the next room, asked only when somebody wants to look

        return plot(self, toi, sector, ax=ax, panel=panel)

    def _frame(self, table: str) -> pd.DataFrame:
        rows = read_parts(self.directory, table)
        rows = rows.sort_by([("tic", "ascending"), ("toi", "ascending"), ("sector", "ascending")])
        return _described(rows.cast(TABLES[table]))


def open_run(directory: str | Path) -> Run:
    """Open the results of a run, finished or not.

    Raises
    ------
    RunError
        The directory is not a run.
    """
    return Run(directory)


def read_plan_file(directory: Path) -> dict[str, Any]:
    """``plan.json`` of a run.

    Raises
    ------
    RunError
        Missing, damaged, or written by a program with another format.
    """
    path = directory / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        version = plan["format_version"]
    except OSError as error:
        raise RunError(f"{directory}: not a batchvet run (no plan.json); 'batchvet run CONFIG' makes one") from error
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged; run 'batchvet run CONFIG' again to write it anew") from error
    if version != FORMAT_VERSION:
        age = "a newer" if isinstance(version, int) and version > FORMAT_VERSION else "another"
        raise RunError(
            f"{path}: written by {age} version of batchvet (format {version}, this one has {FORMAT_VERSION})"
        )
    return plan


def _checked(path: Path, read):
    try:
        return read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: damaged table ({reason}); delete it and run 'batchvet run CONFIG' again") from error


def _described(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas()
    metadata = {field.name: field.metadata or {} for field in table.schema}
    frame.attrs["units"] = {name: m.get(b"unit", b"").decode() for name, m in metadata.items()}
    frame.attrs["text"] = {name: m.get(b"description", b"").decode() for name, m in metadata.items()}
    return frame
