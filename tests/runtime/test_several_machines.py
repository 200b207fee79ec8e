"""A scheduler and four workers on machines of their own, by Dask's own commands, over TLS: the serial run's tables."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass

import boto3
import pytest
from distributed import Client, Security
from moto.server import ThreadedMotoServer
from same_tables import same_tables
from separate_machines import Machines, machines
from test_foreign_scheduler import Listening

from batchvet.api import run
from batchvet.errors import ConfigError
from batchvet.runtime.settings import ClusterSettings

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
HEAD = 2


@dataclass
class Site:
    """Machines with Dask on them, and a store that all reach."""

    machines: Machines
    cluster: ClusterSettings
    security: Security
    store: str


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    made = Security.temporary()
    tls = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    files = {name: place / f"{name}.pem" for name in tls}
    for name, content in tls.items():
        files[name].write_text(content)
    shown = [option for name in tls for option in (f"--tls-{name}{'-file' * (name == 'ca')}", str(files[name]))]
    with ExitStack() as stack:
        network = stack.enter_context(machines(5))
        address = f"tls://{network.address(HEAD)}:8786"
        server = ThreadedMotoServer(ip_address=network.address(1), port=0, verbose=False)
        server.start()
        stack.callback(server.stop)
        store = f"http://{network.address(1)}:{server.get_host_and_port()[1]}"
        environment = {
            **KEYS,
            "AWS_ENDPOINT_URL": store,
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
        }
        scheduler = ("scheduler", "--host", network.address(HEAD), "--port", "8786", "--protocol", "tls", *shown)
        stack.enter_context(network.dask(HEAD, *scheduler, cwd=place, environment=environment))
        for number in range(3, 7):
            worker = ("worker", address, "--host", network.address(number), "--nthreads", "1", "--no-nanny", *shown)
            worker = (*worker, "--preload", "batchvet.runtime.worker")  # while it loads it is not heard of
            stack.enter_context(network.dask(number, *worker, cwd=place, environment=environment))
        security = Security(
            tls_ca_file=str(files["ca"]), tls_client_cert=str(files["cert"]), tls_client_key=str(files["key"])
        )
        with Client(address, security=security, timeout=120, set_as_default=False) as client:
            client.wait_for_workers(4, timeout=200)
        yield Site(network, ClusterSettings(scheduler=address, tls=files), security, store)


def test_a_host_cut_off_in_mid_run_and_another_user_change_nothing(config, whole, site):
    """The cache is on a directory that all share."""
    cut: list[float] = []

    def accident():
        if not cut:
            site.machines.cut_off(4)
            cut.append(time.monotonic())

    with Client(site.cluster.scheduler, security=site.security, set_as_default=False) as somebody:
        theirs = somebody.map(time.sleep, [0.2] * 40, pure=False)
        try:
            settings = config.model_copy(update={"cluster": site.cluster, "batch_size": 1})
            run(settings, progress=Listening(accident))
        finally:
            site.machines.plug_in(4)
        assert cut
        assert same_tables(config.output, whole)
        assert somebody.gather(theirs) == [None] * 40  # nobody else's work is touched
        somebody.wait_for_workers(3, timeout=60)


def test_a_cache_in_a_bucket_is_as_good(config, whole, site, monkeypatch):
    for name in ("werkzeug", "moto", "boto3", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": site.store}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=site.store, region_name="us-east-1")
    client.create_bucket(Bucket="pixels")
    client.close()
    run(config.model_copy(update={"cluster": site.cluster, "batch_size": 1, "cache": "s3://pixels/cache"}))
    assert same_tables(config.output, whole)


def test_without_certificates_nobody_is_let_in(config, site):
    with pytest.raises(ConfigError, match="has no TLS"):
        run(
            config.model_copy(
                update={"cluster": ClusterSettings(scheduler=site.cluster.scheduler.replace("tls", "tcp"))}
            )
        )
    with pytest.raises((OSError, TimeoutError)):
        Client(site.cluster.scheduler, timeout=1, set_as_default=False, security=Security.temporary())
