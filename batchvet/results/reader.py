"""A run's tables as people use them: pandas, with the units in ``attrs``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchvet.columns import number_column, one_word, truths_of
from batchvet.errors import RunError
from batchvet.results.directory import CANDIDATES, HOSTS, MATCHES, read_plan
from batchvet.results.parts import undisturbed
from batchvet.results.row_index import gathered, row_index
from batchvet.results.schema import CANDIDATES_SCHEMA, HOSTS_SCHEMA, MATCHES_SCHEMA, described, hosts_of
from batchvet.results.success import is_finished
from batchvet.vocabulary import FINAL_FAULTS

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import QTable

Rows = TypeVar("Rows", "pd.DataFrame", pa.Table)


class RunResults:
    """What ``batchvet.open_run`` gives, without its figures: the tables of a run, read when first asked for."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.plan = read_plan(self.directory)

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
        """One row per candidate, all sectors together; empty until the run has finished.

        ``host_candidates`` has the columns ``host_*`` once more, star by star: a list of dictionaries.
        """
        path = self.directory / CANDIDATES
        if not path.exists():
            return _with_host_candidates(_described(CANDIDATES_SCHEMA.empty_table()))
        return _with_host_candidates(_described(_read_whole(path, "batchvet run CONFIG")))

    @cached_property
    def hosts(self) -> pd.DataFrame:
        """One row per candidate and star of its table, the likeliest star first; empty until the run has finished."""
        parts = sorted((self.directory / HOSTS).glob("part-*.parquet"))
        tables = [_read_whole(part, "batchvet run CONFIG") for part in parts]
        return _described(
            pa.concat_tables([HOSTS_SCHEMA.empty_table(), *(table.cast(HOSTS_SCHEMA) for table in tables)])
        )

    @cached_property
    def matches(self) -> pd.DataFrame:
        """Candidates whose ephemeris another one, or a known variable, has too; as ``batchvet match`` left them."""
        path = self.directory / MATCHES
        return _described(_read_whole(path, "batchvet match RUN") if path.exists() else MATCHES_SCHEMA.empty_table())

    def table(self, name: str) -> pd.DataFrame:
        """The table of that name: candidates, hosts, matches, sectors, images or evidence."""
        if name not in described():
            raise RunError(f"there is no table {name!r}; there are {', '.join(described())}")
        return cast("pd.DataFrame", getattr(self, name))

    def to_astropy(self, table: str = "candidates") -> QTable:
        """A table with units, as astropy has it.

        Parameters
        ----------
        table : str
            candidates, hosts, matches, sectors, images or evidence.

        Returns
        -------
        QTable
            Columns with units are quantities, and every column has its sentence in ``info.description``. Lists of
            words are text, lists of numbers rows of an array; for the columns ``host_*`` see the table ``hosts``.

        Raises
        ------
        RunError
            There is no such table.
        """
        from batchvet.results.astropy_tables import astropy_table

        return astropy_table(self.table(table), table)

    @property
    def not_judged(self) -> pd.DataFrame:
        """Rows of `candidates` that could not be judged, with the reason; the next run tries them again."""
        return self.candidates[~self.candidates["error_kind"].fillna("").isin(["", *FINAL_FAULTS])]

    @property
    def is_finished(self) -> bool:
        """Whether every planned row was there when the run last ended."""
        return is_finished(self.directory)

    def of(self, toi: str) -> pd.DataFrame:
        """The sectors of one candidate, by its name or, where that target has no other, by its TIC number.

        Raises
        ------
        RunError
            The run has no such candidate; the message names those that look alike.
        """
        return self._candidate(toi, self._rows)

    def records_of(self, toi: str) -> list[dict[str, Any]]:
        """The same rows as Python has them, without pandas. Raises as :meth:`of`."""
        return self._candidate(toi, self._read_rows).to_pylist()

    def candidate_record(self, name: str) -> dict[str, Any]:
        """The row of `candidates` of that name, as Python has it; empty where there is none yet."""
        path = self.directory / CANDIDATES
        if not path.exists():
            return {}
        rows = _read_whole(path, "batchvet run CONFIG")
        found = rows.filter(pc.equal(rows["toi"], one_word(name))).to_pylist()
        return found[0] if found else {}

    def _candidate(self, toi: str, rows: Callable[[str, str | int], Rows]) -> Rows:
        """Rows of one candidate, as :meth:`of`; `rows` gives those with a value in a column."""
        written = str(toi).strip()
        name = written.removeprefix("TOI").strip(" -")
        named = rows("toi", name)
        if len(named):
            return named
        tic = re.fullmatch(r"(?:TIC)?[ _-]*(\d+)", written, re.IGNORECASE)
        of_target = rows("tic", int(tic[1])) if tic and len(tic[1]) < 19 else named
        found = sorted(set(map(str, of_target["toi"])))
        if len(found) == 1:
            return of_target
        others = set(map(str, row_index(self.directory).rows["toi"].to_pylist()))
        alike = sorted(other for other in others if other.split(".")[0] == name.split(".")[0])[:5]
        hint = f"; it has {', '.join(found or alike)}" if found or alike else ""
        raise RunError(f"{self.directory}: no candidate {name!r} in this run{hint}")

    def images_of(self, toi: str) -> pd.DataFrame:
        """Images of one candidate, by its name as the tables have it; read alone, unless the table has been read."""
        return self._rows("toi", toi, "images")

    def _rows(self, column: str, value: str | int, table: str = "sectors") -> pd.DataFrame:
        """Rows of a table with that name or target; read alone, unless the table has been read already."""
        if table in self.__dict__:
            frame = self.table(table)
            return frame[frame[column] == value]
        return _described(self._read_rows(column, value, table))

    def _read_rows(self, column: str, value: str | int, table: str = "sectors") -> pa.Table:
        """The same, read, as Arrow has them."""
        wanted = one_word(value) if isinstance(value, str) else number_column(np.array([value]))[0]

        def read() -> pa.Table:
            index = row_index(self.directory)
            return gathered(self.directory, table, index.only(truths_of(pc.equal(index.rows[column], wanted))))

        return undisturbed(self.directory, read)

    def _frame(self, table: str) -> pd.DataFrame:
        return _described(
            undisturbed(self.directory, lambda: gathered(self.directory, table, row_index(self.directory)))
        )


def _read_whole(path: Path, command: str) -> pa.Table:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: damaged table ({reason}); delete it and run '{command}' again") from error


def _with_host_candidates(candidates: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd  # 0.3 s, which commands that show no table do not wait for

    attrs, candidates.attrs = candidates.attrs, {}  # pandas would copy them for every column that is looked at
    stars = [hosts_of(row) for row in cast("list[dict[str, Any]]", candidates.to_dict("records"))]
    candidates["host_candidates"] = pd.Series(stars, index=candidates.index, dtype=object)
    candidates.attrs = attrs
    return candidates


def _described(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas()
    metadata = {field.name: field.metadata or {} for field in table.schema}
    frame.attrs["units"] = {name: m.get(b"unit", b"").decode() for name, m in metadata.items()}
    frame.attrs["text"] = {name: m.get(b"description", b"").decode() for name, m in metadata.items()}
    return frame
