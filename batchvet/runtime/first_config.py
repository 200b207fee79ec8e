"""The first configuration: every key with a sentence, filled in with what lies there."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from batchvet.errors import ConfigError
from batchvet.runtime.bars import counted
from batchvet.runtime.look_around import Surroundings

OWN_COLUMNS = ("toi", "tic", "period_days", "t0_btjd", "duration_hours")  #: that a catalogue of one's own needs
_FETCHED_STARS = "{mast: {radius_arcsec: 200, max_tmag: 18.5}}"
_FETCHED_PIXELS = "mast: {author: [SPOC, TESS-SPOC], exptime: [120, 20, 200]}"

_TEXT = """\
# Written by 'batchvet init' after a look at what lies here. Paths are relative to this file.

# Candidates: own columns ({needed}; depth_ppm, ra, dec, tmag, sectors, ...), or the
# TOI table of ExoFOP or the NASA Exoplanet Archive as downloaded; CSV, CSV.gz or Parquet.
# Here: {catalog_said}.
catalog: {catalog}

# Stars around the targets, these included: tic, source_id, ra, dec, tmag[, pmra, pmdec, epoch]. Without them there is
# hardly any verdict: whose a dip is can be said of those within 4" of the target only.
# {neighbours_said}.
{neighbours}

# Every stamp once, a directory that is made when it is not there; or s3://bucket/prefix.
cache: {cache}

# What new entries of the cache keep of FLUX_ERR: a summary, all that the checks take of it, or full, every cadence.
flux_err: summary

# Target pixel files (SPOC, TESS-SPOC, TESScut), asked in this order for what the cache lacks.
# Here: {pixels_said}.
sources:
{sources}

# all: the catalogue's sectors column, else every sector with pixels. Or a list, such as [55, 75, 83].
sectors: all

# true: what has no pixels is left out, instead of a row that says so.
only_with_pixels: {only_with_pixels}

checks: [V08, V09, V10, localization]

# auto: official PRF files where there are some, else fitted to each stamp. Or empirical, or a directory of such files.
prf: {prf}

# Cadences to leave out: none, default, hard, hardest (lightkurve's), or a number.
quality_bitmask: default

# Share of candidates that are thought to be on target before the pixels are asked.
prior_target: 0.45

# Processes on this machine; {{serial: true}} for none but this, {{scheduler: tcp://HOST:8786}} for a cluster.
cluster: {{workers: {workers}}}

# A task that takes longer is given up, s.
task_timeout_s: 300

# Directory of the run: the tables and the report.
output: {output}
"""


def first_config(found: Surroundings) -> str:
    """A commented configuration of what was found, as YAML."""
    return _TEXT.format(
        needed=", ".join(OWN_COLUMNS),
        catalog_said=catalog_said(found),
        catalog=_written(found.catalog or "toi.csv"),
        neighbours_said=neighbours_said(found),
        neighbours=_neighbours(found),
        cache=_written(found.cache or "cache"),
        pixels_said=pixels_said(found),
        sources=_sources(found),
        only_with_pixels="true" if _lacks_files(found) else "false",
        prf=_written(found.prf or "auto"),
        workers=os.cpu_count() or 1,
        output=_written("run"),
    )


def write_first_config(path: Path, found: Surroundings) -> None:
    """Write the configuration; a file that is there is never replaced.

    Raises
    ------
    ConfigError
        It is there already, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(first_config(found))
    except FileExistsError:
        raise ConfigError(f"{path}: is there already and stays as it is; --name writes another one") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def catalog_said(found: Surroundings) -> str:
    """What was found of a catalogue, in a sentence."""
    if not found.catalog:
        return "none; make one, or name one"
    bad = (
        f", {counted(found.n_bad_rows, 'row')} that cannot be used (--keep-going leaves them out)"
        if found.n_bad_rows
        else ""
    )
    too = f"; also here: {', '.join(found.other_catalogs)}" if found.other_catalogs else ""
    listed = f"{counted(found.n_candidates, 'candidate')} of {counted(len(found.targets), 'target')}"
    return f"{listed} ({found.layout} columns){bad}{too}"


def neighbours_said(found: Surroundings) -> str:
    """What was found of neighbours, in a sentence."""
    if found.neighbours:
        return f"A table, or an archive once for each target: {_FETCHED_STARS}"
    if found.pixels.n_files or found.cache:
        return "There is none here; the line below, without its #, asks the archive over the network"
    return "There is none here: the archive is asked over the network"


def pixels_said(found: Surroundings) -> str:
    """What was found of pixels, in a sentence."""
    pixels = found.pixels
    if not pixels.n_files:
        return "none" + ("; the cache may hold them" if found.cache else ": the archive is asked over the network")
    said = counted(pixels.n_files, "file")
    if pixels.sectors:
        said += f" of {counted(len(pixels.targets), 'target')} in {counted(len(pixels.sectors), 'sector')}"
    if found.catalog:
        said += f", for {len(found.targets_with_files)} of the catalogue's {counted(len(found.targets), 'target')}"
    if pixels.n_cutouts:
        said += f"; {pixels.n_cutouts} are cut-outs, found by position"
    if pixels.n_unreadable:
        said += f"; {pixels.n_unreadable} are not told what they are, or damaged"
    return said


def _lacks_files(found: Surroundings) -> bool:
    """Whether files of some targets are here and of others are not: those would be rows that say so, and no more."""
    return bool(found.targets_with_files) and found.targets_with_files < found.targets and not found.pixels.n_cutouts


def _neighbours(found: Surroundings) -> str:
    if found.neighbours:
        return f"neighbours: {_written(found.neighbours)}"
    commented = "# " if found.pixels.n_files or found.cache else ""
    return f"{commented}neighbours: {_FETCHED_STARS}"


def _sources(found: Surroundings) -> str:
    lines = [f"  - directory: {_written(directory)}" for directory in found.pixels.directories]
    asked = not lines and not found.cache
    lines.append(f"  {'' if asked else '# '}- {_FETCHED_PIXELS}")
    return "\n".join(lines)


def _written(value: str) -> str:
    """A text as YAML has it, in quotes where it needs them."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).split("\n...")[0].strip()
