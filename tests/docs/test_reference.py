"""The reference lists everything that the code has, with a sentence, and refuses a word that it has not."""

from __future__ import annotations

import html
import re
import warnings
from io import StringIO
from pathlib import Path

import pytest
from book import DOCS, ROOT, blocks, pages

pytest.importorskip("sphinx", reason="the documentation's tools are not installed: scripts/setup docs")
pytest.importorskip("ziamath", reason="the documentation's tools are not installed: scripts/setup docs")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the builder's own libraries
    import known
    from drawn_math import drawing
    from offline import fetched
    from sphinx.application import Sphinx

_CONF = f"""\
import sys
sys.path.insert(0, {str(DOCS / "_ext")!r})
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "drawn_math", "reference", "offline"]
autosummary_generate = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "drawn"
"""
_REFERENCE = """\
# Reference
## sectors
```{columns} sectors
```
## candidates
```{columns} candidates
```
## hosts
```{columns} hosts
```
## matches
```{columns} matches
```
## images
```{columns} images
```
## evidence
```{columns} evidence
```
## Words
```{words} Verdict
```
```{words} HostWord
```
```{words} Status
```
```{words} Flag
```
```{words} ErrorKind
```
## Keys
```{configuration}
```
## Commands
```{exit-codes}
```
```{commands}
```
## Python
```{eval-rst}
.. public-names::
```
"""


def build(directory: Path, text: str) -> tuple[str, str]:
    """The page that a text becomes, and what the builder warns of."""
    source, output = directory / "source", directory / "html"
    source.mkdir()
    (source / "conf.py").write_text(_CONF)
    (source / "index.md").write_text(text)
    said = StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = Sphinx(source, source, output, directory / "doctrees", "html", status=None, warning=said)
        app.build()
    return html.unescape((output / "index.html").read_text()), said.getvalue()


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> str:
    page, said = build(tmp_path_factory.mktemp("reference"), _REFERENCE)
    assert not said
    return page


@pytest.mark.parametrize("table", known.TABLES)
def test_every_column_is_listed_with_its_sentence(reference, table):
    columns = known.columns(table)
    assert {column.name for column in columns} >= {column.name for column in known.TABLES[table]}
    for column in columns:
        assert column.text, f"{table}.{column.name} has no sentence"
        assert f">{column.name}</span>" in reference
        assert f'id="column-{table}-{column.name.replace("_", "-")}"' in reference


def test_candidates_list_the_hosts_with_what_is_in_them():
    kinds = {column.name: column.kind for column in known.columns("candidates")}
    assert kinds["host_source_id"] == "list of string"
    assert kinds["host_depth_required"] == "list of float64"


@pytest.mark.parametrize("kind", known.WORDS)
def test_every_word_is_listed_with_its_sentence(reference, kind):
    words = list(known.WORDS[kind])
    assert words
    for word in words:
        assert word.text, f"{word} has no sentence"
        assert f">{word}</span>" in reference
        assert f'id="{kind.lower()}-{re.sub("[^A-Za-z0-9]+", "-", word)}"' in reference


def test_every_key_is_listed_with_type_default_and_sentence(reference):
    keys = list(known.configuration_keys())
    assert {key.path for key in keys} >= {
        "catalog",
        "sources[].s3.bucket",
        "neighbours.mast.catalogue",
        "cluster.slurm",
    }
    assert {key.path.partition(".")[0].removesuffix("[]") for key in keys} == set(known.RunConfig.model_fields)
    assert not [key.path for key in keys if not key.text]
    assert not [key.path for key in keys if not key.kind]
    defaults = {key.path: key.default for key in keys}
    assert (defaults["catalog"], defaults["prf"], defaults["sources[].mast.size"]) == ("required", "auto", "11")
    for key in keys:
        assert f">{key.path.rpartition('.')[2]}</span>" in reference


def test_configuration_with_every_key_has_every_key():
    text = (ROOT / "configs" / "toi.yaml").read_text(encoding="utf-8")
    top = [key.path for key in known.configuration_keys() if "." not in key.path]
    assert not [name for name in top if name not in text and name != "batch_size"]


def test_every_command_is_listed_with_its_options(reference):
    commands = known.commands()
    assert {"batchvet demo", "batchvet run", "batchvet cache verify"} <= {command.name for command in commands}
    for command in commands:
        assert command.text, f"{command.name} has no sentence"
        for option in command.options:
            assert option.names[0] in reference
    assert "130 interrupted" in reference


def test_commands_in_the_book_can_be_typed():
    commands = {command.name: command for command in known.commands()}
    texts = [*pages().values(), (ROOT / "README.md").read_text(encoding="utf-8")]
    shell = [block.text for kind in ("console", "bash", "text") for block in blocks(kind)]
    indented = re.findall(r"(?m)^ {4}(batchvet [^\n]*)", "\n".join(texts))
    inline = re.findall(r"`(batchvet [a-z][^`]*)`", "\n".join(texts))
    typed = [line for text in [*shell, *indented, *inline] for line in known.typed(text)]
    assert len(typed) > 20
    for line in typed:
        words = line.split()
        name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in commands), None)
        assert name, f"{line!r} is no command"
        options = {option for one in commands[name].options for option in one.names}
        unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options]
        assert not unknown, f"{line!r}: {unknown}"


def test_public_names_are_listed(reference):
    for name in known.PUBLIC_NAMES:
        assert f'id="batchvet.{name}"' in reference


def test_word_that_the_code_does_not_know_is_a_warning(tmp_path):
    _, said = build(tmp_path, "# Page\n\n{flag}`NO_SUCH_FLAG` and {column}`sectors.no_such_column`\n")
    assert "flag-NO-SUCH-FLAG" in said
    assert "column-sectors-no-such-column" in said


def test_formula_is_a_drawing_that_says_what_it_is():
    drawn = drawing(r"\mathbf x = \frac{a}{b}", inline=False)
    assert drawn.startswith("<svg")
    assert r'aria-label="\mathbf x = \frac{a}{b}"' in drawn
    assert "currentColor" in drawn and "<path" in drawn
    assert "vertical-align" in drawing("x", inline=True)
    with pytest.raises(ValueError, match="Big"):
        drawing(r"\left(\sum_k x_k\right)", inline=False)


def test_formula_that_cannot_be_drawn_is_a_warning(tmp_path):
    _, said = build(tmp_path, "# Page\n\n$\\frac{a$ is none\n")
    assert "cannot be drawn" in said


def test_what_a_browser_would_fetch_is_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<script src="https://example.org/a.js"></script><a href="https://example.org/">a link</a>'
        '<link rel="stylesheet" href="//example.org/b.css"><img src="here.png">'
    )
    (tmp_path / "style.css").write_text("@font-face { src: url(https://example.org/c.woff2) }")
    assert [address.rsplit("/", 1)[1] for _, address in fetched(tmp_path)] == ["a.js", "b.css", "c.woff2"]
