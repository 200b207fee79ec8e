"""Configurations for clusters that others keep: what they say is what batchvet and Dask understand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import dask.config
import pytest
import yaml
from click import Command
from click.testing import CliRunner
from distributed import LocalCluster, Security
from distributed.cli import dask_worker
from same_tables import same_tables

from batchvet.runtime import clusters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def manifest():
    return yaml.safe_load((ROOT / "configs" / "kubernetes.yaml").read_text(encoding="utf-8"))["spec"]


def container(part: dict) -> dict:
    (one,) = part["spec"]["containers"]
    return one


def test_kubernetes_workers_are_started_as_dask_and_batchvet_want_them(manifest, monkeypatch):
    program, *options = container(manifest["worker"])["args"]
    assert program == "dask-worker" and options[options.index("--nthreads") + 1] == "1"
    assert isinstance(dask_worker.main, Command)
    heard = {}
    monkeypatch.setattr(dask_worker.main, "callback", lambda **given: heard.update(given))
    done = CliRunner().invoke(dask_worker.main, ["tcp://scheduler:8786", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (heard["nthreads"], heard["memory_limit"], heard["preload"]) == (1, "2.5GB", ("batchvet.runtime.worker",))


def test_kubernetes_settings_are_those_that_batchvet_has_for_its_own_workers(manifest):
    for part in ("worker", "scheduler"):
        said = {one["name"]: one["value"] for one in container(manifest[part])["env"]}
        settings = dask.config.collect_env(said)["distributed"]
        for name in ("worker.memory.target", "worker.memory.spill", "worker.memory.pause"):
            assert dask.config.get(name, config=settings) is False
        for name in ("scheduler.allowed-failures", "scheduler.worker-saturation"):
            wanted = clusters._DASK_SETTINGS[f"distributed.{name}"]
            assert dask.config.get(name.replace("-", "_"), config=settings) == wanted
        assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= said.keys()


def test_kubernetes_scheduler_is_not_to_be_reached_from_outside(manifest):
    service = manifest["scheduler"]["service"]
    assert service["type"] == "ClusterIP"
    ports = {port["name"]: port["containerPort"] for port in container(manifest["scheduler"])["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    assert container(manifest["scheduler"])["image"] == container(manifest["worker"])["image"]


def test_a_run_on_coiled_uses_its_certificates_and_leaves_none(config, whole, tmp_path, monkeypatch, capsys):
    """Against a stand-in that opens a cluster here, with certificates in memory as Coiled gives them."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import on_coiled

    asked, kept = {}, []

    def cluster(**options):
        asked.update(options)
        return LocalCluster(
            n_workers=1,
            threads_per_worker=options["worker_options"]["nthreads"],
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            security=Security.temporary(),
        )

    usual = on_coiled.certificates
    monkeypatch.setattr(on_coiled, "certificates", lambda *given: kept.append(usual(*given)) or kept[0])
    monkeypatch.setitem(sys.modules, "coiled", SimpleNamespace(Cluster=cluster))
    monkeypatch.setattr(on_coiled, "read_config", lambda path: config)
    monkeypatch.setattr(sys, "argv", ["on_coiled.py", "c.yaml", "--workers", "3"])
    on_coiled.main()
    assert same_tables(config.output, whole)
    assert (asked["n_workers"], asked["environ"]["DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE"]) == (3, "False")
    assert len(kept[0]) == 3 and not any(path.exists() for path in kept[0].values())
    assert "candidates in" in capsys.readouterr().out
