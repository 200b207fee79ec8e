"""A configuration file as it is written: its keys with their lines, and what is wrong with them in words."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]  #: keys and places in lists from the top of a file to what is meant

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
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


class _OnceOnly(yaml.SafeLoader):
    """Reads YAML whose keys occur once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str | int, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str | int):
                continue
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} is there twice, on lines {seen[key]} and {line}; keep one")
            seen[key] = line
        return typing.cast("dict[Any, Any]", super().construct_mapping(node, deep))


def read_yaml(text: str) -> tuple[Any, dict[Path, int]]:
    """What a YAML text holds, and the line of every key and entry of it.

    Raises
    ------
    yaml.YAMLError
        It is not YAML, or a key occurs twice in one table.
    """
    content = yaml.load(text, Loader=_OnceOnly)
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    return content, dict(_lines(top, ())) if top is not None else {}


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _lines(value, (*path, number))


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
    return [_sentence(path, found[path], content, lines, model) for path in deepest]


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
    line = lines.get(path)
    where = f"line {line}: {name}" if line else name
    first = problems[0]
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: unknown key; {_suggestion(path, model)}"
    if first["type"] == "missing":
        return f"{where}: is missing"
    own = next((p["msg"].removeprefix("Value error, ") for p in problems if p["type"] in ("value_error", "source")), "")
    if own:
        own = own if own.startswith(name) and name else f"{name}: {own}" if name else own
        return f"line {line}: {own}" if line else own
    may_be = dict.fromkeys(filter(None, map(_may_be, problems)))
    return f"{where}: {_shown(path, content)}{' or '.join(may_be)}"


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
    return f"is {content!r}, may be "


def _suggestion(path: Path, model: type[BaseModel]) -> str:
    known = sorted(_keys(path[:-1], model))
    alike = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {alike[0]}?" if alike else f"there are {', '.join(known)}"


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
