"""Whom a client talks to, and how: nobody listens who is not meant to."""

from __future__ import annotations

import json

import pytest

from batchvet.errors import ConfigError, RunError
from batchvet.runtime.clusters import open_executor, refuse_insecure
from batchvet.runtime.config import configured
from batchvet.runtime.settings import ClusterSettings


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "10.0.0.5:8786", "ws://head.example:80", "tcp://[fe80::1]:1"]
)
def test_a_scheduler_on_another_machine_without_tls_is_refused_with_the_words_that_mend_it(address):
    with (
        pytest.raises(ConfigError, match=r"no TLS.*cluster\.tls \{ca, cert, key\}.*cluster\.allow_insecure: true"),
        open_executor(ClusterSettings(scheduler=address)),
    ):
        pass
    refuse_insecure(address, ClusterSettings(scheduler=address, allow_insecure=True))


@pytest.mark.parametrize("address", ["tls://10.0.0.5:8786", "tcp://127.0.0.1:8786", "localhost:1", "tcp://[::1]:1"])
def test_tls_and_this_machine_are_not_refused(address):
    refuse_insecure(address, ClusterSettings(scheduler=address))


def test_the_address_in_a_scheduler_file_is_held_to_the_same(tmp_path):
    settings = ClusterSettings(scheduler_file=tmp_path / "s.json")
    (tmp_path / "s.json").write_text(json.dumps({"address": "tcp://10.0.0.5:8786"}))
    with (
        pytest.raises(ConfigError, match="has no TLS"),
        open_executor(settings),
    ):
        pass
    (tmp_path / "s.json").write_text("{}")
    with (
        pytest.raises(RunError, match="not a Dask scheduler file"),
        open_executor(settings),
    ):
        pass


def test_certificates_that_are_not_there_are_named(tmp_path):
    tls = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    with (
        pytest.raises(ConfigError, match=r"cluster\.tls: .*ca\.pem: no such file"),
        open_executor(ClusterSettings(scheduler="tls://127.0.0.1:1", tls=tls)),
    ):
        pass


@pytest.mark.parametrize(("written", "n"), [("2.5GB", 2_500_000_000), ("800 MB", 800_000_000), ("2GiB", 2_000_000_000)])
def test_memory_is_written_with_its_unit(written, n):
    assert ClusterSettings(memory=written).memory == n


@pytest.mark.parametrize("wrong", ["2500", "lots", 5, "-1GB"])
def test_memory_without_a_unit_is_refused(wrong):
    with pytest.raises(ValueError, match=r"may be a size such as 2\.5GB"):
        ClusterSettings(memory=wrong)


def test_a_scheduler_given_for_one_run_keeps_the_configuration_s_certificates(config, tmp_path):
    tls = {name: tmp_path / name for name in ("ca", "cert", "key")}
    cluster = ClusterSettings(scheduler="tls://a:1", tls=tls)
    other = configured(config.model_copy(update={"cluster": cluster}), scheduler="tls://b:2").cluster
    assert (other.scheduler, other.tls) == ("tls://b:2", cluster.tls)


def test_what_slurm_is_told_is_in_no_file(config):
    secret = {"job_script_prologue": ["export AWS_SECRET_ACCESS_KEY=hunter2"]}
    from batchvet.api import run

    config = config.model_copy(update={"checks": ("V09",)})
    run(config)
    slurm = config.model_copy(update={"cluster": ClusterSettings(slurm=secret, workers=3)})
    run(slurm.model_copy(update={"prior_target": 0.5}))  # a few judgements: in this process
    for path in config.output.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()
    assert json.loads((config.output / "plan.json").read_text())["config"]["prior_target"] == 0.5
