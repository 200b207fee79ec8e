"""The archive on loopback, and astroquery pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback import Archive, serve


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """An empty archive. astroquery takes its address from ``conf.server`` when it is imported, and from these after."""
    import astroquery.mast as mast
    from astroquery.mast.discovery_portal import PortalAPI
    from astroquery.mast.services import ServiceAPI

    archive = Archive()
    server = serve(archive)
    monkeypatch.setattr(PortalAPI, "MAST_REQUEST_URL", f"{archive.url}/api/v0/invoke")
    monkeypatch.setattr(PortalAPI, "COLUMNS_CONFIG_URL", f"{archive.url}/portal/Mashup/Mashup.asmx/columnsconfig")
    monkeypatch.setattr(PortalAPI, "_column_configs", {})
    monkeypatch.setattr(ServiceAPI, "SERVICE_URL", archive.url, raising=True)
    with mast.conf.set_temp("server", archive.url):
        yield archive
    server.shutdown()
    server.server_close()
