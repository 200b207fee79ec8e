"""An archive on loopback: MAST's search, downloads, TESScut, the TIC, PRF files and TOI tables, with faults on demand.

Answers have the fields that the real services send (MAST API v0, as astroquery 0.4 reads it), as far as a client looks.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from batchvet.network.politeness import Politeness

#: As patient as by default, in hundredths of its seconds.
QUICK = Politeness(attempts=6, first_wait_s=0.01, longest_wait_s=0.05, connect_timeout_s=5.0, read_timeout_s=5.0)

FAULTS = ("503", "429", "slow", "drop", "truncated", "html", "checksum", "redirect")
HTML = b"<!DOCTYPE html><html><body><h1>The archive is being maintained</h1></body></html>"

_CAOM_COLUMNS = {
    "target_name": "string",
    "project": "string",
    "provenance_name": "string",
    "dataproduct_type": "string",
    "obs_id": "string",
    "obsid": "string",
    "sequence_number": "int",
    "t_exptime": "float",
    "t_min": "float",
}
_TIC_COLUMNS = {
    "ID": "string",
    "ra": "float",
    "dec": "float",
    "pmRA": "float",
    "pmDEC": "float",
    "Tmag": "float",
    "disposition": "string",
    "RA_orig": "float",
    "Dec_orig": "float",
}


@dataclass(frozen=True)
class Stored:
    """A target pixel file in the archive."""

    tic: int
    sector: int
    author: str
    exptime: float
    uri: str
    content: bytes

    @property
    def obs_id(self) -> str:
        return self.uri.rsplit("/", 1)[-1].rsplit("_", 1)[0]


@dataclass
class Archive:
    """What it has, how it misbehaves, and what it was asked."""

    files: list[Stored] = field(default_factory=list)
    cutouts: dict[int, bytes] = field(default_factory=dict)  #: sector to the FITS file that is cut
    cutouts_near: tuple[float, float] = (0.0, 0.0)  #: deg, within one degree of it there are cut-outs
    stars: list[dict[str, Any]] = field(default_factory=list)  #: rows of the TIC
    pages: dict[str, bytes] = field(default_factory=dict)  #: path to content: PRF files, TOI tables
    fault: Callable[[str, int], str | None] = lambda what, nth: None  #: kind of fault for the nth request of a file
    asked: list[tuple[str, str]] = field(default_factory=list)  #: (kind, what) of every request
    served: Counter[str] = field(default_factory=Counter)  #: whole answers by uri
    ranges: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    retry_after: str = "0"
    resumable: bool = True
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def questions(self, kind: str) -> list[str]:
        return [what for asked, what in self.asked if asked == kind]


def random_faults(rate: float, seed: int) -> Callable[[str, int], str | None]:
    """Each kind with this probability, the same for the same file and attempt whatever the threads do."""

    def fault(what: str, nth: int) -> str | None:
        draw = random.Random(hashlib.sha256(f"{seed} {what} {nth}".encode()).digest()).random()
        number = int(draw / rate)
        return FAULTS[number] if number < len(FAULTS) else None

    return fault


def serve(archive: Archive) -> ThreadingHTTPServer:
    """Start answering on a free port of 127.0.0.1; the archive's `url` is set."""

    class Handler(_Handler):
        pass

    Handler.archive = archive
    server = _Server(("127.0.0.1", 0), Handler)
    archive.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, as a killed one does, is no fault of the server."""


class _Handler(BaseHTTPRequestHandler):
    archive: Archive
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/gaia":
            query = parse_qs(body)["QUERY"][0]
            if self._misbehaves("gaia", query):
                return None
            return self._send(200, self.archive.pages["/gaia"], {"Content-Type": "text/csv"})
        if self.path.startswith("/tesscut/"):
            return self._get(self.path, {key: values[0] for key, values in parse_qs(body).items()})
        if self.path.endswith("/columnsconfig"):
            return self._json(_columns_config(body.removeprefix("colConfigId=")))
        question = json.loads(unquote(body.removeprefix("request=")))
        service, params = question["service"], question["params"]
        what = _filters(params).get("target_name") or params.get("obsid") or service
        if "ra" in params:
            what = f"{params['ra']}, {params['dec']}"
        if self._misbehaves("search", str(what), service):
            return None
        answer = {
            "Mast.Caom.Filtered": self._observations,
            "Mast.Caom.Products": self._products,
            "Mast.Catalogs.Filtered.Tic.Position.Rows": self._stars,
            "Mast.Catalogs.Filtered.Tic.Rows": self._one_star,
            "Mast.Catalogs.All.Tic": lambda params: {},
        }[service](params)
        if service == "Mast.Catalogs.All.Tic":
            properties = {"discreteHistogram": {}, "continuousHistogram": {}}
            return self._json({"status": "COMPLETE", "data": {"Tables": [{"ExtendedProperties": properties}]}})
        return self._json(answer)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self.archive.lock:
            self.archive.at_once += 1
            self.archive.most_at_once = max(self.archive.most_at_once, self.archive.at_once)
        try:
            self._get(parts.path.removeprefix("/elsewhere"), query)
        finally:
            with self.archive.lock:
                self.archive.at_once -= 1

    def _get(self, path: str, query: Mapping[str, str]) -> None:
        archive = self.archive
        if path == "/tesscut/api/v0.1/sector":
            if self._misbehaves("sectors", f"{query['ra']} {query['dec']}"):
                return
            near = abs(float(query["ra"]) - archive.cutouts_near[0]) < 1
            rows = [
                {"sectorName": f"tess-s{s:04d}-1-2", "sector": f"{s:04d}", "camera": "1", "ccd": "2"}
                for s in archive.cutouts
                if near
            ]
            self._json({"results": rows, "msg": "" if rows else "No sectors"})
        elif path == "/tesscut/api/v0.1/astrocut":
            zipped = io.BytesIO()
            with zipfile.ZipFile(zipped, "w") as file:
                name = f"tess-s{int(query['sector']):04d}-1-2_{query['ra']}_{query['dec']}_astrocut.fits"
                file.writestr(zipfile.ZipInfo(name), archive.cutouts[int(query["sector"])])
            self._file(f"cutout {query['sector']} {query['x']}x{query['y']}", zipped.getvalue())
        elif path == "/api/v0.1/Download/file":
            found = [stored.content for stored in archive.files if stored.uri == query["uri"]]
            self._file(query["uri"], found[0] if found else None)
        else:
            self._file(path, archive.pages.get(path))

    def _observations(self, params: Mapping[str, Any]) -> dict[str, Any]:
        wanted = _filters(params)
        rows = [
            {
                "target_name": str(stored.tic),
                "project": "TESS",
                "provenance_name": stored.author,
                "dataproduct_type": "timeseries",
                "obs_id": stored.obs_id,
                "obsid": str(number),
                "sequence_number": stored.sector,
                "t_exptime": stored.exptime,
                "t_min": 58000.0 + 27.0 * stored.sector,
            }
            for number, stored in enumerate(self.archive.files, start=1000)
            if str(stored.tic) in wanted["target_name"] and stored.author in wanted["provenance_name"]
        ]
        return _table(_CAOM_COLUMNS, rows)

    def _products(self, params: Mapping[str, Any]) -> dict[str, Any]:
        rows = []
        for number in map(int, params["obsid"].split(",")):
            stored = self.archive.files[number - 1000]
            name = stored.uri.rsplit("/", 1)[-1]
            for kind, size in ((name, len(stored.content)), (name.replace("tp.fits", "lc.fits"), 1)):
                uri = stored.uri.replace(name, kind)
                product = {"obsID": str(number), "obs_id": stored.obs_id, "productFilename": kind, "dataURI": uri}
                rows.append(product | {"size": size, "description": "Target pixel files" if kind == name else "LC"})
        types = {"obsID": "string", "obs_id": "string", "productFilename": "string", "dataURI": "string"}
        return _table(types | {"size": "int", "description": "string"}, rows)

    def _stars(self, params: Mapping[str, Any]) -> dict[str, Any]:
        ra, dec, radius = (float(params[name]) for name in ("ra", "dec", "radius"))
        brightest, faintest = (_filters(params).get("Tmag") or [{"min": -99, "max": 99}])[0].values()
        rows = [
            star
            for star in self.archive.stars
            if abs(star["ra"] - ra) < radius
            and abs(star["dec"] - dec) < radius
            and brightest <= star["Tmag"] <= faintest
        ]
        return _table(_TIC_COLUMNS, rows)

    def _one_star(self, params: Mapping[str, Any]) -> dict[str, Any]:
        (wanted,) = _filters(params)["ID"]
        return _table(_TIC_COLUMNS, [star for star in self.archive.stars if star["ID"] == wanted])

    def _misbehaves(self, kind: str, what: str, service: str = "") -> bool:
        """Answer a search with a fault; True when that was done."""
        self.archive.asked.append((kind, what))
        nth = sum(asked == (kind, what) for asked in self.archive.asked)
        fault = self.archive.fault(f"{kind} {service} {what}", nth)
        if fault in ("503", "429"):
            self._refuse(int(fault))
        elif fault == "html":
            self._send(200, HTML, {"Content-Type": "text/html"})
        elif fault in ("drop", "truncated"):
            self.close_connection = True
        return fault in ("503", "429", "html", "drop", "truncated")

    def _file(self, what: str, content: bytes | None) -> None:
        archive = self.archive
        with archive.lock:
            archive.asked.append(("file", what))
            nth = sum(asked == ("file", what) for asked in archive.asked)
        if content is None:
            return self._send(404, b"not found", {})
        fault = archive.fault(what, nth)
        if fault == "silent":
            time.sleep(60)
        if fault in ("503", "429"):
            return self._refuse(int(fault))
        if fault == "html":
            return self._send(200, HTML, {"Content-Type": "text/html"})
        if fault == "redirect" and not self.path.startswith("/elsewhere"):
            return self._send(302, b"", {"Location": f"{archive.url}/elsewhere{self.path}"})
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if fault == "checksum":  # on the way: the server knows nothing of it
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        return self._send_file(what, content, etag, fault)

    def _send_file(self, what: str, content: bytes, etag: str, fault: str | None) -> None:
        headers = {"ETag": etag} if self.archive.resumable else {}
        start, status = 0, 200
        if self.archive.resumable and "Range" in self.headers and self.headers.get("If-Range") == etag:
            start, status = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")), 206
            self.archive.ranges.append(what)
            if start >= len(content):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if fault == "truncated":  # the header and the body agree, and yet it is not all
            return self._send(status, body[: len(body) // 2], {})
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "drop":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return None
        if fault == "slow":
            for part in range(0, len(body), len(body) // 5 + 1):
                self.wfile.write(body[part : part + len(body) // 5 + 1])
                self.wfile.flush()
                time.sleep(0.01)
        else:
            self.wfile.write(body)
        if fault != "checksum":
            self.archive.served[what] += 1
        return None

    def _refuse(self, status: int) -> None:
        self._send(status, b"not now", {"Retry-After": self.archive.retry_after} if status == 429 else {})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in (dict(headers) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _columns_config(name: str) -> dict[str, Any]:
    columns = _TIC_COLUMNS if "Tess" in name else _CAOM_COLUMNS
    return {
        column: {"text": column, "type": kind, "vot.datatype": "double" if kind == "float" else "char"}
        for column, kind in columns.items()
    }


def _filters(params: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["paramName"]: entry["values"] for entry in params.get("filters", ())}


def _table(types: Mapping[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    paging = {"page": 1, "pageSize": 50000, "pagesFiltered": 1, "rows": len(rows), "rowsFiltered": len(rows)}
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return {"status": "COMPLETE", "msg": "", "data": rows, "fields": fields, "paging": paging}
