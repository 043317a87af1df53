"""What listens at a port, told apart with bare sockets, in bounded time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lateint.engine.ports import Speech, addresses, spoken

QUICK_S = 0.3


@pytest.fixture
def listening() -> Iterator[Callable[..., int]]:
    """Starts a server that answers every connection in one way; gives its port."""
    with ExitStack() as stack:

        def listen(answer: Callable[[socket.socket], None]) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                while True:
                    try:
                        connection, _ = server.accept()
                    except OSError:  # closed: the test is over
                        return
                    with connection:
                        try:
                            answer(connection)
                        except OSError:
                            continue

            threading.Thread(target=serve, daemon=True).start()
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            return int(server.getsockname()[1])

        yield listen


def says(text: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(text)

    return answer


class TestSpoken:
    def test_closed(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert spoken("127.0.0.1", port, timeout_s=QUICK_S) is Speech.CLOSED

    def test_silent(self) -> None:
        """A port that takes connections and never answers must not hold the doctor up."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert spoken("127.0.0.1", server.getsockname()[1], timeout_s=QUICK_S) is Speech.SILENT

    @pytest.mark.parametrize(
        ("greeting", "speech"),
        [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Speech.HTTP),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), Speech.HTTP2),
            (b"\x15\x03\x03\x00\x02\x02\x28", Speech.TLS),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Speech.OTHER),
            (b"", Speech.OTHER),
        ],
        ids=["http", "http2", "a refusal in TLS", "another protocol", "nothing, then closed"],
    )
    def test_told_by_the_first_bytes(self, listening: Callable[..., int], greeting: bytes, speech: Speech) -> None:
        assert spoken("127.0.0.1", listening(says(greeting)), timeout_s=QUICK_S) is speech

    @pytest.mark.parametrize("error", [TimeoutError(), OSError(113, "No route to host")])
    def test_no_way_there(self, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
        def connect(*_: Any, **__: Any) -> socket.socket:
            raise error

        monkeypatch.setattr(socket, "create_connection", connect)
        assert spoken("192.0.2.1", 6333, timeout_s=QUICK_S) is Speech.UNREACHABLE


class TestAddresses:
    def test_found(self) -> None:
        assert "127.0.0.1" in addresses("localhost", timeout_s=5.0)
        assert addresses("127.0.0.1", timeout_s=5.0) == ["127.0.0.1"]

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".example"])
    def test_none(self, host: str) -> None:
        """Also names that no name service could know, which Python refuses with an error of another kind."""
        with pytest.raises(OSError, match=r"."):
            addresses(host, timeout_s=30.0)

    def test_nobody_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system asks a dead name service for as long as it likes."""
        over = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait() and [])
        with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
            addresses("host", timeout_s=QUICK_S)
        over.set()
