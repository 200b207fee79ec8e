"""A built page must ask nobody: whatever a browser would fetch lies beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

#: What a browser fetches by itself. A link that a reader may follow is not among it.
_ADDRESS = r"(?:https?:)?//[^\"')>]+"
_FETCHED = re.compile(
    rf"""<(?:script|img|iframe|source|audio|video)\b[^>]*\bsrc=["'](?P<src>{_ADDRESS})"""
    rf"""|<link\b(?=[^>]*rel=["'][^"']*(?:stylesheet|preload|icon|preconnect))[^>]*href=["'](?P<href>{_ADDRESS})"""
    rf"""|url\(["']?(?P<url>{_ADDRESS})""",
    re.IGNORECASE,
)


def fetched(directory: Path) -> Iterator[tuple[Path, str]]:
    """Pages and style sheets of a directory with the addresses that a browser would ask by itself."""
    for path in sorted((*directory.rglob("*.html"), *directory.rglob("*.css"))):
        for match in _FETCHED.finditer(path.read_text(encoding="utf-8")):
            yield path, next(filter(None, match.groups()))


def check(app: Sphinx, exception: Exception | None) -> None:
    """A warning, and so a failed build, for each address."""
    if exception is None and app.builder.format == "html":
        for path, address in fetched(Path(app.outdir)):
            logger.warning("%s would fetch %s", path.relative_to(app.outdir), address)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
