"""What the reference is made from: the package's own tables, words, keys, commands and names, as plain data."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.pycode import ModuleAnalyzer

import batchvet
from batchvet import RunConfig, vocabulary
from batchvet.cli.commands import app  # the commands, wherever they live
from batchvet.results import schema

#: Name of a table to its columns.
TABLES = {
    "sectors": schema.SECTORS,
    "candidates": schema.CANDIDATES,
    "images": schema.IMAGES,
    "evidence": schema.EVIDENCE,
    "hosts": schema.HOSTS,
    "matches": schema.MATCHES,
}
#: Enumerations of the vocabulary.
WORDS = {
    "Verdict": vocabulary.Verdict,
    "HostWord": vocabulary.HostWord,
    "Status": vocabulary.Status,
    "Flag": vocabulary.Flag,
    "ErrorKind": vocabulary.ErrorKind,
}
#: What ``import batchvet`` gives.
PUBLIC_NAMES = tuple(batchvet.__all__)


@dataclass(frozen=True)
class Entry:
    """A column of a table."""

    name: str
    kind: str  #: in words
    unit: str
    text: str
    group: str  #: columns that belong together stand together


def columns(table: str) -> list[Entry]:
    """Every column of a table as it is written, in order."""
    return [
        Entry(
            field.name,
            _kind(field.type),
            (field.metadata or {}).get(b"unit", b"").decode(),
            (field.metadata or {}).get(b"description", b"").decode(),
            _group(table, field.name),
        )
        for field in schema.arrow_schema(TABLES[table])
    ]


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name}: {_kind(field.type)}" for field in kind) + "}"
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))


#: Group of a table's columns by what their names begin with; the longest that fits.
_GROUPS = {
    "sectors": {},
    "candidates": {},
    "hosts": {},
    "images": {"star_": "Stars of the scene", "east_": "From pixels to the sky", "north_": "From pixels to the sky"},
    "evidence": {
        "map_": "Map of the stamp",
        "significance_map": "Map of the stamp",
        "information_map": "Map of the stamp",
        "near_": "Map near the dip",
        "peak_": "Map of the peak",
        "star_": "Stars",
    },
}


def _group(table: str, name: str) -> str:
    if table == "sectors" and name in schema.LOCALIZATION_NAMES:
        return "Localisation"
    if table == "sectors" and name in schema.PROVENANCE_NAMES:
        return "Provenance"
    check = name.partition("_")[0].upper()
    if table == "sectors" and check in schema.CHECKS:
        return check
    found = next((group for start, group in _GROUPS.get(table, {}).items() if name.startswith(start)), "")
    return found or {
        "sectors": "The row",
        "candidates": "The candidate",
        "hosts": "The star",
        "images": "The images",
    }.get(table, "The dip")


@dataclass(frozen=True)
class Key:
    """A key of the configuration."""

    path: str  #: dots for tables of keys, ``[]`` for an entry of a list
    kind: str  #: in words
    default: str  #: as one would write it; empty where there is none
    text: str


def configuration_keys(model: type = RunConfig, before: str = "") -> Iterator[Key]:
    """Every key of the configuration, those of nested tables after the key that holds them."""
    for name, (annotation, default, text) in _fields(model).items():
        inner = list(_models(annotation))
        if not text:
            text = " ".join(filter(None, (_first_line(nested) for nested in inner)))
        path = f"{before}{name}"
        yield Key(path, _in_words(annotation), _written(default), text)
        listed = typing.get_origin(_bare(annotation)) is tuple
        for nested in inner:
            yield from configuration_keys(nested, f"{path}[]." if listed else f"{path}.")


_MISSING = object()


def _fields(model: type) -> dict[str, tuple[Any, Any, str]]:
    """Name to annotation, default and sentence of a pydantic model's or a dataclass's fields."""
    said = _comments(model)
    found: dict[str, tuple[Any, Any, str]] = {}
    if issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True, validated_data={})
            default = _MISSING if field.is_required() or default is PydanticUndefined else default
            annotation = typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            found[name] = annotation, default, field.description or said.get(name, "")
    else:
        hints = typing.get_type_hints(model, include_extras=True)
        for field in dataclasses.fields(model):
            default = _MISSING if field.default is dataclasses.MISSING else field.default
            found[field.name] = hints[field.name], default, said.get(field.name, "")
    return found


def _comments(model: type) -> dict[str, str]:
    """The ``#:`` comments of a class's fields, as sentences."""
    docs = ModuleAnalyzer.for_module(model.__module__).find_attr_docs()
    return {
        name: " ".join(" ".join(lines).split()) for (owner, name), lines in docs.items() if owner == model.__qualname__
    }


def _first_line(item: Any) -> str:
    return (inspect.getdoc(item) or "").split("\n\n")[0].replace("\n", " ").replace("`", "")


def _bare(annotation: Any) -> Any:
    """An annotation without what Annotated hangs on it."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _models(annotation: Any) -> Iterator[type]:
    """Tables of keys that an annotation allows."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        if issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models(inner)


_BOUNDS = {Gt: ("gt", ">"), Ge: ("ge", "≥"), Lt: ("lt", "<"), Le: ("le", "≤")}
_PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", Any: "anything"}


def _in_words(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        first, *rest = typing.get_args(annotation)
        bounds = [f"{_BOUNDS[type(x)][1]} {getattr(x, _BOUNDS[type(x)][0])}" for x in rest if type(x) in _BOUNDS]
        return f"{_in_words(first)} {', '.join(bounds)}".strip()
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(str(value) for value in inner)
    if origin is tuple:
        return f"list of {_in_words(inner[0])}"
    if origin is dict:
        return "table of keys"
    if origin in (typing.Union, types.UnionType):
        several = [_in_words(one) for one in inner if one is not type(None)]
        return " or ".join(dict.fromkeys(several))
    return _PLAIN.get(annotation, "table of keys")


def _written(default: Any) -> str:
    """A default as YAML would have it; empty for none and for a table of keys, which has its own defaults."""
    if default is _MISSING:
        return "required"
    if default is None or isinstance(default, BaseModel) or dataclasses.is_dataclass(default):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return "[" + ", ".join(_written(one) for one in default) + "]"
    return str(default)


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command."""

    names: tuple[str, ...]  #: as typed; of an argument the word that stands for it
    value: str  #: word that stands for an option's value; empty for a switch
    default: str  #: empty where there is none worth saying
    text: str
    required: bool


@dataclass(frozen=True)
class Command:
    """A command of the program."""

    name: str  #: with ``batchvet``
    text: str
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]

    @property
    def usage(self) -> str:
        words = [self.name, *(argument.names[0] for argument in self.arguments)]
        words += [f"{option.names[0]} {option.value}" for option in self.options if option.required]
        return " ".join([*words, "[OPTIONS]"])


def commands() -> list[Command]:
    """Every command, in the order in which ``batchvet --help`` has them."""
    return list(_commands(typer.main.get_command(app), "batchvet"))


def exit_codes() -> str:
    """What the program's exit codes mean, in its own words."""
    return str(app.info.epilog or "")


def _commands(command: Any, name: str) -> Iterator[Command]:
    inner = getattr(command, "commands", None)
    if inner:
        for word, nested in inner.items():
            yield from _commands(nested, f"{name} {word}")
        return
    found = [(one.param_type_name, _parameter(one)) for one in command.params if "--help" not in one.opts]
    arguments = tuple(parameter for kind, parameter in found if kind == "argument")
    options = tuple(parameter for kind, parameter in found if kind != "argument")
    yield Command(name, " ".join((command.help or "").split()), arguments, options)


def _parameter(given: Any) -> Parameter:
    default = given.default
    worth = isinstance(default, str | int | float | Path) and not isinstance(default, bool)
    metavar = given.metavar or _value(given)
    switch = getattr(given, "is_flag", False)
    if given.param_type_name == "argument":
        names = (given.metavar or given.name.upper(),)
    else:
        names = (*given.opts, *given.secondary_opts)
    return Parameter(
        names,
        "" if switch else metavar,
        str(default) if worth else "",
        (getattr(given, "help", "") or "").strip(),
        bool(given.required),
    )


def _value(given: Any) -> str:
    """The word for an option's value, from its type; where Typer keeps that differs between its versions."""
    kind = getattr(getattr(given, "type_descriptor", None), "annotation", None) or getattr(given, "type", None)
    name = getattr(kind, "__name__", "") or getattr(kind, "name", "")
    return {"int": "NUMBER", "integer": "NUMBER", "float": "NUMBER", "str": "TEXT", "text": "TEXT"}.get(name, "PATH")


_PROGRAM = re.compile(r"(?m)^\s*(?:\$ )?(batchvet [^\n#]*)")


def typed(text: str) -> Iterator[str]:
    """The ``batchvet ...`` lines of a block of shell."""
    for match in _PROGRAM.finditer(text):
        yield match.group(1).strip()


def results() -> list[type]:
    """What the public functions give that has no public name of its own: the notebook's answer, its verdict."""
    vetted = batchvet.vet.__globals__[batchvet.vet.__annotations__["return"]]
    owner = next(base for base in vetted.__mro__ if "verdict" in vars(base).get("__annotations__", {}))
    return [vetted, vars(sys.modules[owner.__module__])[owner.__annotations__["verdict"]]]
