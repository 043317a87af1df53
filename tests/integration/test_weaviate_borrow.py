"""A client that the application has already: used over its own connections, and never closed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

import weaviate

import lateint
from lateint import Document, IndexSpec, errors
from lateint_weaviate import wire
from tests.servers.discovery import WeaviateServer


def options(server: WeaviateServer) -> dict[str, Any]:
    return {
        "host": server.host,
        "port": server.port,
        "grpc_port": server.grpc_port,
        "skip_init_checks": True,
        "auth_credentials": None if server.api_key is None else weaviate.auth.Auth.api_key(server.api_key),
    }


@pytest.fixture
def own(weaviate_server: WeaviateServer) -> Iterator[Any]:
    with weaviate.connect_to_local(**options(weaviate_server)) as client:
        yield client


def documents() -> list[Document]:
    rng = np.random.default_rng(0)
    return [Document(str(n), rng.standard_normal((5, 8)), {"n": n}) for n in range(20)]


def spec() -> IndexSpec:
    return IndexSpec(f"borrow-{uuid.uuid4().hex[:8]}", 8, fields={"n": "integer"})


def test_blocking(weaviate_server: WeaviateServer, own: Any) -> None:
    """All verbs work, and the client is open afterwards."""
    with lateint.connect(own) as client:
        assert client.server_info().version == own.get_meta()["version"]
        assert f"{weaviate_server.host}:{weaviate_server.port}" in repr(client)
        index = client.create_index(spec())
        try:
            index.write(documents())
            index.write(documents()[:2])
            index.update_payload(["3"], {"n": 300})
            index.delete(["4"])
            assert index.count(lateint.field("n") >= 10) == 11
            assert {document.id for document in index.scan(with_vectors=True)} == {str(n) for n in range(20) if n != 4}
            lateint.verify(index).raise_if_failed()
            index.update(metadata={"changed": True})
            assert client.open(index.name).spec.metadata == {"changed": True}
            with pytest.raises(errors.IndexNotFound):
                client.open("no-such-index")
        finally:
            client.drop_index(index.name)
    assert own.is_ready()


def test_asynchronous(weaviate_server: WeaviateServer) -> None:
    async def steps() -> None:
        own = weaviate.use_async_with_local(**options(weaviate_server))
        await own.connect()
        async with await lateint.aconnect(own) as client:
            index = await client.create_index(spec())
            try:
                await index.write(documents())
                await index.update_payload(["3"], {"n": 300})
                assert await index.count(lateint.field("n") >= 10) == 11
                assert len([document async for document in index.scan(with_vectors=True)]) == 20
                assert (await index.search(documents()[7].vectors, 1))[0].id == "7"
            finally:
                await client.drop_index(index.name)
        assert await own.is_ready()
        await own.close()

    asyncio.run(steps())


def test_closed_before(own: Any) -> None:
    own.close()
    with pytest.raises(errors.ConfigurationError, match="connect"):
        lateint.connect(own)
    own.connect()


def test_closed_meanwhile(own: Any) -> None:
    """The owner's closing is said as such, and not retried."""
    client = lateint.connect(own)
    own.close()
    with pytest.raises(errors.ConnectionFailed, match="closed") as caught:
        client.list_indexes()
    assert not caught.value.retryable
    own.connect()


def test_of_a_kind_that_is_not_known() -> None:
    """A client that keeps its connection elsewhere is refused by what it lacks, not by an AttributeError."""
    other = type("WeaviateClient", (), {"_connection": object()})
    other.__module__ = "weaviate.client"
    with pytest.raises(errors.ConfigurationError, match="grpc_stub"):
        lateint.connect(other())


@pytest.fixture
def other_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the messages of the installed client had other field numbers than lateint writes."""
    monkeypatch.setattr(wire, "_BYTES", b"\x2a")
    wire.fits.cache_clear()
    yield
    wire.fits.cache_clear()


class TestOtherMessages:
    """Then the client's own classes write them: slower, and all else is as it was."""

    def test_blocking(self, weaviate_server: WeaviateServer, own: Any, other_client: None) -> None:
        with (
            lateint.connect(own) as lent,
            lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as client,
        ):
            index = client.create_index(spec())
            try:
                report = index.write(documents()[:10])
                assert lent.open(index.name).write(documents()[5:]).written == 15
                assert (report.written, report.failed) == (10, ())
                lateint.verify(client.open(index.name), against=documents()).raise_if_failed()
            finally:
                client.drop_index(index.name)

    def test_asyncio(self, weaviate_server: WeaviateServer, other_client: None) -> None:
        async def run() -> None:
            async with await lateint.aconnect(weaviate_server.url, api_key=weaviate_server.api_key) as client:
                index = await client.create_index(spec())
                try:
                    assert (await index.write(documents())).written == 20
                    hits = await index.search(documents()[7].vectors, k=1)
                    assert (hits[0].id, hits.exact) == ("7", True)
                finally:
                    await client.drop_index(index.name)

        asyncio.run(run())
