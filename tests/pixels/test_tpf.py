"""Target pixel files are read the right way up, whole, and as what they are."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from batchvet.errors import StampError
from batchvet.pixels.fits_file import identity_from_name
from batchvet.pixels.quality import DEFAULT, NAMED
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import read_tpf
from batchvet.simulate import SimulationSettings, draw_scene
from batchvet.simulate.detector import expose
from batchvet.simulate.files import write_target_pixel_file
from batchvet.vocabulary import Flag


@pytest.fixture(scope="module")
def tpf(tmp_path_factory) -> Path:
    """A simulated 13 x 11 file of 30-minute cadence."""
    settings = SimulationSettings(seed=3, sectors=(5,), shapes=((13, 11),))
    exposure = expose(draw_scene(settings, 0), 5)
    return write_target_pixel_file(exposure, tmp_path_factory.mktemp("tpf"))


@contextmanager
def lightkurve_reads(path: Path, quality_bitmask: str) -> Iterator:
    """The file as lightkurve reads it; lightkurve itself never closes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightkurve

        theirs = lightkurve.TessTargetPixelFile(str(path), quality_bitmask=quality_bitmask)
    yield theirs
    theirs.hdu.close()


def edited(tpf: Path, tmp_path: Path, edit) -> Path:
    """A copy of the file after `edit(hdus)`."""
    path = tmp_path / tpf.name
    with fits.open(tpf) as hdus:
        edit(hdus)
        hdus.writeto(path)
    return path


def test_rows_and_columns_are_the_right_way_up(tpf, tmp_path):
    def paint(hdus):
        hdus[1].data["FLUX"][:] = 0.0
        hdus[1].data["FLUX"][:, 12, 3] = 7.0  # FITS: column 4 of 11, row 13 of 13

    stamp = read_tpf(edited(tpf, tmp_path, paint))
    assert stamp.flux.shape[1:] == (13, 11)
    assert np.argwhere(stamp.flux[0] == 7.0).tolist() == [[12, 3]]
    with lightkurve_reads(tmp_path / tpf.name, "none") as theirs:
        np.testing.assert_array_equal(stamp.flux, theirs.flux.value)
        assert (stamp.row, stamp.column) == (theirs.row, theirs.column)


def test_same_as_lightkurve_reads(tpf):
    stamp = read_tpf(tpf)
    sky = (stamp.ra + 0.01, stamp.dec - 0.01)
    with lightkurve_reads(tpf, "none") as theirs:
        np.testing.assert_array_equal(stamp.time, theirs.hdu[1].data["TIME"])
        np.testing.assert_array_equal(stamp.flux_err, theirs.flux_err.value)
        np.testing.assert_array_equal(stamp.quality, theirs.quality)
        np.testing.assert_array_equal(stamp.pos_corr[:, 0], theirs.pos_corr1)
        np.testing.assert_allclose(stamp.wcs.all_world2pix(*sky, 0), theirs.wcs.all_world2pix(*sky, 0), atol=1e-6)
    with lightkurve_reads(tpf, "default") as theirs:
        np.testing.assert_array_equal(stamp.flux[stamp.good(DEFAULT)], theirs.flux.value)


def test_arrays_are_in_native_byte_order(tpf):
    stamp = read_tpf(tpf)
    for name in ("time", "flux", "flux_err", "quality", "cadenceno", "pos_corr", "aperture"):
        assert getattr(stamp, name).dtype.isnative, name
    assert stamp.flux.dtype == np.float32
    assert np.shares_memory(stamp.flux, stamp.series) and stamp.series.flags.c_contiguous  # by pixel, without a copy


@pytest.mark.parametrize("name", ["none", "default", "hard", "hardest"])
def test_named_bitmasks_are_lightkurves(name):
    from lightkurve.utils import TessQualityFlags

    assert NAMED[name] == TessQualityFlags.OPTIONS[name]


@pytest.mark.real_data
@pytest.mark.parametrize(("sector", "column", "row"), [(1, 1619, 389), (2, 301, 340)])
def test_wasp_126_as_archived(shared_data, sector, column, row):
    (path,) = (shared_data / "wasp126").glob(f"*-s{sector:04d}-*")
    stamp = read_tpf(path)
    assert (stamp.tic, stamp.sector, stamp.camera, stamp.cadence_s) == (25155310, sector, 4, 120.0)
    assert (stamp.column, stamp.row) == (column, row)
    assert stamp.flags == ()  # the archive's CHECKSUM holds, though astropy doubts it
    # SPOC's reference value is the target, moved to the sector's epoch by its proper motion
    reference = stamp.wcs_header["CRVAL1"], stamp.wcs_header["CRVAL2"]
    np.testing.assert_allclose(stamp.target_position(), reference, atol=2e-6)
    col, row = stamp.wcs.all_world2pix(*stamp.target_position(), 0)
    middle = np.nanmedian(stamp.flux[stamp.good(DEFAULT)], axis=0)
    assert np.unravel_index(np.argmax(middle), middle.shape) == (round(float(row)), round(float(col)))


def test_gzip_reads_the_same(tpf, tmp_path):
    packed = tmp_path / f"{tpf.name}.gz"
    packed.write_bytes(gzip.compress(tpf.read_bytes()))
    np.testing.assert_array_equal(read_tpf(packed).flux, read_tpf(tpf).flux)


def test_changed_bit_is_flagged(tpf, tmp_path):
    content = bytearray(tpf.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / tpf.name
    path.write_bytes(content)
    assert read_tpf(path).flags == (Flag.CHECKSUM_MISMATCH,)
    assert read_tpf(tpf).flags == ()


@pytest.mark.parametrize("length", [0, 100, 2880, 2881, 30_000, 100_000, 0.5, 0.9])
def test_part_of_a_file_is_an_error_at_any_length(tpf, tmp_path, length):
    content = tpf.read_bytes()
    path = tmp_path / tpf.name
    path.write_bytes(content[: int(length * len(content)) if isinstance(length, float) else length])
    with pytest.raises(StampError, match=tpf.name) as caught:
        read_tpf(path)
    assert caught.value.kind in ("empty", "truncated", "layout")
    packed = tmp_path / f"{tpf.name}.gz"
    whole = gzip.compress(content)
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StampError, match="gzip stream ends early"):
        read_tpf(packed)


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(StampError, match=r"nothing\.fits: cannot be read \(No such file"):
        read_tpf(tmp_path / "nothing.fits")


def test_wcs_of_the_aperture_serves_when_the_column_has_none(tpf, tmp_path):
    def strip(hdus):
        for key in ("1CRVL5", "2CRVL5"):
            del hdus[1].header[key]

    stamp, whole = read_tpf(edited(tpf, tmp_path, strip)), read_tpf(tpf)
    assert stamp.wcs_header["CRVAL1"] == whole.wcs_header["CRVAL1"]


def test_two_wcs_that_disagree_are_an_error(tpf, tmp_path):
    def shift(hdus):
        hdus["APERTURE"].header["CRPIX1"] += 1.0

    with pytest.raises(StampError, match="differ by 1 pixels") as caught:
        read_tpf(edited(tpf, tmp_path, shift))
    assert caught.value.kind == "wcs"


def test_file_without_wcs_still_has_its_pixels(tpf, tmp_path):
    def strip(hdus):
        for header in (hdus[1].header, hdus["APERTURE"].header):
            for key in [k for k in header if "CRVL" in k or k in ("CRVAL1", "CRVAL2")]:
                del header[key]

    assert read_tpf(edited(tpf, tmp_path, strip)).wcs_header == {}


def tesscut(tpf: Path, directory: Path) -> Path:
    """The file as TESScut would have cut it: no TIC, its own creator and name, sky not subtracted."""
    stamp = read_tpf(tpf)
    path = directory / f"tess-s0005-1-1_{stamp.ra:.6f}_{stamp.dec:.6f}_11x13_astrocut.fits"
    with fits.open(tpf) as hdus:
        primary = hdus[0].header
        for key in ("TICID", "OBJECT", "PMRA", "PMDEC", "TESSMAG"):
            del primary[key]
        primary["CREATOR"] = "astrocut"
        hdus.writeto(path)
    return path


def test_tesscut_file_knows_a_position_only(tpf, tmp_path):
    stamp = read_tpf(tesscut(tpf, tmp_path))
    assert (stamp.tic, stamp.sector) == (0, 5)
    assert Flag.BACKGROUND_INCLUDED in stamp.flags
    assert np.isfinite([stamp.ra, stamp.dec]).all()


@pytest.mark.parametrize(
    ("name", "tic", "sector"),
    [
        ("tess2018206045859-s0001-0000000025155310-0120-s_tp.fits", 25155310, 1),
        ("tess2018206045859-s0001-0000000025155310-0120-s_tp.fits.gz", 25155310, 1),
        ("tess2020186164531-s0027-0000000025155310-0189-a_fast-tp.fits", 25155310, 27),
        ("hlsp_tess-spoc_tess_phot_0000000025155310-s0001_tess_v1_tp.fits", 25155310, 1),
        ("tess-s0001-4-1_63.373940_-69.226823_11x11_astrocut.fits", None, 1),
        ("my_favourite_star.fits", None, None),
    ],
)
def test_names_of_the_archive_are_understood(name, tic, sector):
    assert identity_from_name(f"deep/er/{name}") == type(identity_from_name(name))(tic, sector)


def test_binned_file_has_the_cadence_of_its_times(tpf, tmp_path):
    def halve(hdus):
        hdus[1].data = hdus[1].data[::2].copy()  # TIMEDEL stays what it was

    assert read_tpf(edited(tpf, tmp_path, halve)).cadence_s == 3600.0


def test_target_without_a_catalogue_position_is_at_the_reference_value(tpf):
    stamp = read_tpf(tpf)
    values = {name: getattr(stamp, name) for name in stamp.__dataclass_fields__} | {"ra": np.nan}
    nameless = Stamp(**values)
    assert nameless.target_position() == (stamp.wcs_header["CRVAL1"], stamp.wcs_header["CRVAL2"])
    assert isinstance(stamp.wcs, WCS)


@pytest.mark.parametrize(("keyword", "value"), [("TELESCOP", "Kepler"), ("MISSION", "K2")])
def test_files_of_kepler_are_called_so(tpf, tmp_path, keyword, value):
    with pytest.raises(StampError, match=f"a file of .*{value}.*, not of TESS"):
        read_tpf(edited(tpf, tmp_path, lambda hdus: hdus[0].header.set(keyword, value)))


def test_times_that_run_backwards_are_refused(tpf, tmp_path):
    def turn(hdus):
        hdus[1].data["TIME"][:] = hdus[1].data["TIME"][::-1].copy()

    with pytest.raises(StampError, match="times do not increase"):
        read_tpf(edited(tpf, tmp_path, turn))
