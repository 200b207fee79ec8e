"""How far a run is, and what to type next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from shlex import quote
from typing import Any

from batchvet.errors import ConfigError, RunError
from batchvet.pixels.sources import Asking
from batchvet.results.directory import REJECTS
from batchvet.results.reader import RunResults
from batchvet.runtime.config import RunConfig
from batchvet.runtime.plan import make_plan
from batchvet.vocabulary import Status


def run_status(directory: str | Path) -> dict[str, Any]:
    """Rows done, failed, stale and to do, with the reasons.

    Raises
    ------
    RunError
        The directory is not a run, or its configuration cannot be used any more.
    CatalogError
        The catalogue that it was made from cannot be read any more.
    """
    directory = Path(directory)
    run = RunResults(directory)
    try:
        config = RunConfig(**run.plan["config"]).model_copy(update={"output": directory})
    except (ConfigError, KeyError, TypeError) as error:
        raise RunError(f"{directory}/plan.json: not a configuration; run 'batchvet run CONFIG' again") from error
    plan = make_plan(config, keep_going=(directory / REJECTS).exists(), asking=Asking(ask=False))
    sectors = run.sectors
    failed = sectors[sectors["status"] != Status.OK]
    summary = plan.summary()
    return {
        "run": str(directory),
        "config": run.plan.get("config_file"),
        "finished": run.is_finished and not summary["rows_to_do"],
        **{name: summary[name] for name in ("rows", "rows_done", "rows_stale", "rows_to_do", "estimated_seconds")},
        "stale": dict(Counter(" and ".join(why) for why in plan.rows.stale.values())),
        "status": {name: int(n) for name, n in sectors["status"].value_counts().sort_index().items()},
        "not_judged": run.not_judged[["toi", "tic", "error_kind", "error"]].to_dict("records"),
        "failures": failed[["toi", "tic", "sector", "status", "error_kind", "error"]].to_dict("records"),
    }


def next_command(status: dict[str, Any]) -> str:
    """What to type next, as a sentence."""
    config = quote(status["config"]) if status["config"] else "CONFIG"
    command = f"batchvet run {config} --output {quote(status['run'])}"
    if not status["finished"]:
        return f"next: {command} goes on where it stopped"
    if status["status"].get(Status.ERROR):
        return f"finished; {command} --retry-failed tries the failed ones again"
    return f"finished; next: batchvet report {quote(status['run'])}"
