"""Kill workers and client at random for some minutes, and see what is lost, there twice or different at the end.

    python scripts/soak.py DIR [--targets 250] [--sectors 4] [--minutes 10] [--workers 2] [--seed 1]
                           [--patience 60] [--cached] [--json]

DIR/sim holds made files (kept for another soak), DIR/whole a run that nothing disturbs, DIR/soak the one that is
killed for so many minutes from its first client on, then left alone until it has ended: over and over SIGKILL, SIGINT,
SIGTERM or SIGHUP for the client, SIGKILL or SIGSTOP for a worker, a part, an entry of the cache or the table of
candidates deleted between two runs. A run that finishes begins anew without its tables, every other time without its
cache. Exit 1 unless nothing is lost, twice, different or left running.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"):
    os.environ.setdefault(name, "1")

import psutil
import pyarrow.parquet as pq

TABLES = ("sectors", "images", "evidence", "hosts", "candidates.parquet")
_KEY = {"hosts": ("toi", "source_id"), "candidates.parquet": ("toi",)}
_ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}
_SECONDS_TO_END = 300.0  #: of a client that was told to, on a loaded machine
_BATCHVET = (sys.executable, "-m", "batchvet")


def main() -> None:
    options = parsed()
    made = options.directory / "sim"
    if not (made / "config.yaml").exists():
        simulate = ("simulate", str(made), "--targets", str(options.targets), "--sectors", str(options.sectors))
        subprocess.run([*_BATCHVET, *simulate, "--seed", "11", "-q"], check=True, stdout=subprocess.DEVNULL)
    whole = lay_out(made, options.directory / "whole", options.workers)
    if not (whole.parent / "run" / "_SUCCESS.json").exists():
        subprocess.run([*_BATCHVET, "run", str(whole), "-q"], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(options.directory / "soak", ignore_errors=True)
    soak = Soak(
        lay_out(made, options.directory / "soak", options.workers), random.Random(options.seed), options.patience
    )
    if options.cached:
        shutil.copytree(options.directory / "whole" / "cache", options.directory / "soak" / "cache")
    found = soak.go_on_for(options.minutes * 60, whole.parent / "run")
    print(json.dumps(found, indent=None if options.json else 2))
    sys.exit(int(any(found[name] for name in ("lost", "twice", "different", "orphans", "wrong_exits"))))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--targets", type=int, default=250)
    parser.add_argument("--sectors", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=60.0, help="most seconds that a client is left alone")
    parser.add_argument("--cached", action="store_true", help="begin with the whole run's cache")
    parser.add_argument("--json", action="store_true", help="one line")
    return parser.parse_args()


def lay_out(made: Path, place: Path, workers: int) -> Path:
    """A configuration of the made files with a cache and an output of its own."""
    place.mkdir(parents=True, exist_ok=True)
    made = made.resolve()
    content = {
        "catalog": str(made / "toi.csv"),
        "neighbours": str(made / "neighbours.csv"),
        "sources": [{"directory": str(made / "tpfs")}],
        "cache": "cache",
        "cluster": {"workers": workers},
        "output": "run",
    }
    (place / "config.yaml").write_text(json.dumps(content))  # JSON is YAML
    return place / "config.yaml"


class Soak:
    """One run under accidents."""

    def __init__(self, config: Path, chance: random.Random, patience: float) -> None:
        self.config, self.chance, self.patience = config, chance, patience
        self.run = config.parent / "run"
        self.accidents: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.whole_runs = self.clients = 0
        self.wrong_exits: list[str] = []

    def go_on_for(self, seconds: float, whole: Path) -> dict[str, Any]:
        """Accidents for so long, then an end in peace; what was found."""
        begun = time.monotonic()
        stop = begun + seconds
        while time.monotonic() < stop:
            if self.one_client(min(self.chance.uniform(3, self.patience), stop - time.monotonic())):
                self.held_against(whole)
                self.begin_anew()
            else:
                self.something_is_deleted()
        while not self.one_client(None):
            self.accidents["client again"] += 1
        self.held_against(whole)
        return {
            "accidents": dict(sorted(self.accidents.items())),
            "clients": self.clients,
            "minutes": round((time.monotonic() - begun) / 60, 1),
            "whole_runs": self.whole_runs,
            **{name: self.found[name] for name in ("rows", "lost", "twice", "different", "killed_rows", "orphans")},
            "wrong_exits": self.wrong_exits,
        }

    def one_client(self, seconds: float | None) -> bool:
        """Start a client, which is killed after so long, its workers before; whether it came to its end."""
        argv = [*_BATCHVET, "run", str(self.config), "-q", "--retry-failed"]
        self.clients += 1
        with (self.config.parent / "client.log").open("ab") as log:
            client = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)
            stop = None if seconds is None else time.monotonic() + seconds
            everybody: set[psutil.Process] = set()
            while client.poll() is None and (stop is None or time.monotonic() < stop):
                with suppress(psutil.Error, subprocess.TimeoutExpired):
                    everybody |= set(psutil.Process(client.pid).children(recursive=True))
                    client.wait(self.chance.uniform(0.02, 0.2) * self.patience if stop else 2.0)
                    if stop is not None:
                        continue
                if stop is not None and client.poll() is None:
                    self.something_happens_to_a_worker(client.pid)
            code = self.end(client) if client.poll() is None else client.returncode
        self.count_orphans(everybody)
        if code not in (0, 3, *_ENDS.values()):
            self.wrong_exits.append(f"exit {code}; see {self.config.parent / 'client.log'}")
        return code in (0, 3)

    def something_happens_to_a_worker(self, client: int) -> None:
        """One is killed, or frozen for a while."""
        with suppress(psutil.Error, IndexError):
            workers = [p for p in psutil.Process(client).children() if "spawn_main" in " ".join(p.cmdline())]
            unlucky = self.chance.choice(workers)
            if self.chance.random() < 0.8:
                self.accidents["worker killed"] += 1
                unlucky.kill()
            else:
                self.accidents["worker frozen"] += 1
                unlucky.suspend()
                time.sleep(self.chance.uniform(0.5, 5))
                unlucky.resume()

    def end(self, client: subprocess.Popen[bytes]) -> int:
        """Tell a client to end; a kill for one that does not is wrong."""
        number = self.chance.choice(list(_ENDS))
        self.accidents[f"client {signal.Signals(number).name}"] += 1
        client.send_signal(number)
        try:
            code = client.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            client.kill()
            self.wrong_exits.append(f"{signal.Signals(number).name}: still there after {_SECONDS_TO_END:g} s")
            return client.wait()
        if code not in (_ENDS[number], 0, 3):
            self.wrong_exits.append(f"{signal.Signals(number).name}: exit {code}")
        return code

    def count_orphans(self, everybody: set[psutil.Process]) -> None:
        """Children of a client that is gone; they have half a minute to see it."""
        _, left = psutil.wait_procs(everybody, timeout=60)
        for process in left:
            with suppress(psutil.Error):
                self.found["orphans"] += 1
                process.kill()

    def something_is_deleted(self) -> None:
        """Every third time a file that is made anew."""
        files = [*self.run.glob("*/part-*"), *self.run.glob("candidates.parquet"), *self.run.glob("../cache/s*/*.zip")]
        if files and self.chance.random() < 0.3:
            self.accidents["file deleted"] += 1
            self.chance.choice(files).unlink()

    def begin_anew(self) -> None:
        """Without tables; every other time without a cache."""
        shutil.rmtree(self.run)
        if self.whole_runs % 2:
            shutil.rmtree(self.config.parent / "cache")

    def held_against(self, whole: Path) -> None:
        """Add to what was found in a run that has ended."""
        self.whole_runs += 1
        self.found.update(compared(self.run, whole))


def compared(run: Path, whole: Path) -> Counter[str]:
    """Rows of all tables, those that are lost, there twice or different in a run, those that are `killed`."""
    found: Counter[str] = Counter()
    for table in TABLES:
        expected, ours = rows_of(whole, table), rows_of(run, table)
        names = Counter(name for name, _ in ours)
        found["rows"] += len(names)
        found["lost"] += len({name for name, _ in expected} - names.keys())
        found["twice"] += sum(n > 1 for n in names.values()) + len(names.keys() - {name for name, _ in expected})
        theirs = dict(expected)
        found["different"] += sum(theirs[name] != row for name, row in dict(ours).items() if name in theirs)
    found["killed_rows"] = sum("'error_kind': 'killed'" in row for _, row in rows_of(run, "sectors"))
    return found


def rows_of(run: Path, table: str) -> list[tuple[tuple[Any, ...], str]]:
    """Names and rows of a table, as a program that knows nothing of batchvet reads it, without the seconds."""
    rows = pq.read_table(run / table).to_pylist()
    key = _KEY.get(table, ("toi", "sector"))
    return [(tuple(row[k] for k in key), repr({**row, "seconds": None})) for row in rows]


if __name__ == "__main__":
    main()
