"""How calls to Vespa travel: never longer than they may, never taken for whole when they were cut, closed when closed.

The other side is a bare socket here, so that it can do what no server should.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.client import IncompleteRead
from typing import Any

import pytest

from lateint import errors
from lateint_vespa import transport
from lateint_vespa.answers import Answer
from lateint_vespa.calls import Call, Door, Stream
from lateint_vespa.errors import translated
from lateint_vespa.transport import Site, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Behaviour = Callable[[socket.socket], None]


@contextmanager
def served(behave: Behaviour) -> Iterator[tuple[Transport, list[int]]]:
    """A transport to a server that does this with each connection, and how many there were."""
    seen: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, (_, port) = listener.accept()
                seen.append(port)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    host, port = listener.getsockname()
    made = Transport({door: Site(host=host, port=port, kept=door is Door.CONTAINER) for door in Door})
    try:
        yield made, seen
    finally:
        made.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def request(connection: socket.socket) -> bytes:
    """One request without a body; empty at the end."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(4096)
        if not piece:
            return b""
        data += piece
    return data


def answering(reply: bytes, *, times: int = 100) -> Behaviour:
    """Answer so many requests alike, then close."""

    def behave(connection: socket.socket) -> None:
        for _ in range(times):
            if not request(connection):
                return
            connection.sendall(reply)

    return behave


def dripping(connection: socket.socket) -> None:
    """Send an answer that never ends, one byte at a time."""
    request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def dripping_header(connection: socket.socket) -> None:
    request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def silent(connection: socket.socket) -> None:
    request(connection)
    connection.recv(1)


def deaf(connection: socket.socket) -> None:
    """Take the connection, and none of what is sent."""
    threading.Event().wait(20)
    connection.close()


def get(**options: Any) -> Call:
    return Call("GET", "/", **options)


class TestTime:
    """No call outlives its time."""

    @pytest.mark.parametrize("behave", [dripping, dripping_header, silent])
    def test_of_an_answer(self, behave: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when: the time is that of each read, and a server that sends now and then holds a call for ever."""
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)
        with served(behave) as (made, _), pytest.raises(errors.Timeout), translated("search", backend="vespa"):
            made.sent(get(timeout_s=0.2))

    def test_of_a_body(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)
        with served(deaf) as (made, _), pytest.raises(TimeoutError):
            made.sent(Call("POST", "/", b"x" * 2**25, timeout_s=0.2))

    def test_of_a_handshake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when: each piece of it has the time of the whole call."""
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)

        def behave(connection: socket.socket) -> None:
            connection.sendall(b"\x16\x03\x03\x40\x00")  # a record that is long in coming
            while True:
                connection.sendall(b"x")
                time.sleep(0.01)

        with served(behave) as (plain, _):
            site = replace(plain._sites[Door.CONTAINER], context=ssl.create_default_context())
            secure = Transport({Door.CONTAINER: site})
            with pytest.raises(TimeoutError):
                secure.sent(get(timeout_s=0.2))
            secure.close()

    def test_of_a_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)
        with served(dripping) as (made, _), pytest.raises(TimeoutError):
            made.streamed(Stream(get(timeout_s=0.2), lambda _status, _headers, pieces: list(pieces)))

    def test_of_one_among_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when: one answer that does not come takes those with it that did."""
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)
        turns = iter((silent, *[answering(OK)] * 8))

        def behave(connection: socket.socket) -> None:
            next(turns)(connection)

        with served(behave) as (made, _):
            replies = made.together([get(timeout_s=0.5)] * 6)
        assert sum(isinstance(reply, TimeoutError) for reply in replies) == 1
        assert sum(isinstance(reply, Answer) for reply in replies) == 5


class TestCuts:
    """An answer that was cut off is no answer."""

    CUT = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
        CHUNKED + b"2\r\n{}\r\n",
        CHUNKED + b"ff\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    )

    @pytest.mark.parametrize("reply", CUT)
    def test_whole_answers(self, reply: bytes) -> None:
        with (
            served(answering(reply, times=1)) as (made, _),
            pytest.raises(errors.ConnectionFailed) as caught,
            translated("get", backend="vespa"),
        ):
            made.sent(get())
        assert caught.value.retryable

    @pytest.mark.parametrize("reply", CUT[:4])
    def test_streams(self, reply: bytes) -> None:
        """Breaks when: the end of the connection is taken for the end of the answer, as `read1` does."""
        with served(answering(reply, times=1)) as (made, _), pytest.raises(IncompleteRead):
            made.streamed(Stream(get(), lambda _status, _headers, pieces: list(pieces)))

    def test_an_answer_without_a_length(self) -> None:
        """It ends where the connection does: whoever reads it must know the end when it sees it."""
        with served(answering(b"HTTP/1.0 200 OK\r\n\r\n{}", times=1)) as (made, _):
            assert made.sent(get()).body == b"{}"
            assert made.streamed(Stream(get(), lambda _status, _headers, pieces: b"".join(pieces))) == b"{}"


class TestConnections:
    """They are used again, unless they should not be."""

    def test_kept(self) -> None:
        with served(answering(OK)) as (made, seen):
            for _ in range(5):
                assert made.sent(get()).status == 200
            assert len(seen) == 1

    def test_closed_by_the_server_meanwhile(self) -> None:
        """Breaks when: a call is sent into a connection that has ended, and fails for nothing."""
        with served(answering(OK, times=1)) as (made, seen):
            for number in range(1, 4):
                made.sent(get())
                assert len(seen) == number
                deadline = time.monotonic() + 5
                while any(kept.is_fresh() for kept in made._idle[Door.CONTAINER]):
                    assert time.monotonic() < deadline

    def test_of_config_servers_are_kept_for_reading_only(self) -> None:
        """Breaks when: a deployment is sent twice because a connection that was kept is dead; or each batch that is
        written opens another connection to look at the schema."""
        with served(answering(OK)) as (made, seen):
            for _ in range(3):
                made.sent(get(door=Door.CONFIG))
            assert len(seen) == 1
            for _ in range(3):
                made.sent(Call("PUT", "/", timeout_s=5.0, door=Door.CONFIG))
            assert len(seen) == 4
            made.sent(get(door=Door.CONFIG))
            assert len(seen) == 4

    def test_that_are_left_in_the_middle_are_not_kept(self) -> None:
        """Breaks when: the next call reads the rest of an answer that was not wanted."""
        body = CHUNKED + b"2\r\n{}\r\n" * 1000 + b"0\r\n\r\n"
        with served(answering(body)) as (made, seen):
            made.streamed(Stream(get(), lambda _status, _headers, pieces: next(pieces)))
            assert made.sent(get()).body == b"{}" * 1000
            assert len(seen) == 2

    def test_many_at_once_are_bounded(self) -> None:
        with served(answering(OK)) as (made, seen):
            replies = made.together(get() for _ in range(200))
            assert all(isinstance(reply, Answer) and reply.status == 200 for reply in replies)
            assert len(seen) <= transport.CONNECTIONS

    def test_replies_come_in_the_order_of_calls(self) -> None:
        def behave(connection: socket.socket) -> None:
            while asked := request(connection):
                name = asked.split(b" ")[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))

        with served(behave) as (made, _):
            replies = made.together(Call("GET", f"/{number}") for number in range(100))
        assert [reply.body for reply in replies if isinstance(reply, Answer)] == [b"/%d" % n for n in range(100)]

    def test_closed(self) -> None:
        """Every way of calling says that the client is closed, and that trying again is no use."""
        with served(answering(OK)) as (made, seen):
            made.close()
            made.close()
            stream = Stream(get(), lambda *_: None)
            for call in (lambda: made.sent(get()), lambda: made.together([get()]), lambda: made.streamed(stream)):
                with pytest.raises(errors.ConnectionFailed, match="closed") as caught, translated("x", backend="vespa"):
                    call()
                assert not caught.value.retryable
            assert not seen

    def test_a_call_that_cannot_be_made_stops_the_others(self) -> None:
        """Breaks when: what was made before it goes on being sent after the verb has failed."""

        def calls() -> Iterator[Call]:
            yield get()
            raise errors.InvalidInput("no such document")

        with served(answering(OK)) as (made, _), pytest.raises(errors.InvalidInput):
            made.together(calls())

    def test_what_is_under_way_has_ended(self) -> None:
        """Breaks when: a verb has failed, or Ctrl-C has come, and a write of it is applied after what is written next."""
        arrived, answered = threading.Event(), threading.Event()

        def behave(connection: socket.socket) -> None:
            request(connection)
            arrived.set()
            assert not answered.wait(0.2)  # the failure is there by now
            answered.set()
            connection.sendall(OK)

        def calls() -> Iterator[Call]:
            yield get()
            assert arrived.wait(5)
            raise KeyboardInterrupt

        with served(behave) as (made, _):
            with pytest.raises(KeyboardInterrupt):
                made.together(calls())
            assert answered.is_set()


class TestEarlyAnswers:
    """A server may refuse a body before it has read it, and close."""

    @pytest.mark.parametrize("status", [413, 429])
    def test_are_read(self, status: int) -> None:
        """Breaks when: a document that is too large is taken for a broken connection, and sent again and again."""

        def behave(connection: socket.socket) -> None:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\n{}" % status)

        with served(behave) as (made, seen):
            for number in (1, 2):
                assert made.sent(Call("POST", "/", b"x" * 2**25, timeout_s=5)).status == status
                assert len(seen) == number

    @pytest.mark.parametrize("status", [302, 429, 504])
    def test_are_the_last_on_their_connection(self, status: int) -> None:
        """Breaks when: what is asked next goes to a server that is about to close, and is taken for unanswered."""

        def behave(connection: socket.socket) -> None:
            head = connection.recv(1000)
            connection.sendall(OK if b"GET" in head else b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\n{}" % status)
            connection.recv(1000)  # what it had not read; then it closes

        with served(behave) as (made, seen):
            assert made.sent(Call("POST", "/", b"x", timeout_s=5)).status == status
            assert made.sent(get()).status == 200
            assert len(seen) == 2

    def test_that_do_not_come(self) -> None:
        def behave(connection: socket.socket) -> None:
            connection.recv(1000)

        with served(behave) as (made, _), pytest.raises(ConnectionError):
            made.sent(Call("POST", "/", b"x" * 2**25, timeout_s=5))
