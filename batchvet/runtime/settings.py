"""The parts of a configuration: sources that open themselves, stars to fetch, the place where tasks run."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from batchvet.errors import ConfigError
from batchvet.network.politeness import Politeness
from batchvet.pixels.bucket import check_place
from batchvet.pixels.directory import DirectorySource
from batchvet.pixels.mast import MastChoice, MastSource
from batchvet.pixels.s3_source import PUBLIC_BUCKET, S3Place, S3Source, open_s3_source
from batchvet.pixels.sources import Asking, Source
from batchvet.pixels.storage import Storage
from batchvet.runtime.config_words import SOURCES


@contextmanager
def as_value_error() -> Iterator[None]:
    """Lets pydantic collect what a check of ours says."""
    try:
        yield
    except ConfigError as error:
        raise ValueError(str(error)) from error


def expanded(value: Any) -> Any:
    """A path with ``~`` and ``$NAME`` replaced by what they stand for."""
    if not isinstance(value, str | Path) or "://" in str(value):
        return value
    written = os.path.expandvars(value)
    if "$" in str(written) and not Path(value).exists():
        raise ValueError(f"{value} names a variable of the environment that is not set")
    home = os.path.expanduser(written)
    if str(home).startswith("~") and not Path(home).exists():
        raise ValueError(f"{value} names the home of a user who is not known here")
    return type(value)(home)


#: A path as people write it.
Place = Annotated[Path, BeforeValidator(expanded)]


class Settings(BaseModel):
    """A table of a configuration: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what would be taken for something else: yes for 1, nothing for this directory."""
        is_bool = cls.model_fields[str(info.field_name)].annotation is bool
        listed = value if isinstance(value, list | tuple) else [value]
        if not is_bool and any(isinstance(item, bool) for item in listed):
            raise ValueError("is true or false (YAML takes yes, no, on and off for these), which it cannot be")
        if any(isinstance(item, str | Path) and not str(item).strip() for item in listed):
            raise ValueError("is empty; leave the key out, or say what it is")
        return value


class _SourceSettings(Settings):
    """One kind of source."""

    asks_archive: ClassVar[bool] = False  #: whether opening it means that the archive may be asked over the network

    def relative_to(self, base: Path) -> Self:
        """The same with its paths taken from `base`."""
        return self

    @property
    def politeness(self) -> Politeness | None:
        """How files that it offers are to be fetched; None where a reader of its own fetches them."""
        return None

    @abstractmethod
    def open(self, kept_in: Storage, asking: Asking) -> Source:
        """The source, which keeps what it learns in `kept_in`.

        Raises
        ------
        ConfigError
            It cannot be used.
        """


class DirectorySettings(_SourceSettings):
    """A directory of target pixel files."""

    directory: Place  #: searched with all its folders for .fits and .fits.gz

    def relative_to(self, base: Path) -> Self:
        return self.model_copy(update={"directory": base / self.directory})

    def open(self, kept_in: Storage, asking: Asking) -> DirectorySource:
        return DirectorySource(self.directory, kept_in, asking)


class S3PlaceSettings(Settings):
    """Where in an S3 store. Credentials come from the environment only."""

    bucket: str = PUBLIC_BUCKET  #: the public TESS bucket unless another is named
    prefix: str | None = None  #: None: tess/public/tid in the public bucket, else the whole bucket
    anonymous: bool = False  #: ask unsigned, as public buckets allow
    endpoint: str | None = None  #: https://host of a store that is not AWS; None: the environment's
    region: str | None = None  #: None: the environment's
    etag_md5: bool = True  #: false for a bucket encrypted by KMS, whose ETags are not MD5 sums

    @model_validator(mode="after")
    def _usable(self) -> Self:
        with as_value_error():
            check_place(self.bucket, self.prefix or "", self.endpoint)
        return self


class S3Settings(_SourceSettings):
    """The public TESS bucket, or any bucket with target pixel files under their archive's names."""

    s3: S3PlaceSettings

    def open(self, kept_in: Storage, asking: Asking) -> S3Source:
        return open_s3_source(S3Place(**self.s3.model_dump()))


class MastSettings(Settings):
    """What to take from MAST, and how to ask for it."""

    author: tuple[Literal["SPOC", "TESS-SPOC"], ...] = ("SPOC",)  #: pipelines, in the order of preference
    exptime: tuple[PositiveInt, ...] = ()  #: s, in the order of preference; none: all, 120 first, then 20
    tesscut: bool = False  #: cut out of the full-frame images where there is no stamp
    size: PositiveInt = 11  #: side of a cut-out, pixels
    remember_days: float = Field(default=30.0, ge=0)  #: before a target is searched for again
    politeness: Politeness = Politeness()

    @field_validator("author", "exptime", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value


class MastSourceSettings(_SourceSettings):
    """The archive, asked over the network."""

    asks_archive: ClassVar[bool] = True
    mast: MastSettings

    @property
    def politeness(self) -> Politeness:
        return self.mast.politeness

    def open(self, kept_in: Storage, asking: Asking) -> MastSource:
        cutout_pixels = self.mast.size if self.mast.tesscut else 0
        choice = MastChoice(self.mast.author, self.mast.exptime, cutout_pixels, self.mast.remember_days)
        return MastSource(choice, kept_in, asking, self.politeness)


def _kind_of_source(settings: Any) -> str | None:
    """Which source is meant: the one whose name is among the keys."""
    names = settings if isinstance(settings, dict) else getattr(settings, "model_fields_set", ())
    return next((name for name in SOURCES if name in names), None)


SourceSettings = Annotated[
    Annotated[DirectorySettings, Tag("directory")]
    | Annotated[S3Settings, Tag("s3")]
    | Annotated[MastSourceSettings, Tag("mast")],
    Discriminator(
        _kind_of_source,
        custom_error_type="source",
        custom_error_message="name one of directory, s3 and mast",
    ),
]


class StarSettings(Settings):
    """Which stars to fetch around each target."""

    catalogue: Literal["tic", "gaia"] = "tic"  #: TIC 8 from MAST, or Gaia DR3 from its own archive
    radius_arcsec: float = Field(default=200.0, gt=0, le=1800)  #: around each target
    max_tmag: float = 18.5  #: TESS magnitude of the faintest star that is kept
    politeness: Politeness = Politeness()


class FetchedNeighbours(Settings):
    """Neighbour stars asked for over the network."""

    mast: StarSettings


class TlsSettings(Settings):
    """What this process shows to a scheduler that it trusts; files as Dask's own ``--tls-…`` options take them."""

    ca: Place  #: certificate of the authority that scheduler and workers must be signed by
    cert: Place  #: certificate of this client
    key: Place  #: its private key

    def relative_to(self, base: Path) -> Self:
        """The same with its paths taken from `base`."""
        return self.model_copy(update={name: base / getattr(self, name) for name in ("ca", "cert", "key")})


def _bytes(value: Any) -> Any:
    """A size as people write it, 2.5GB, in bytes."""
    written = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMGT])i?B", str(value))
    if not written:
        raise ValueError("may be a size such as 2.5GB or 800MB")
    return int(float(written[1]) * 1000 ** ("kMGT".index(written[2]) + 1))


class ClusterSettings(Settings):
    """Where tasks run. One of `serial`, `scheduler`, `scheduler_file`, `slurm`, or `workers` alone for this machine."""

    workers: PositiveInt | None = None  #: processes (this machine) or jobs (slurm)
    #: of each worker on this machine, such as 2.5GB; None: nine tenths of the machine's, shared by all
    memory: Annotated[int, BeforeValidator(_bytes)] | None = None
    serial: bool = False  #: in this process, one task after another
    scheduler: str | None = None  #: address of a running Dask scheduler, tcp://... or tls://...
    scheduler_file: Place | None = None  #: file that a running Dask scheduler wrote
    slurm: dict[str, Any] | None = None  #: keyword arguments of dask_jobqueue.SLURMCluster
    tls: TlsSettings | None = None  #: for a tls:// scheduler; None: what Dask's own configuration says
    allow_insecure: bool = False  #: use a scheduler on another machine without TLS, as on a private network
    wait_s: float = Field(default=120.0, gt=0)  #: how long to wait for a first worker, as in a queue
    worker_cache: str | None = None  #: the cache as workers see it, where that is not as this process does

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        chosen = [name for name in ("serial", "scheduler", "scheduler_file", "slurm") if getattr(self, name)]
        if len(chosen) > 1:
            raise ValueError(f"choose one of {' and '.join(chosen)}")
        if self.workers and chosen and chosen != ["slurm"]:
            raise ValueError(f"workers goes with this machine or slurm, not with {chosen[0]}")
        if self.memory and chosen:
            raise ValueError(f"memory is for workers on this machine, not for {chosen[0]}")
        if self.tls and chosen not in (["scheduler"], ["scheduler_file"]):
            raise ValueError("tls goes with scheduler or scheduler_file; what is started here has its own certificates")
        if self.worker_cache and (not chosen or self.serial):
            raise ValueError("worker_cache is for workers on other machines")
        return self

    def relative_to(self, base: Path) -> Self:
        """The same with its paths taken from `base`."""
        changes: dict[str, Any] = {"tls": self.tls.relative_to(base)} if self.tls else {}
        if self.scheduler_file:
            changes["scheduler_file"] = base / self.scheduler_file
        return self.model_copy(update=changes)

    @property
    def expected_workers(self) -> int:
        """How many will work, for estimates; 2 where that is not known before."""
        return 1 if self.serial else self.workers or 2
