"""What is wrong with a configuration in words: its keys, with their lines where it is a file."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]  #: keys and places in lists from the top of a file to what is meant

SOURCES = ("directory", "s3", "mast")  #: kinds of sources, each by the key that names it
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")

#: What a value may be, by the kind of pydantic's complaint; what it says by itself where there is nothing here.
_MAY_BE = {
    "tuple": "a list in square brackets",
    "int": "a whole number",
    "float": "a number",
    "path": "a path",
    "string": "text",
    "bool": "true or false",
    "model": "a table of keys",
    "dataclass": "a table of keys",
    "dict": "a table of keys",
}
#: How a key is written whose value has parts.
_SUCH_AS = {
    "sources": "[{directory: tpfs}]",
    "sectors": "[55, 75]",
    "checks": "[V09, localization]",
    "cluster": "{workers: 2} or {serial: true}",
    "neighbours": "neighbours.csv",
    "catalog": "toi.csv",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def not_a_table(content: Any) -> str:
    """What to say of a configuration that is no table of keys."""
    if isinstance(content, str) and re.match(r"\w+:\S", content):
        return f"{content.split()[0]!r} needs a blank behind the colon"
    return "a configuration is a table of keys, such as 'catalog: toi.csv'; 'batchvet init' writes one"


def in_words(error: ValidationError, content: Any, lines: Mapping[Path, int], model: type[BaseModel]) -> list[str]:
    """Each problem of a configuration: its line, its key, what stands there and what may.

    Parameters
    ----------
    error : ValidationError
    content : what was validated
    lines : mapping of path to line, where it came from a file
    model : of the whole
    """
    found: dict[Path, list[Any]] = {}
    for problem in error.errors():
        found.setdefault(_written_path(problem, content), []).append(problem)
    deepest = [path for path in found if not any(other[: len(path)] == path != other for other in found)]
    meant = {(*path[:-1], _alike(path, model)) for path in deepest if found[path][0]["type"] in _UNKNOWN}
    told = [path for path in deepest if not (found[path][0]["type"] == "missing" and path in meant)]
    return [_sentence(path, found[path], content, lines, model) for path in told]


def _written_path(problem: Any, content: Any) -> Path:
    """The keys of a problem's place that are written in the file: pydantic puts names of types between them."""
    loc: Path = problem["loc"]
    if problem["type"] == "missing":
        return (*_kept(loc[:-1], content), loc[-1])
    return _kept(loc, content)


def _kept(loc: Path, content: Any) -> Path:
    """The parts of `loc` that lead somewhere, to its last one if they can."""
    if not loc:
        return ()
    first, rest = loc[0], loc[1:]
    without = _kept(rest, content)
    there = isinstance(content, Mapping) and first in content
    if not there and isinstance(content, list | tuple) and isinstance(first, int):
        there = first < len(content)
    if not there:
        return without
    inner: Any = content[first]
    whole = isinstance(loc[-1], str)  # a place in what is no list is left out
    options = ((first, *_kept(rest, inner)), without)
    return max(options, key=lambda path: (whole and path[-1:] == loc[-1:], len(path)))


def _sentence(path: Path, problems: list[Any], content: Any, lines: Mapping[Path, int], model: type[BaseModel]) -> str:
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    first = problems[0]
    own = next((p["msg"].removeprefix("Value error, ") for p in problems if p["type"] in ("value_error", "source")), "")
    line = lines.get(path or (own.partition(":")[0],))
    where = f"line {line}: {name}" if line else name
    if first["type"] in _UNKNOWN:
        return f"{where}: {_unknown(path, content, model)}"
    if first["type"] == "missing":
        return f"{where}: is missing"
    if first["type"] == "source":
        own += _meant_source(path, content)
    if own:
        own = own if own.startswith(name) and name else f"{name}: {own}" if name else own
        return f"line {line}: {own}" if line else own
    may_be = dict.fromkeys(filter(None, map(_may_be, problems)))
    such_as = _SUCH_AS.get(str(path[-1]), "") if len(path) == 1 else ""
    if any(problem["type"] == "model_type" and problem["input"] is None for problem in problems):
        such_as = "{} for all its defaults"
    such_as = f", such as {such_as}" if such_as else _meant_word(problems)
    return f"{where}: {_shown(path, content)}{' or '.join(may_be)}{such_as}"


def _may_be(problem: Any) -> str:
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind == "literal_error":
        words = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return f"one of {words}" if ", " in words else words
    if kind in _BOUNDS:
        name, word = _BOUNDS[kind]
        return f"a number {word} {context[name]:g}"
    stem = kind.split("_")[0]
    return _MAY_BE.get(stem, str(problem["msg"]))


def _shown(path: Path, content: Any) -> str:
    """What stands there, where it can be repeated: an address may hold a secret."""
    for part in path:
        content = content[part]
    if isinstance(content, Mapping | list | tuple) or "://" in str(content) or "@" in str(content):
        return "may be "
    if content is None:
        return "is empty, may be "
    return f"is {content!r}, may be " if isinstance(content, str) else f"is {content}, may be "


def _unknown(path: Path, content: Any, model: type[BaseModel]) -> str:
    """What to say of a key that is not known."""
    if len(path) == 3 and path[0] == "sources" and path[-1] in SOURCES:
        return f"is a source of its own: begin it with '- {path[-1]}:' on a line of its own"
    alike = _alike(path, model)
    known = sorted(_keys(path[:-1], model))
    return f"unknown key; did you mean {alike}?" if alike else f"unknown key; there are {', '.join(known)}"


def _alike(path: Path, model: type[BaseModel]) -> str:
    """The known key that one at the end of a path may be meant for; empty when there is none."""
    known = sorted(_keys(path[:-1], model))
    return next(iter(difflib.get_close_matches(str(path[-1]).lower(), known, n=1)), "")


def _meant_source(path: Path, content: Any) -> str:
    """The kind of source that may be meant, and how one is written."""
    for part in path:
        content = content[part]
    keys = [str(key).lower() for key in content] if isinstance(content, Mapping) else []
    alike = next((close[0] for key in keys if (close := difflib.get_close_matches(key, SOURCES, n=1))), "")
    return f"; did you mean {alike}?" if alike else ", such as directory: tpfs"


def _meant_word(problems: list[Any]) -> str:
    """The word that a misspelt one may be meant for."""
    for problem in problems:
        if problem["type"] == "literal_error" and isinstance(problem["input"], str):
            words = str(problem["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
            lower = {word.lower(): word for word in words}
            for close in difflib.get_close_matches(problem["input"].lower(), lower, n=1):
                return f"; did you mean {lower[close]}?"
    return ""


def _keys(path: Path, model: type) -> set[str]:
    """Keys of the table at a path."""
    tables = [model]
    for part in path:
        if isinstance(part, str):
            tables = [inner for table in tables if part in _fields(table) for inner in _tables(_fields(table)[part])]
    return {name for table in tables for name in _fields(table)}


def _fields(table: type) -> dict[str, Any]:
    if issubclass(table, BaseModel):
        return {name: field.annotation for name, field in table.model_fields.items()}
    return {field.name: field.type for field in fields(table)} if is_dataclass(table) else {}


def _tables(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _tables(inner)
