"""A Vespa server conforms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lateint.testing import ConformanceSuite, Target
from lateint.testing.spares import Spares
from tests.servers.vespa.discovery import VespaServer


@pytest.fixture(scope="module", autouse=True)
def _server(vespa_server: VespaServer) -> Iterator[None]:
    """One server for the module. Each index that is created or dropped is a deployment, so tests hand them on."""
    with Spares(vespa_server.url) as spares:
        TestVespa.target = Target(vespa_server.url, spares=spares)
        yield


class TestVespa(ConformanceSuite):
    target = Target("vespa://localhost:8080")
