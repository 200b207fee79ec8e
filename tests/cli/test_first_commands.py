"""What a newcomer types first: look around, columns, help, quiet and loud."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer
from command_line import ENVIRONMENT, batchvet
from test_console import plain_text

from batchvet.cli import frame
from batchvet.errors import ConfigError
from batchvet.results import schema
from batchvet.runtime.bars import Bars, counted
from batchvet.runtime.config import RunConfig, read_config
from batchvet.runtime.first_config import write_first_config
from batchvet.runtime.look_around import look_around
from batchvet.simulate.settings import KINDS


@pytest.fixture
def files(cli_survey, tmp_path):
    """A directory with blanks in its name, in which somebody has a catalogue, stars and pixels."""
    place = tmp_path / "my files"
    shutil.copytree(cli_survey.directory / "tpfs", place / "down load" / "deep")
    shutil.copy(cli_survey.catalog, place / "hot stars.csv")
    shutil.copy(cli_survey.neighbours, place / "around.csv")
    (place / "notes.csv").write_text("a,b\n1,2\n")
    return place


def test_init_writes_a_configuration_of_what_lies_there_that_runs_as_it_is(files, monkeypatch):
    done = batchvet("init", files)
    assert done.returncode == 0, done.stderr
    config = read_config(files / "batchvet.yaml")
    assert config.catalog == files / "hot stars.csv" and config.neighbours == files / "around.csv"
    assert [source.directory for source in config.sources] == [files / "down load" / "deep"]
    assert (
        "3 candidates of 3 targets (own columns)" in done.stdout and "6 files of 3 targets in 2 sectors" in done.stdout
    )
    text = (files / "batchvet.yaml").read_text()
    assert {key for key in RunConfig.model_fields if not re.search(rf"(?m)^{key}:", text)} == {"batch_size"}
    pasted = shlex.split(next(line for line in done.stdout.splitlines() if line.startswith("next")))[1:]
    assert pasted == ["batchvet", "plan", str(files / "batchvet.yaml")]
    assert "to do 6" in batchvet(*pasted[1:]).stdout


def test_init_never_replaces_a_file(files):
    (files / "batchvet.yaml").write_text("mine")
    done = batchvet("init", files)
    assert (done.returncode, done.stdout) == (2, "") and "--name" in done.stderr
    with pytest.raises(ConfigError, match="already"):  # somebody else's, while we looked around
        write_first_config(files / "batchvet.yaml", look_around(files))
    assert (files / "batchvet.yaml").read_text() == "mine"
    assert batchvet("init", files, "--name", "two.yaml").returncode == 0


def test_init_leaves_tables_of_runs_and_pixels_of_caches_alone(files):
    batchvet("init", files)
    assert batchvet("run", files / "batchvet.yaml", "--executor", "serial", "-q").returncode == 0
    shutil.copytree(files / "down load", files / "cache" / "downloads")
    shutil.copy(files / "hot stars.csv", files / "run" / "a.csv")
    found = json.loads(batchvet("init", files, "--name", "again.yaml", "--json").stdout)
    assert (found["files"], found["catalog"], found["cache"]) == (6, "hot stars.csv", "cache")
    assert "also here" not in (files / "again.yaml").read_text()


def test_init_says_which_targets_have_no_files_and_leaves_them_out(files):
    lines = (files / "hot stars.csv").read_text().splitlines()
    header = lines[0].split(",")
    lost = dict.fromkeys(header, "") | {
        "toi": "9.01", "tic": "999", "period_days": "3.0", "t0_btjd": "1330.0", "duration_hours": "2.0"
    }  # fmt: skip
    (files / "hot stars.csv").write_text("\n".join([*lines, ",".join(lost[name] for name in header)]) + "\n")
    done = batchvet("init", files)
    assert "for 3 of the catalogue's 4 targets" in done.stdout
    assert read_config(files / "batchvet.yaml").only_with_pixels


def test_init_without_a_catalogue_says_what_one_needs_and_asks_the_archive_for_the_rest(tmp_path):
    done = batchvet("init", tmp_path)
    assert done.returncode == 0
    assert f"{tmp_path / 'toi.csv'}, its first line: toi,tic,period_days,t0_btjd,duration_hours" in done.stdout
    assert f"then        batchvet plan {tmp_path / 'batchvet.yaml'}" in done.stdout
    assert read_config(tmp_path / "batchvet.yaml").uses_network


def test_init_with_files_asks_nobody(files):
    (files / "around.csv").unlink()
    batchvet("init", files)
    config = read_config(files / "batchvet.yaml")
    assert config.neighbours is None and not config.uses_network


def test_init_names_a_damaged_table_and_goes_on(files):
    (files / "around.csv").write_text("tic,source_id,ra,dec,tmag\nx,y,z,1,2\n")
    done = batchvet("init", files)
    assert done.returncode == 0 and "cannot use" in done.stdout and "around.csv" in done.stdout


def test_columns_have_unit_and_sentence():
    done = batchvet("columns", "candidates")
    line = next(line for line in done.stdout.splitlines() if line.startswith("offset_arcsec "))
    assert line.split(maxsplit=2)[1:] == ["arcsec", "Dip minus target, all sectors together, length."]
    found = json.loads(batchvet("columns", "--json").stdout)
    assert {"candidates", "hosts", "matches", "sectors", "images", "evidence"} <= found.keys()
    assert [column["name"] for column in found["sectors"]] == schema.TABLES["sectors"].names
    assert all(column["text"] and column["type"] for columns in found.values() for column in columns)
    wrong = batchvet("columns", "stars")
    assert wrong.returncode == 2 and "there are candidates, hosts, matches, sectors" in wrong.stderr


@pytest.mark.parametrize("command", [[], ["run"], ["cache", "verify"], ["init"], ["columns"]])
def test_h_is_help(command):
    assert batchvet(*command, "-h").stdout == batchvet(*command, "--help").stdout != ""


def test_quiet_says_nothing_but_results(files):
    batchvet("init", files, "-q")
    done = batchvet("run", files / "batchvet.yaml", "--executor", "serial", "-q")
    assert (done.returncode, done.stderr) == (0, "") and "verdicts" in done.stdout


def test_verbose_has_a_line_for_every_step_on_a_terminal_too(monkeypatch, capsys):
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    for options, said in (({}, False), ({"verbose": True}, True), ({"verbose": True, "quiet": True}, False)):
        with Bars(**options) as bars:
            bars.start("Vetting", 2)
            bars.advance(2)
            bars.start("Judging", 1)
            bars.advance()
        words = plain_text(capsys.readouterr().err)
        assert ("Vetting: 2 of 2" in words and "Judging: 1 of 1" in words) == said


def _leaves(command, words=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for word, nested in inner.items():
        yield from _leaves(nested, (*words, word))


def test_every_command_is_quiet_or_loud_when_asked():
    commands = dict(_leaves(typer.main.get_command(frame.app)))
    assert ("report",) in commands and ("cache", "list") in commands
    for words, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--quiet", "-q", "--verbose", "-v"} <= options, words


def test_the_report_tells_how_far_it_is(finished, tmp_path):
    told = batchvet("report", finished, "--output", tmp_path / "one")
    assert "Writing pages: 3 of 3" in told.stderr and told.stdout.strip().endswith("index.html")
    assert batchvet("report", finished, "--output", tmp_path / "two", "-q").stderr == ""


@pytest.mark.parametrize(("n", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (60_000, "60000 rows")])
def test_one_thing_is_told_in_the_singular(n, words):
    assert counted(n, "row") == words
    assert (counted(1, "entry", "entries"), counted(2, "entry", "entries")) == ("1 entry", "2 entries")


def test_a_plan_of_one_is_in_the_singular(files):
    stars = (files / "hot stars.csv").read_text().splitlines()
    (files / "one.csv").write_text("\n".join(stars[:2]) + "\n")
    (files / "one.yaml").write_text("catalog: one.csv\nsources: [{directory: down load}]\nsectors: [1]\n")
    said = batchvet("plan", files / "one.yaml").stdout
    assert "1 candidate of 1 target (own catalogue)\n1 row in 1 task, one for each" in said
    assert "to ingest   1 task," in said


def test_verbose_shows_where_an_internal_error_was(monkeypatch):
    def broken(**options):
        raise ZeroDivisionError("one by none")

    monkeypatch.setattr(frame, "app", broken)
    assert "Traceback" in batchvet("status", "x", "-v").stderr
    assert "Traceback" not in batchvet("status", "x").stderr


def test_kinds_of_scenes_stand_in_the_help():
    words = " ".join(batchvet("simulate", "-h").stdout.replace("-\n", "-").split())
    assert [kind for kind in ("mixed", *KINDS) if kind not in words] == []


def test_the_shell_completes_commands():
    asked = {"_BATCHVET_COMPLETE": "complete_bash", "COMP_WORDS": "batchvet sta", "COMP_CWORD": "1"}
    text = "import sys; sys.argv = ['batchvet']; from batchvet.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, env=ENVIRONMENT | asked, check=False
    )
    assert done.stdout.split() == ["status"]
    assert "--install-completion" in batchvet("--help").stdout and os.environ.get("_BATCHVET_COMPLETE") is None
