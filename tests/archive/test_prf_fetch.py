"""PRF files are fetched once for each CCD, all or none, and a run does without them when it must."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from loopback import QUICK, Archive
from stamps import stored
from test_ingest_from_mast import write_config

from batchvet.api import run
from batchvet.errors import ArchiveError
from batchvet.network.politeness import Politeness
from batchvet.pixels.prf_fetch import fetch_prf
from batchvet.pixels.prf_files import read_prf
from batchvet.pixels.sources import Asking
from batchvet.runtime import prf_choice
from batchvet.runtime.config import read_config
from batchvet.runtime.plan import make_plan

HASTE = Politeness(attempts=2, first_wait_s=0.01, read_timeout_s=5.0)


def node(camera: int, ccd: int, row: int, column: int) -> tuple[str, bytes]:
    """A round PRF of one place as the archive keeps it: 9 samples a pixel, the middle sample at the centre."""
    at = (np.arange(117) - 58) / 9
    table = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2))
    hdu = fits.PrimaryHDU(table)
    hdu.header.update({"NSAMP": 9, "CCD_RREF": row, "CCD_CREF": column, "CRPIX1P": 59, "CRPIX2P": 59})
    file = io.BytesIO()
    hdu.writeto(file)
    return f"tess2018243163601-prf-{camera}-{ccd}-row{row:04d}-col{column:04d}.fits", file.getvalue()


@pytest.fixture
def prf_archive(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """PRF files of camera 1, CCD 2 for the first sectors, listed as a web server lists a folder."""
    monkeypatch.setenv("BATCHVET_PRF_URL", f"{archive.url}/prf")
    monkeypatch.setattr(prf_choice, "_HASTE", HASTE)
    folder = "/prf/start_s0001/cam1_ccd2/"
    files = dict(node(1, 2, row, column) for row in (1, 1025, 2048) for column in (45, 1069, 2092))
    links = "".join(f'<a href="{name}">{name}</a> 110K\n' for name in files)
    archive.pages[folder] = f'<html><a href="../">up</a><pre>{links}</pre></html>'.encode()
    archive.pages |= {folder + name: content for name, content in files.items()}
    return archive


def test_files_of_a_ccd_are_fetched_once(prf_archive: Archive, tmp_path: Path) -> None:
    fetch_prf(tmp_path, 2, 1, 2, QUICK)
    assert read_prf(tmp_path, 2, 1, 2).tables.shape == (3, 3, 117, 117)
    n_asked = len(prf_archive.asked)
    assert n_asked == 10
    fetch_prf(tmp_path, 3, 1, 2, QUICK)  # the same files serve sectors 1 to 3
    assert len(prf_archive.asked) == n_asked
    assert [path.name for path in tmp_path.iterdir()] == ["start_s0001"]


@pytest.mark.parametrize("fault", ["503", "drop", "truncated", "html"])
def test_faults_that_pass_are_outlived(fault: str, prf_archive: Archive, tmp_path: Path) -> None:
    prf_archive.fault = lambda what, nth: fault if nth == 1 and what.endswith(".fits") else None
    assert fetch_prf(tmp_path, 1, 1, 2, QUICK).is_dir()


def test_a_grid_with_a_hole_is_not_taken(prf_archive: Archive, tmp_path: Path) -> None:
    listing = prf_archive.pages["/prf/start_s0001/cam1_ccd2/"].decode()
    kept = "\n".join(line for line in listing.splitlines() if "row1025-col1069" not in line)
    prf_archive.pages["/prf/start_s0001/cam1_ccd2/"] = kept.encode()
    with pytest.raises(ArchiveError, match="lacks the PRF nodes row1025-col1069"):
        fetch_prf(tmp_path, 1, 1, 2, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_stays_away_leaves_nothing_half(prf_archive: Archive, tmp_path: Path) -> None:
    prf_archive.fault = lambda what, nth: "503" if "row2048" in what else None
    with pytest.raises(ArchiveError, match="503"):
        fetch_prf(tmp_path, 1, 1, 2, HASTE)
    assert list(tmp_path.iterdir()) == []


def prepared(archive: Archive, tmp_path: Path) -> Path:
    archive.files += [stored(21, 1, n_cadences=1500), stored(22, 2, n_cadences=1500)]
    return write_config(tmp_path, [21, 22])


def test_a_run_fetches_what_its_ccds_need_and_its_rows_hold(prf_archive: Archive, tmp_path: Path) -> None:
    config = prepared(prf_archive, tmp_path)
    run(config)
    assert (tmp_path / "cache" / "prf" / "start_s0001" / "cam1_ccd2").is_dir()
    n_asked = len(prf_archive.asked)
    plan = make_plan(read_config(config))
    assert (plan.summary()["rows_done"], plan.rows.stale) == (2, {})
    assert len(prf_archive.asked) == n_asked


def test_without_prf_files_a_run_goes_on_and_later_ones_make_its_rows_stale(
    prf_archive: Archive, tmp_path: Path
) -> None:
    config = prepared(prf_archive, tmp_path)
    prf_archive.fault = lambda what, nth: "503" if what.startswith("/prf/") else None
    run(config)
    plan = make_plan(read_config(config), asking=Asking(ask=False))
    assert plan.summary()["rows_done"] == 2
    assert "PRF is fitted" in make_plan(read_config(config)).note
    assert len([what for what in prf_archive.questions("file") if what.startswith("/prf/")]) == 2 * HASTE.attempts
    prf_archive.fault = lambda what, nth: None
    assert set(make_plan(read_config(config)).rows.stale.values()) == {("settings",)}


def test_a_configuration_without_network_asks_for_no_prf_files(prf_archive: Archive, tmp_path: Path) -> None:
    config = prepared(prf_archive, tmp_path)
    make_plan(read_config(config))
    n_asked = len(prf_archive.asked)
    (tmp_path / "tpfs").mkdir()
    for file in prf_archive.files:
        (tmp_path / "tpfs" / file.uri.rsplit("/", 1)[-1]).write_bytes(file.content)
    content = yaml.safe_load(config.read_text()) | {"sources": [{"directory": "tpfs"}]}
    config.write_text(yaml.safe_dump(content))
    run(config)
    assert len(prf_archive.asked) == n_asked
