"""A run's report as a small server on this machine: each page is made when it is opened."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from batchvet.errors import RunError
from batchvet.report.index_page import thumbnail_png
from batchvet.report.pages import Pages, assets
from batchvet.results.reader import RunResults

_HOME = "127.0.0.1"
#: What a page may load: itself. Drawings hold their pixels, pages their script of one line and a few colours.
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'"
)
_KINDS = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "png": "image/png"}


class Shelf:
    """What there is to look at, by path.

    Parameters
    ----------
    run : RunResults
        Its tables are read once; a run that goes on is looked at as it was.
    """

    def __init__(self, run: RunResults) -> None:
        self._pages = Pages(run)
        self._assets = {f"assets/{name}": content for name, content in assets().items()}
        self._lock = threading.Lock()  # tables are read by one thread

    @cached_property
    def _tois(self) -> dict[str, str]:
        return {name: toi for toi, name in self._pages.names.items()}

    @cached_property
    def _front(self) -> dict[str, bytes]:
        """The first page, without pixels, and those beside it."""
        lines = []
        for rows in self._pages.rows(list(self._pages.names), None):
            line = self._pages.line(rows)
            if any(row.get("has_image") for row in rows.sectors):
                line["thumbnail"] = f"thumbnails/{self._pages.names[rows.toi].removesuffix('.html')}.png"
            lines.append(line)
        pages = {"index": self._pages.index(lines), **self._pages.others()}
        return {f"{name}.html": text.encode() for name, text in pages.items()}

    def get(self, path: str) -> bytes | None:
        """The content of a path such as ``candidates/101.01.html``; None where there is none."""
        if path in self._assets:
            return self._assets[path]
        folder, _, name = path.rpartition("/")
        with self._lock:
            if not folder:
                return self._front.get(name or "index.html")
            toi = self._tois.get(f"{name.removesuffix('.png')}.html" if folder == "thumbnails" else name)
            if toi is None or folder not in ("candidates", "thumbnails"):
                return None
            (rows,) = self._pages.rows([toi], self._pages.run.images_of(toi))
            return self._pages.candidate(rows).encode() if folder == "candidates" else thumbnail_png(rows)


class Viewer(ThreadingHTTPServer):
    """Serves a run's pages on loopback.

    Parameters
    ----------
    run : RunResults
    port : int
        0: a free one.

    Raises
    ------
    RunError
        The port is taken.
    """

    daemon_threads = True

    def __init__(self, run: RunResults, port: int = 0) -> None:
        self.shelf = Shelf(run)
        try:
            super().__init__((_HOME, port), _Handler)
        except OSError as error:
            raise RunError(f"port {port} of {_HOME}: {error.strerror}; choose another --port, or 0") from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{_HOME}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: Viewer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a page, or say that there is none."""
        # Another site's name may be made to lead here: only who asked for this machine gets an answer.
        if self.headers.get("Host", "").rpartition(":")[0] not in (_HOME, "localhost"):
            return self._send(HTTPStatus.FORBIDDEN, b"this is for 127.0.0.1 alone\n", {"Content-Type": "text/plain"})
        path = unquote(urlsplit(self.path).path).lstrip("/")
        content = self.server.shelf.get(path)
        if content is None:
            return self._send(HTTPStatus.NOT_FOUND, b"no such page\n", {"Content-Type": "text/plain"})
        kind = _KINDS.get((path or "index.html").rpartition(".")[2], "application/octet-stream")
        return self._send(HTTPStatus.OK, content, {"Content-Type": kind, "Content-Security-Policy": _POLICY})

    def _send(self, status: HTTPStatus, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content)), "Cache-Control": "no-store"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""
