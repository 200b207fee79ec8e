"""What the code cites as the method is a page of the book."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from book import pages

import batchvet

PACKAGE = Path(batchvet.__file__).parent

#: Titles that the code relies on; a page may be rewritten, not renamed.
TITLES = {
    "conventions",
    "timing",
    "difference images",
    "noise",
    "scene and prf",
    "position",
    "all sectors",
    "odd, even, secondary",
    "hosts",
    "verdict",
    "calibration",
    "v08, v09, v10",
}


def titles() -> set[str]:
    """Titles of the method's pages, in lower case."""
    found = (re.search(r"^# (.+)$", text, re.MULTILINE) for name, text in pages().items() if name.startswith("method/"))
    return {title[1].strip().lower() for title in found if title}


def prose() -> Iterator[tuple[str, str]]:
    """Every comment and string of the package, with where it stands; lines joined."""
    for path in sorted(PACKAGE.rglob("*.py")):
        comment, start, last = "", 0, 0  # a comment of several lines is several tokens
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            where, line = path.relative_to(PACKAGE), token.start[0]
            if token.type == tokenize.STRING:
                yield f"{where}:{line}", " ".join(token.string.split())
            elif token.type == tokenize.COMMENT:
                if line != last + 1:
                    yield f"{where}:{start}", comment
                    comment, start = "", line
                comment, last = f"{comment} {token.string.lstrip('#: ')}".strip(), line
        yield f"{where}:{start}", comment


def test_the_book_has_the_pages_that_the_code_relies_on():
    assert titles() >= TITLES


def test_every_citation_names_a_page():
    known = titles()
    unknown = [
        f"{where}: method: {cited[:40]}"
        for where, text in prose()
        for cited in re.findall(r"\bmethod: (\w.*)", text)
        if not any(re.match(rf"{re.escape(title)}(?![\w-])", cited.lower()) for title in known)
    ]
    assert not unknown


def test_nothing_cites_a_book_that_is_not_in_the_repository():
    assert not [f"{where}: {text[:60]}" for where, text in prose() if "SCIENCE" in text]
