"""One line and an exit code for every mistake and every interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from command_line import ENVIRONMENT, batchvet, program


def test_a_mistake_of_the_program_as_a_process_is_one_line():
    done = program("run", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["frobnicate"], "No such command"),
        (["run", "nowhere.yaml", "--only", "²:1"], "is not TIC:SECTOR"),
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


def test_place_that_cannot_be_written_is_one_line_and_exit_2(cli_survey, finished, tmp_path):
    (tmp_path / "file").touch()
    toi = pd.read_csv(cli_survey.catalog, dtype={"toi": str})["toi"][0]
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


def test_only_results_reach_stdout():
    """LAPACK says what it does not like on descriptor 1, past Python, and so may the processes of a cluster."""
    text = """
import os, subprocess
from batchvet.cli import frame
def app(**options):
    os.write(1, b" ** On entry to DLASCL parameter number 4 had an illegal value\\n")
    subprocess.run(["echo", "a worker speaks"], check=True)
    print('{"results": 1}')
frame.app = app
frame.main()
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert json.loads(done.stdout) == {"results": 1}
    assert "DLASCL" in done.stderr and "a worker speaks" in done.stderr


_CONTENT = """
from batchvet.cli import frame
def app(**options):
    print("a line of results\\n" * {lines} + "−±″")
frame.app = app
frame.main()
"""


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_seen_enough_is_no_error(lines):
    command = f"{sys.executable} -c '{_CONTENT.format(lines=lines)}' | head -c 5; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == "a lin"


def test_a_reader_of_a_command_may_leave_early():
    command = f"{sys.executable} -m batchvet columns | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "candidates\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_results_that_nobody_can_take_are_one_line_and_exit_2(lines):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", _CONTENT.format(lines=lines)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "No space left" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_our_signs_shows_the_rest(encoding):
    done = subprocess.run(
        [sys.executable, "-c", _CONTENT.format(lines=1)],
        capture_output=True,
        env=ENVIRONMENT | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(b"a line of results\n?")


def test_second_interrupt_leaves_at_once(tmp_path):
    closing = tmp_path / "closing"
    program = f"""
import time, pathlib
from batchvet.cli import frame
def slow_to_close(**options):
    try:
        pathlib.Path({str(tmp_path / "working")!r}).touch()
        time.sleep(60)
    finally:
        pathlib.Path({str(closing)!r}).touch()
        time.sleep(60)
frame.app = slow_to_close
frame.main()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for there, number in ((tmp_path / "working", signal.SIGTERM), (closing, signal.SIGINT)):
        deadline = time.monotonic() + 60
        while not there.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "interrupted; what is done is kept, the same command goes on\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_that_ends_closes_what_is_open_and_has_its_exit_code(tmp_path, number, code):
    closed = tmp_path / "closed"
    program = f"""
import os, pathlib, signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored, to all that it starts
from batchvet.cli import frame
def app(**options):
    try:
        os.kill(os.getpid(), {int(number)})
    finally:
        pathlib.Path({str(closed)!r}).touch()
frame.app = app
frame.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (code, "interrupted; what is done is kept, the same command goes on\n")
    assert closed.exists()


def test_an_interrupt_that_a_library_turns_into_an_error_of_its_own_is_an_interrupt():
    """Dask's `sync` has no result then: UnboundLocalError, of which a soak's log had two."""
    program = """
import os, signal
from batchvet.cli import frame
def app(**options):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise UnboundLocalError("result")
frame.app = app
frame.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (143, "interrupted; what is done is kept, the same command goes on\n")


def test_an_interrupt_after_all_is_done_changes_nothing(tmp_path):
    """On a loaded machine the interpreter takes its time to end; a Ctrl-C then gave exit code -2."""
    program = """
import atexit, os, signal
from batchvet.cli import frame
atexit.register(os.kill, os.getpid(), signal.SIGINT)
frame.app = lambda **options: print("done")
frame.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("cluster", ["{serial: true}", "{workers: 2}"])
def test_interrupt_gives_130_and_the_same_command_goes_on(cli_survey, tmp_path, cluster):
    code, errors = 0, ""
    for number, later in enumerate((0.3, 0.1, 0.0)):  # a fast machine may finish before the interrupt comes
        directory = tmp_path / str(number)
        directory.mkdir()
        code, errors = interrupted_run(cli_survey, directory, cluster, later)
        if code:
            break
    assert code == 130, errors
    assert "Traceback" not in errors
    assert "goes on" in errors
    again = batchvet("run", directory / "c.yaml", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["finished"]


def interrupted_run(cli_survey, directory, cluster, later):
    """Exit code and words of a run that is interrupted, workers and all, so many seconds after it began to log."""
    config = cli_survey.config.read_text().replace("tpfs", str(cli_survey.directory / "tpfs"))
    config = config.replace("neighbours.csv", str(cli_survey.neighbours)).replace("toi.csv", str(cli_survey.catalog))
    (directory / "c.yaml").write_text(config.replace("{serial: true}", cluster))
    command = [sys.executable, "-m", "batchvet", "run", str(directory / "c.yaml")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (directory / "run" / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(later)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=120)
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    return process.returncode, errors
