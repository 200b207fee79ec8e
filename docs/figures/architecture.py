#!/usr/bin/env python3
"""Draw the house: one floor for each layer of the import contract in pyproject.toml, the top one first.

    python docs/figures/architecture.py docs/_static/architecture.svg

A test holds the drawing that is kept to what this prints, so a new room is drawn or the suite fails.
"""

from __future__ import annotations

import sys
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Room to what it does, in a few words.
ROOMS = {
    "cli": "the commands",
    "api": "what import batchvet gives",
    "simulate": "pixels with known truth",
    "report": "figures, the page",
    "runtime": "configuration, plan, ingest, run, executors, clusters",
    "vetting": "one stamp and one candidate into a result; sectors into a verdict",
    "results": "what lies in a run's directory: schema, writer, reader",
    "science": "windows, difference images, noise, scene, position, sky, hosts, verdict",
    "pixels": "Stamp, FITS files, the zarr cache, sources: directory, S3, MAST",
    "catalog": "candidates, neighbour stars",
    "sample": "embedded real pixels",
    "network": "asking politely",
    "vocabulary": "every word",
    "arrays": "axes, types",
    "errors": "what can be mended",
    "columns": "Arrow and NumPy",
    "atomic": "whole files or none",
}
#: Floor (by its first room) to what it hands upwards.
HANDED = {
    "catalog": "who to look at",
    "pixels": "what TESS saw",
    "science": "what it means",
    "results": "what is left",
    "vetting": "one stamp, one answer",
    "runtime": "60,000 times",
    "simulate": "looking at it",
}
#: Floors that only NumPy and SciPy, or no Dask, may enter: said at their left.
BOUNDS = {"science": ("NumPy and", "SciPy alone"), "vetting": ("no Dask, no", "configuration")}

WIDTH, LEFT, RIGHT, HEIGHT, GAP = 1010, 160, 200, 58, 8


def layers() -> list[list[str]]:
    """Rooms of each floor, the top floor first, as the import contract has them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(one for one in tool["contracts"] if one["type"] == "layers")
    return [[room.strip() for room in floor.split(":")] for floor in contract["layers"]]


def drawing() -> str:
    floors = layers()
    height = len(floors) * (HEIGHT + GAP) + 64
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'role="img" aria-label="The rooms of batchvet, one floor above another">',
        '<defs><marker id="head" markerWidth="9" markerHeight="9" refX="7" refY="4.5" orient="auto">'
        '<path d="M0,0 L9,4.5 L0,9 z" fill="#46708a"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<polygon points="{LEFT - 14},40 {WIDTH / 2},6 {WIDTH - RIGHT + 14},40" fill="#dfe9ef" stroke="#46708a"/>',
        _text(WIDTH / 2, 31, "batchvet", 18, bold=True),
    ]
    for number, rooms in enumerate(floors):
        parts += _floor(rooms, 48 + number * (HEIGHT + GAP))
    low, high = 48 + len(floors) * (HEIGHT + GAP) - 20, 60
    parts.append(
        f'<line x1="28" y1="{high}" x2="28" y2="{low}" stroke="#46708a" stroke-width="1.6" marker-end="url(#head)"/>'
    )
    middle = (low + high) / 2
    parts.append(
        f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle" font-size="16" fill="#46708a">'
        "imports go down only, and a machine checks it</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _floor(rooms: list[str], top: float) -> list[str]:
    inner = WIDTH - LEFT - RIGHT
    width = (inner - GAP * (len(rooms) - 1)) / len(rooms)
    parts = []
    for i, room in enumerate(rooms):
        left = LEFT + i * (width + GAP)
        fill = "#f4e9d2" if room in ("science", "vetting") else "#f5f7f8"
        box = f'x="{left:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}"'
        parts.append(f'<rect {box} rx="4" fill="{fill}" stroke="#46708a"/>')
        parts.append(_text(left + width / 2, top + 24, room, 19, bold=True))
        parts.append(_text(left + width / 2, top + 46, ROOMS[room], 15, grey=True))
    if rooms[0] in HANDED:
        parts.append(_text(WIDTH - RIGHT + 14, top + 35, "↑ " + HANDED[rooms[0]], 16, anchor="start", grey=True))
    if rooms[0] in BOUNDS:
        for line, words in enumerate(BOUNDS[rooms[0]]):
            parts.append(_text(LEFT - 12, top + 26 + 18 * line, words, 15, anchor="end", grey=True))
    return parts


def _text(x: float, y: float, words: str, size: int, *, bold: bool = False, grey: bool = False, anchor: str = "middle"):
    weight = ' font-weight="bold"' if bold else ""
    colour = "#56616b" if grey else "#1d2730"
    look = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawing(), encoding="utf-8")
