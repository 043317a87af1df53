"""A client that the application has already: used over its own transport, and never closed."""

from __future__ import annotations

import asyncio
import uuid

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import AsyncQdrantClient, QdrantClient

import lateint
from lateint import Document, IndexSpec, errors
from tests.servers.discovery import QdrantServer
from tests.servers.qdrant.asking import options

pytestmark = pytest.mark.parametrize("grpc", [True, False], ids=["grpc", "rest"])


def documents() -> list[Document]:
    rng = np.random.default_rng(0)
    return [Document(str(n), rng.standard_normal((5, 8)), {"n": n}) for n in range(20)]


def test_blocking(qdrant_server: QdrantServer, grpc: bool) -> None:
    """All verbs work, the transport is the client's, and the client is open afterwards."""
    own = QdrantClient(**options(qdrant_server, over_grpc=grpc))
    spec = IndexSpec(f"borrow-{uuid.uuid4().hex[:8]}", 8, fields={"n": "integer"})
    with lateint.connect(own) as client:
        assert client.server_info().details["transport"] == ("gRPC" if grpc else "REST")
        assert f"{qdrant_server.host}:{qdrant_server.port}" in repr(client)
        index = client.create_index(spec)
        index.write(documents())
        index.update_payload(["3"], {"n": 300})
        index.delete(["4"])
        assert index.count(lateint.field("n") >= 10) == 11
        assert {document.id for document in index.scan(with_vectors=True)} == {str(n) for n in range(20) if n != 4}
        lateint.verify(index).raise_if_failed()
    assert own.count(spec.name).count == 19
    own.delete_collection(spec.name)
    own.close()


def test_asynchronous(qdrant_server: QdrantServer, grpc: bool) -> None:
    async def steps() -> None:
        own = AsyncQdrantClient(**options(qdrant_server, over_grpc=grpc))
        spec = IndexSpec(f"borrow-{uuid.uuid4().hex[:8]}", 8, fields={"n": "integer"})
        async with await lateint.aconnect(own) as client:
            index = await client.create_index(spec)
            await index.write(documents())
            assert await index.count(lateint.field("n") < 7) == 7
            assert len(await index.search(np.ones((2, 8)))) == 10
            (await lateint.averify(index)).raise_if_failed()
        assert (await own.count(spec.name)).count == 20
        await own.delete_collection(spec.name)
        await own.close()

    asyncio.run(steps())


def test_wrong_colour(qdrant_server: QdrantServer, grpc: bool) -> None:
    own = QdrantClient(**options(qdrant_server, over_grpc=grpc))
    with pytest.raises(errors.ConfigurationError, match="AsyncQdrantClient"):
        asyncio.run(lateint.aconnect(own))
    own.close()
