"""A Qdrant server conforms, over gRPC and over REST."""

from __future__ import annotations

import pytest

from lateint.testing import ConformanceSuite, Target
from tests.servers.discovery import QdrantServer

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")


@pytest.fixture(scope="module", autouse=True)
def _server(qdrant_server: QdrantServer) -> None:
    """One server for the module; every test makes indexes of its own and drops them."""
    options = {} if qdrant_server.api_key is None else {"api_key": qdrant_server.api_key}
    TestQdrantGrpc.target = Target(f"{qdrant_server.url}&transport=grpc", options=options)
    TestQdrantRest.target = Target(f"{qdrant_server.url}&transport=rest", options=options)


class TestQdrantGrpc(ConformanceSuite):
    target = Target("qdrant://localhost:6333?transport=grpc")


class TestQdrantRest(ConformanceSuite):
    target = Target("qdrant://localhost:6333?transport=rest")
