"""Conditions on candidates that people write, such as ``tmag < 12 and period_days < 10``: read, never executed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

from batchvet.errors import ConfigError

#: A condition: values by name to whether it is fulfilled.
Condition = Callable[[Mapping[str, float]], bool]

_Number = Callable[[Mapping[str, float]], float]

_LONGEST = 1000
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def parse_condition(text: str, names: Collection[str]) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
        Comparisons (``<``, ``<=``, ``>``, ``>=``, ``==``, ``!=``, also chained as in ``9 < tmag < 12``) of names and
        numbers, joined by ``and``, ``or``, ``not`` and brackets.
    names : collection of str
        Those that it may speak of.

    Returns
    -------
    callable
        A comparison with NaN, a value that is not known, is never fulfilled.

    Raises
    ------
    ConfigError
        It is something else; the message names the first thing that is not understood.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"the condition has {len(text)} characters, more than {_LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"the condition {text!r} is not understood; write it like 'tmag < 12'") from None
    return _condition(tree.body, frozenset(names), text)


def _condition(node: ast.expr, names: frozenset[str], text: str) -> Condition:
    if isinstance(node, ast.BoolOp):
        parts = [_condition(value, names, text) for value in node.values]
        joined = all if isinstance(node.op, ast.And) else any
        return lambda values: joined(part(values) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        denied = _condition(node.operand, names, text)
        return lambda values: not denied(values)
    if isinstance(node, ast.Compare):
        return _comparison(node, names, text)
    raise _not_understood(node, text)


def _comparison(node: ast.Compare, names: frozenset[str], text: str) -> Condition:
    sides = [_number(side, names, text) for side in (node.left, *node.comparators)]
    for kind in node.ops:
        if type(kind) not in _COMPARISONS:
            raise _not_understood(node, text)
    operators = [_COMPARISONS[type(kind)] for kind in node.ops]

    def fulfilled(values: Mapping[str, float]) -> bool:
        numbers = [side(values) for side in sides]
        if any(map(math.isnan, numbers)):
            return False
        return all(holds(*pair) for holds, pair in zip(operators, pairwise(numbers), strict=True))

    return fulfilled


def _number(node: ast.expr, names: frozenset[str], text: str) -> _Number:
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise ConfigError(f"the condition {text!r} speaks of {node.id!r}; there are {', '.join(sorted(names))}")
        name = node.id
        return lambda values: values[name]
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        node = node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        value = sign * float(node.value)
        return lambda values: value
    raise _not_understood(node, text)


def _not_understood(node: ast.expr, text: str) -> ConfigError:
    part = ast.get_source_segment(text.strip(), node)
    return ConfigError(f"the condition {text!r} holds {part!r}; it may compare names and numbers, nothing else")
