"""`batchvet view`: the report's pages as they are opened, for this machine alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from made_run import make_run

from batchvet.errors import RunError
from batchvet.report.page import write_report
from batchvet.report.viewer import Viewer


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("few") / "run", {"101.01": "on_target", "102.01": "off_target"}, (14,))


@pytest.fixture(scope="module")
def viewer(few) -> Iterator[Viewer]:
    with Viewer(few) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(viewer: Viewer, path: str, host: str | None = None, method: str = "GET"):
    connection = HTTPConnection("127.0.0.1", viewer.server_port, timeout=60)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def test_pages_are_those_of_the_report(viewer, few, tmp_path):
    report = write_report(few, tmp_path / "report").parent
    for name in ("candidates/102.01.html", "about.html", "check.html", "assets/report.css"):
        status, _, content = ask(viewer, f"/{name}")
        written = (report / name).read_bytes()
        assert status == 200 and content[:3000] == written[:3000] and len(content) == len(written)
    status, headers, index = ask(viewer, "/")
    assert status == 200 and b'src="thumbnails/102.01.png"' in index and b"data:image" not in index
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    status, headers, image = ask(viewer, "/thumbnails/102.01.png")
    assert (status, headers["Content-Type"]) == (200, "image/png") and image.startswith(b"\x89PNG")


@pytest.mark.parametrize("path", ["/candidates/9.01.html", "/plan.json", "/../plan.json", "/candidates/..%2fplan.json"])
def test_nothing_else_of_the_directory_is_served(viewer, path):
    assert ask(viewer, path)[0] == 404


def test_only_this_machine_is_answered_and_only_reading(viewer):
    assert viewer.server_address[0] == "127.0.0.1"
    assert ask(viewer, "/", host="evil.example:80")[0] == 403
    assert ask(viewer, "/", host=f"localhost:{viewer.server_port}")[0] == 200
    assert ask(viewer, "/", method="POST")[0] == 501


def test_a_port_that_is_taken_is_said(viewer, few):
    with pytest.raises(RunError, match=rf"port {viewer.server_port} of 127\.0\.0\.1: .*choose another --port"):
        Viewer(few, viewer.server_port)


def test_pixels_of_one_candidate_alone_are_read(few):
    from batchvet.api import open_run

    fresh = open_run(few.directory)
    assert set(fresh.images_of("102.01")["toi"]) == {"102.01"} and "images" not in fresh.__dict__
