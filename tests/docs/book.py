"""The documentation's pages as text."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
for folder in ("_ext", "figures"):
    sys.path.insert(0, str(DOCS / folder))

_BLOCK = re.compile(r"^( *)(`{3,}|:{3,})(?:\{([\w-]+)\}|(\w*))[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    kind: str  #: directive or language
    text: str


def pages() -> dict[str, str]:
    """Every page by its name under `docs`, and its text."""
    found = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
    return {path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text(encoding="utf-8") for path in found}


def blocks(kind: str) -> list[Block]:
    """Fenced blocks of a kind on all pages, in the README and in CONTRIBUTING."""
    texts = pages() | {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
    return [
        Block(page, match[3] or match[4], match[5])
        for page, text in texts.items()
        for match in _BLOCK.finditer(text)
        if (match[3] or match[4]) == kind
    ]
