"""A cache in a bucket that throttles, fails and loses answers: the tables of a run from disk, or errors that pass."""

from __future__ import annotations

import http.client
import random
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from batchvet.api import open_run, run
from batchvet.pixels import bucket
from batchvet.runtime.status import run_status


class FlakyStore:
    """Passes everything on to a store, but for faults: at random, and at every reading of what it is told."""

    def __init__(self, behind: str, share: float) -> None:
        self.share, self.lost_for_now, self.met = share, "nothing", dict.fromkeys(("503", "500", "lost"), 0)
        self.chance = random.Random(4)
        store, host = self, behind.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = store.fault(self.command, self.path, whole="Range" not in self.headers)
                if fault in ("503", "500"):
                    words = f"<Error><Code>{'SlowDown' if fault == '503' else 'InternalError'}</Code></Error>".encode()
                    self.send_response(int(fault))
                    self.send_header("Content-Length", str(len(words)))
                    self.end_headers()
                    self.wfile.write(words)
                    return
                there = http.client.HTTPConnection(host)
                there.request(self.command, self.path, body, dict(self.headers))
                answer = there.getresponse()
                content = answer.read()
                there.close()
                if fault == "lost":  # what was asked for is done, and nobody hears of it
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                        self.send_header(name, value)
                said = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", said or str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def fault(self, command: str, path: str, *, whole: bool) -> str:
        if command == "GET" and whole and self.lost_for_now in path:
            return "503"
        if self.chance.random() < self.share:
            fault = self.chance.choice(sorted(self.met))
            self.met[fault] += 1
            return fault
        return ""

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def flaky(s3):
    store = FlakyStore(s3.endpoint, 0.3)
    s3.monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    quickly = partial(bucket.Patience, first_pause_s=0.01, silence_s=5.0, retries=12)
    s3.monkeypatch.setattr(bucket, "Patience", quickly)
    yield store
    store.stop()


def agrees(output, whole) -> bool:
    """Whether the rows are those of the run from disk."""
    frames = [pd.read_parquet(o / "sectors").drop(columns="seconds") for o in (output, whole)]
    return repr(frames[0].to_dict("records")) == repr(frames[1].to_dict("records"))


def test_throttling_errors_and_lost_answers_change_nothing(flaky, s3, config, whole):
    done = run(config.model_copy(update={"cache": s3.url}))
    assert min(flaky.met.values()) > 0
    assert done.is_finished and agrees(config.output, whole)
    assert not [name for name in s3.objects() if name.endswith("zarr.zip") and "/." in name]


def test_a_bucket_that_fails_for_long_is_a_passing_fault_and_its_rows_are_tried_again(flaky, s3, config, whole):
    flaky.share = 0.0
    config = config.model_copy(update={"cache": s3.url})
    tic = int(open_run(whole).sectors["tic"].iloc[0])
    run(config, only=(tic, 1))  # it is in the cache
    (config.output / "sectors").rename(config.output.parent / "gone")
    flaky.lost_for_now = f"s0001/{tic:016d}"  # all of it, not the end that is looked at for the plan
    s3.monkeypatch.setattr(bucket, "Patience", partial(bucket.Patience, first_pause_s=0.01, retries=1))
    rows = run(config).sectors
    failed = rows[rows["status"] == "error"]
    assert set(zip(failed["tic"], failed["sector"], failed["error_kind"], strict=True)) == {(tic, 1, "storage")}
    assert failed["error"].str.contains("run again", regex=False).all()
    flaky.lost_for_now = "nothing"
    assert run_status(config.output)["stale"] == {"a passing fault": len(failed)}
    run(config)
    assert agrees(config.output, whole)
