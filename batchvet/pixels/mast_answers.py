"""What MAST has answered, as columns: a survey's answers are millions of products."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchvet.columns import no_rows, number_column, numbers_of
from batchvet.errors import CacheError
from batchvet.pixels.index_file import decode_table, encode_table, schema_of, table_of
from batchvet.pixels.mast_search import Product


@dataclass(frozen=True)
class Answer:
    """A row of what is kept: a product, or (sector 0) that the archive has none for the target."""

    tic: int
    asked: str  #: UTC, ISO
    sector: int
    author: str
    cadence_s: int
    location: str
    size: int

    @property
    def product(self) -> Product:
        return Product(self.tic, self.sector, self.author, self.cadence_s, self.location, self.size)


class Answers:
    """Answers about targets; those that are learnt take the place of earlier ones.

    Parameters
    ----------
    content : bytes, optional
        As :meth:`encoded` gave them. None, or damaged: there are none yet.
    """

    def __init__(self, content: bytes | None = None) -> None:
        rows = no_rows(schema_of(Answer))
        if content is not None:
            with suppress(CacheError):  # the archive is asked again
                rows = decode_table(Answer, content)
        self._set(rows)

    def __contains__(self, tic: int) -> bool:
        at = bisect_left(self._tics, tic)
        return at < len(self._tics) and self._tics[at] == tic

    def asked(self, tic: int) -> str:
        """When a target was asked for that is known."""
        return str(self._rows["asked"][bisect_left(self._tics, tic)].as_py())

    def of(self, tic: int) -> list[Answer]:
        """The answers about a target; none when it is not known."""
        first = bisect_left(self._tics, tic)
        last = bisect_right(self._tics, tic, lo=first)
        columns = (column.to_pylist() for column in self._rows.slice(first, last - first).columns)
        return [Answer(*values) for values in zip(*columns, strict=True)] if last > first else []

    def learn(self, answers: Mapping[int, Sequence[Answer]]) -> None:
        """Take new answers about some targets."""
        new = [answer for several in answers.values() for answer in several]
        known = pc.is_in(self._rows["tic"], value_set=number_column(np.array(list(answers), dtype=np.int64)))
        others = self._rows.filter(pc.invert(known))
        self._set(pa.concat_tables([others, table_of(Answer, new)]))

    def encoded(self) -> bytes:
        """All of them as a file, sorted by target."""
        return encode_table(self._rows)

    def _set(self, rows: pa.Table) -> None:
        order = np.argsort(numbers_of(rows["tic"]), kind="stable")
        is_sorted = bool((np.diff(order) == 1).all())
        self._rows = (rows if is_sorted else rows.take(number_column(order))).combine_chunks()
        self._tics = array("q", numbers_of(self._rows["tic"]).tobytes())
