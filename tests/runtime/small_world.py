"""A world small enough to be run a hundred times: what its tables must be, whatever happened before."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from astropy.io import fits

from batchvet.api import run
from batchvet.results.row_index import gathered, row_index
from batchvet.runtime.config import RunConfig
from batchvet.runtime.worker import VetTask
from batchvet.simulate import SimulatedSurvey
from batchvet.vetting.judge import Judge

Key = tuple[str, int]  #: candidate and sector


@dataclass(frozen=True)
class State:
    """What there is to vet, and how: all that tables depend on."""

    files: tuple[str, ...] = ("a", "a", "a", "a")  #: which delivery of each file there is
    catalogue: str = "all"  #: or "longer" (one dip), "fewer" (candidates)
    quality_bitmask: int = 17087
    prior_target: float = 0.45

    def deliver(self, n: int) -> State:
        """With the other delivery of a file."""
        files = list(self.files)
        files[n] = "b" if files[n] == "a" else "a"
        return replace(self, files=tuple(files))


@dataclass
class World:
    """Two targets with three candidates in two sectors; what each row is, by all that it depends on."""

    directory: Path
    catalogues: Mapping[str, pd.DataFrame]
    keys: tuple[tuple[int, int], ...]  #: target and sector of each file
    deliveries: Mapping[str, tuple[Path, ...]]
    config: RunConfig
    rows: dict[tuple[Key, str, str, int], str] = field(default_factory=dict)  #: key, file, catalogue, bitmask
    _whole: dict[State, Path] = field(default_factory=dict)

    def lay_out(self, state: State, place: Path) -> RunConfig:
        """The state's files in a directory of their own; its configuration."""
        (place / "tpfs").mkdir(parents=True, exist_ok=True)
        for n, delivery in enumerate(state.files):
            original = self.deliveries[delivery][n]
            target = place / "tpfs" / self.deliveries["a"][n].name
            if not target.exists() or target.stat().st_mtime_ns != original.stat().st_mtime_ns:
                shutil.copy2(original, target)
        self.catalogues[state.catalogue].to_csv(place / "toi.csv", index=False)
        return self.config.model_copy(
            update={
                "catalog": place / "toi.csv",
                "cache": str(place / "cache"),
                "sources": (self.config.sources[0].model_copy(update={"directory": place / "tpfs"}),),
                "output": place / "run",
                "quality_bitmask": state.quality_bitmask,
                "prior_target": state.prior_target,
            }
        )

    def whole(self, state: State) -> Path:
        """Output of a run of the state that nothing disturbed."""
        if state not in self._whole:
            config = self.lay_out(state, self.directory / f"whole-{len(self._whole)}")
            run(config)
            for key, content in rows_of(config.output).items():
                self.rows[key, *self.stands_on(state, key)] = content
            self._whole[state] = config.output
        return self._whole[state]

    def stands_on(self, state: State, key: Key) -> tuple[str, str, int]:
        """What a row is made from: the file, the catalogue's rows of its target, the setting."""
        catalogue = self.catalogues["all"].set_index("toi")
        tic = int(catalogue.loc[key[0], "tic"])
        changed = {"all": (), "longer": (self.tics[0],), "fewer": (self.tics[1],)}[state.catalogue]
        file = state.files[self.keys.index((tic, key[1]))]
        return file, state.catalogue if tic in changed else "all", state.quality_bitmask

    @property
    def tics(self) -> list[int]:
        """The targets."""
        return sorted({tic for tic, _ in self.keys})

    def wanted(self, state: State) -> set[Key]:
        """Rows that there are to be."""
        return {(toi, sector) for toi in self.catalogues[state.catalogue]["toi"] for sector in (1, 2)}


def rows_of(output: Path) -> dict[Key, str]:
    """What each row of a run says in all three tables, without the seconds it took and where its file lay."""
    index = row_index(output)
    found: dict[Key, dict[str, Any]] = {name: {} for name in index.names}
    for table in ("sectors", "images", "evidence"):
        for row in gathered(output, table, index).to_pylist():
            found[row["toi"], row["sector"]][table] = {
                name: value for name, value in row.items() if name not in ("seconds", "source_file")
            }
    return {name: repr(tables) for name, tables in found.items()}


@contextmanager
def measured_once() -> Iterator[list[Key]]:
    """The same pixels, candidates and settings are measured once; yields the rows that workers were asked for."""
    asked: list[Key] = []
    rows: dict[bytes, Any] = {}
    verdicts: dict[bytes, Any] = {}
    measure, judge = VetTask._row, Judge.__call__

    def remembered(self, task, candidate, observation, read_seconds):
        asked.append((candidate.toi, task.sector))
        companions = task.surroundings.companions
        known_by = pickle.dumps((observation.stamp.sha256, candidate, companions, task.hashes, self.settings))
        if known_by not in rows:
            rows[known_by] = measure(self, task, candidate, observation, read_seconds)
        row = rows[known_by]
        return replace(row, sector={**row.sector, "source_file": observation.stamp.source})

    def judged(self, judgement):
        known_by = pickle.dumps((self, judgement))
        if known_by not in verdicts:
            verdicts[known_by] = judge(self, judgement)
        return verdicts[known_by]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VetTask, "_row", remembered)
        patch.setattr(Judge, "__call__", judged)
        yield asked


def made_world(survey: SimulatedSurvey, directory: Path) -> World:
    """The world on two targets of a survey; the first has two candidates."""
    catalogue = pd.read_csv(survey.catalog, dtype={"toi": str}).sort_values("tic").head(2)
    sibling = catalogue.head(1).assign(toi=lambda rows: rows["toi"].str[:-1] + "2", t0_btjd=lambda r: r["t0_btjd"] + 1)
    everybody = pd.concat([catalogue, sibling], ignore_index=True)
    longer = everybody.copy()
    longer.loc[0, "duration_hours"] *= 1.1
    files = {(fits.getval(f, "TICID"), fits.getval(f, "SECTOR")): f for f in (survey.directory / "tpfs").glob("*.fits")}
    keys = tuple(sorted(key for key in files if key[0] in set(catalogue["tic"])))
    deliveries: dict[str, list[Path]] = {"a": [], "b": []}
    for factor, name in ((1.0, "a"), (1.0004, "b")):
        (directory / name).mkdir(parents=True)
        for key in keys:
            path = directory / name / files[key].name
            with fits.open(files[key]) as hdus:
                hdus[1].data["FLUX"] *= factor
                hdus.writeto(path, checksum=True)
            deliveries[name].append(path)
    return World(
        directory,
        {"all": everybody, "longer": longer, "fewer": everybody.drop(index=1)},
        keys,
        {name: tuple(paths) for name, paths in deliveries.items()},
        RunConfig(
            catalog=survey.catalog,
            neighbours=survey.neighbours,
            sources=[{"directory": survey.directory / "tpfs"}],
            cluster={"serial": True},
            batch_size=2,
        ),
    )
