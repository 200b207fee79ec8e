"""What one cell of a table means: a number, a TIC number, a position, a time, a list of sectors.

Cells are text from a CSV file or plain Python values from a Parquet file. Every function here raises
``ValueError`` with the rest of a sentence that begins with the column's name: 'is "abc", not a number'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

#: A cell of a text table, or of a Parquet table.
Cell = str | float | int | None | Sequence[int]

#: TIC numbers go from 1 to this: eleven digits hold every number of TIC 8.2.
MAX_TIC = 10**11 - 1
#: Sector numbers go from 1 to this.
MAX_SECTOR = 999
#: BTJD = BJD - 2457000.
BTJD_ZERO = 2_457_000.0
#: A time above this is a BJD.
SMALLEST_BJD = 2_400_000.0
#: BTJD that are believed, days: 1968 to late 2036. The upper end leaves out BJD - 2450000 of TESS's years (8325 on).
BTJD_RANGE = (-17_000.0, 8_000.0)

_MISSING = frozenset({"", "nan", "null", "none", "na", "n/a", "<na>", "-", "--", "nat"})
_SEXAGESIMAL = re.compile(
    r"""\s*(?P<sign>[+\-−]?)(?P<whole>\d{1,3})\s*[:hd°\s]\s*(?P<minutes>\d{1,2})\s*[:m'\s]\s*
        (?P<seconds>\d{1,2}(?:\.\d*)?)\s*[s"]?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_TIC = re.compile(r"(?:TIC[\s_-]*)?(\d+)(?:\.0*)?", re.IGNORECASE)
_SECTOR = re.compile(r"(\d+)(?:\.0*)?(?:-(\d+))?")


def is_missing(cell: Cell) -> bool:
    """Whether nothing is written there: empty, NaN, null, none, n/a or dashes."""
    if isinstance(cell, str):
        return not cell[:1].isdigit() and cell.strip().lower() in _MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def text(cell: Cell) -> str:
    """A name as it is written, without the blanks around it.

    A TOI that arrives as a floating-point number gets its two decimals back (5807.1 is TOI 5807.10).
    """
    written = f"{cell:.2f}" if isinstance(cell, float) else str(cell).strip()
    if not written.isprintable() or "\ufffd" in written:
        raise ValueError(f"is {written!r}, which holds a control character or bytes that are not UTF-8")
    return written


def number(cell: Cell) -> float:
    """A finite number."""
    written: Any = cell  # float() itself tells what is none
    try:
        value = float(written)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"is {_quoted(cell)}, not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"is {_quoted(cell)}, not a finite number")
    return value


def number_between(low: float, high: float) -> Callable[[Cell], float]:
    """A parser of numbers from `low` to `high`, both included."""

    def parse(cell: Cell) -> float:
        value = number(cell)
        if not low <= value <= high:
            raise ValueError(f"is {_quoted(cell)}, outside {low:.10g} to {high:.10g}")
        return value

    return parse


def tic_number(cell: Cell) -> int:
    """A TIC number, 1 to `MAX_TIC`: 188646744, "TIC 188646744" or 188646744.0."""
    if isinstance(cell, str):
        match = _TIC.fullmatch(cell.strip())
        if match is None:
            raise ValueError(f"is {_quoted(cell)}, not a TIC number")
        tic = int(match[1])
    else:
        value = number(cell)
        if not value.is_integer():
            raise ValueError(f"is {_quoted(cell)}, not a whole number")
        tic = int(value)
    if not 1 <= tic <= MAX_TIC:
        raise ValueError(f"is {_quoted(cell)}, outside 1 to {MAX_TIC}")
    return tic


def btjd(cell: Cell) -> float:
    """A time in BTJD (days) from BTJD or BJD, told apart by the value.

    Above 2400000 it is a BJD and 2457000 is subtracted. What is then not within `BTJD_RANGE` is refused: an MJD
    (58000) or a BJD - 2450000 (8325) taken for a BTJD would put every transit at the wrong time.
    """
    value = number(cell)
    time = value - BTJD_ZERO if value > SMALLEST_BJD else value
    low, high = BTJD_RANGE
    if low <= time <= high:
        return time
    hint = ""
    if 8_000 < time < 20_000:
        hint = "; it looks like BJD - 2450000: subtract 7000"
    elif 40_000 < time < 70_000:
        hint = "; it looks like an MJD: subtract 56999.5"
    raise ValueError(f"is {_quoted(cell)}, neither BJD nor BTJD ({low:g} to {high:g}){hint}")


def right_ascension(cell: Cell) -> float:
    """Right ascension (deg, 0 to 360) from degrees, or from hours when written 21:14:56.88 or 21h14m56.88s."""
    value = _sexagesimal(cell)
    value = number(cell) if value is None else 15.0 * value
    if not 0.0 <= value <= 360.0:
        raise ValueError(f"is {_quoted(cell)}, outside 0 to 360 degrees")
    return value % 360.0


def declination(cell: Cell) -> float:
    """Declination (deg, -90 to 90) from degrees, decimal or written -55:52:18.71 or -55d52m18.71s."""
    value = _sexagesimal(cell)
    value = number(cell) if value is None else value
    if not -90.0 <= value <= 90.0:
        raise ValueError(f"is {_quoted(cell)}, outside -90 to 90 degrees")
    return value


def yes_or_no(cell: Cell) -> bool:
    """Whether something is so, from 1 or 0, true or false, yes or no."""
    word = str(cell).strip().lower()
    if word in ("1", "1.0", "true", "yes", "y"):
        return True
    if word in ("0", "0.0", "false", "no", "n"):
        return False
    raise ValueError(f"is {_quoted(cell)}, neither 1 nor 0")


def sector_list(cell: Cell) -> tuple[int, ...] | None:
    """Sectors, sorted and each once, from "1,2", "1;2", "1 2", "1-3" or a list; None when there are none."""
    if isinstance(cell, str):
        written = cell
    else:
        several: Sequence[object] = cell if isinstance(cell, Sequence) else [cell]
        written = ",".join(map(str, several))
    sectors: set[int] = set()
    for word in re.split(r"[,;\s]+", written.strip(" []()")):
        if not word:
            continue
        match = _SECTOR.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if not 1 <= first <= last <= MAX_SECTOR:
            raise ValueError(f"has {_quoted(word)}, not a sector (1 to {MAX_SECTOR}) or a range such as 1-3")
        sectors.update(range(first, last + 1))
    return tuple(sorted(sectors)) or None


def _sexagesimal(cell: Cell) -> float | None:
    """Hours or degrees from three parts; None when the cell is not written so."""
    match = _SEXAGESIMAL.fullmatch(cell) if isinstance(cell, str) else None
    if match is None:
        return None
    minutes, seconds = int(match["minutes"]), float(match["seconds"])
    if minutes > 59 or seconds > 60.0:
        raise ValueError(f"is {_quoted(cell)}, which has more than 59 minutes or 60 seconds")
    value = int(match["whole"]) + minutes / 60.0 + seconds / 3600.0
    return value if match["sign"] in ("", "+") else -value


def _quoted(cell: Cell) -> str:
    """The cell as it stands in a message, cut when long."""
    written = str(cell).strip()
    return f'"{written[:40]}…"' if len(written) > 40 else f'"{written}"'
