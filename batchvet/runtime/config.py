"""A run's configuration: a YAML file, checked before anything happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    PrivateAttr,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from batchvet.errors import ConfigError
from batchvet.network import Politeness
from batchvet.pixels.bucket import check_place
from batchvet.pixels.quality import parse_bitmask
from batchvet.pixels.s3_source import PUBLIC_BUCKET
from batchvet.pixels.storage import open_storage

Check = Literal["V08", "V09", "V10", "localization"]
ALL_CHECKS: tuple[Check, ...] = get_args(Check)


@contextmanager
def _as_value_error() -> Iterator[None]:
    """Lets pydantic collect what a check of ours says."""
    try:
        yield
    except ConfigError as error:
        raise ValueError(str(error)) from error


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def relative_to(self, base: Path) -> Self:
        """The same with its paths taken from `base`."""
        return self


class DirectorySettings(_Model):
    """A directory of target pixel files."""

    directory: Path  #: searched with all its folders for .fits and .fits.gz

    def relative_to(self, base: Path) -> Self:
        return self.model_copy(update={"directory": base / self.directory})


class S3Place(_Model):
    """Where in an S3 store. Credentials come from the environment only."""

    bucket: str = PUBLIC_BUCKET  #: the public TESS bucket unless another is named
    prefix: str | None = None  #: None: tess/public/tid in the public bucket, else the whole bucket
    anonymous: bool = False  #: ask unsigned, as public buckets allow
    endpoint: str | None = None  #: https://host of a store that is not AWS; None: the environment's
    region: str | None = None  #: None: the environment's
    etag_md5: bool = True  #: false for a bucket encrypted by KMS, whose ETags are not MD5 sums

    @model_validator(mode="after")
    def _usable(self) -> S3Place:
        with _as_value_error():
            check_place(self.bucket, self.prefix or "", self.endpoint)
        return self


class S3Settings(_Model):
    """The public TESS bucket, or any bucket with target pixel files under their archive's names."""

    s3: S3Place


class MastSettings(_Model):
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


class MastSourceSettings(_Model):
    """The archive, asked over the network."""

    mast: MastSettings


def _kind_of_source(settings: Any) -> str | None:
    """Which source is meant: the one whose name is among the keys."""
    names = settings if isinstance(settings, dict) else getattr(settings, "model_fields_set", ())
    return next((name for name in ("directory", "s3", "mast") if name in names), None)


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


class StarSettings(_Model):
    """Which stars to fetch around each target."""

    catalogue: Literal["tic", "gaia"] = "tic"  #: TIC 8 from MAST, or Gaia DR3 from its own archive
    radius_arcsec: float = Field(default=200.0, gt=0, le=1800)  #: around each target
    max_tmag: float = 18.5  #: TESS magnitude of the faintest star that is kept
    politeness: Politeness = Politeness()


class FetchedNeighbours(_Model):
    """Neighbour stars asked for over the network."""

    mast: StarSettings


class ClusterSettings(_Model):
    """Where tasks run. One of `serial`, `scheduler`, `scheduler_file`, `slurm`, or `workers` alone for this machine."""

    workers: PositiveInt | None = None  #: processes (this machine) or jobs (slurm)
    serial: bool = False  #: in this process, one task after another
    scheduler: str | None = None  #: address of a running Dask scheduler, tcp://... or tls://...
    scheduler_file: Path | None = None  #: file that a running Dask scheduler wrote
    slurm: dict[str, Any] | None = None  #: keyword arguments of dask_jobqueue.SLURMCluster

    @model_validator(mode="after")
    def _one_place(self) -> ClusterSettings:
        chosen = [name for name in ("serial", "scheduler", "scheduler_file", "slurm") if getattr(self, name)]
        if len(chosen) > 1:
            raise ValueError(f"choose one of {' and '.join(chosen)}")
        if self.workers and chosen and chosen != ["slurm"]:
            raise ValueError(f"workers goes with this machine or slurm, not with {chosen[0]}")
        return self


def _bitmask(value: Any) -> int:
    with _as_value_error():
        return parse_bitmask(value)


def _cache_location(value: str) -> str:
    with _as_value_error():
        open_storage(value)
    return value


class RunConfig(_Model):
    """Everything that a run needs to know. Paths in a file are relative to the file."""

    catalog: Path  #: candidates: own columns, ExoFOP or NASA archive
    neighbours: Path | FetchedNeighbours | None = None  #: stars around the targets: a table, or where to ask
    cache: Annotated[str, AfterValidator(_cache_location)] = "cache"  #: directory or s3:// address of the pixel cache
    sources: tuple[SourceSettings, ...] = ()  #: asked in this order for what the cache lacks
    sectors: Literal["all"] | tuple[PositiveInt, ...] = "all"  #: all: the catalogue's, else every one with pixels
    checks: tuple[Check, ...] = ALL_CHECKS  #: which to run
    prf: str = "auto"  #: auto, empirical, or a directory of SPOC PRF files
    #: cadences to leave out: none, default, hard or hardest (lightkurve's), or a number
    quality_bitmask: Annotated[int, BeforeValidator(_bitmask)] = Field(default="default", validate_default=True)
    cluster: ClusterSettings = ClusterSettings()
    output: Path = Path("runs/toi")  #: directory of the run
    batch_size: PositiveInt | None = None  #: tasks in a future; None: chosen from the cadence
    task_timeout_s: float = Field(default=300.0, gt=0)  #: a task that takes longer is given up
    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The file that this was read from, if it was."""
        return self._file

    @model_validator(mode="after")
    def _something_to_do(self) -> RunConfig:
        if not self.checks:
            raise ValueError("checks: name at least one")
        if len(set(self.checks)) != len(self.checks):
            raise ValueError("checks: one is named twice")
        return self

    @property
    def uses_network(self) -> bool:
        """Whether an archive may be asked: for stamps or for neighbours."""
        mast = any(isinstance(source, MastSourceSettings) for source in self.sources)
        return mast or isinstance(self.neighbours, FetchedNeighbours)

    def beside_cache(self, name: str) -> Path:
        """A directory on disk for what goes with the cache: in it, or in the output when the cache is a bucket."""
        return (self.output if "://" in self.cache else Path(self.cache)) / name

    def science_settings(self) -> dict[str, Any]:
        """What a row's numbers depend on, apart from its inputs."""
        return {"checks": sorted(self.checks), "prf": self.prf, "quality_bitmask": self.quality_bitmask}

    def settings_hash(self) -> str:
        """Changes when a setting that rows depend on changes; workers, paths and outputs do not count."""
        return short_hash(self.science_settings())


def short_hash(value: Any) -> str:
    """Twelve hexadecimal digits that stand for a JSON-like value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_config(path: str | Path) -> RunConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        The file is missing, is not YAML, or has a key or value that is not known; all problems are listed.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a configuration is a table of keys; see configs/toi.yaml for all of them")
    try:
        config = RunConfig(**content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_problems(error)}") from error
    config = _relative_to(config, path.resolve().parent)
    config._file = path.resolve()
    return config


def _relative_to(config: RunConfig, base: Path) -> RunConfig:
    cluster = config.cluster
    if cluster.scheduler_file:
        cluster = cluster.model_copy(update={"scheduler_file": base / cluster.scheduler_file})
    return config.model_copy(
        update={
            "catalog": base / config.catalog,
            "neighbours": base / config.neighbours if isinstance(config.neighbours, Path) else config.neighbours,
            "cache": config.cache if "://" in config.cache else str(base / config.cache),
            "sources": tuple(source.relative_to(base) for source in config.sources),
            "prf": config.prf if config.prf in ("auto", "empirical") else str(base / config.prf),
            "output": base / config.output,
            "cluster": cluster,
        }
    )


def _problems(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        what = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {what}" if where else what)
    return "; ".join(lines)
