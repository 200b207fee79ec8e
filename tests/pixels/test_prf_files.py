"""PRF files are read in the archive's layout, and what cannot be trusted is refused by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from batchvet.errors import ConfigError
from batchvet.pixels.prf_files import find_prf, prf_folder, read_prf

ROWS, COLUMNS = (1, 1025, 2048), (45, 1069, 2092)


def write_node(folder, row, column, *, camera=1, ccd=2, header=None):
    table = np.zeros((117, 117))
    table[58, 58] = row + 10000.0 * column
    hdu = fits.PrimaryHDU(table)
    hdu.header.update(
        {"CCD_RREF": float(row), "CCD_CREF": float(column), "NSAMP": 9.0, "CRPIX1P": 59.0, "CRPIX2P": 59.0}
    )
    hdu.header.update(header or {})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tess2019107181900-prf-{camera}-{ccd}-row{row:04d}-col{column:04d}.fits"
    hdu.writeto(path, overwrite=True)
    return path


@pytest.fixture
def archive(tmp_path):
    for row in ROWS:
        for column in COLUMNS:
            write_node(tmp_path / "start_s0004" / "cam1_ccd2", row, column)
    return tmp_path


def test_nodes_are_sorted_by_row_and_column(archive):
    nodes = read_prf(archive, 5, 1, 2)
    assert nodes.rows.tolist() == list(ROWS) and nodes.columns.tolist() == list(COLUMNS)
    assert nodes.sampling == 9
    assert nodes.tables.shape == (3, 3, 117, 117)
    assert nodes.tables[1, 2, 58, 58] == 1025 + 10000.0 * 2092


@pytest.mark.parametrize(
    ("sector", "folder"), [(1, "start_s0001"), (3, "start_s0001"), (4, "start_s0004"), (83, "start_s0004")]
)
def test_sector_chooses_the_set(tmp_path, sector, folder):
    assert prf_folder(tmp_path, sector, 3, 4) == tmp_path / folder / "cam3_ccd4"


def test_ccd_without_files_has_no_prf(archive):
    assert find_prf(archive, 5, 1, 3) is None
    assert find_prf(archive, 2, 1, 2) is None
    assert find_prf(archive, 5, 0, 0) is None
    with pytest.raises(ConfigError, match=r"no PRF folder .*cam1_ccd3"):
        read_prf(archive, 5, 1, 3)


def test_missing_node_is_named(archive):
    next((archive / "start_s0004" / "cam1_ccd2").glob("*row1025-col1069*")).unlink()
    with pytest.raises(ConfigError, match="lacks the PRF nodes row1025-col1069"):
        read_prf(archive, 5, 1, 2)


def test_empty_folder_is_refused(tmp_path):
    (tmp_path / "start_s0004" / "cam1_ccd2").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds 0 PRF nodes"):
        find_prf(tmp_path, 5, 1, 2)


@pytest.mark.parametrize("damage", ["truncated", "html", "empty"])
def test_damaged_file_is_named(archive, damage):
    path = next((archive / "start_s0004" / "cam1_ccd2").glob("*row0001-col1069*"))
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:9000], "html": b"<html>404</html>", "empty": b""}[damage])
    with pytest.raises(ConfigError, match=r"row0001-col1069\.fits.*download it again"):
        read_prf(archive, 5, 1, 2)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"CCD_RREF": 513.0}, "another place"),
        ({"CRPIX1P": 58.0}, "centre"),
        ({"NSAMP": 0.0}, "no PRF table"),
        ({"NSAMP": 5.0}, "different sampling"),
    ],
)
def test_header_that_contradicts_is_refused(archive, header, message):
    write_node(archive / "start_s0004" / "cam1_ccd2", 1025, 1069, header=header)
    with pytest.raises(ConfigError, match=message):
        read_prf(archive, 5, 1, 2)


def test_node_of_another_ccd_is_refused(archive):
    write_node(archive / "start_s0004" / "cam1_ccd2", 1, 45, camera=3)
    with pytest.raises(ConfigError, match="is of camera 3 CCD 2"):
        read_prf(archive, 5, 1, 2)


def test_nodes_are_read_once(archive):
    first = read_prf(archive, 5, 1, 2)
    shutil.rmtree(archive / "start_s0004" / "cam1_ccd2")
    (archive / "start_s0004" / "cam1_ccd2").mkdir()
    assert read_prf(archive, 83, 1, 2) is first


@pytest.mark.real_data
def test_official_files_are_read(shared_data):
    nodes = read_prf(shared_data / "prf", 1, 4, 1)
    assert nodes.rows.tolist() == [1, 513, 1025, 1536, 2048]
    assert nodes.columns.tolist() == [45, 557, 1069, 1580, 2092]
    every_ninth = nodes.tables.reshape(25, 13, 9, 13, 9).sum(axis=(1, 3))
    assert np.abs(every_ninth - 1.0).max() < 0.01  # pixel-integrated: any phase holds all of the light
