"""The calibration that a run's candidates are judged with: the package's, with what the run's own check has found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from batchvet.errors import RunError
from batchvet.results.directory import CALIBRATION, now, sole_writer, write_json
from batchvet.results.reader import RunResults
from batchvet.science.calibration import DEFAULT, Calibration

_LEAST = 50  #: offsets: they tell the scale to 8 %
_LARGEST = 10.0  #: times: beyond, something else is wrong than errors


def calibration_of(directory: Path) -> Calibration:
    """What the run in a directory is judged with.

    Raises
    ------
    RunError
        Its calibration cannot be read.
    """
    path = directory / CALIBRATION
    try:
        scale = float(json.loads(path.read_text(encoding="utf-8"))["error_scale"])
    except FileNotFoundError:
        return DEFAULT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: cannot be read ({type(error).__name__}); delete it: 'batchvet check RUN --apply' makes it anew"
        ) from error
    if not (math.isfinite(scale) and 1 / _LARGEST <= scale <= _LARGEST):
        raise RunError(f"{path}: error_scale is {scale:g}, not between 0.1 and 10; mend or delete it")
    return DEFAULT.with_error_scale(scale)


def apply_scale(run: RunResults) -> dict[str, Any]:
    """Write the scale that makes a run's errors honest as its calibration: ``RUN/calibration.json``.

    The next ``batchvet run`` judges every candidate with it, from the evidence, without pixels.

    Returns
    -------
    dict
        What was written: ``version``, ``base``, ``error_scale``, its ``error``, ``n_offsets``, and ``before``, what the
        candidates had been judged with.

    Raises
    ------
    RunError
        Too few sure candidates, or they have not been judged with the run's calibration yet: its scale would count
        twice.
    """
    from batchvet.results.self_check import sure_scale  # and with it pandas, which no other command waits for

    before = calibration_of(run.directory)
    versions = sorted(set(run.candidates["calibration_version"].dropna()) - {"", before.version})
    if versions:
        raise RunError(
            f"{run.directory}: candidates were judged with calibration {', '.join(versions)}, and the run's is "
            f"{before.version}; 'batchvet run CONFIG' judges them, then check again"
        )
    found = sure_scale(run)
    if found.n < _LEAST:
        raise RunError(f"{run.directory}: {found.n} sure on-target candidates do not tell a scale; {_LEAST} do, to 8 %")
    after = DEFAULT.with_error_scale(before.error_scale * found.scale)
    if not 1 / _LARGEST <= after.error_scale <= _LARGEST:
        raise RunError(f"{run.directory}: errors off by {after.error_scale:.3g} are no matter of calibration")
    content = {
        "version": after.version,
        "base": DEFAULT.version,
        "error_scale": after.error_scale,
        "error": round(before.error_scale * found.error, 4),
        "n_offsets": found.n,
        "before": before.version,
        "written": now(),
    }
    with sole_writer(run.directory):
        write_json(run.directory / CALIBRATION, content)
    return content
