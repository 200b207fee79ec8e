"""Target pixel files in a bucket give what the same files on disk give, and nothing damaged gets through."""

from __future__ import annotations

import gzip
import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import batchvet
from batchvet.errors import ArchiveError, BatchvetError, StampError
from batchvet.pixels.bucket import Bucket, Patience
from batchvet.pixels.cache import Cache
from batchvet.pixels.s3_source import S3Place, S3Source, open_s3_source, path_of_target
from batchvet.pixels.sources import Offer, best_offers
from batchvet.pixels.tpf import read_tpf
from batchvet.simulate import SimulatedSurvey, simulate

IMPATIENT = Patience(connect_s=0.5, silence_s=0.5, request_s=2.0, retries=1, first_pause_s=0.05, give_up_s=2.0)
NOWHERE = (np.nan, np.nan)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSurvey:
    """Two targets in two sectors, small stamps of half an hour."""
    directory = tmp_path_factory.mktemp("survey") / "simulated"
    return simulate(directory, targets=2, sectors=2, cadence_s=1800.0, seed=4, shapes=((7, 7),), scattered_light=0.0)


@pytest.fixture
def files(survey: SimulatedSurvey) -> dict[tuple[int, int], Path]:
    """The survey's files by target and sector."""
    return {(tic, sector): path for path in survey.files for tic, sector in [identity(path)]}


def identity(path: Path) -> tuple[int, int]:
    stamp = read_tpf(path)
    return stamp.tic, stamp.sector


@pytest.fixture
def archive(s3, files: dict[tuple[int, int], Path]):
    """The files in a bucket, where the archive's path rule puts them, with what else lies there."""
    for (tic, sector), path in files.items():
        folder = f"tess/public/tid/{path_of_target(tic, sector)}"
        s3.put(f"{folder}/{path.name}", path.read_bytes())
        s3.put(f"{folder}/{path.name.replace('_tp.fits', '_lc.fits')}", b"a light curve")
    s3.put("tess/public/tid/README.txt", b"read me")
    return s3


def source_of(s3, prefix: str | None = "tess/public/tid", **settings) -> S3Source:
    return open_s3_source(S3Place(s3.bucket, prefix, **settings), IMPATIENT)


def listed_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    true = Bucket.list

    def recorded(self: Bucket, below: str = "") -> Iterator:
        asked.append(below)
        return true(self, below)

    monkeypatch.setattr(Bucket, "list", recorded)
    return asked


def test_the_path_rule_is_the_archives() -> None:
    assert path_of_target(25155310, 1) == "s0001/0000/0000/2515/5310"
    # as the archive lists it: s3://stpubdata/tess/public/tid/s0015/0000/0003/7542/2201/tess2019226182529-s0015-...
    assert path_of_target(375422201, 15) == "s0015/0000/0003/7542/2201"


def test_the_public_bucket_is_on_aws_whatever_the_environment_says(s3) -> None:
    place = open_s3_source(S3Place(anonymous=True)).bucket
    assert place.url() == "s3://stpubdata/tess/public/tid"
    assert (place.endpoint, place.region) == ("https://s3.us-east-1.amazonaws.com", "us-east-1")
    assert open_s3_source(S3Place(endpoint=s3.endpoint)).bucket.endpoint == s3.endpoint


def test_it_offers_the_files_of_the_targets_in_all_sectors(archive, files) -> None:
    tic = min(files)[0]
    offers = best_offers(source_of(archive).offers({tic: NOWHERE, 12345: NOWHERE}))
    assert set(offers) == {(tic, 1), (tic, 2)}
    for key, offer in offers.items():
        assert offer.location == f"{archive.url}/tess/public/tid/{path_of_target(*key)}/{files[key].name}"
        assert offer.size == files[key].stat().st_size
        assert offer.cadence_s == 1800


def test_only_folders_of_wanted_sectors_are_listed(archive, files, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = sorted({tic for tic, _ in files})
    asked = listed_folders(monkeypatch)
    offers = best_offers(source_of(archive).offers({one: NOWHERE, other: NOWHERE}, {one: (2, 77), other: ()}))
    assert set(offers) == {(one, 2)}
    assert asked == [path_of_target(one, 2)]


def test_of_many_targets_a_sector_is_listed_once(archive, files, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = listed_folders(monkeypatch)
    targets = {tic: NOWHERE for tic in (*range(1, 3000), *(tic for tic, _ in files))}
    assert set(best_offers(source_of(archive).offers(targets))) == set(files)
    assert sorted(asked) == ["s0001", "s0002"]


def test_any_other_bucket_is_listed_whole(s3, files) -> None:
    for key, path in files.items():
        s3.put(f"mirror/{key[1]}/{path.name}", path.read_bytes())
    s3.put("elsewhere/hlsp_tess-spoc_tess_phot_0000000000000009-s0001_tess_v1_tp.fits", b"")
    s3.put("mirror/tess-s0001-1-1_10.0_20.0_10x10_astrocut.fits", b"")
    targets = {tic: NOWHERE for tic in (9, *(tic for tic, _ in files))}
    assert set(best_offers(source_of(s3, "mirror").offers(targets))) == set(files)
    assert set(best_offers(source_of(s3, None).offers(targets))) == {*files, (9, 1)}


def test_120_seconds_are_preferred_to_20_and_to_full_frame_images(s3) -> None:
    for name in (
        "hlsp_tess-spoc_tess_phot_0000000000000009-s0028_tess_v1_tp.fits",
        "tess2020212050318-s0028-0000000000000009-0190-a_fast-tp.fits",
        "tess2020212050318-s0028-0000000000000009-0190-s_tp.fits",
        "tess2020212050318-s0028-0000000000000009-0190-s_lc.fits",
    ):
        s3.put(name, name.encode())
    offers = list(source_of(s3, "").offers({9: NOWHERE}))
    assert sorted(offer.cadence_s for offer in offers) == [20, 120, 600]
    assert best_offers(offers)[9, 28].location.endswith("0190-s_tp.fits")


def test_an_offer_reads_in_another_process_as_the_file_does(archive, files) -> None:
    for key, offer in best_offers(source_of(archive).offers({tic: NOWHERE for tic, _ in files})).items():
        sent = pickle.dumps(offer)
        assert len(sent) < 2000 and archive.secret.encode() not in sent and archive.key_id.encode() not in sent
        travelled = pickle.loads(sent)
        stamp, right = travelled.source.read(travelled), read_tpf(files[key])
        assert stamp.source == offer.location and stamp.sha256 == right.sha256
        for name in ("time", "flux", "flux_err", "quality", "pos_corr", "aperture"):
            assert getattr(stamp, name).tobytes() == getattr(right, name).tobytes()


def test_packed_files_are_read_too(s3, files) -> None:
    key, path = min(files.items())
    s3.put(f"{path.name}.gz", gzip.compress(path.read_bytes()))
    offer = best_offers(source_of(s3, None).offers({key[0]: NOWHERE}))[key]
    assert offer.source.read(offer).flux.tobytes() == read_tpf(path).flux.tobytes()


def offered(s3, path: Path, content: bytes, **settings) -> Offer:
    """The offer of an object under the file's name."""
    s3.put(path.name, content)
    tic, sector = identity(path)
    return best_offers(source_of(s3, None, **settings).offers({tic: NOWHERE}))[tic, sector]


def read_error(offer: Offer) -> StampError:
    with pytest.raises(StampError) as raised:
        offer.source.read(offer)
    assert offer.location in str(raised.value)
    return raised.value


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("etag_md5", [True, False])
def test_an_object_that_was_stored_damaged_is_an_error_where_a_users_file_is_a_flag(
    s3, files, tmp_path: Path, etag_md5: bool
) -> None:
    path = min(files.values())
    damaged = flipped(path.read_bytes(), path.stat().st_size // 2)
    error = read_error(offered(s3, path, damaged, etag_md5=etag_md5))
    assert error.kind == "corrupt" and "FITS checksum" in str(error)
    (tmp_path / path.name).write_bytes(damaged)
    assert read_tpf(tmp_path / path.name).flags == ("CHECKSUM_MISMATCH",)


def test_an_object_damaged_on_its_way_is_an_error(s3, files, monkeypatch: pytest.MonkeyPatch) -> None:
    path = min(files.values())
    content = path.read_bytes()
    offer = offered(s3, path, content)
    monkeypatch.setattr(Bucket, "read", lambda self, key, etag="": flipped(content, 5000))
    error = read_error(offer)
    assert error.kind == "corrupt" and "MD5" in str(error)
    monkeypatch.setattr(Bucket, "read", lambda self, key, etag="": content[:-2880])
    assert read_error(offer).kind == "truncated"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (lambda whole: b"", "empty"),
        (lambda whole: whole[: len(whole) // 2], "truncated"),
        (lambda whole: whole[: 2880 * (len(whole) // 5760)], "truncated"),
        (lambda whole: b"<!doctype html><html>Sign in</html>", "not_fits"),
        (lambda whole: gzip.compress(whole)[:-100], "truncated"),
    ],
)
def test_what_is_no_whole_fits_file_is_an_error_of_its_kind(s3, files, content, kind: str) -> None:
    path = min(files.values())
    assert read_error(offered(s3, path, content(path.read_bytes()))).kind == kind


def test_a_file_of_another_target_is_an_error(s3, files) -> None:
    (_, one), (_, other) = sorted(files.items())[::3]
    assert read_error(offered(s3, one, other.read_bytes())).kind == "identity"


def test_an_object_replaced_since_it_was_listed_is_not_taken_for_the_listed_one(s3, files) -> None:
    path = min(files.values())
    offer = offered(s3, path, path.read_bytes())
    s3.put(path.name, b"another")
    with pytest.raises(ArchiveError, match=r"was replaced.*run again"):
        offer.source.read(offer)


def test_public_objects_are_read_without_credentials_and_private_ones_are_not(s3, files) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        s3.monkeypatch.delenv(name)
    (key, public), (_, private) = sorted(files.items())[::2]
    s3.put(public.name, public.read_bytes(), public=True)
    s3.put(private.name, private.read_bytes())
    source = source_of(s3, None, anonymous=True)
    offers = best_offers(source.offers({tic: NOWHERE for tic, _ in files}))
    assert source.read(offers[key]).sha256 == read_tpf(public).sha256
    with pytest.raises(ArchiveError, match="access denied without signing in"):
        source.read(offers[identity(private)])


def test_a_bucket_that_is_not_there_or_a_store_that_is_down_is_said(s3) -> None:
    with pytest.raises(ArchiveError, match=r"s3://no-such-bucket: no such bucket at 127\.0\.0\.1") as raised:
        list(open_s3_source(S3Place("no-such-bucket"), IMPATIENT).offers({1: NOWHERE}))
    assert raised.value.kind == "refused"
    with pytest.raises(ArchiveError, match=r"127\.0\.0\.1:9 gives no usable answer") as raised:
        list(source_of(s3, endpoint="http://127.0.0.1:9").offers({1: NOWHERE}))
    assert raised.value.kind == "unreachable"


def configure(survey: SimulatedSurvey, directory: Path, **changes) -> Path:
    """The survey's configuration with some keys otherwise."""
    directory.mkdir()
    written = yaml.safe_load(survey.config.read_text())
    written |= {
        "catalog": str(survey.catalog),
        "neighbours": str(survey.neighbours),
        "checks": ["V09", "V10"],
        "cluster": {"serial": True},
        **changes,
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(written))
    return directory / "config.yaml"


def table(run) -> pd.DataFrame:
    sectors = run.sectors.sort_values(["toi", "sector"], ignore_index=True)
    assert list(sectors["status"]) == ["ok"] * len(sectors)
    sectors["source_file"] = sectors["source_file"].map(lambda location: location.rsplit("/", 1)[-1])
    return sectors.drop(columns=["seconds"])


@pytest.fixture
def run_in_s3(archive, survey: SimulatedSurvey, tmp_path: Path):
    """A run from a bucket through a cache in the same bucket."""
    config = configure(
        survey,
        tmp_path / "s3",
        cache=f"{archive.url}/cache",
        sources=[{"s3": {"bucket": archive.bucket, "prefix": "tess/public/tid", "endpoint": archive.endpoint}}],
    )
    return batchvet.run(config)


def test_a_run_from_s3_gives_the_table_of_a_run_from_disk(run_in_s3, survey, tmp_path: Path) -> None:
    on_disk = configure(survey, tmp_path / "disk", sources=[{"directory": str(survey.directory / "tpfs")}])
    pd.testing.assert_frame_equal(table(run_in_s3), table(batchvet.run(on_disk)))


def test_what_is_cached_is_asked_of_no_bucket(
    run_in_s3, archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Source, "offers", lambda *a: pytest.fail("the cache has all"))
    again = batchvet.run(tmp_path / "s3" / "config.yaml", output=tmp_path / "again")
    pd.testing.assert_frame_equal(table(again), table(run_in_s3))
    assert Cache(f"{archive.url}/cache").verify() == (4, [])


def test_no_secret_stands_in_any_file_object_or_message_of_a_run(
    archive, survey, files, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tic, sector = min(files)
    key = f"tess/public/tid/{path_of_target(tic, sector)}/{files[tic, sector].name}"
    archive.put(key, b"damaged")  # errors are written too
    settings = {"bucket": archive.bucket, "prefix": "tess/public/tid", "endpoint": archive.endpoint}
    config = configure(survey, tmp_path / "run", cache=f"{archive.url}/cache", sources=[{"s3": settings}])
    done = batchvet.run(config)
    assert sorted(done.sectors["status"]) == ["error", "ok", "ok", "ok"]
    archive.sign_in(archive.key_id, archive.secret)
    with pytest.raises(BatchvetError) as refused:
        batchvet.run(config, output=tmp_path / "refused")
    printed = capfd.readouterr()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    archive.monkeypatch.undo()
    written += archive.objects().values()
    written += [text.encode() for text in (printed.out, printed.err, caplog.text, str(refused.value), repr(done))]
    assert any(json.dumps(archive.url + "/cache").encode() in content for content in written)  # the search can find
    for secret in (archive.key_id, archive.secret, archive.token):
        assert not any(secret.encode() in content for content in written)


def test_a_source_that_refuses_is_an_error_before_anything_is_done(s3, survey: SimulatedSurvey, tmp_path: Path) -> None:
    config = configure(survey, tmp_path / "run", sources=[{"s3": {"bucket": "no-such-bucket"}}])
    with pytest.raises(ArchiveError, match="no such bucket"):
        batchvet.run(config)


def test_the_first_source_that_has_a_file_is_taken(archive, survey, files, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (tic, sector), path = min(files.items())
    (mirror / path.name).write_bytes(path.read_bytes())
    sources = [{"directory": str(mirror)}, {"s3": {"bucket": archive.bucket, "prefix": "tess/public/tid"}}]
    config = configure(survey, tmp_path / "run", sources=sources)
    batchvet.run(config)
    from_where = {key.tic: {} for key in Cache(tmp_path / "run" / "cache").index()}
    for key, entry in Cache(tmp_path / "run" / "cache").index().items():
        from_where[key.tic][key.sector] = entry.source.startswith("s3://")
    assert [from_s3 for several in from_where.values() for from_s3 in several.values()].count(False) == 1
    assert from_where[tic][sector] is False
