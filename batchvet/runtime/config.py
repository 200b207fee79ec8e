"""A run's configuration: a YAML file, checked before anything happens, and the parts that the rooms take of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, PrivateAttr, ValidationError, model_validator

from batchvet.errors import ConfigError
from batchvet.network.politeness import Politeness
from batchvet.pixels.cache import FluxErr
from batchvet.pixels.quality import parse_bitmask
from batchvet.pixels.storage_location import open_storage
from batchvet.runtime.config_words import in_words, not_a_table
from batchvet.runtime.ingest import Downloads
from batchvet.runtime.prf_choice import PrfChoice
from batchvet.runtime.proof import Asked, asked_of
from batchvet.runtime.settings import (
    ClusterSettings,
    FetchedNeighbours,
    Place,
    Settings,
    SourceSettings,
    as_value_error,
    expanded,
)
from batchvet.runtime.tasks import Task
from batchvet.science.priors import Priors
from batchvet.vetting.settings import ALL_CHECKS, Check, VetSettings


def _bitmask(value: Any) -> int:
    if value is None:
        raise ValueError("is empty, may be none, default, hard, hardest or a whole number")
    with as_value_error():
        return parse_bitmask(value)


def _cache_location(value: str) -> str:
    with as_value_error():
        open_storage(value)
    return value


class _Refused(ConfigError):
    """A configuration with keys or values that cannot be, which the file that they come from may tell better."""

    def __init__(self, error: ValidationError, content: Mapping[str, Any]) -> None:
        self.error = error
        super().__init__(_listed("", self.problems(content, {})))

    def problems(self, content: Mapping[str, Any], lines: Mapping[tuple[str | int, ...], int]) -> list[str]:
        return in_words(self.error, content, lines, RunConfig)


class RunConfig(Settings):
    """Everything that a run needs to know. Paths in a file are relative to the file."""

    catalog: Place  #: candidates: own columns, ExoFOP or NASA archive
    neighbours: Place | FetchedNeighbours | None = None  #: stars around the targets: a table, or where to ask
    #: directory or s3:// address of the pixel cache
    cache: Annotated[str, BeforeValidator(expanded), AfterValidator(_cache_location)] = "cache"
    flux_err: FluxErr = "summary"  #: what new cache entries keep of FLUX_ERR; full keeps every cadence
    sources: tuple[SourceSettings, ...] = ()  #: asked in this order for what the cache lacks
    sectors: Literal["all"] | tuple[PositiveInt, ...] = "all"  #: all: the catalogue's, else every one with pixels
    only_with_pixels: bool = False  #: leave out what has no pixels anywhere, instead of rows that say so
    checks: tuple[Check, ...] = ALL_CHECKS  #: which to run
    prf: Annotated[str, BeforeValidator(expanded)] = "auto"  #: auto, empirical, or a directory of SPOC PRF files
    #: cadences to leave out: none, default, hard or hardest (lightkurve's), or a number
    quality_bitmask: Annotated[int, BeforeValidator(_bitmask)] = Field(default="default", validate_default=True)
    cluster: ClusterSettings = ClusterSettings()
    prior_target: float = Field(default=0.45, gt=0, lt=1)  #: share of candidates thought to be on target, beforehand
    output: Place = Path("runs/toi")  #: directory of the run
    batch_size: PositiveInt | None = None  #: tasks in a future; None: chosen from the cadence
    task_timeout_s: float = Field(default=300.0, gt=0)  #: a task that takes longer is given up
    _file: Path | None = PrivateAttr(default=None)

    def __init__(self, **keys: Any) -> None:
        try:
            super().__init__(**keys)
        except ValidationError as error:
            raise _Refused(error, keys) from None

    @property
    def file(self) -> Path | None:
        """The file that this was read from, if it was."""
        return self._file

    @model_validator(mode="before")
    @classmethod
    def _cache_with_its_keys(cls, keys: Any) -> Any:
        """``cache: {location: cache, flux_err: full}`` is the two keys in one."""
        if not isinstance(keys, Mapping) or not isinstance(keys.get("cache"), Mapping):
            return keys
        own = dict(keys["cache"])
        if strange := set(own) - {"location", "flux_err"}:
            raise ValueError(f"cache: {', '.join(sorted(map(str, strange)))} is not known, only location and flux_err")
        if own.get("flux_err", "full") not in get_args(FluxErr):
            raise ValueError(f"cache: flux_err is {own['flux_err']!r}, may be summary or full")
        location = own.pop("location", "cache")
        return {**keys, **own, "cache": location}

    @model_validator(mode="after")
    def _something_to_do(self) -> RunConfig:
        if not self.checks:
            raise ValueError("checks: name at least one")
        if len(set(self.checks)) != len(self.checks):
            raise ValueError("checks: one is named twice")
        if not self.sectors:
            raise ValueError("sectors: name at least one, or all")
        return self

    @property
    def uses_network(self) -> bool:
        """Whether an archive may be asked: for stamps or for neighbours."""
        return any(source.asks_archive for source in self.sources) or isinstance(self.neighbours, FetchedNeighbours)

    @property
    def listed_sectors(self) -> tuple[int, ...] | None:
        """The only sectors to look at; None: all."""
        return None if self.sectors == "all" else self.sectors

    @property
    def prf_choice(self) -> PrfChoice:
        """Which PRF is used, and where official files are kept."""
        return PrfChoice(self.prf, self._beside_cache("prf"), may_fetch=self.uses_network)

    @property
    def downloads(self) -> Downloads:
        """Where files of the archive arrive, and how they are fetched."""
        polite = [source.politeness for source in self.sources if source.politeness is not None]
        how = polite[0] if polite else Politeness()
        return Downloads(self.cache, self._beside_cache("downloads"), self._beside_cache("quarantine"), how)

    @property
    def worker_cache(self) -> str:
        """The cache as workers see it."""
        return self.cluster.worker_cache or self.cache

    def asked(self, tasks: Iterable[Task]) -> Asked:
        """What workers must prove before they get these tasks."""
        prf = self.vet_settings().prf_directory
        return asked_of(tasks, self.cache, self.worker_cache, [prf] if prf else [])

    def science_settings(self) -> dict[str, Any]:
        """What a row's numbers depend on, apart from its inputs and its PRF."""
        return {"checks": sorted(self.checks), "quality_bitmask": self.quality_bitmask}

    def as_json(self) -> dict[str, Any]:
        """As a run's plan keeps it: without what a queue is told, which may hold secrets."""
        content = self.model_dump(mode="json")
        if self.cluster.slurm is not None:
            content["cluster"]["slurm"] = {}
        return content

    def priors(self) -> Priors:
        """What is thought of a dip before the pixels are asked."""
        return Priors(target=self.prior_target)

    def vet_settings(self) -> VetSettings:
        """What all stamps of the run have in common; official PRF files are looked for now."""
        directory = self.prf_choice.directory()
        return VetSettings(self.checks, self.quality_bitmask, str(directory) if directory else None)

    def _beside_cache(self, name: str) -> Path:
        """A directory on disk for what goes with the cache: in it, or in the output when the cache is a bucket."""
        return (self.output if "://" in self.cache else Path(self.cache)) / name


def read_config(path: str | Path) -> RunConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        The file is missing, is not YAML, or has a key or value that is not known; all problems are listed, with lines.
    """
    import yaml  # which a run's own plan does without

    from batchvet.runtime.config_file import read_yaml, yaml_problem

    path = Path(path)
    try:
        content, lines = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); 'batchvet init' writes one") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {yaml_problem(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {not_a_table(content)}")
    try:
        content = {str(key): value for key, value in content.items()}
        config = RunConfig(**content)
    except _Refused as error:
        raise ConfigError(_listed(f"{path}: ", error.problems(content, lines))) from error
    config = _relative_to(config, path.resolve().parent)
    config._file = path.resolve()
    return config


def configured(
    config: RunConfig | str | Path,
    *,
    output: str | Path | None = None,
    executor: str | None = None,
    scheduler: str | None = None,
    cached_only: bool = False,
) -> RunConfig:
    """A configuration with what the caller wants otherwise.

    Parameters
    ----------
    config : RunConfig or path of a YAML file
    output : path, optional
    executor : "serial" or "dask", optional
        In this process, or workers on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler.
    cached_only : bool
        Only what the cache holds: no source is asked.

    Raises
    ------
    ConfigError
    """
    if not isinstance(config, RunConfig):
        config = read_config(config)
    changes: dict[str, Any] = {}
    if output is not None:
        changes["output"] = Path(output).resolve()
    if scheduler is not None:
        if not scheduler.strip():
            raise ConfigError("scheduler: is empty; name its address, such as tcp://127.0.0.1:8786")
        kept = {name: getattr(config.cluster, name) for name in ("tls", "allow_insecure", "wait_s", "worker_cache")}
        changes["cluster"] = ClusterSettings(scheduler=scheduler, **kept)
    elif executor == "serial":
        changes["cluster"] = ClusterSettings(serial=True)
    elif executor == "dask":
        if config.cluster.serial:
            changes["cluster"] = ClusterSettings()
    elif executor is not None:
        raise ConfigError(f"executor: {executor!r} is neither serial nor dask")
    if cached_only:
        changes |= {"sources": (), "only_with_pixels": True}
    config = config.model_copy(update=changes)
    for key, place in (("output", str(config.output)), ("cache", config.cache)):
        if "://" not in place and Path(place).is_file():
            raise ConfigError(f"{key}: {place} is a file, which stays as it is; name a directory")
    return config


def _relative_to(config: RunConfig, base: Path) -> RunConfig:
    return config.model_copy(
        update={
            "catalog": base / config.catalog,
            "neighbours": base / config.neighbours if isinstance(config.neighbours, Path) else config.neighbours,
            "cache": config.cache if "://" in config.cache else str(base / config.cache),
            "sources": tuple(source.relative_to(base) for source in config.sources),
            "prf": config.prf if config.prf in ("auto", "empirical") else str(base / config.prf),
            "output": base / config.output,
            "cluster": config.cluster.relative_to(base),
        }
    )


def _listed(before: str, problems: Sequence[str]) -> str:
    """One line for one problem; a list for several."""
    return before + (problems[0] if len(problems) == 1 else "\n  ".join(["several things are wrong", *problems]))
