"""What a check's figure is: the words from which the table's columns and the report's rows are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One named figure of a check."""

    kind: Literal["float", "int", "bool", "str"]  #: the type of its column
    unit: str  #: such as "ppm" or "pixel"; "" for a pure number, a word or a yes-or-no
    doc: str  #: one sentence that says what it is
