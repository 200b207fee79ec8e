"""A configuration file as it is written: YAML, its keys with their lines."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from itertools import islice
from typing import Any

import yaml

from batchvet.runtime.config_words import Path

_MOST_LINES = 100_000  #: a list of all sectors has a hundred; names that stand for names may make billions


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
        It is not YAML, a key occurs twice in one table, or it has parts in parts without end.
    """
    try:
        content = yaml.load(text, Loader=_OnceOnly)
        top = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(islice(_lines(top, ()), _MOST_LINES)) if top is not None else {}
    except RecursionError:
        raise yaml.YAMLError("parts within parts without end; a configuration has two or three levels") from None
    if len(lines) == _MOST_LINES:
        raise yaml.YAMLError(f"more than {_MOST_LINES} entries; a configuration has a few")
    return content, lines


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _lines(value, (*path, number))


def yaml_problem(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """Why a text is not YAML, in words and with the line."""
    if isinstance(error, UnicodeDecodeError):
        return "not a text in UTF-8"
    if isinstance(error, yaml.reader.ReaderError):
        return "not a text: there are characters in it that no text has"
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.context_mark if "flow" in str(error.context) else error.problem_mark
    line = f"line {mark.line + 1}: " if mark else ""
    problem = str(error.problem)
    if "'\\t'" in problem:
        return f"{line}starts with a tab; YAML takes blanks only"
    if "could not find expected ':'" in problem:
        before = error.context_mark or error.problem_mark
        return f"line {before.line + 1 if before else '?'}: a key without a colon and a blank behind it"
    if "flow" in str(error.context):
        return f"{line}a bracket is opened and not closed"
    return f"{line}not YAML ({problem})"
