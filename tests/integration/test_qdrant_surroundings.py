"""What is around a server: proxies, ports of somebody else, restarts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")
pytest.importorskip("qdrant_edge", reason="the double runs on the engine of lateint[edge]")

from qdrant_client import QdrantClient

import lateint
from lateint import RetryPolicy, errors
from tests.servers.ports import free_ports
from tests.servers.qdrant.asking import url_of
from tests.servers.qdrant.double import Double

ONCE = RetryPolicy(attempts=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    with Double(tmp_path_factory.mktemp("surroundings"), api_key="s3cret") as server:
        yield server


class Other:
    """A web server that is no Qdrant.

    Attributes:
        seen: headers of each request.
        body: what it answers.
        port: where it is.
    """

    def __init__(self, body: bytes = b"<html>hello</html>") -> None:
        self.seen: list[str] = []
        other = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                other.seen.append(f"{self.requestline} {self.headers}")
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_CONNECT = do_GET  # noqa: N815 - names that http.server looks for

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class TestProxies:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_a_server_on_this_machine(
        self, server: Double, transport: str, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is reached directly. A proxy may be another machine, which would see the key in the clear."""
        with Other() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "grpc_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            for name in ("NO_PROXY", "no_proxy", "no_grpc_proxy"):
                monkeypatch.delenv(name, raising=False)
            with lateint.connect(url_of(server, transport, host), api_key="s3cret") as client:
                client.list_indexes()

            async def steps() -> None:
                async with await lateint.aconnect(url_of(server, transport, host), api_key="s3cret") as client:
                    await client.list_indexes()

            asyncio.run(steps())
        assert proxy.seen == []


class TestSomebodyElse:
    @pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"version": {"number": "8.1"}}', b""])
    def test_no_qdrant(self, body: bytes) -> None:
        """The error says where it looked and that Qdrant is not there, not how a parser failed."""
        with Other(body) as other:
            address = f"qdrant://127.0.0.1:{other.port}"
            with pytest.raises(errors.UnexpectedResponse, match=f"{address}: .*a Qdrant server answers") as caught:
                lateint.connect(f"{address}?transport=rest")
        assert "pydantic" not in str(caught.value)

    def test_nobody(self, transport: str) -> None:
        """The error names the server."""
        port, other = free_ports(2)
        with pytest.raises(errors.ConnectionFailed, match=f"qdrant://127.0.0.1:{port}"):
            lateint.connect(f"qdrant://127.0.0.1:{port}?grpc_port={other}&transport={transport}", timeout_s=5.0)


class TestRestart:
    def test_a_new_connection_does_not_wait_for_an_old_one(self, server: Double) -> None:
        """gRPC would share the back-off of connections that failed: a new client found nobody, or settled for REST."""
        with lateint.connect(url_of(server), api_key="s3cret", retry=ONCE) as old:
            server.kill()
            for _ in range(6):  # each failure doubles the back-off
                with pytest.raises(errors.ConnectionFailed):
                    old.list_indexes()
            server.start()
            with lateint.connect(url_of(server), api_key="s3cret") as new:
                assert new.server_info().details["transport"] == "gRPC"


class TestTimes:
    @pytest.mark.parametrize("timeout_s", [float("inf"), 1e18])
    def test_for_ever(self, server: Double, transport: str, timeout_s: float) -> None:
        """Taken for a long time; the clients overflow on it, or give up at once."""
        with lateint.connect(url_of(server, transport), api_key="s3cret", timeout_s=timeout_s) as client:
            index = client.create_index(lateint.IndexSpec(f"times-{transport}-{timeout_s:.0f}", 2))
            index.write([lateint.Document("a", [[1, 0]])])
            assert len(index.search([[1, 0]], timeout_s=timeout_s)) == 1


class TestBorrowedKey:
    def test_is_not_repeated(self, server: Double) -> None:
        """httpx quotes a key that no header can carry, with its line break escaped."""
        with pytest.warns(UserWarning, match="insecure"):
            own = QdrantClient(url=server.rest_url, api_key="b4d-s3cret\n", check_compatibility=False)
        with pytest.raises(errors.BackendError) as caught:
            lateint.connect(own)
        assert "s3cret" not in str(caught.value)
        own.close()
