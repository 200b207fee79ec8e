"""Equations as SVG, drawn when the documentation is built.

A page must show its equations when it is opened from disk without a network, in any browser and without a font of its
own. MathJax would be fetched; MathML needs a mathematical font on the reader's machine. ziamath lays a formula out in
Python, with the STIX Two Math font that it brings, and the outlines go into the page. A screen reader gets the LaTeX.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import Any

import ziamath
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

_POINTS = 17.0  # of the drawing; the page sets it against its own text
_EM = 1.0 / 16.0  # em of the page for one unit of the drawing
_TALLEST = 250.0  # units; ziamath stretches a fence around a displayed sum without end
_VIEW = re.compile(r'viewBox="([^"]*)"')
#: ``\\mathbf x`` is ``\\mathbf{x}`` to LaTeX, but not to the parser that ziamath uses.
_BARE = re.compile(r"\\(mathbf|mathcal|mathsf|mathrm|boldsymbol)\s+(\\[A-Za-z]+|[A-Za-z0-9])")

ziamath.config.svg2 = False  # outlines instead of symbols with an id, which would not be unique on a page
ziamath.config.precision = 2


def drawing(latex: str, inline: bool) -> str:
    """A formula as an SVG element.

    Raises
    ------
    ValueError
        ziamath cannot read the formula.
    """
    try:
        return _drawn(" ".join(latex.split()), inline)
    except Exception as error:  # ziamath raises whatever its parser does
        raise ValueError(f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=4096)
def _drawn(latex: str, inline: bool) -> str:
    text = ziamath.Latex(_BARE.sub(r"\\\1{\2}", latex), size=_POINTS, inline=inline, color="currentColor").svg()
    _, top, width, height = (float(number) for number in _VIEW.search(text)[1].split())
    if height > _TALLEST:
        raise ValueError("it would be a page high; write \\Big( and \\Big) around a sum, not \\left( and \\right)")
    style = f"width:{width * _EM:.3f}em;height:{height * _EM:.3f}em"
    if inline:
        style += f";vertical-align:{-(top + height) * _EM:.3f}em"
    label = html.escape(latex, quote=True)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return head.replace("<svg", f'<svg role="img" aria-label="{label}" style="{style}"', 1) + ">" + rest


def _write(writer: Any, node: nodes.Node, inline: bool) -> str:
    try:
        return drawing(node.astext(), inline)
    except ValueError as error:
        logger.warning("formula %r cannot be drawn: %s", node.astext(), error, location=node)
        return html.escape(node.astext())


def visit_inline(writer: Any, node: nodes.math) -> None:
    """``$...$``."""
    writer.body.append(f'<span class="math">{_write(writer, node, inline=True)}</span>')
    raise nodes.SkipNode


def visit_block(writer: Any, node: nodes.math_block) -> None:
    """``$$...$$``, with its number at the right."""
    ids = f' id="{node["ids"][0]}"' if node["ids"] else ""
    number = get_node_equation_number(writer, node) if node["number"] else ""
    writer.body.append(
        f'<div class="math equation"{ids}><div class="formula">{_write(writer, node, inline=False)}</div>'
    )
    if number:
        writer.body.append(f'<span class="eqno">({number})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append("</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("drawn", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
