"""Pages hang together: they are found, they cite what exists, their examples can be typed."""

from __future__ import annotations

import doctest
import json
import os
import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from book import DOCS, ROOT, blocks, pages

import batchvet
from batchvet import RunConfig


def test_every_page_is_in_a_table_of_contents():
    reached, waiting = set(), ["index"]
    texts = pages()
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for toctree in re.findall(r"^```\{toctree\}\n(.*?)^```", texts[page], re.MULTILINE | re.DOTALL):
            names = [line.strip() for line in toctree.splitlines() if line.strip() and not line.startswith(":")]
            waiting += [name for line in names if (name := str(Path(page).parent / line)) not in reached]
    assert reached == set(texts)


def test_every_equation_has_a_label_of_its_own():
    labels: list[str] = []
    for page, text in pages().items():
        ends = re.findall(r"^ *\$\$ *(?:\((eq-[a-z0-9-]+)\))?$", text, re.MULTILINE)
        assert len(ends) % 2 == 0, page
        assert all(not label for label in ends[::2]), page
        assert all(ends[1::2]), f"{page}: an equation without a label"
        labels += ends[1::2]
    assert len(labels) == len(set(labels))
    assert len(labels) > 50


def test_equations_are_cited_by_labels_that_exist():
    everything = "\n".join(pages().values())
    cited = set(re.findall(r"\{eq\}`([^`]+)`", everything)) - {"eq-name"}  # where the book tells how it is done
    assert cited <= set(re.findall(r"\((eq-[a-z0-9-]+)\)$", everything, re.MULTILINE))


def test_tests_that_the_book_names_exist():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)", sources))
    named = set(re.findall(r"`(test_\w{10,})`", "\n".join(pages().values())))
    named -= {"test_your_check", "test_interrupted_run_gives_the_same_table"}  # a recipe's, and an example of a name
    assert named <= defined


def test_scripts_that_the_book_names_exist():
    everything = "\n".join([*pages().values(), (ROOT / "README.md").read_text(encoding="utf-8")])
    named = set(re.findall(r"(?<![\w/.])((?:scripts|configs|docs/figures)/[\w.]*\w)\b(?!\*)", everything))
    assert named and not [name for name in sorted(named) if not (ROOT / name).exists()]


def test_files_that_the_book_names_exist():
    roots = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    named = set(re.findall(r"`((?:batchvet|tests|docs)/[\w./-]+)`", "\n".join([*pages().values(), *roots])))
    named = {name for name in named if "your_" not in name and not name.startswith("docs/_build")}  # a recipe's, made
    assert len(named) > 20
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


def test_links_of_the_root_pages_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / link).exists(), f"{name}: {link}"


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.page)
def test_configurations_in_the_book_are_configurations(block):
    RunConfig(**({"catalog": "toi.csv"} | yaml.safe_load(block.text)))


def test_readme_is_what_one_reads_before_deciding():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_python_of_the_readme_gives_what_it_says(demo_directory, monkeypatch):
    import pandas as pd

    monkeypatch.chdir(demo_directory)
    text = "\n".join(block.text for block in blocks("python") if block.page == "README.md" and ">>>" in block.text)
    example = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    said: list[str] = []
    with pd.option_context("display.width", 120, "display.max_columns", 20):
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert result.attempted and not result.failed, "".join(said)
    assert os.getcwd() == str(demo_directory)


def test_readme_prints_the_table_of_the_demo(demo_directory):
    from batchvet.results.views import overview

    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    rows = overview(batchvet.open_run(demo_directory / "runs" / "demo" / "run"))
    assert [row["TOI"] for row in rows] == ["114.01", "5807.01"]
    for row in rows:
        line = next(one.split() for one in lines if row["TOI"] in one.split() and str(row["TIC"]) in one.split())
        assert line[:4] == [row["verdict"], row["TOI"], str(row["TIC"]), row["P"]]
        shown = [row["SNR"], row['offset"'], row["sigma"]]
        assert [float(x) for x in line[4:7]] == pytest.approx(shown, rel=2e-3)


def test_calibration_page_has_the_figures_of_the_file():
    page = pages()["method/calibration"]
    values = json.loads(files("batchvet.science").joinpath("calibration.json").read_text(encoding="utf-8"))
    assert f"**{values['version']}**" in page
    for figure in ("sharpness", "confusion"):
        for source in ("spoc", "empirical"):
            row = re.search(rf"^\| {figure}, `{source}` \|(.*)\|$", page, re.MULTILINE)
            assert [float(x) for x in row[1].split("|")] == values[figure][source]


def test_picture_of_the_house_has_every_room():
    import architecture

    assert {room for floor in architecture.layers() for room in floor} == set(architecture.ROOMS)
    assert (DOCS / "_static" / "architecture.svg").read_text(encoding="utf-8") == architecture.drawing()


def test_citation_and_hooks_can_be_read():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == batchvet.__version__
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]  # nothing is fetched
