"""How far a run is, and what to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from batchvet.errors import ConfigError, RunError
from batchvet.pixels.sources import Asking
from batchvet.results.directory import CANDIDATES, PLAN, REJECTS
from batchvet.results.parts import read_part, undisturbed
from batchvet.results.reader import RunResults
from batchvet.results.row_index import gathered, row_index
from batchvet.results.run_calibration import calibration_of
from batchvet.results.success import judged_otherwise
from batchvet.runtime.at_work import at_work
from batchvet.runtime.config import RunConfig
from batchvet.runtime.plan import make_plan
from batchvet.runtime.progress import Progress, Silent
from batchvet.vocabulary import FINAL_FAULTS, Status

_OF_A_CANDIDATE = ("toi", "tic", "error_kind", "error")
_OF_A_ROW = ("toi", "tic", "sector", "status", "error_kind", "error")
_SILENCE_S = 120.0  #: after which a run at work is told to be silent


def run_status(directory: str | Path, progress: Progress = Silent()) -> dict[str, Any]:
    """Rows done, failed, stale and to do, with the reasons; of a run at work its rate, and nothing of what is stale.

    Raises
    ------
    RunError
        The directory is not a run, or its configuration cannot be used any more.
    CatalogError
        The catalogue that it was made from cannot be read any more.
    """
    directory = Path(directory)
    if not (directory / PLAN).exists() and (work := at_work(directory, 0)) is not None:
        return {"run": str(directory), "at_work": True, "rows": 0, **asdict(work)}
    run = RunResults(directory)
    n_rows = int(run.plan.get("n_rows") or 0)
    if (work := at_work(directory, n_rows)) is not None:
        return {"run": str(directory), "at_work": True, "rows": n_rows, **asdict(work)}
    try:
        config = RunConfig(**run.plan["config"]).model_copy(update={"output": directory})
    except (ConfigError, KeyError, TypeError) as error:
        raise RunError(f"{directory}/plan.json: not a configuration; run 'batchvet run CONFIG' again") from error
    plan = make_plan(config, keep_going=(directory / REJECTS).exists(), asking=Asking(ask=False), progress=progress)
    sectors = undisturbed(
        directory, lambda: gathered(directory, "sectors", row_index(directory), _OF_A_ROW)
    ).to_pylist()
    failed = sorted((row for row in sectors if row["status"] != Status.OK), key=lambda row: row["status"])
    candidates = _candidates(directory)
    summary = plan.summary()
    judged_with = calibration_of(directory).judged_with(config.priors())
    to_judge = len(candidates) if judged_otherwise(directory, judged_with) else 0
    return {
        "run": str(directory),
        "at_work": False,
        "config": run.plan.get("config_file"),
        "finished": run.is_finished and not summary["rows_to_do"] and not to_judge,
        **{name: summary[name] for name in ("rows", "rows_done", "rows_stale", "rows_to_do", "estimated_seconds")},
        "stale": dict(Counter(" and ".join(why) for why in plan.rows.stale.values())),
        "status": dict(sorted(Counter(row["status"] for row in sectors).items())),
        "judged_otherwise": to_judge,
        "not_judged": [row for row in candidates if (row["error_kind"] or "") not in ("", *FINAL_FAULTS)],
        "failures": failed,
    }


def _candidates(directory: Path) -> list[dict[str, Any]]:
    """What could not be judged is said of every candidate; none before the run has finished."""
    path = directory / CANDIDATES
    return read_part(path, _OF_A_CANDIDATE).to_pylist() if path.exists() else []


def next_command(status: dict[str, Any]) -> str:
    """What to type next, as a sentence."""
    config = quote(status["config"]) if status["config"] else "CONFIG"
    command = f"batchvet run {config} --output {quote(status['run'])}"
    if not status["finished"]:
        return f"next: {command} goes on where it stopped"
    if status["status"].get(Status.ERROR):
        return f"finished; {command} --retry-failed tries the failed ones again"
    return f"finished; next: batchvet report {quote(status['run'])}"


def work_in_words(status: dict[str, Any], duration: Callable[[float], str]) -> str:
    """How far a run at work is, as a sentence; `duration` puts seconds into words."""
    said = f"at work: {status['doing']}, {status['rows_done']} of {status['rows']} rows in the table"
    if status["rows_per_second"]:
        said += f", {status['rows_per_second']:.3g} rows a second"
    if status["seconds_left"]:
        said += f", about {duration(status['seconds_left'])} left"
    if status["silent_seconds"] > _SILENCE_S:
        said += f"; nothing has come for {duration(status['silent_seconds'])}"
    return said
