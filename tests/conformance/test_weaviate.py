"""A Weaviate server conforms."""

from __future__ import annotations

import pytest

from lateint.testing import ConformanceSuite, Target
from tests.servers.discovery import WeaviateServer

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")


@pytest.fixture(scope="module", autouse=True)
def _server(weaviate_server: WeaviateServer) -> None:
    """One server for the module; every test makes indexes of its own and drops them."""
    options = {} if weaviate_server.api_key is None else {"api_key": weaviate_server.api_key}
    TestWeaviate.target = Target(weaviate_server.url, options=options)


class TestWeaviate(ConformanceSuite):
    target = Target("weaviate://localhost:8080")
