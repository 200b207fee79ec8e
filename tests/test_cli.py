"""The command line as people and scripts use it: output, exit codes, one line for every mistake."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from batchvet.cli import main
from batchvet.simulate import simulate

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def batchvet(*arguments: object) -> Done:
    """The program within this process: what starting Python anew for every command would only make slower."""
    argv, handlers = sys.argv, {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = ["batchvet", *map(str, arguments)]
    output, errors = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(ended.value.code, output.getvalue(), errors.getvalue())


def program(*arguments: object, timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
    """The program as a process of its own."""
    command = [sys.executable, "-m", "batchvet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, check=False)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    made = simulate(tmp_path_factory.mktemp("cli") / "sim", targets=3, sectors=2, seed=11)
    config = made.config.read_text().replace("cluster: {workers: 2}", "cluster: {serial: true}")
    made.config.write_text(config)
    return made


@pytest.fixture(scope="module")
def finished(survey) -> Path:
    done = program("run", survey.config)
    assert done.returncode == 0, done.stderr
    return survey.directory / "run"


def test_run_prints_the_table_and_where_results_lie(survey, finished):
    again = batchvet("run", survey.config)
    assert again.returncode == 0
    for toi in pd.read_csv(survey.catalog, dtype={"toi": str})["toi"]:
        assert toi in again.stdout
    assert "verdicts" in again.stdout
    assert f"pd.read_parquet('{finished / 'sectors'}')" in again.stdout
    summary = json.loads(batchvet("run", survey.config, "--json").stdout)
    assert summary["finished"] and sum(summary["status"].values()) == summary["rows"]


def test_plan_changes_nothing(survey, finished):
    before = sorted((p, p.stat().st_mtime_ns) for p in finished.rglob("*"))
    done = batchvet("plan", survey.config, "--json")
    plan = json.loads(done.stdout)
    assert (plan["tasks"], plan["tasks_cached"], plan["rows_to_do"]) == (6, 6, 0)
    assert sorted((p, p.stat().st_mtime_ns) for p in finished.rglob("*")) == before
    assert "6 tasks" in batchvet("plan", survey.config).stdout


def test_show_prints_sorted_json_by_sector(survey, finished):
    toi = pd.read_csv(survey.catalog, dtype={"toi": str})["toi"][0]
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


def test_status_says_what_to_type_next(finished):
    assert "finished; next: batchvet report" in batchvet("status", finished).stdout
    assert json.loads(batchvet("status", finished, "--json").stdout)["rows_to_do"] == 0


def test_cache_commands(survey, finished):
    cache = survey.directory / "cache"
    assert len(json.loads(batchvet("cache", "list", cache, "--json").stdout)) == 6
    assert "6 entries read, 0 damaged" in batchvet("cache", "verify", cache).stdout
    assert json.loads(batchvet("cache", "reindex", cache, "--json").stdout) == {"entries": 6}
    entry = sorted(cache.glob("s*/*.zip"))[0]
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-100])
    damaged = batchvet("cache", "verify", cache)
    assert damaged.returncode == 3
    assert entry.name in damaged.stdout
    entry.write_bytes(whole)


def test_plot_and_report(survey, finished, tmp_path):
    toi = pd.read_csv(survey.catalog, dtype={"toi": str})["toi"][0]
    for options in (["--sector", "1"], [], ["--sector", "1", "--light-curves"]):
        figure = tmp_path / f"{len(options)}.png"
        done = batchvet("plot", finished, toi, *options, "-o", figure)
        assert done.returncode == 0, done.stderr
        assert figure.read_bytes().startswith(b"\x89PNG")
    done = batchvet("report", finished, "--output", tmp_path / "report")
    assert done.stdout.strip() == str(tmp_path / "report" / "index.html")
    assert toi in (tmp_path / "report" / "index.html").read_text()


def test_a_mistake_of_the_program_as_a_process_is_one_line():
    done = program("run", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["frobnicate"], "No such command"),
        (["run"], "Missing argument"),
        (["show", "nowhere", "1.01"], "not a batchvet run"),
        (["status", "nowhere"], "not a batchvet run"),
        (["report", "nowhere"], "not a batchvet run"),
        (["cache", "list", "nowhere"], "no such cache"),
        (["simulate", "x", "--targets", "0"], "--targets"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_2(arguments, message):
    done = batchvet(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("catalog: toi.csv\nfrob: 1\n", "frob: unknown key"),
        ("catalog: [", "not YAML"),
        ("- 1\n", "a table of keys"),
        ("cache: x\n", "catalog: Field required"),
        ("catalog: nothing.csv\n", "nothing.csv"),
        ("catalog: toi.csv\nchecks: [V99]\n", "checks"),
        ("catalog: toi.csv\ncluster: {serial: true, workers: 3}\n", "workers goes with"),
        ("catalog: toi.csv\nsources: [{directory: nowhere}]\n", "nowhere is not a directory"),
        ("catalog: !!python/object/apply:os.system ['true']\n", "not YAML"),
    ],
)
def test_configuration_mistakes_are_named(survey, tmp_path, text, message):
    (tmp_path / "toi.csv").write_text(survey.catalog.read_text())
    (tmp_path / "c.yaml").write_text(text)
    done = batchvet("run", tmp_path / "c.yaml")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_catalogue_lists_every_row_and_keep_going_drops_them(survey, tmp_path):
    catalog = pd.read_csv(survey.catalog, dtype=str)
    bad = catalog.head(1).assign(toi="1.01", duration_hours="-3")
    pd.concat([catalog, bad]).to_csv(tmp_path / "toi.csv", index=False)
    config = survey.config.read_text().replace("tpfs", str(survey.directory / "tpfs"))
    config = config.replace("neighbours: neighbours.csv\n", "")
    (tmp_path / "c.yaml").write_text(config)
    refused = batchvet("run", tmp_path / "c.yaml")
    assert refused.returncode == 2
    assert "line 5" in refused.stderr or f"line {len(catalog) + 2}" in refused.stderr
    done = batchvet("run", tmp_path / "c.yaml", "--keep-going")
    assert done.returncode == 0, done.stderr
    assert "1.01" in (tmp_path / "run" / "rejects.csv").read_text()


def test_failed_task_gives_exit_3(survey, tmp_path):
    for name in ("toi.csv", "neighbours.csv", "config.yaml"):
        (tmp_path / name).write_text((survey.directory / name).read_text())
    (tmp_path / "tpfs").mkdir()
    for number, file in enumerate(survey.files):
        content = file.read_bytes()
        (tmp_path / "tpfs" / file.name).write_bytes(content[: 100 if number == 0 else None])
    done = batchvet("run", tmp_path / "config.yaml")
    assert done.returncode == 3
    assert "error" in done.stdout
    retried = batchvet("run", tmp_path / "config.yaml", "--retry-failed", "--json")
    assert retried.returncode == 3
    assert json.loads(retried.stdout)["error_kind"] == {"truncated": 1}
    assert "--retry-failed" in batchvet("status", tmp_path / "run").stdout


@pytest.mark.parametrize("cluster", ["{serial: true}", "{workers: 2}"])
def test_interrupt_gives_130_and_the_same_command_goes_on(survey, tmp_path, cluster):
    config = survey.config.read_text().replace("tpfs", str(survey.directory / "tpfs"))
    config = config.replace("neighbours.csv", str(survey.neighbours)).replace("toi.csv", str(survey.catalog))
    (tmp_path / "c.yaml").write_text(config.replace("{serial: true}", cluster))
    command = [sys.executable, "-m", "batchvet", "run", str(tmp_path / "c.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("the run was finished before the interrupt came")
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "goes on" in errors
    again = batchvet("run", tmp_path / "c.yaml", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["finished"]


def test_second_interrupt_leaves_at_once(tmp_path):
    closing = tmp_path / "closing"
    program = f"""
import time, pathlib
from batchvet import cli
def slow_to_close(**options):
    try:
        pathlib.Path({str(tmp_path / "working")!r}).touch()
        time.sleep(60)
    finally:
        pathlib.Path({str(closing)!r}).touch()
        time.sleep(60)
cli.app = slow_to_close
cli.main()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for there, number in ((tmp_path / "working", signal.SIGTERM), (closing, signal.SIGINT)):
        deadline = time.monotonic() + 60
        while not there.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "interrupted; what is done is kept, the same command goes on\n")


def test_place_that_cannot_be_written_is_one_line_and_exit_2(survey, finished, tmp_path):
    (tmp_path / "file").touch()
    toi = pd.read_csv(survey.catalog, dtype={"toi": str})["toi"][0]
    for command in (
        ["plot", finished, toi, "--sector", 1, "-o", tmp_path / "file" / "x.png"],
        ["report", finished, "--output", tmp_path / "file" / "report"],
        ["simulate", tmp_path / "file" / "sim", "--targets", 1],
        ["demo", "--output", tmp_path / "file" / "demo"],
    ):
        done = batchvet(*command)
        assert done.returncode == 2
        assert str(tmp_path / "file") in done.stderr
        assert "internal" not in done.stderr


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
    assert dict(verdicts) == {"114.01": "ON_TARGET", "5807.01": "ON_TARGET"}


def test_version():
    assert program("--version").stdout.strip() == "0.1.0"
