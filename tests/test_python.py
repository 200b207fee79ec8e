"""What a person meets in Python: names, what results look like, progress, scripts."""

from __future__ import annotations

import io
import subprocess
import sys
import types
from pathlib import Path

import pytest
from matplotlib.image import imread

import batchvet
from batchvet.runtime import bars as terminal
from batchvet.runtime.notebook_progress import in_notebook
from batchvet.sample import DIRECTORY, write_sample

ROOT = Path(batchvet.__file__).parent.parent
TOI_5807 = {"period_days": 14.2423724, "t0_btjd": 3540.26317, "duration_hours": 4.046}


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    return batchvet.run(write_sample(tmp_path_factory.mktemp("sample")), executor="serial")


def figure_in(html: str):
    from base64 import b64decode

    before, _, after = html.partition('src="data:image/png;base64,')
    assert before, "there is no figure"
    return imread(io.BytesIO(b64decode(after.partition('"')[0])))


def test_only_public_names_are_offered():
    import batchvet.api  # as using any of them does

    assert sorted(dir(batchvet)) == ["Run", "RunConfig", "__version__", "open_run", "run", "vet"]
    assert all(getattr(batchvet, name) is getattr(batchvet.api, name) for name in batchvet.__all__)


def test_a_run_is_a_line_of_text_and_a_table_with_a_figure(sample_run):
    assert (
        repr(sample_run) == f"<batchvet run {sample_run.directory}: 2 candidates in 3 rows; 1 AMBIGUOUS, 1 ON_TARGET>"
    )
    html = sample_run._repr_html_()
    assert html.count("<tr>") == 3 and "ON_TARGET" in html and "188646744" in html
    assert figure_in(html).std() > 0.05  # something is drawn


def test_a_run_that_has_not_finished_has_a_repr_too(sample_run, tmp_path):
    (tmp_path / "plan.json").write_bytes((sample_run.directory / "plan.json").read_bytes())
    run = batchvet.open_run(tmp_path)
    assert "not judged yet; not finished" in repr(run)
    assert "<img" not in run._repr_html_()


def test_what_was_vetted_is_a_line_of_text_and_a_table_with_a_figure():
    (path,) = (DIRECTORY / "tpfs").glob("*-s0083-*")
    found = batchvet.vet(path, **TOI_5807)
    assert repr(found).startswith("<TIC 188646744, sector 83: AMBIGUOUS, P(target) = 0.")
    assert len(repr(found)) < 120 and " at 0x" not in repr(found)
    html = found._repr_html_()
    assert html.count("<tr>") == 2 and figure_in(html).std() > 0.05
    nothing = batchvet.vet(path, **TOI_5807 | {"period_days": 0.0, "t0_btjd": 3000.0})
    assert "INCONCLUSIVE; TOI candidate: no usable cadence in transit in sector 83" in repr(nothing)
    assert "no usable cadence" in nothing._repr_html_()


def test_a_name_is_never_markup(sample_run):
    from batchvet.report.glance import glance

    html = glance("<b>x</b>", "", [{"TOI": "<script>"}], None)
    assert "<script>" not in html and "<b>" not in html


def again(run, **options):
    return batchvet.run(run.plan["config_file"], executor="serial", **options)


def test_progress_is_shown_where_it_is_asked_for(sample_run, capfd, monkeypatch):
    monkeypatch.setattr(terminal, "_PLAIN_SECONDS", 0.0)
    again(sample_run)
    assert capfd.readouterr() == ("", "")  # in a script nobody asked for it
    again(sample_run, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "Looking at files" in err


def test_only_what_the_cache_holds_is_vetted_on_request(sample_run, tmp_path):
    (entry, *_) = sorted(Path(sample_run.plan["config"]["cache"]).glob("s0083/*.zip"))
    config = write_sample(tmp_path)
    (tmp_path / "cache" / "s0083").mkdir(parents=True)
    (tmp_path / "cache" / "s0083" / entry.name).write_bytes(entry.read_bytes())
    found = batchvet.run(config, executor="serial", cached_only=True)
    assert list(found.candidates["toi"]) == ["5807.01"]


class Display:
    """As IPython's handle of a line that is written over."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, html: str) -> None:
        self.shown.append(html)


@pytest.fixture
def notebook(monkeypatch):
    """A notebook's kernel, as far as a program sees it."""
    line = Display()
    display = types.SimpleNamespace(HTML=str, display=lambda first, display_id: line)
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=display, get_ipython=lambda: shell))
    return line


def test_a_notebook_shows_progress_by_itself(sample_run, notebook, capfd, tmp_path):
    assert in_notebook()
    again(sample_run, output=tmp_path / "run")
    assert "Judging candidates: 2 of 2" in notebook.shown[-1]
    assert any("Vetting: 3 of 3" in html and '<progress value="3" max="3">' in html for html in notebook.shown)
    assert capfd.readouterr() == ("", "")
    n = len(notebook.shown)
    again(sample_run, progress=False)
    assert len(notebook.shown) == n


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch):
    shell = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", shell)
    assert not in_notebook()


def test_a_script_needs_no_guard(tmp_path):
    """Workers of a script without ``if __name__ == "__main__":`` do not start the script once more."""
    write_sample(tmp_path)
    script = tmp_path / "script.py"
    script.write_text("import batchvet\nprint('started')\nprint(batchvet.run('config.yaml'))\n")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "started",
        f"<batchvet run {tmp_path / 'run'}: 2 candidates in 3 rows; 1 AMBIGUOUS, 1 ON_TARGET>",
    ]
