"""Connecting: keys, rights, and a gRPC port that is not there, each told apart at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

import lateint
from lateint import Document, IndexSpec, errors
from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

KEY, READ_KEY = "key-of-an-owner", "key-of-a-reader"
DOCUMENTS = [Document(str(n), np.eye(4, dtype=np.float32)[: 1 + n], {"n": n}) for n in range(3)]


def connect(url: str, **options: Any) -> None:
    lateint.connect(url, **options).close()


def aconnect(url: str, **options: Any) -> None:
    async def steps() -> None:
        await (await lateint.aconnect(url, **options)).close()

    asyncio.run(steps())


@pytest.fixture(scope="module")
def server(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_weaviate(tmp_path_factory.mktemp("keys"), api_key=KEY, read_only_api_key=READ_KEY) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEAVIATE_API_KEY", raising=False)


@pytest.mark.parametrize("opening", [connect, aconnect], ids=["sync", "async"])
class TestKeys:
    def test_missing(self, server: Server, opening: Callable[..., None]) -> None:
        with pytest.raises(errors.AuthenticationFailed, match="WEAVIATE_API_KEY") as caught:
            opening(server.url)
        assert not caught.value.retryable

    def test_wrong(self, server: Server, opening: Callable[..., None]) -> None:
        """Refused at once, and the key is not shown."""
        with pytest.raises(errors.AuthenticationFailed) as caught:
            opening(server.url, api_key="no-such-key")
        assert "no-such-key" not in str(caught.value)

    def test_right(self, server: Server, opening: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
        opening(server.url, api_key=KEY)
        monkeypatch.setenv("WEAVIATE_API_KEY", KEY)
        opening(server.url)

    def test_in_the_clear(self, server: Server, opening: Callable[..., None]) -> None:
        """A key does not leave the machine unencrypted, neither for REST nor for gRPC."""
        for url in ("weaviate://weaviate.example:8080", f"{server.url}&grpc_host=weaviate.example"):
            with pytest.raises(errors.ConfigurationError, match="unencrypted"):
                opening(url, api_key=KEY)

    def test_grpc_port_where_nobody_listens(self, server: Server, opening: Callable[..., None]) -> None:
        """REST answers and gRPC does not: said so, with what to do, before anything is written."""
        (port,) = free_ports(1)
        for wrong in (port, server.port):
            with pytest.raises(errors.ConnectionFailed, match="grpc_port") as caught:
                opening(f"weaviate://127.0.0.1:{server.port}?grpc_port={wrong}", api_key=KEY)
            assert not caught.value.retryable

    def test_grpc_port_that_says_nothing(self, server: Server, opening: Callable[..., None]) -> None:
        """A port behind a firewall that swallows everything is given up on; a client's own limit is ten times that."""
        with Proxy(server.grpc_port) as proxy:
            proxy.hold()
            with pytest.raises(errors.ConnectionFailed, match="grpc_port"):
                opening(f"weaviate://127.0.0.1:{server.port}?grpc_port={proxy.port}", api_key=KEY)
            proxy.release()

    def test_tls_where_there_is_none(self, server: Server, opening: Callable[..., None]) -> None:
        with pytest.raises(errors.ConnectionFailed, match=r"weaviate\+https") as caught:
            opening(server.url.replace("weaviate://", "weaviate+https://"), api_key=KEY)
        assert not caught.value.retryable


class TestReading:
    """A key that may read and nothing else."""

    def test_reads(self, server: Server) -> None:
        with lateint.connect(server.url, api_key=KEY) as owner:
            index = owner.create_index(IndexSpec("readable", 4, fields={"n": "integer"}))
            index.write(DOCUMENTS)
            with lateint.connect(server.url, api_key=READ_KEY) as client:
                read = client.open("readable")
                assert read.count() == 3
                assert len(read.search(DOCUMENTS[0].vectors)) == 3
                assert {document.id for document in read.scan(with_vectors=True)} == {"0", "1", "2"}
            owner.drop_index("readable")

    def test_writes_nothing(self, server: Server) -> None:
        """Every verb that writes says that it is not allowed, at once, and does nothing."""
        with lateint.connect(server.url, api_key=KEY) as owner:
            index = owner.create_index(IndexSpec("readable", 4, fields={"n": "integer"}))
            index.write(DOCUMENTS)
            with lateint.connect(server.url, api_key=READ_KEY) as client:
                read = client.open("readable")
                for verb in (
                    lambda: read.write(DOCUMENTS),
                    lambda: read.write([Document("new", DOCUMENTS[0].vectors)]),
                    lambda: read.update_payload(["1"], {"n": 7}),
                    lambda: read.delete(["1"]),
                    lambda: read.delete(filter=lateint.field("n") == 1),
                    lambda: read.update(metadata={"x": 1}),
                    lambda: client.create_index(IndexSpec("another", 4)),
                    lambda: client.drop_index("readable"),
                ):
                    with pytest.raises(errors.PermissionDenied) as caught:
                        verb()
                    assert not caught.value.retryable
                    assert READ_KEY not in str(caught.value)
            assert {document.id: document.payload["n"] for document in index.scan()} == {"0": 0, "1": 1, "2": 2}
            owner.drop_index("readable")
