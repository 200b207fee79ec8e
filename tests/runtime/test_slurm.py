"""Jobs of a queue: with stand-ins for SLURM's commands that really start and stop workers."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import dask
import psutil
import pytest
from same_tables import same_tables
from test_foreign_scheduler import Listening

from batchvet.api import run
from batchvet.errors import ConfigError, RunError
from batchvet.runtime.clusters import open_executor
from batchvet.runtime.settings import ClusterSettings

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")

SBATCH = """#!/bin/bash
[ "$(ls {place} | wc -l)" -lt {most} ] || {{ echo "sbatch: error: invalid partition" >&2; exit 1; }}
id=$RANDOM
cp "$1" {place}/$id.sh
setsid bash {place}/$id.sh >{place}/../$id.log 2>&1 &
echo $! > {place}/../$id.pid
echo "Submitted batch job $id"
"""
SCANCEL = """#!/bin/bash
kill -- -$(cat {place}/../$1.pid)
"""


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """Where the scripts of the submitted jobs are; most of them that the queue takes."""
    scripts, commands = tmp_path / "jobs" / "scripts", tmp_path / "commands"
    scripts.mkdir(parents=True)
    commands.mkdir()
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (commands / name).write_text(script.format(place=scripts, most=8))
        (commands / name).chmod(0o755)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    yield scripts
    for pid in jobs(scripts):
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def jobs(scripts: Path) -> list[int]:
    """Process groups of the jobs that run."""
    pids = [int(file.read_text()) for file in scripts.parent.glob("*.pid")]
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


SLURM = {"queue": "short", "interface": "lo", "memory": "1.5GB", "walltime": "00:10:00", "python": sys.executable}


def test_jobs_work_over_tls_one_that_ends_is_submitted_again_and_none_stays(config, whole, queue, tmp_path):
    killed: list[int] = []
    heard: set[tuple[str, ...]] = set()

    def its_time_is_up():
        if not killed:
            for process in [psutil.Process(), *(p for pid in jobs(queue) for p in psutil.Process(pid).children(True))]:
                with suppress(psutil.Error):
                    heard.update(
                        (c.laddr.ip, process.name(), " ".join(process.cmdline()[:4]))
                        for c in process.net_connections("tcp")
                        if c.status == "LISTEN"
                    )
            killed.extend(jobs(queue)[:1])
            os.killpg(killed[0], signal.SIGKILL)

    slurm = ClusterSettings(slurm=SLURM, workers=1, wait_s=120)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}):
        run(config.model_copy(update={"cluster": slurm, "batch_size": 1}), progress=Listening(its_time_is_up))
    assert same_tables(config.output, whole)
    scripts = [path.read_text() for path in queue.glob("*.sh")]
    assert len(scripts) == 2
    for script in scripts:
        assert "#SBATCH -p short" in script and "--nthreads 1 " in script
        assert " tls://127.0.0.1:" in script and "--tls-key" in script
        assert "export DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False" in script
    assert {ip for ip, *_ in heard} == {"127.0.0.1"}, heard
    assert jobs(queue) == []
    assert not list((tmp_path / "home").iterdir())  # certificates went with the run


def test_a_queue_that_refuses_is_said_at_once_in_its_words(queue):
    for script in range(8):
        (queue / f"{script}.sh").touch()
    with (
        pytest.raises(RunError, match=r"cluster\.slurm: the queue takes no job: sbatch: error: invalid partition"),
        open_executor(ClusterSettings(slurm=SLURM)),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frob": 1}, r"cluster\.slurm: dask_jobqueue\.SLURMCluster does not know frob"),
        ({"security": False}, "without security whoever is on the network could run code as you"),
    ],
)
def test_what_dask_jobqueue_would_not_take_is_one_line(queue, options, said):
    with pytest.raises(ConfigError, match=said), open_executor(ClusterSettings(slurm=SLURM | options)):
        pass


def test_without_slurm_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no sbatch here"), open_executor(ClusterSettings(slurm=SLURM)):
        pass
