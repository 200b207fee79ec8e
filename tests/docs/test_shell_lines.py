"""What the README and the book tell people to type is typed here, as printed, where such files are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from book import ROOT, blocks, pages

import batchvet
from batchvet.sample import DIRECTORY

sys.path.insert(0, str(ROOT / "tests" / "cli"))
from command_line import batchvet as command

#: What cannot be typed here, and why; that such commands and options exist is tested in `test_reference`.
_NOT_HERE = {
    "batchvet catalog": "asks the archive over the network",
    "batchvet simulate": "takes minutes; tests/simulate has it with fewer targets",
    "batchvet run DIR/config.yaml": "of that simulation",
    "batchvet view": "serves until it is ended; tests/cli/test_view_command has it",
    "batchvet check runs/toi --apply": "of a run with fifty sure candidates; tests/runtime/test_run_calibration has it",
    "batchvet run configs/known_hosts.yaml": "asks the archive over the network; tests/archive/test_known_hosts has it",
    "batchvet demo": "made `demo_directory`; .ci/run types scripts/demo in a fresh clone",
}
_OF_THE_ARCHIVE = "start/toi_list"  # a page whose configuration asks the archive
#: Of what stands within a sentence: more than a command's name.
_COMPLETE = re.compile(r"runs/|toi\.yaml|columns|demo$")


def typed() -> list[tuple[str, str]]:
    """Page and line of everything that can be typed, without what is said of it; each line once, the README first."""
    texts = {"README.md": (ROOT / "README.md").read_text(encoding="utf-8")} | pages()
    found: dict[str, str] = {}
    for page, text in texts.items():
        lines = re.findall(r"(?m)^(?: {4}|\$ )(batchvet .*)$", text)
        lines += [line for line in re.findall(r"`(batchvet [a-z][^`\n]*)`", text) if _COMPLETE.search(line)]
        for line in lines:
            found.setdefault(re.split(r"  +|#", line)[0].strip(), page)
    return [(page, line) for line, page in found.items()]


LINES = [
    (page, line)
    for page, line in typed()
    if page != _OF_THE_ARCHIVE and not any(line.startswith(start) for start in _NOT_HERE)
]


@pytest.fixture(scope="module")
def here(demo_directory, tmp_path_factory) -> Path:
    """A directory with the files that the pages speak of, and the run that the README's configuration makes of them."""
    place = tmp_path_factory.mktemp("somebody's files")
    for name in ("demo/run", "before"):
        shutil.copytree(demo_directory / "runs" / "demo" / "run", place / "runs" / name)
    shutil.copytree(DIRECTORY / "tpfs", place / "tpfs")
    for name in ("toi.csv", "neighbours.csv"):
        shutil.copy(DIRECTORY / name, place / name)
    (place / "toi.yaml").write_text(next(block.text for block in blocks("yaml") if block.page == "README.md"))
    (place / "exofop_toi.csv").write_text("TIC ID,TOI,TFOPWG Disposition\n25155310,114.01,KP\n")
    (place / "hosts.csv").write_text("toi,host_tic\n114.01,25155310\n")
    (place / "binaries.csv").write_text("name,ra,dec,period_days,t0_btjd\nV1,63.37,-69.22,3.28878,1327.52\n")
    done = command("run", place / "toi.yaml", "--executor", "serial")  # no workers where a page runs it once more
    assert done.returncode == 0, done.stderr
    return place


def test_the_pages_tell_people_to_type_something():
    assert {page for page, _ in LINES} >= {"README.md", "start/own_files", "start/tables", "howto/follow_up"}
    assert len(LINES) > 20
    unused = [start for start in _NOT_HERE if not any(line.startswith(start) for _, line in typed())]
    assert not unused


@pytest.mark.parametrize(("page", "line"), LINES, ids=[line for _, line in LINES])
def test_what_is_printed_can_be_typed(here, monkeypatch, page, line):
    monkeypatch.chdir(here)
    done = command(*shlex.split(line)[1:])
    assert done.returncode == 0, f"{page}: {line}\n{done.stdout}{done.stderr}"
    assert done.stdout


def test_scripts_of_the_book_run_without_a_guard(here):
    scripts = [block for block in blocks("python") if re.search(r"(?m)^run = batchvet\.run", block.text)]
    assert [block.page for block in scripts] == ["howto/notebook"]
    (here / "script.py").write_text(scripts[0].text)
    done = subprocess.run([sys.executable, "script.py"], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "ON_TARGET" in done.stdout, done.stderr


def test_lines_of_python_about_a_run_can_be_typed(here):
    lines = [block for block in blocks("python") if block.page == "howto/matches"]
    run = batchvet.open_run(here / "runs" / "toi")
    run.match(here / "binaries.csv")
    for block in lines:
        exec(block.text, {"run": run, "candidates": run.candidates})
    assert lines
