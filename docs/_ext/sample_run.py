"""The run that the documentation's examples look at: the demo, made once for each build."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
#: Where examples are executed: the run is ``runs/demo/run`` in it, as after ``scripts/demo``.
EXAMPLES = DOCS / "_build" / "examples"

_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def enter() -> None:
    """Make the run if it is not there, and go where the examples' paths are right."""
    make()
    os.chdir(EXAMPLES)
    warnings.filterwarnings("ignore", module="lightkurve")  # which model fits it lacks
    import pandas as pd

    pd.set_option("display.width", 120)
    pd.set_option("display.max_columns", 20)


@cache
def make() -> None:
    """Vet the embedded sample as a user would."""
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join(filter(None, (str(DOCS.parent), os.environ.get("PYTHONPATH"))))
    subprocess.run(
        [sys.executable, "-m", "batchvet", "demo", "--output", "runs/demo"],
        cwd=EXAMPLES,
        env=os.environ | _ENVIRONMENT | {"PYTHONPATH": paths},
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    make()
