"""Run a configuration on workers of Coiled (https://coiled.io), which are there as long as the run.

    python scripts/on_coiled.py CONFIG [--workers 50] [--cpu 1] [--memory 4GiB] [--region us-east-1]

The cache must be in a bucket that workers reach: MAST's own files are in us-east-1. Coiled copies this environment to
the workers; its certificates, which let whoever has them use the cluster, lie in a directory of yours until the end.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from distributed import Security

from batchvet.api import run
from batchvet.runtime.clusters import ONE_THREAD
from batchvet.runtime.config import read_config
from batchvet.runtime.settings import ClusterSettings


def certificates(security: Security, directory: Path) -> dict[str, Path]:
    """The files of a cluster's certificates, written where they are not files yet."""
    found = {}
    for name, key in (("ca", "tls_ca_file"), ("cert", "tls_client_cert"), ("key", "tls_client_key")):
        content = getattr(security, key)
        if os.path.exists(content):
            found[name] = Path(content)
            continue
        found[name] = directory / f"{name}.pem"
        with open(os.open(found[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
    return found


def cluster_of(options: argparse.Namespace) -> Any:
    """Workers as batchvet wants them: one thread each, never paused, gone with the run."""
    import coiled

    memory = {f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause")}
    return coiled.Cluster(
        name="batchvet",
        n_workers=options.workers,
        worker_cpu=options.cpu,
        worker_memory=options.memory,
        region=options.region,
        worker_options={"nthreads": 1},
        environ={**ONE_THREAD, **{f"DASK_{name.upper().replace('.', '__')}": str(no) for name, no in memory.items()}},
        shutdown_on_close=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--cpu", type=int, default=1)
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args()
    config = read_config(options.config)
    with cluster_of(options) as cluster, tempfile.TemporaryDirectory() as directory:
        tls = certificates(cluster.security, Path(directory))
        settings = ClusterSettings(scheduler=cluster.scheduler_address, tls=tls, wait_s=600.0)
        done = run(config.model_copy(update={"cluster": settings}))
        print(f"{len(done.candidates)} candidates in {done.directory}")


if __name__ == "__main__":
    main()
