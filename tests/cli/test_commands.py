"""The commands as people and scripts use them: output, exit codes, what stands where."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pandas as pd
import pytest
from command_line import batchvet, program

from batchvet.cli.candidate import print_candidate
from batchvet.cli.console import print_json
from batchvet.results.reader import RunResults
from batchvet.results.views import show


def test_run_prints_the_table_and_where_results_lie(cli_survey, finished):
    again = batchvet("run", cli_survey.config)
    assert again.returncode == 0
    for toi in pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"]:
        assert toi in again.stdout
    assert "verdicts" in again.stdout
    assert f"pd.read_parquet('{finished / 'sectors'}')" in again.stdout
    summary = json.loads(batchvet("run", cli_survey.config, "--json").stdout)
    assert summary["finished"] and sum(summary["status"].values()) == summary["rows"]


def test_plan_changes_nothing(cli_survey, finished):
    before = sorted((p, p.stat().st_mtime_ns) for p in finished.rglob("*"))
    done = batchvet("plan", cli_survey.config, "--json")
    plan = json.loads(done.stdout)
    assert (plan["tasks"], plan["tasks_cached"], plan["rows_to_do"]) == (6, 6, 0)
    assert sorted((p, p.stat().st_mtime_ns) for p in finished.rglob("*")) == before
    assert "6 tasks" in batchvet("plan", cli_survey.config).stdout


def test_show_prints_sorted_json_by_sector(cli_survey, finished):
    toi = pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"][0]
    done = batchvet("show", finished, toi)
    shown = json.loads(done.stdout)
    assert sorted(shown) == ["1", "2"]
    rows = pd.read_parquet(finished / "sectors").set_index(["toi", "sector"])
    for sector, said in shown.items():
        row = rows.loc[(toi, int(sector))]
        assert {"status", "flags", "metrics"} <= said.keys()
        assert said["status"] == row["v09_status"]
        assert said["flags"] == list(row["v09_flags"])
        metrics = said["metrics"]
        assert metrics["max_depth_ppm"] == row["v09_max_depth_ppm"]
        for name in ("target_offset_pixels", "target_offset_arcsec", "significance_sigma"):
            assert metrics[name] == (None if pd.isna(row[name]) else row[name])
    assert list(shown["1"]["metrics"]) == sorted(shown["1"]["metrics"])


def test_a_run_is_a_line_for_each_candidate_that_fits_80_columns(cli_survey, finished, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = batchvet("run", cli_survey.config).stdout.split("\n\n")[0].splitlines()
    tois = list(pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"])
    assert lines[0].split()[:4] == ["verdict", "TOI", "TIC", "P"]
    assert [line.split()[1] for line in lines[1:]] == tois
    assert max(map(len, lines)) <= 80
    monkeypatch.setenv("COLUMNS", "200")
    assert "V09 depth" in batchvet("run", cli_survey.config).stdout


def test_candidates_without_pixels_come_last_with_a_verdict_of_their_own(cli_survey, tmp_path):
    catalog = pd.read_csv(cli_survey.catalog, dtype=str)
    lost = catalog.head(2).assign(toi=["1.01", "2.01"], tic=["1", "2"], sectors="")
    pd.concat([lost, catalog]).to_csv(tmp_path / "toi.csv", index=False)
    config = cli_survey.config.read_text().replace("tpfs", str(cli_survey.directory / "tpfs"))
    config = config.replace("neighbours.csv", str(cli_survey.neighbours))
    (tmp_path / "c.yaml").write_text(config)
    lines = batchvet("run", tmp_path / "c.yaml").stdout.split("\n\n")[0].splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["NO_DATA", "1.01"], ["NO_DATA", "2.01"]]
    assert "left out    2 rows" in batchvet("plan", tmp_path / "c.yaml", "--cached-only").stdout
    assert "NO_DATA" not in batchvet("run", tmp_path / "c.yaml", "--cached-only").stdout
    (tmp_path / "c.yaml").write_text(config + "only_with_pixels: true\n")
    summary = json.loads(batchvet("run", tmp_path / "c.yaml", "--json").stdout)
    assert summary["candidates"] == len(catalog) and "NO_DATA" not in summary["verdict"]


def test_what_was_vetted_stands_in_the_candidates(cli_survey, finished):
    said = pd.read_csv(cli_survey.catalog, dtype={"toi": str}).set_index("toi")
    found = pd.read_parquet(finished / "candidates.parquet").set_index("toi")
    for ours, theirs in {
        "period_days": "period_days",
        "t0_btjd": "t0_btjd",
        "t0_err_days": "t0_err",
        "ra": "ra",
    }.items():
        assert list(found.loc[said.index, ours]) == pytest.approx(list(said[theirs]))


def test_a_tic_number_finds_its_candidate_and_sectors_are_in_order(cli_survey, finished):
    row = pd.read_csv(cli_survey.catalog, dtype={"toi": str}).iloc[0]
    by_name = batchvet("show", finished, row["toi"]).stdout
    assert (
        by_name
        == batchvet("show", finished, row["tic"]).stdout
        == batchvet("show", finished, f"TIC {row['tic']}").stdout
    )
    results = RunResults(finished)
    shown = show(results, row["toi"])
    assert list(json.loads(_json({"10": shown["1"], "2": shown["2"]}))) == ["2", "10"]


def _json(value) -> str:
    with redirect_stdout(io.StringIO()) as output:
        print_json(value)
    return output.getvalue()


def test_show_in_words_begins_with_verdict_probability_and_hosts(finished, capsys):
    results = RunResults(finished)
    row = results.candidates.iloc[0]
    print_candidate(results, row["toi"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"{row['toi']}, TIC {row['tic']}: {row['verdict']}")
    said = [line.split() for line in lines if line.startswith("  ") and line.split()]
    start = next(n for n, words in enumerate(said) if words[0] == "P(target)")
    assert start <= 2  # after the verdict's sentence
    assert said[start + 1][:2] == ["host", f"{row['best_host_id']}:"]
    assert max(map(len, lines)) <= 80


def test_a_run_without_localisation_can_be_shown(cli_survey, tmp_path):
    config = cli_survey.config.read_text().replace("tpfs", str(cli_survey.directory / "tpfs"))
    config = config.replace("neighbours.csv", str(cli_survey.neighbours)).replace("toi.csv", str(cli_survey.catalog))
    (tmp_path / "c.yaml").write_text(config + "checks: [V09]\n")
    assert batchvet("run", tmp_path / "c.yaml").returncode == 0
    toi = pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"][0]
    shown = json.loads(batchvet("show", tmp_path / "run", toi).stdout)
    assert shown["1"]["localization_flags"] == [] and shown["1"]["metrics"]["target_offset_arcsec"] is None


def test_status_says_what_to_type_next(finished):
    assert "finished; next: batchvet report" in batchvet("status", finished).stdout
    assert json.loads(batchvet("status", finished, "--json").stdout)["rows_to_do"] == 0


def test_plot_and_report(cli_survey, finished, tmp_path):
    toi = pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"][0]
    for options in (["--sector", "1"], [], ["--sector", "1", "--light-curves"]):
        figure = tmp_path / f"{len(options)}.png"
        done = batchvet("plot", finished, toi, *options, "-o", figure)
        assert done.returncode == 0, done.stderr
        assert figure.read_bytes().startswith(b"\x89PNG")
    done = batchvet("report", finished, "--output", tmp_path / "report")
    assert done.stdout.strip() == str(tmp_path / "report" / "index.html")
    assert toi in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("catalog: toi.csv\nfrob: 1\n", "frob: unknown key"),
        ("catalog: [", "line 1: a bracket is opened and not closed"),
        ("- 1\n", "a table of keys"),
        ("cache: x\n", "catalog: is missing"),
        ("catalog: nothing.csv\n", "nothing.csv"),
        ("catalog: toi.csv\nchecks: [V99]\n", "checks"),
        ("catalog: toi.csv\ncluster: {serial: true, workers: 3}\n", "workers goes with"),
        ("catalog: toi.csv\nsources: [{directory: nowhere}]\n", "nowhere is not a directory"),
        ("catalog: !!python/object/apply:os.system ['true']\n", "not YAML"),
    ],
)
def test_configuration_mistakes_are_named(cli_survey, tmp_path, text, message):
    (tmp_path / "toi.csv").write_text(cli_survey.catalog.read_text())
    (tmp_path / "c.yaml").write_text(text)
    done = batchvet("run", tmp_path / "c.yaml")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_catalogue_lists_every_row_and_keep_going_drops_them(cli_survey, tmp_path):
    catalog = pd.read_csv(cli_survey.catalog, dtype=str)
    bad = catalog.head(1).assign(toi="1.01", duration_hours="-3")
    pd.concat([catalog, bad]).to_csv(tmp_path / "toi.csv", index=False)
    config = cli_survey.config.read_text().replace("tpfs", str(cli_survey.directory / "tpfs"))
    config = config.replace("neighbours: neighbours.csv\n", "")
    (tmp_path / "c.yaml").write_text(config)
    refused = batchvet("run", tmp_path / "c.yaml")
    assert refused.returncode == 2
    assert "line 5" in refused.stderr or f"line {len(catalog) + 2}" in refused.stderr
    done = batchvet("run", tmp_path / "c.yaml", "--keep-going")
    assert done.returncode == 0, done.stderr
    assert "1.01" in (tmp_path / "run" / "rejects.csv").read_text()


def test_stars_without_a_magnitude_are_told_and_weighed(cli_survey, tmp_path):
    """One empty Tmag among the neighbours stops nothing."""
    stars = pd.read_csv(cli_survey.neighbours, dtype=str)
    tic = int(pd.read_csv(cli_survey.catalog)["tic"][0])
    others = stars.index[(stars["tic"] == str(tic)) & (stars["source_id"] != str(tic))]
    stars.loc[others[0], "tmag"] = ""
    stars.to_csv(tmp_path / "neighbours.csv", index=False)
    config = cli_survey.config.read_text().replace("tpfs", str(cli_survey.directory / "tpfs"))
    (tmp_path / "c.yaml").write_text(config.replace("toi.csv", str(cli_survey.catalog)))
    done = batchvet("run", tmp_path / "c.yaml", "--only", f"{tic}:1")
    assert done.returncode == 0, done.stderr
    assert "neighbours.csv: 1 without a tmag, whose light is fitted" in done.stderr
    rows = pd.read_parquet(tmp_path / "run" / "sectors")
    assert (rows["status"] == "ok").all() and rows["target_offset_arcsec"].notna().all()


def test_a_directory_of_somebody_else_is_never_run_in(cli_survey, tmp_path):
    """Not even when its files have the names of a run's."""
    contents = {"plan.json": '{"holiday": "July"}', "candidates.parquet": "of the mayor", "images/cat.jpg": "meow"}
    for names in (list(contents), ["candidates.parquet"], ["images/cat.jpg"]):
        place = tmp_path / str(len(names)) / names[0].replace("/", "-")
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(contents[name])
        done = batchvet("run", cli_survey.config, "--output", place)
        assert done.returncode == 2
        assert f"{place}: not a run" in done.stderr and names[0].split("/")[0] in done.stderr
        left = {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}
        assert left == {name: contents[name] for name in names}


def test_a_figure_is_not_put_where_there_is_no_directory(cli_survey, finished, tmp_path):
    toi = pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"][0]
    done = batchvet("plot", finished, toi, "-o", tmp_path / "nosuch" / "x.png")
    assert done.returncode == 2 and f"there is no directory {tmp_path / 'nosuch'}" in done.stderr
    assert not (tmp_path / "nosuch").exists()


def test_failed_task_gives_exit_3(cli_survey, tmp_path):
    for name in ("toi.csv", "neighbours.csv", "config.yaml"):
        (tmp_path / name).write_text((cli_survey.directory / name).read_text())
    (tmp_path / "tpfs").mkdir()
    for number, file in enumerate(cli_survey.files):
        content = file.read_bytes()
        (tmp_path / "tpfs" / file.name).write_bytes(content[: 100 if number == 0 else None])
    done = batchvet("run", tmp_path / "config.yaml")
    assert done.returncode == 3
    assert "error" in done.stdout
    retried = batchvet("run", tmp_path / "config.yaml", "--retry-failed", "--json")
    assert retried.returncode == 3
    assert json.loads(retried.stdout)["error_kind"] == {"truncated": 1}
    assert "--retry-failed" in batchvet("status", tmp_path / "run").stdout


def test_demo_vets_the_embedded_sample(tmp_path):
    done = program("demo", "--output", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "run" / "report" / "index.html").exists()
    shown = json.loads(batchvet("show", tmp_path / "demo" / "run", "5807.01").stdout)
    assert shown["83"]["status"] == "ok"
    assert shown["83"]["metrics"]["max_depth_ppm"] == 224066.93494969374
    assert shown["83"]["flags"] == [
        "DIFFIMG_MAX_AT_EDGE",
        "DIFFIMG_TARGET_DEPTH_NONPOSITIVE",
        "DIFFIMG_UNRELIABLE",
    ]
    verdicts = pd.read_parquet(tmp_path / "demo" / "run" / "candidates.parquet").set_index("toi")["verdict"]
    assert dict(verdicts) == {"114.01": "ON_TARGET", "5807.01": "AMBIGUOUS"}  # of a table of two stars


def test_version():
    assert program("--version").stdout.strip() == "0.1.0"
