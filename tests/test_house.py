"""The house rules that a machine can check: files of one sitting, functions of one screen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import batchvet

PACKAGE = Path(batchvet.__file__).parent
MOST_LINES_A_FILE = 350
MOST_LINES_A_FUNCTION = 60
MOST_PARAMETERS = 6
REASON = "# house: "  #: on the line of the `def`, or a file's first, followed by why it may be longer


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}", node, lines[node.lineno - 1]


def test_files_are_read_in_one_sitting():
    long = {
        str(path.relative_to(PACKAGE)): n
        for path in PACKAGE.rglob("*.py")
        if (n := len(lines := path.read_text(encoding="utf-8").splitlines())) > MOST_LINES_A_FILE
        and REASON not in lines[0]
    }
    assert not long


def test_functions_fit_a_screen():
    found = [
        f"{where}: {node.end_lineno - node.lineno + 1} lines"
        for where, node, line in functions()
        if node.end_lineno - node.lineno + 1 > MOST_LINES_A_FUNCTION and REASON not in line
    ]
    assert not found


def test_functions_take_few_parameters():
    found = [
        f"{where}: {n} parameters"
        for where, node, line in functions()
        if (n := _parameters(node)) > MOST_PARAMETERS and REASON not in line
    ]
    assert not found


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a caller sees: `self` and `cls` do not count, nor do fields of a dataclass."""
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])
