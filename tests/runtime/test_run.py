"""A run's promises: a row for everything, nothing twice, the same table however it was made."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from same_tables import same_tables

import batchvet
from batchvet.api import run
from batchvet.errors import ConfigError, RunError
from batchvet.pixels.cache import Cache
from batchvet.results import directory, log, table_file
from batchvet.results.schema import CANDIDATES_SCHEMA, TABLES
from batchvet.runtime.fill import ingest
from batchvet.runtime.progress import Silent
from batchvet.runtime.status import next_command, run_status


def copied(config, tmp_path: Path, **changes):
    """The configuration with its own copy of the files, to damage them."""
    tpfs = tmp_path / "tpfs"
    shutil.copytree(config.sources[0].directory, tpfs)
    source = config.sources[0].model_copy(update={"directory": tpfs})
    return config.model_copy(update={"sources": (source,), **changes}), sorted(tpfs.glob("*.fits"))


def test_every_planned_task_has_exactly_one_row_per_candidate(done_config, survey):
    done = run(done_config)
    planned = pd.read_csv(survey.catalog, dtype={"toi": str})
    expected = {(toi, sector) for toi in planned["toi"] for sector in (1, 2)}
    assert set(zip(done.sectors["toi"], done.sectors["sector"], strict=True)) == expected
    assert len(done.sectors) == len(expected)
    assert set(done.candidates["toi"]) == set(planned["toi"])
    assert done.is_finished


def test_tables_open_without_batchvet_and_say_their_units(done_config):
    done = run(done_config)
    rows = pd.read_parquet(done_config.output / "sectors")
    assert rows["v09_max_depth_ppm"].notna().any()
    assert done.sectors.attrs["units"]["target_offset_arcsec"] == "arcsec"
    written = pq.read_schema(next((done_config.output / "sectors").glob("*.parquet")))
    assert written.field("offset_cov_ra_ra").metadata[b"unit"] == b"arcsec2"
    assert written.names == TABLES["sectors"].names
    assert {b"batchvet.plan", b"batchvet.version"} <= written.metadata.keys()
    assert pq.read_schema(done_config.output / "candidates.parquet").names == CANDIDATES_SCHEMA.names


def test_duckdb_reads_the_table(done_config):
    duckdb = pytest.importorskip("duckdb")
    run(done_config)
    parts = str(done_config.output / "sectors" / "*.parquet")
    ((n_rows, n_distinct),) = duckdb.sql(
        f"select count(*), count(distinct (toi, sector)) from read_parquet('{parts}')"
    ).fetchall()
    assert n_rows == n_distinct > 0


@pytest.mark.parametrize("stop_after", [0, 1, 4])
def test_interrupted_run_gives_the_same_table(config, stop_after, monkeypatch, whole):

    class Interrupting:
        done = 0

        def start(self, phase, total):
            self.phase = phase

        def advance(self, n=1, failed=0):
            if self.phase == "Vetting":
                self.done += n
                if self.done > stop_after:
                    raise KeyboardInterrupt

        def say(self, text): ...

    with pytest.raises(KeyboardInterrupt):
        run(config, progress=Interrupting())
    assert not batchvet.open_run(config.output).is_finished
    kept = len(batchvet.open_run(config.output).sectors)
    assert kept >= stop_after
    run(config)
    assert batchvet.open_run(config.output).is_finished
    assert same_tables(config.output, whole)


def test_finished_run_is_not_done_again(done_config):
    run(done_config)
    before = {path: path.stat().st_mtime_ns for path in done_config.output.rglob("*.parquet")}
    run(done_config)
    assert {path: path.stat().st_mtime_ns for path in done_config.output.rglob("*.parquet")} == before


def test_changed_pixels_make_only_their_rows_stale(config, tmp_path):
    config, files = copied(config, tmp_path)
    run(config)
    with fits.open(files[0], mode="update") as hdus:
        hdus[1].data["FLUX"][:, 0, 0] += 1000.0
        sector, tic = hdus[0].header["SECTOR"], hdus[0].header["TICID"]
    status = run_status(config.output)
    assert status["stale"] == {"pixels": status["rows_stale"]}
    before = batchvet.open_run(config.output).sectors
    after = run(config).sectors
    changed = after["stamp_hash"] != before["stamp_hash"]
    assert set(zip(after.loc[changed, "tic"], after.loc[changed, "sector"], strict=True)) == {(tic, sector)}
    assert len(after) == len(before)


def test_changed_ephemeris_and_settings_are_named(config, tmp_path):
    catalog = pd.read_csv(config.catalog, dtype={"toi": str})
    config = config.model_copy(update={"catalog": tmp_path / "own.csv"})
    catalog.to_csv(config.catalog, index=False)
    run(config)
    catalog.loc[0, "duration_hours"] *= 1.1
    catalog.to_csv(config.catalog, index=False)
    status = run_status(config.output)
    assert status["stale"] == {"catalogue": 2 * (catalog["tic"] == catalog.loc[0, "tic"]).sum()}
    assert "goes on" in next_command(status)
    run(config.model_copy(update={"quality_bitmask": 0}))
    assert run_status(config.output)["stale"] == {}
    dropped = catalog.drop(index=0)
    dropped.to_csv(config.catalog, index=False)
    assert catalog.loc[0, "toi"] not in set(run(config).sectors["toi"])


def test_only_and_limit_do_a_part_and_the_rest_follows(config, whole):
    tic = int(batchvet.open_run(whole).sectors["tic"].max())
    part = run(config, only=(tic, 2))
    assert set(zip(part.sectors["tic"], part.sectors["sector"], strict=True)) == {(tic, 2)}
    assert not part.is_finished
    assert run(config, limit=1).sectors["tic"].nunique() == 2
    run(config)
    assert same_tables(config.output, whole)


def test_task_that_is_not_in_the_plan_is_refused(config):
    with pytest.raises(ConfigError, match="no task of this configuration is TIC 5 in sector 1"):
        run(config, only=(5, 1))


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200_000])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>503 Service Unavailable</body></html>")


def damage_all_nan(path: Path) -> None:
    with fits.open(path, mode="update") as hdus:
        hdus[1].data["FLUX"][:] = np.nan


def damage_all_flagged(path: Path) -> None:
    with fits.open(path, mode="update") as hdus:
        hdus[1].data["QUALITY"][:] = 32


def damage_other_target(path: Path) -> None:
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["TICID"] = 424242
        hdus[0].header["OBJECT"] = "TIC 424242"


def damage_other_sector(path: Path) -> None:
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["SECTOR"] = 77


def damage_no_pixel_table(path: Path) -> None:
    fits.PrimaryHDU(header=fits.getheader(path)).writeto(path, overwrite=True)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (damage_truncate, "truncated"),
        (damage_empty, "empty"),
        (damage_html, "not_fits"),
        (damage_all_nan, "no_pixels"),
        (damage_all_flagged, "all_flagged"),
        (damage_other_target, "identity"),
        (damage_other_sector, "identity"),
        (damage_no_pixel_table, "layout"),
    ],
)
def test_bad_file_is_a_row_with_its_reason_and_the_others_do_not_notice(config, tmp_path, damage, kind, whole):
    config, files = copied(config, tmp_path, cache=str(tmp_path / "second"))
    tic, sector = (fits.getval(files[3], key) for key in ("TICID", "SECTOR"))
    damage(files[3])
    done = run(config)
    bad = (done.sectors["tic"] == tic) & (done.sectors["sector"] == sector)
    assert set(done.sectors.loc[bad, "status"]) == {"error"}
    assert set(done.sectors.loc[bad, "error_kind"]) == {kind}
    assert done.sectors.loc[bad, "error"].str.contains(files[3].name, regex=False).all()
    others = ~((pc.field("tic") == tic) & (pc.field("sector") == sector))
    ours, undamaged = (
        pq.read_table(output / "sectors", filters=others).drop_columns(["seconds", "source_file"])
        for output in (config.output, whole)
    )
    assert ours.num_rows == len(done.sectors) - bad.sum()
    assert ours.equals(undamaged)
    assert done.is_finished
    assert run_status(config.output)["status"]["error"] == bad.sum()


def test_mended_file_is_done_again(config, tmp_path):
    config, files = copied(config, tmp_path)
    content = files[0].read_bytes()
    damage_html(files[0])
    assert (run(config).sectors["status"] == "error").any()
    files[0].write_bytes(content)
    assert not (run(config).sectors["status"] == "error").any()


def test_target_without_pixels_and_sector_without_file_are_rows(config, tmp_path, survey):
    catalog = pd.read_csv(survey.catalog, dtype={"toi": str}).head(1)
    lost = catalog.assign(toi="999999.01", tic=77_777_777, sectors="")
    partly = catalog.assign(toi="999998.01", sectors="1;9")
    config = config.model_copy(update={"catalog": tmp_path / "own.csv"})
    pd.concat([lost, partly]).to_csv(config.catalog, index=False)
    rows = run(config).sectors.set_index(["toi", "sector"])
    for key in (("999999.01", 0), ("999998.01", 9)):
        assert rows.loc[key, "status"] == "skipped"
        assert list(rows.loc[key, "flag_names"]) == list(rows.loc[key, "v09_flags"]) == ["MISSING_TPF"]
        assert rows.loc[key, "error_kind"] == "missing_tpf"
    assert rows.loc[("999998.01", 1), "status"] == "ok"
    assert len(rows) == 3


def test_no_cadence_in_transit_is_a_skipped_row(config, tmp_path, survey):
    catalog = pd.read_csv(survey.catalog, dtype={"toi": str}).head(1)
    config = config.model_copy(update={"catalog": tmp_path / "own.csv"})
    catalog.assign(period_days=0.0, t0_btjd=9000.0 - 2000).to_csv(config.catalog, index=False)
    rows = run(config).sectors
    assert (rows["status"] == "skipped").all()
    assert (rows["error_kind"] == "no_cadence_in_transit").all()
    assert all("INSUFFICIENT_DATA" in flags for flags in rows["flag_names"])
    assert run(config).candidates.loc[0, "verdict"] == "INCONCLUSIVE"


def test_damaged_cache_entry_is_a_row_that_names_it(config):
    ingest(config)
    cache = Cache(config.cache)
    entry = sorted(cache.index().values(), key=lambda e: e.key)[0]
    path = Path(config.cache) / entry.key.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    rows = run(config).sectors
    bad = rows[rows["status"] == "error"]
    assert set(zip(bad["tic"], bad["sector"], strict=True)) == {(entry.tic, entry.sector)}
    assert bad["error"].str.contains(entry.key.name, regex=False).all()
    assert (bad["error_kind"] == "cache").all()


def test_an_entry_that_goes_during_a_run_is_a_row_that_the_next_run_makes_anew(config, whole):
    ingest(config)
    last = max(Path(config.cache).glob("s*/*.zip"), key=lambda path: (path.name, path.parent.name))

    class Evicting(Silent):
        def advance(self, n=1, failed=0, n_bytes=0):
            last.unlink(missing_ok=True)

    config = config.model_copy(update={"batch_size": 1})
    rows = run(config, progress=Evicting()).sectors
    gone = rows[rows["status"] == "error"]
    assert set(gone["error_kind"]) == {"cache"} and gone["error"].str.contains(last.name, regex=False).all()
    assert run(config).is_finished
    assert same_tables(config.output, whole)


def test_a_network_without_tls_is_told_in_the_log(config):
    run(config.model_copy(update={"cluster": config.cluster.model_copy(update={"allow_insecure": True})}), limit=1)
    notes = [json.loads(line).get("text", "") for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert "cluster.allow_insecure: what goes to the workers is not encrypted" in notes


def test_second_writer_is_refused_while_the_first_works(config):
    class SecondRun:
        def start(self, phase, total): ...

        def say(self, text): ...

        def advance(self, n=1, failed=0):
            with pytest.raises(RunError, match=f"another batchvet run is writing here .process {os.getpid()} on "):
                run(config)

    run(config, progress=SecondRun())


def test_run_from_a_file_of_another_format_is_refused(done_config):
    run(done_config)
    plan = done_config.output / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"format_version": 99}))
    with pytest.raises(RunError, match="newer version of batchvet"):
        batchvet.open_run(done_config.output)
    with pytest.raises(RunError, match="not a batchvet run"):
        batchvet.open_run(done_config.output.parent)


def test_success_file_names_every_table_with_its_checksum(done_config):
    import hashlib

    run(done_config)
    success = json.loads((done_config.output / "_SUCCESS.json").read_text())
    assert {Path(name).parts[0] for name in success["sha256"]} == {
        "sectors",
        "images",
        "evidence",
        "hosts",
        "candidates.parquet",
    }
    for name, digest in success["sha256"].items():
        assert hashlib.sha256((done_config.output / name).read_bytes()).hexdigest() == digest
    assert success["rows"] == len(pd.read_parquet(done_config.output / "sectors"))


@pytest.mark.parametrize("name", ["candidates.parquet", "images"])
def test_finished_run_whose_table_was_deleted_is_finished_again(done_config, name):
    before = run(done_config).candidates
    place = done_config.output / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    pd.testing.assert_frame_equal(run(done_config).candidates, before)


def truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:1000])


def zero_in_the_middle(part: Path) -> None:
    content = part.read_bytes()
    half = len(content) // 2
    part.write_bytes(content[:half] + bytes(64) + content[half + 64 :])


def flip_a_bit(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 4
    part.write_bytes(content)


@pytest.mark.parametrize("content", [None, "toi,tic\n1.01,1\n"])
def test_a_finished_run_writes_a_lost_plan_anew(done_config, content):
    done = run(done_config)
    plan, before = done_config.output / "plan.json", done.candidates.to_json()
    if content is None:
        plan.unlink()
    else:
        plan.write_text(content)
    again = run(done_config)
    assert again.candidates.to_json() == before and again.is_finished
    assert again.plan["n_rows"] == len(done.sectors)


@pytest.mark.parametrize("table", ["sectors", "images", "evidence"])
def test_deleted_part_is_made_anew_and_never_taken_for_nothing(done_config, whole, table):
    run(done_config)
    (part,) = (done_config.output / table).glob("part-*")
    part.unlink()
    status = run_status(done_config.output)
    assert status["rows_to_do"] > 0
    assert table == "sectors" or status["stale"] == {f"lost {table}": status["rows_stale"]}
    run(done_config)
    assert same_tables(done_config.output, whole)


@pytest.mark.parametrize("table", ["sectors", "images", "evidence"])
@pytest.mark.parametrize("damage", [truncate, zero_in_the_middle, flip_a_bit])
def test_damaged_part_is_named_and_its_rows_are_made_anew_without_it(done_config, whole, table, damage):
    run(done_config)
    (part,) = (done_config.output / table).glob("part-*")
    damage(part)
    with pytest.raises(RunError, match=f"{part.name}: damaged.* delete it and run again: its rows are made anew"):
        run(done_config)
    part.unlink()
    run(done_config)
    assert same_tables(done_config.output, whole)


@pytest.mark.parametrize("failing", ["plan.json", "log.jsonl", "part-", "candidates.parquet", "_SUCCESS.json"])
def test_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(config, monkeypatch, failing):
    config = config.model_copy(update={"checks": ("V09",)})
    for module, name in ((directory, "write_atomically"), (log, "open"), (table_file, "open")):
        original = getattr(module, name, open)
        monkeypatch.setattr(module, name, partial(_full_disk, original, failing), raising=False)
    with pytest.raises(RunError, match=r"cannot be written \(No space left on device\); what is done is kept"):
        run(config)
    monkeypatch.undo()
    done = run(config)
    assert done.is_finished
    assert len(done.sectors) == done.plan["n_rows"]


def _full_disk(write, failing, path, *arguments, **options):
    if Path(path).name.lstrip(".").startswith(failing):
        raise OSError(28, "No space left on device")
    return write(path, *arguments, **options)


def test_log_has_a_line_for_every_row(done_config):
    done = run(done_config)
    lines = [json.loads(line) for line in (done_config.output / "log.jsonl").read_text().splitlines()]
    rows = {(line["toi"], line["sector"]) for line in lines if line["event"] == "row"}
    assert rows == set(zip(done.sectors["toi"], done.sectors["sector"], strict=True))
    assert [line["event"] for line in lines if line["event"] != "row"] == ["started", "finished"]


def test_stamp_of_one_row_keeps_its_depths_and_says_why_it_was_not_localised(config, tmp_path):
    config, files = copied(config, tmp_path)
    with fits.open(files[0]) as hdus:
        tic, sector = hdus[0].header["TICID"], hdus[0].header["SECTOR"]
        columns = [
            fits.Column(c.name, f"11{c.format.lstrip('0123456789')}", dim="(11,1)", array=hdus[1].data[c.name][:, 5:6])
            if hdus[1].data[c.name].ndim == 3
            else c
            for c in hdus[1].columns
        ]
        table = fits.BinTableHDU.from_columns(columns, name="PIXELS")
        wcs = {k: v for k, v in hdus[1].header.items() if k and k[0] in "12" and k not in table.header}
        table.header.update({**wcs, "EXTNAME": "PIXELS"})
        made = fits.HDUList([hdus[0].copy(), table, fits.ImageHDU(hdus[2].data[5:6], name="APERTURE")])
    made.writeto(files[0], overwrite=True)
    rows = run(config, only=(tic, sector)).sectors
    assert set(rows["status"]) == {"ok"}
    assert rows["v09_max_depth_ppm"].notna().all()
    assert [list(flags) for flags in rows["localization_flags"]] == [["NOT_LOCALIZED_NO_PIXELS"]] * len(rows)


def test_wrong_executor_is_refused(config):
    with pytest.raises(ConfigError, match="neither serial nor dask"):
        run(config, executor="spark")
