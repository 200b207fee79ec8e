"""A cache in a bucket: what goes wrong is said clearly, soon, and without a secret."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from batchvet.errors import CacheError, ConfigError, StorageError
from batchvet.pixels.bucket import Bucket, Patience
from batchvet.pixels.cache import Cache, CacheEntry
from batchvet.pixels.directory import DirectorySource
from batchvet.pixels.entry import StampKey, encode
from batchvet.pixels.index_file import schema_of
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.storage_s3 import S3Storage
from batchvet.runtime.config import RunConfig, read_config

IMPATIENT = Patience(connect_s=0.5, silence_s=0.5, request_s=2.0, retries=2, first_pause_s=0.05, give_up_s=3.0)
SOON_S = 8.0  #: more than any of these should take, less than a default time-out


@pytest.mark.parametrize(
    "address",
    [
        "s3://somebody:hunter2@bucket/prefix",
        "s3://hunter2@bucket",
        "s3://bucket/prefix?X-Amz-Credential=hunter2",
        "s3://bucket/prefix?AWSAccessKeyId=a&Signature=hunter2",
        "s3://bucket/#hunter2",
        "s3://",
        "s3:///prefix",
        "s3://bucket/../other",
        "s3://bucket/a//b",
        "gs://bucket/prefix",
        "https://hunter2@bucket.s3.amazonaws.com",
    ],
)
def test_an_address_that_cannot_be_or_holds_a_secret_is_refused_without_repeating_it(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        Cache(address)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ValueError) as refused:
        RunConfig(catalog="toi.csv", cache=address)
    assert "hunter2" not in str(refused.value)
    (tmp_path / "config.yaml").write_text(f"catalog: toi.csv\ncache: '{address}'\n")
    with pytest.raises(ConfigError, match="cache: ") as refused:
        read_config(tmp_path / "config.yaml")
    assert "hunter2" not in str(refused.value)


def test_an_address_given_as_a_path_is_not_taken_for_a_directory() -> None:
    with pytest.raises(ConfigError, match="a Path loses one of its slashes"):
        Cache(Path("s3://bucket/prefix"))


def test_without_obstore_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'batchvet\[s3\]'"):
        Cache("s3://bucket/prefix")


def test_a_setting_in_the_environment_that_cannot_be_used_is_not_repeated(s3, small_stamp: Stamp) -> None:
    s3.monkeypatch.setenv("AWS_CONDITIONAL_PUT", "hunter2")
    with pytest.raises(ConfigError, match=r"AWS_\* variable") as refused:
        Cache(s3.url).write(small_stamp)
    assert "hunter2" not in str(refused.value) and refused.value.__context__ is None


def test_a_bucket_and_its_prefix_hold_nothing_but_the_cache(s3, small_stamp: Stamp) -> None:
    Cache(f"{s3.url}/a/b/").write(small_stamp)
    Cache(f"{s3.url}/a/bc").write(replace(small_stamp, tic=5))
    s3.put("a/b/.hidden/s0001/x.zarr.zip", b"")
    assert list(Cache(f"{s3.url}/a/b").index()) == [StampKey.of(small_stamp)]
    assert set(s3.objects()) == {
        "a/b/.hidden/s0001/x.zarr.zip",
        "a/b/index.parquet",
        "a/b/s0083/0000000188646744-0120s.zarr.zip",
        "a/bc/s0083/0000000000000005-0120s.zarr.zip",
    }
    assert Cache(f"{s3.url}/a/b/").location == f"{s3.url}/a/b"


def test_an_entry_is_the_same_bytes_in_a_bucket_and_on_disk(s3, small_stamp: Stamp, tmp_path: Path) -> None:
    Cache(tmp_path).write(small_stamp)
    Cache(s3.url).write(small_stamp)
    name = StampKey.of(small_stamp).name
    assert s3.objects()[name] == (tmp_path / name).read_bytes() == encode(small_stamp)


def test_the_index_is_made_without_fetching_pixels(s3, small_stamp: Stamp, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).normal(size=(4000, 11, 11)).astype(np.float32)
    large = replace(
        small_stamp,
        time=np.linspace(0.0, 1.0, 4000),
        flux=noise,
        flux_err=None,
        pos_corr=None,
        quality=np.zeros(4000, np.int32),
        cadenceno=np.arange(4000, dtype=np.int32),
        aperture=np.ones((11, 11), np.int32),
    )
    cache = Cache(s3.url)
    cache.write(large)
    assert len(encode(large)) > 1_000_000
    tails: list[int] = []
    whole, tail = Bucket.read, Bucket.read_tail

    def read(self: Bucket, key: str, etag: str = "") -> bytes:
        assert not key.endswith(".zarr.zip"), "an entry was fetched whole"
        return whole(self, key, etag)

    def read_tail(self: Bucket, key: str, length: int) -> tuple[bytes, int, str]:
        got = tail(self, key, length)
        tails.append(len(got[0]))
        return got

    monkeypatch.setattr(Bucket, "read", read)
    monkeypatch.setattr(Bucket, "read_tail", read_tail)
    monkeypatch.setattr(Bucket, "read_part", lambda *a: pytest.fail("one request should do"))
    assert cache.index()[StampKey.of(large)].n_cadences == 4000
    assert len(tails) == 1 and tails[0] < 200_000
    assert cache.index() and len(tails) == 1  # the second time the index file knows


def test_an_object_reads_as_a_file_at_any_place(s3) -> None:
    content = np.random.default_rng(3).bytes(300_000)
    s3.put("object", content)
    with S3Storage(s3.url).open("object") as file:
        for start, length in ((0, 10), (150_000, 40_000), (299_990, 100), (160_000, 140_000)):
            file.seek(start)
            assert file.read(length) == content[start : start + length]
        file.seek(-5, 2)
        assert file.read() == content[-5:]
        file.seek(0)
        assert file.read() == content


def test_the_header_index_of_a_directory_is_kept_in_the_bucket_too(
    s3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tess2018206045859-s0001-0000000025155310-0120-s_tp.fits").write_bytes(b"not FITS")
    found = DirectorySource(tmp_path, Cache(s3.url).storage).files()
    assert [(f.sector, f.error_kind) for f in found] == [(1, "not_fits")]
    monkeypatch.setattr("batchvet.pixels.directory.read_head", lambda path: pytest.fail("read again"))
    again = DirectorySource(tmp_path, Cache(s3.url).storage).files()
    assert [(f.path, f.sector, f.error) for f in again] == [(f.path, f.sector, f.error) for f in found]
    assert [name.split("/")[0] for name in s3.objects()] == ["sources"]


Use = Callable[[Cache, Stamp], object]
USES: dict[str, Use] = {
    "write": lambda cache, stamp: cache.write(stamp),
    "replace": lambda cache, stamp: cache.write(stamp, replace=True),
    "read": lambda cache, stamp: cache.read(StampKey.of(stamp)),
    "index": lambda cache, stamp: cache.index(),
    "reindex": lambda cache, stamp: cache.reindex(),
    "verify": lambda cache, stamp: cache.verify(),
}


@contextmanager
def refused_soon(s3, *said: str) -> Iterator[None]:
    """An error of the storage that says these things, soon, and shows no secret nor what the server answered."""
    began = time.monotonic()
    with pytest.raises(StorageError) as raised:
        yield
    assert time.monotonic() - began < SOON_S
    error: BaseException | None = raised.value
    assert all(words in str(error) for words in said), str(error)
    assert "\n" not in str(error)
    while error is not None:
        assert not any(secret in str(error) for secret in (s3.key_id, s3.secret, s3.token, "<Error>", "Debug"))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("use", USES)
def test_a_bucket_that_is_not_there_is_named(s3, small_stamp: Stamp, use: str) -> None:
    cache = Cache(S3Storage("s3://no-such-bucket/prefix", IMPATIENT))
    with refused_soon(s3, "s3://no-such-bucket: no such bucket at 127.0.0.1", "AWS_ENDPOINT_URL"):
        USES[use](cache, small_stamp)


@pytest.mark.parametrize("use", USES)
def test_keys_that_the_store_does_not_know_are_not_shown(s3, small_stamp: Stamp, use: str) -> None:
    cache = Cache(S3Storage(s3.url, IMPATIENT))
    cache.write(small_stamp)
    s3.sign_in(s3.key_id, s3.secret)
    with refused_soon(s3, s3.url, "does not accept the credentials (InvalidAccessKeyId)", "AWS_ACCESS_KEY_ID"):
        USES[use](cache, small_stamp)


@pytest.mark.parametrize("use", USES)
def test_a_user_without_rights_is_told_whom_to_ask(s3, small_stamp: Stamp, use: str) -> None:
    cache = Cache(S3Storage(s3.url, IMPATIENT))
    cache.write(small_stamp)
    s3.sign_in(*s3.user_without_rights())
    with refused_soon(s3, s3.url, "access denied with these credentials", "owner"):
        USES[use](cache, small_stamp)


@pytest.mark.parametrize("use", USES)
def test_a_store_that_is_down_is_given_up_soon(s3, small_stamp: Stamp, use: str) -> None:
    s3.monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with refused_soon(s3, s3.url, "127.0.0.1:9 gives no usable answer", "network is up"):
        USES[use](Cache(S3Storage(s3.url, IMPATIENT)), small_stamp)


def test_a_fault_of_the_store_is_not_taken_for_damage(s3, small_stamp: Stamp, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(S3Storage(s3.url, IMPATIENT))
    for tic in range(1, 40):
        cache.write(replace(small_stamp, tic=tic))
    listed = list(cache.storage.list(""))
    monkeypatch.setattr(S3Storage, "list", lambda self, suffix: iter(listed))
    s3.monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with refused_soon(s3, "network is up"):
        cache.verify()
    monkeypatch.setattr(Cache, "_read_index", lambda self: schema_of(CacheEntry).empty_table())
    with refused_soon(s3, "network is up"):
        cache.index()


class FaultyStore:
    """Answers a GET of any object by CONTENT, after the faults it was given."""

    def __init__(self, content: bytes) -> None:
        self.faults: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fault = store.faults.pop(0) if store.faults else ""
                if fault == "503":
                    self.send_error(503)
                    return
                if fault == "drop":
                    self.close_connection = True
                    return
                if fault == "hang":
                    time.sleep(1.0)
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last) + 1 if last else None]
                self.send_response(206 if "Range" in self.headers else 200)
                self.send_header("Content-Length", str(len(part)))
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
                self.send_header("ETag", '"one"')
                self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
                self.end_headers()
                self.wfile.write(part[: len(part) // 2] if fault == "short" else part)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def faulty(s3, small_stamp: Stamp) -> Iterator[FaultyStore]:
    store = FaultyStore(encode(small_stamp))
    s3.monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    yield store
    store.stop()


@pytest.mark.parametrize("fault", ["503", "drop", "hang", "short"])
def test_passing_faults_are_waited_out(faulty: FaultyStore, small_stamp: Stamp, fault: str) -> None:
    faulty.faults = [fault, fault]
    read = Cache(S3Storage("s3://bucket", IMPATIENT)).read(StampKey.of(small_stamp))
    assert read.flux.tobytes() == small_stamp.flux.tobytes()
    assert faulty.faults == []


@pytest.mark.parametrize("fault", ["503", "drop", "hang", "short"])
def test_lasting_faults_are_errors_never_a_part_of_the_bytes(
    s3, faulty: FaultyStore, small_stamp: Stamp, fault: str
) -> None:
    faulty.faults = [fault] * 30
    with refused_soon(s3, "s3://bucket/s0083/", "run again"):
        Cache(S3Storage("s3://bucket", IMPATIENT)).read(StampKey.of(small_stamp))


def test_what_another_writer_replaced_at_once_is_that_writers_to_check(
    s3, small_stamp: Stamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(small_stamp, sha256="cd" * 32)
    true = Bucket.write

    def overtaken(self: Bucket, key: str, content: bytes, *, replace: bool) -> str:
        etag = true(self, key, content, replace=replace)
        true(self, key, encode(other), replace=True)
        return etag

    monkeypatch.setattr(Bucket, "write", overtaken)
    cache = Cache(s3.url)
    cache.write(small_stamp)
    assert cache.read(StampKey.of(small_stamp)).sha256 == other.sha256


def test_no_thread_is_left_behind(s3, small_stamp: Stamp) -> None:
    cache = Cache(s3.url)
    cache.write(small_stamp)
    before = set(threading.enumerate())
    cache.reindex()
    cache.verify()
    with pytest.raises(CacheError):
        cache.read(StampKey(1, 1, 120))
    assert {thread for thread in threading.enumerate() if "ThreadPool" in thread.name} <= before
