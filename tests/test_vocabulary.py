"""The vocabulary is whole: nothing is raised that is not in it, nothing is in it that cannot be raised."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment, PackageLoader

import batchvet
from batchvet import vocabulary
from batchvet.report.candidate_page import CandidateRows, candidate_context
from batchvet.report.index_page import about_context
from batchvet.science import aperture_dependence, centroid_shift
from batchvet.vocabulary import ErrorKind, Flag, Layer, Status, Verdict, explain

PACKAGE = Path(batchvet.__file__).parent
REGISTRY = PACKAGE / "vocabulary.py"
WORDS: tuple[type[StrEnum], ...] = (Flag, Verdict, Status, ErrorKind)
SHOUTED = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
#: Rooms that speak FITS, whose keywords look like flags: there a shouted word must be a known one to count.
SPEAKS_FITS = ("pixels", "simulate")
#: Names of other people that look like flags: variables of the environment, and a word of Dask's.
FOREIGN = re.compile(r"(AWS|BATCHVET)_\w+|\w+_(NUM_THREADS|NTHREADS)|FIRST_COMPLETED")
#: Names of columns that are also flags of tess-vetter.
ALSO_COLUMNS = frozenset({"saturation_risk"})
RAISED = frozenset({*Flag, *Verdict}) - ALSO_COLUMNS


# --- nothing is raised that is not in the registry ---


def sources(*, without: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Name and text of every module but the registry, and but those of some rooms."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if path != REGISTRY and name.split("/")[0] not in without:
            yield name, path.read_text(encoding="utf-8")


_FLAGS = ("flags", "flag_names")  #: how names of lists of flags end


def base_of(text: str) -> str:
    """A flag without what somebody might write behind it."""
    return text.split(" (", 1)[0]


def bare_words(source: str, speaks_fits: bool = False) -> list[str]:
    """Words that stand in the code as strings where the registry's should: flags, verdicts and kinds of error."""
    found = []
    for node in ast.walk(ast.parse(source)):
        found += [(node.lineno, word) for word in _flags_anywhere(node, speaks_fits)]
        found += [(node.lineno, word) for value in _flags_given(node) for word in _literals(value)]
        found += [(node.lineno, word) for value in _kinds_given(node) for word in _literals(value)]
    return [f"line {line}: {word}" for line, word in sorted(set(found))]


def _flags_anywhere(node: ast.AST, speaks_fits: bool) -> Iterator[str]:
    """A string that is a flag or a verdict, or looks like one."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return
    word = base_of(node.value)
    shouted = SHOUTED.fullmatch(word) and not FOREIGN.fullmatch(word) and not speaks_fits
    if word in RAISED or shouted:
        yield word


def _flags_given(node: ast.AST) -> Iterator[ast.expr]:
    """What is assigned to, put into or passed as something called flags."""
    match node:
        case ast.Assign(targets=targets, value=value) if any(map(_called_flags, targets)):
            yield value
        case ast.AugAssign(target=target, value=value) if _called_flags(target):
            yield value
        case ast.AnnAssign(target=target, value=ast.expr() as value) if _called_flags(target):
            yield value
        case ast.keyword(arg=str(name), value=value) if name.endswith(_FLAGS):
            yield value
        case ast.Dict(keys=keys, values=values):
            yield from (value for key, value in zip(keys, values, strict=True) if _called_flags(key))
        case ast.Call(func=ast.Attribute(value=flags, attr="append" | "insert" | "extend" | "add"), args=args):
            yield from args if _called_flags(flags) else ()


def _kinds_given(node: ast.AST) -> Iterator[ast.expr]:
    """What an error is told to be its kind, and what its kind is compared with."""
    match node:
        case ast.Call(func=func, args=args, keywords=keywords) if _name(func).endswith(("Error", "Data", "Problem")):
            yield from (keyword.value for keyword in keywords if keyword.arg == "kind")
            yield from args[:1] if _name(func) == "Problem" else ()
        case ast.keyword(arg="error_kind", value=value):
            yield value
        case ast.Dict(keys=keys, values=values):
            yield from (v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant) and _is_kind(k))
        case ast.ClassDef(name=name, body=body) if name.endswith(("Error", "Data")):
            for line in body:
                match line:
                    case ast.Assign(targets=[ast.Name("kind")], value=value):
                        yield value
                    case ast.AnnAssign(target=ast.Name("kind"), value=ast.expr() as value):
                        yield value
        case ast.Compare(left=ast.Attribute(attr="kind" | "error_kind"), comparators=others):
            yield from others
        case ast.Compare(left=ast.Subscript(slice=ast.Constant() as key), comparators=others) if _is_kind(key):
            yield from others


def _is_kind(key: ast.Constant) -> bool:
    return key.value == "error_kind"


def _called_flags(node: ast.AST | None) -> bool:
    return node is not None and _name(node).endswith(_FLAGS)


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            return name
        case ast.Subscript(slice=inner):
            return _name(inner)
    return ""


def _literals(value: ast.expr) -> Iterator[str]:
    """Words that an expression is made of; what it calls or looks up is somebody else's."""
    match value:
        case ast.Constant(value=str(word)) | ast.JoinedStr(values=[ast.Constant(value=str(word)), *_]) if (
            word.startswith("ERROR:")  # tess-vetter's, with the name of an exception; explain() knows them
        ):
            return
        case ast.Constant(value=str(word)):
            yield from [base_of(word)] if word else ()
        case ast.JoinedStr(values=[ast.Constant(value=str(word)), *_]) if base_of(word).strip():
            yield base_of(word)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.BoolOp(values=parts):
            for part in parts:
                yield from _literals(part)
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            yield from _literals(one)
            yield from _literals(other)
        case ast.Starred(value=part) | ast.Dict(values=[part]):
            yield from _literals(part)


def test_nothing_is_raised_that_is_not_in_the_registry():
    found = {
        name: words
        for name, source in sources()
        if (words := bare_words(source, speaks_fits=name.startswith(SPEAKS_FITS)))
    }
    assert not found


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("x = 'LOW_SNR'", "LOW_SNR"),
        ("x = {'ARTEFACT': p > 0.5}", "ARTEFACT"),
        ("x = {'BRAND_NEW': True}", "BRAND_NEW"),
        ("flags = ['brand_new']", "brand_new"),
        ("flags += ['saturation_risk']", "saturation_risk"),
        ("row.flags.append(f'low_n_in_transit ({n} < 5)')", "low_n_in_transit"),
        ("x = f'low_n_in_transit ({n} < 5)'", "low_n_in_transit"),
        ("row['v08_flags'] = ['brand_new'] if n else []", "brand_new"),
        ("x = {'flags': ['brand_new']}", "brand_new"),
        ("x = {'flag_names': ['brand_new']}", "brand_new"),
        ("DepthMap(flags=('brand_new',))", "brand_new"),
        ("raise StampError('x', kind='brand_new')", "brand_new"),
        ("raise ArchiveError('x', kind='refused' if n else 'brand_new')", "brand_new"),
        ("raise InsufficientData('x', kind='gap')", "gap"),
        ("Problem('killed', 'x')", "killed"),
        ("class NewError(Exception):\n    kind = 'brand_new'", "brand_new"),
        ("class NewError(Exception):\n    kind: str = 'brand_new'", "brand_new"),
        ("error.kind in ('missing', 'changed')", "changed"),
        ("row['error_kind'] == 'killed'", "killed"),
        ("x = {'error_kind': 'brand_new'}", "brand_new"),
        ("Offer(error_kind='brand_new')", "brand_new"),
    ],
)
def test_a_word_that_is_not_the_registrys_is_found_where_it_is_raised(source, word):
    assert word in {found.split(": ")[1] for found in bare_words(source)}


@pytest.mark.parametrize(
    "source",
    [
        "flags = [Flag.LOW_SNR, Flag.LOW_N_IN_TRANSIT]",
        "flags = list(row['flags']) + found['localization_flags']",
        "raise StampError('x', kind=ErrorKind.LAYOUT)",
        "order = np.argsort(x, kind='stable')",
        "os.environ['AWS_ENDPOINT_URL'], os.environ['OMP_NUM_THREADS']",
        "METRICS = {'saturation_risk': 'Whether a pixel is above the saturation level.'}",
        "row = {'error_kind': '', 'flags': []}",
        "flags = ['ERROR:ValidationError']",
        '"""A docstring may speak of LOW_SNR."""',
    ],
)
def test_other_strings_are_left_in_peace(source):
    assert bare_words(source) == []


def test_v08_and_v10_have_no_words_of_their_own():
    """Whatever looks like one of tess-vetter's flags there, whether or not it is put into something called flags."""
    lower = re.compile(r"[a-z]+(_[a-z0-9]+)+")
    for module in (aperture_dependence, centroid_shift):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        words = {
            base_of(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        words = {word for word in words if lower.fullmatch(word)} - {*dir(module), *module.METRICS}
        assert words <= {"local_window_per_epoch", "annulus_median_per_cadence", "out_of_transit", "in_transit"}


# --- nothing is in the registry that cannot be raised ---


def test_nothing_is_in_the_registry_that_cannot_be_raised():
    used: set[str] = set()
    for _, source in sources(without=("report",)):
        used |= referred_to(source)
    assert sorted({f"{words.__name__}.{word.name}" for words in WORDS for word in words} - used) == []


def referred_to(source: str) -> set[str]:
    """Words of the registry that a module names, such as ``Flag.LOW_SNR``."""
    found: set[str] = set()
    names = {words.__name__ for words in WORDS}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=words) | ast.Attribute(attr=words), attr=word) if words in names:
                found.add(f"{words}.{word}")
            case ast.Call(func=func) if _name(func) == vocabulary.not_localized.__name__:
                found |= {f"Flag.{flag.name}" for flag in vocabulary._NOT_LOCALIZED.values()}
    return found


def test_only_what_is_named_counts_as_raised():
    assert referred_to("flags = [Flag.LOW_SNR, vocabulary.Verdict.ON_TARGET]\nx = 'ARTEFACT'") == {
        "Flag.LOW_SNR",
        "Verdict.ON_TARGET",
    }
    assert "Flag.NOT_LOCALIZED_GAP" in referred_to("flags.append(not_localized(error.kind))")
    assert "Flag.NOT_LOCALIZED_GAP" not in referred_to("from batchvet.vocabulary import not_localized")


# --- every word has a layer and a sentence ---


@pytest.mark.parametrize("word", [word for words in WORDS for word in words], ids=repr)
def test_every_word_has_a_layer_and_a_sentence(word):
    assert isinstance(word.layer, Layer)
    assert word.text == " ".join(word.text.split())
    if isinstance(word, ErrorKind):  # what was wrong follows after a colon
        assert re.fullmatch(r"\w.*\w", word.text)
        assert word.text[0].islower()
    else:
        assert re.fullmatch(r"[A-Z].*[^.]\.", word.text)
        assert explain(word) == word.text


def test_no_word_stands_for_two_things():
    explained = [str(word) for words in (Flag, Verdict, Status) for word in words]
    assert len(explained) == len(set(explained))
    for words in WORDS:
        assert len(words) == len(words.__members__)


@pytest.mark.parametrize("word", [Flag.LOW_SNR, Verdict.ON_TARGET, Status.OK, ErrorKind.GAP], ids=repr)
def test_a_word_that_travels_between_processes_is_still_itself(word):
    assert pickle.loads(pickle.dumps(word)) is word


def test_a_word_is_written_without_its_class():
    assert f"{Flag.LOW_SNR} {Verdict.ON_TARGET} {Status.OK} {ErrorKind.GAP}" == "LOW_SNR ON_TARGET ok gap"


# --- the report explains every word ---


def page_of(row: dict[str, object], verdict: str = "") -> str:
    """The page of a candidate with one sector."""
    sector = {"toi": "1.01", "tic": 1, "sector": 14, "status": "ok"} | row
    candidate = {"toi": "1.01", "tic": 1, "verdict": verdict} if verdict else None
    rows = CandidateRows("1.01", candidate, [sector], [], {}, {})
    pages = Environment(loader=PackageLoader("batchvet.report"), autoescape=True)
    return pages.get_template("candidate.html").render(**candidate_context(rows, "command"))


@pytest.mark.parametrize("flag", Flag)
def test_the_report_explains_every_flag_where_it_stands(flag):
    of_a_check = flag.layer in (Layer.V08, Layer.V09, Layer.V10)
    page = page_of({f"{flag.layer.lower()}_flags" if of_a_check else "flag_names": [flag]})
    assert f"<dt>{flag}" in page
    assert str(escape(flag.text)) in page.replace("&#39;", "&#x27;")


@pytest.mark.parametrize("kind", ErrorKind)
def test_the_report_explains_every_kind_of_error_where_it_stands(kind):
    page = page_of({"status": Status.ERROR, "error_kind": str(kind), "error": "It went wrong."})
    words = f"{kind.text[0].upper()}{kind.text[1:]}:"
    assert f"<strong>{escape(words)}</strong> It went wrong." in page.replace("&#39;", "&#x27;")


@pytest.mark.parametrize("verdict", Verdict)
def test_the_report_explains_every_verdict_where_it_stands(verdict):
    assert str(escape(verdict.text)) in page_of({}, verdict).replace("&#39;", "&#x27;")


def test_the_reports_glossary_has_every_verdict_and_flag(tmp_path):
    table = SimpleNamespace(attrs={})
    run = SimpleNamespace(directory=tmp_path, plan={}, sectors=table, candidates=table)
    glossary = {heading: dict(entries) for heading, entries in about_context(run)["glossary"]}
    assert glossary["Verdicts"] == {verdict: verdict.text for verdict in Verdict}
    assert glossary["Flags"] == {flag: flag.text for flag in Flag}
