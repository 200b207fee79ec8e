"""One place in an S3 store, through obstore: whole objects, and errors in words without a secret.

Nothing of what a server or obstore says is passed on but the error's code: answers quote keys, addresses quote queries.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

from batchvet.errors import ArchiveError, ConfigError
from batchvet.vocabulary import ErrorKind

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Config, S3Store

Answer = TypeVar("Answer")

_BUCKET_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$")
_PREFIX = re.compile(r"^[A-Za-z0-9!_.*'()/=+,: -]*$")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})\b")
_BAD_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})
_OTHER_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})


@dataclass(frozen=True)
class Patience:
    """How long a store is waited for."""

    connect_s: float = 5.0
    silence_s: float = 30.0  #: between two pieces of an answer
    request_s: float = 600.0  #: for a whole object on a slow line
    retries: int = 6  #: after dropped connections, time-outs and answers of 5xx
    first_pause_s: float = 0.2  #: doubles with each retry, with jitter
    give_up_s: float = 180.0  #: no further retry after this


@dataclass(frozen=True)
class Listing:
    """An object as a listing names it."""

    key: str  #: relative to the bucket's prefix
    size: int  #: bytes
    etag: str  #: changes with the content
    modified_ns: int  #: ns since 1970


@dataclass(frozen=True)
class Bucket:
    """A bucket, or what lies below a prefix of it. Holds no credentials: obstore reads AWS_* from the environment."""

    name: str
    prefix: str = ""  #: without slashes at its ends
    endpoint: str | None = None  #: None: AWS_ENDPOINT_URL, else Amazon's
    region: str | None = None  #: None: AWS_REGION, else us-east-1
    anonymous: bool = False  #: unsigned requests
    patience: Patience = field(default=Patience(), repr=False)

    def __post_init__(self) -> None:
        check_place(self.name, self.prefix, self.endpoint)
        object.__setattr__(self, "prefix", self.prefix.strip("/"))

    @classmethod
    def from_url(cls, url: str, patience: Patience | None = None) -> Bucket:
        """The place that ``s3://bucket/prefix`` names.

        Raises
        ------
        ConfigError
            Not such an address, or one with a user, password or key in it; the message does not repeat it.
        """
        scheme, _, rest = url.partition("://")
        name, _, prefix = rest.partition("/")
        if scheme != "s3":
            raise ConfigError("an address in S3 looks like s3://bucket/prefix")
        return cls(name, prefix, patience=patience or Patience())

    def check_installed(self) -> None:
        """See that what talks to S3 is there; ConfigError when not."""
        if importlib.util.find_spec("obstore") is None:
            raise ConfigError(f"{self.url()}: S3 needs obstore; pip install 'batchvet[s3]'")

    def url(self, key: str = "") -> str:
        """Address of an object, or of the place."""
        return "/".join(part for part in (f"s3://{self.name}", self.prefix, key) if part)

    def list(self, below: str = "") -> Iterator[Listing]:
        """Every object, or those below a folder; folders are what slashes make.

        Raises
        ------
        ArchiveError
            As every method here: ``kind`` is ``missing`` (no such object), ``taken``, ``changed``, ``whole`` (no part
            of it can be had), ``refused`` (no such bucket, no right, wrong keys), or ``unreachable``, which may pass.
        """
        pages = self._ask("list", below, lambda store: iter(store.list(below or None, chunk_size=1000)))
        while page := self._ask("list", below, lambda store: next(pages, None)):
            for found in page:
                yield Listing(
                    key=found["path"],
                    size=found["size"],
                    etag=found["e_tag"] or "",
                    modified_ns=round(found["last_modified"].timestamp() * 1e6) * 1000,
                )

    def folders(self) -> tuple[str, ...]:
        """Names of the folders directly in this place. Raises as :meth:`list`."""
        found = self._ask("list", "", lambda store: store.list_with_delimiter())
        return tuple(path.rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"])

    def read(self, key: str, etag: str = "") -> bytes:
        """An object whole; with `etag` only that version of it. Raises as :meth:`list`."""
        options: GetOptions | None = {"if_match": etag} if etag else None
        return self._ask("read", key, lambda store: store.get(key, options=options).bytes().to_bytes())

    def read_part(self, key: str, start: int, stop: int, etag: str) -> bytes:
        """Bytes from `start` up to `stop` of that version of an object. Raises as :meth:`list`."""
        options: GetOptions = {"range": (start, stop), "if_match": etag}
        return self._ask("read", key, lambda store: store.get(key, options=options).bytes().to_bytes())

    def read_tail(self, key: str, length: int) -> tuple[bytes, int, str]:
        """The last bytes of an object, its whole size, and its ETag. Raises as :meth:`list`."""

        def get(store: S3Store, options: GetOptions | None) -> tuple[bytes, int, str]:
            got = store.get(key, options=options)
            return got.bytes().to_bytes(), got.meta["size"], got.meta["e_tag"] or ""

        try:
            return self._ask("read", key, lambda store: get(store, {"range": {"suffix": length}}))
        except ArchiveError as error:
            if error.kind != ErrorKind.WHOLE:
                raise
        return self._ask("read", key, lambda store: get(store, None))

    def write(self, key: str, content: bytes, *, replace: bool) -> str:
        """Commit an object at once; returns its ETag. Without `replace` an object that is there is ``taken``.

        Raises as :meth:`list`. The request carries the content's SHA-256, which the store checks before it commits.
        """
        mode: Literal["create", "overwrite"] = "overwrite" if replace else "create"
        put = self._ask("write", key, lambda store: store.put(key, content, mode=mode, use_multipart=False))
        return put["e_tag"] or ""

    def delete(self, key: str) -> None:
        """Remove an object. Raises as :meth:`list`."""
        self._ask("delete", key, lambda store: store.delete(key))

    def _ask(self, what: str, key: str, question: Callable[[S3Store], Answer]) -> Answer:
        from obstore.exceptions import BaseError

        # a new environment makes a new client; it is compared in memory and goes nowhere
        store = _client(self, tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))))
        try:
            return question(store)
        except (BaseError, FileNotFoundError, ValueError) as error:
            problem = self._problem(what, key, error)
        raise problem  # outside the handler: the cause quotes the server

    def _problem(self, what: str, key: str, error: Exception) -> ArchiveError:
        from obstore import exceptions

        url, said = self.url(key), str(error)
        code = found.group(1) if (found := _CODE.search(said)) else ""
        status = int(found.group(1)) if (found := _STATUS.search(said)) else 0
        if isinstance(error, exceptions.AlreadyExistsError):
            return ArchiveError(f"{url}: is there already", kind=ErrorKind.TAKEN)
        if isinstance(error, exceptions.PreconditionError):
            return ArchiveError(f"{url}: was replaced while it was read; run again", kind=ErrorKind.CHANGED)
        if status == 416 or "non-partial" in said:  # an object without bytes, or a store that knows no ranges
            return ArchiveError(f"{url}: can only be read whole", kind=ErrorKind.WHOLE)
        if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
            return ArchiveError(f"{url}: no such object", kind=ErrorKind.MISSING)
        refusal = self._refusal(what, url, code, status, said)
        if refusal:
            return ArchiveError(refusal, kind=ErrorKind.REFUSED)
        answer = f"answers {status} {code}".rstrip() if status else "gives no usable answer"
        return ArchiveError(
            f"{url}: {self._host()} {answer}; see that the network is up and AWS_ENDPOINT_URL is right, then run again",
            kind=ErrorKind.REFUSED if 400 <= status < 500 else ErrorKind.UNREACHABLE,
        )

    def _refusal(self, what: str, url: str, code: str, status: int, said: str) -> str:
        """Why the store will not answer, however often it is asked; empty when it may."""
        bucket = f"s3://{self.name}"
        if code == "NoSuchBucket":
            return f"{bucket}: no such bucket at {self._host()}; check its name, AWS_ENDPOINT_URL and AWS_REGION"
        if code in _OTHER_REGION or status == 301:
            return f"{bucket}: lies in another region; set AWS_REGION to it"
        if "/latest/api/token" in said or "/latest/meta-data" in said:
            return (
                f"{url}: no credentials in the environment; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ask a "
                "public bucket anonymously"
            )
        if code in _BAD_KEYS or status == 401:
            return (
                f"{url}: the store does not accept the credentials ({code or status}); check AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
            )
        if status == 403:
            who = "without signing in" if self.anonymous else "with these credentials"
            return f"{url}: access denied {who}; ask the bucket's owner for the right to {what} there"
        return ""

    def _host(self) -> str:
        parts = urlsplit(_endpoint(self) or "")
        if parts.hostname is None:
            return "AWS"
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname


def check_place(bucket: str, prefix: str, endpoint: str | None) -> None:
    """See that a place in S3 can be meant so, and that no secret stands in it.

    Raises
    ------
    ConfigError
        The message does not repeat what it refuses.
    """
    if "@" in bucket or any(sign in bucket + prefix for sign in "?#&"):
        raise ConfigError(
            "an S3 address with a user, password or key in it is refused; put credentials into the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    if not _BUCKET_NAME.match(bucket) or not _PREFIX.match(prefix) or {"", ".", ".."} & set(_parts(prefix)):
        raise ConfigError("an address in S3 looks like s3://bucket/prefix, of letters, digits and -_./")
    if endpoint is not None:
        parts = urlsplit(endpoint)
        if parts.username or parts.password or "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError("endpoint: a user, password or key in it is refused; put credentials in the environment")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("endpoint: it looks like https://host or https://host:port")


def _parts(prefix: str) -> list[str]:
    return prefix.strip("/").split("/") if prefix.strip("/") else []


def _endpoint(bucket: Bucket) -> str | None:
    environment = (os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    return bucket.endpoint or next((value for value in environment if value), None)


@lru_cache(maxsize=32)
def _client(bucket: Bucket, environment: tuple[tuple[str, str], ...]) -> S3Store:
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    patience, endpoint = bucket.patience, _endpoint(bucket)
    options: ClientConfig = {
        "connect_timeout": f"{round(1000 * patience.connect_s)}ms",
        "read_timeout": f"{round(1000 * patience.silence_s)}ms",
        "timeout": f"{round(1000 * patience.request_s)}ms",
    }
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    if endpoint and (allowed or urlsplit(endpoint).hostname in _LOOPBACK):
        options["allow_http"] = True  # what else is in `options` would hide what the environment says
    wanted: S3Config = {}
    if bucket.region is not None:
        wanted["region"] = bucket.region
    if bucket.endpoint is not None:
        wanted["endpoint"] = bucket.endpoint
    if bucket.anonymous:
        wanted["skip_signature"] = True
    try:
        return S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            client_options=options,
            retry_config={
                "max_retries": patience.retries,
                "retry_timeout": timedelta(seconds=patience.give_up_s),
                "backoff": {
                    "init_backoff": timedelta(seconds=patience.first_pause_s),
                    "max_backoff": timedelta(seconds=15),
                    "base": 2,
                },
            },
            config=wanted,
        )
    except (BaseError, ValueError):
        problem = ConfigError(f"{bucket.url()}: an AWS_* variable in the environment has a value that cannot be used")
    raise problem  # outside the handler: the cause quotes the value
