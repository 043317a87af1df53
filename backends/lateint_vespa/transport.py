"""How bytes travel: Python's own `http.client`, over connections that are kept. The one module that knows it.

It leaves more time for encoding than clients with more to them, and hides nothing: no cause of a failure, no header, no
byte of an answer that was cut off. No call outlives its time, whatever a server does, byte by byte, to make it last;
only to find the address of a host takes as long as the system lets it.
"""

from __future__ import annotations

import io
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any

from lateint_vespa.answers import Answer
from lateint_vespa.calls import Call, Door, Stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECTIONS = 16
"""Calls of one client at once, where a verb makes many."""

_GRACE_S = 2.0
"""What an answer may take to travel, beyond the time that the server has for it."""

_IDLE_S = 60.0
"""A connection that was not used for so long is not used again: servers and balancers close them, some in silence."""

_REFUSED = 300
"""Statuses from here on may be an answer to the head of a request alone."""

_LATE = 504

_CONNECT_S = 10.0
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One server, and what goes with every call to it.

    Attributes:
        host: name or address.
        port: its number.
        context: for TLS; None without.
        headers: of every call; never shown.
        kept: connections are used again for every call; or else only for those that read, where no other one must be
            sent twice unnoticed.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    kept: bool = True


class Transport:
    """Makes calls; from several threads at once, if need be.

    Args:
        sites: where each door is; those that are missing are closed.
    """

    def __init__(self, sites: Mapping[Door, Site]) -> None:
        self._sites = dict(sites)
        self._idle: dict[Door, deque[_Connection]] = {door: deque() for door in Door}
        self._lock = threading.Lock()
        self._closed = False
        self._workers = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="lateint-vespa")

    def sent(self, call: Call) -> Answer:
        """The whole answer to a call.

        Raises:
            OSError: nobody answers, or not in time.
            HTTPException: what came is not HTTP, or was cut off.
            RuntimeError: this client has been closed.
        """
        with self._asked(call) as response:
            return Answer(response.status, response.read(), _headers(response))

    def streamed(self, stream: Stream) -> Any:  # noqa: ANN401
        """What the stream makes of the answer to its call.

        Raises:
            OSError, HTTPException, RuntimeError: see `sent`.
        """
        with self._asked(stream.call) as response:
            return stream.read(response.status, _headers(response), _pieces(response))

    def together(self, calls: Iterable[Call]) -> list[Answer | Exception]:
        """The answers to calls, each sent as soon as a connection is free; instead of one, what went wrong.

        Once a call has taken all of its time in vain, those that are not yet sent are answered with what became of it.
        Whatever ends this early, no call is under way any more: one that is applied late would undo what comes next.
        """
        under_way: list[Future[Answer | Exception]] = []
        late: list[Answer | Exception] = []
        try:
            for call in calls:
                with self._lock:
                    self._check_open()
                    under_way.append(self._workers.submit(self._outcome, call, late))
            return [future.result() for future in under_way]
        except BaseException:
            for future in under_way:
                future.cancel()
            wait(under_way)
            raise

    def close(self) -> None:
        """Close what is not in use; what is, closes when its call has ended."""
        with self._lock:
            self._closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            for kept in self._idle.values():
                kept.clear()
        for connection in idle:
            connection.close()
        self._workers.shutdown(wait=False)

    def _outcome(self, call: Call, late: list[Answer | Exception]) -> Answer | Exception:
        if late:
            return late[0]
        outcome: Answer | Exception
        began = time.monotonic()
        try:
            outcome = self.sent(call)
        except Exception as error:  # noqa: BLE001 - is handed on
            outcome = error
        gave_up = isinstance(outcome, Answer) and outcome.status == _LATE and _is_spent(call, since=began)
        if gave_up or isinstance(outcome, TimeoutError):
            late.append(outcome)
        return outcome

    @contextmanager
    def _asked(self, call: Call) -> Iterator[HTTPResponse]:
        """A call that is on its way, with what is known of its answer; its connection is kept if it was read whole."""
        site = self._sites[call.door]
        keeps = site.kept or call.method == "GET"
        connection = self._connection(call.door, site) if keeps else _Connection(site)
        try:
            connection.deadline = time.monotonic() + call.timeout_s + _GRACE_S
            with connection.answer(call, site.headers) as response:
                yield response
                # Who refuses a body need not have read it, and may then close without having said so.
                read = call.body is None or response.status < _REFUSED
                whole = read and response.isclosed() and not response.will_close
        except BaseException:
            connection.close()
            raise
        self._put_back(call.door, connection, kept=whole and keeps)

    def _connection(self, door: Door, site: Site) -> _Connection:
        while True:
            with self._lock:
                self._check_open()
                connection = self._idle[door].pop() if self._idle[door] else None
            if connection is None:
                return _Connection(site)
            if connection.is_fresh():
                return connection
            connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client has been closed")

    def _put_back(self, door: Door, connection: _Connection, *, kept: bool) -> None:
        connection.used = time.monotonic()
        with self._lock:
            kept = kept and not self._closed and len(self._idle[door]) < CONNECTIONS
            if kept:
                self._idle[door].append(connection)
        if not kept:
            connection.close()


class _Connection(HTTPConnection):
    """A connection whose every wait ends at one deadline, which each call sets.

    Attributes:
        deadline: by the clock of `time.monotonic`.
        used: when its last call ended.
        ended: the other side has said that nothing more will come.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site.host, site.port)
        self._site = site
        self.deadline = self.used = 0.0
        self.ended = False

    def connect(self) -> None:
        """Connect to the first address of the host that takes it."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(min(_CONNECT_S, self.left_s()))
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._site.context is not None:
                    opened.settimeout(self.left_s())  # of the handshake as a whole
                    opened = self._site.context.wrap_socket(opened, server_hostname=self.host)
            except OSError as error:
                opened.close()
                failure = error
            else:
                self.sock = _Socket(opened, self)
                return
        raise failure or OSError(f"{self.host} has no address")

    def answer(self, call: Call, headers: Mapping[str, str]) -> HTTPResponse:
        """Ask; what comes before all of it has been sent is the answer as well, and the last one."""
        try:
            self.request(call.method, call.target, call.body, {**headers, **call.headers})
        except (BrokenPipeError, ConnectionResetError):
            if self.sock is None:
                raise
            with suppress(OSError, HTTPException):
                response = self.getresponse()
                response.will_close = True
                return response
            raise
        return self.getresponse()

    def getresponse(self) -> HTTPResponse:
        """The status and header of an answer, whole."""
        response = super().getresponse()
        if self.ended:  # `http.client` takes the end of the connection for that of the header
            response.close()
            raise IncompleteRead(b"")
        return response

    def left_s(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: none are left.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not come in time")
        return left

    def is_fresh(self) -> bool:
        """Whether it was used lately, and nothing has come since: what comes unasked is its end."""
        if self.sock is None or time.monotonic() - self.used > _IDLE_S:
            return False
        with suppress(OSError, ValueError), selectors.DefaultSelector() as watched:
            watched.register(self.sock, selectors.EVENT_READ)
            return not watched.select(0)
        return False


class _Socket:
    """What `http.client` needs of a socket, with a deadline. It is closed when all of what was made of it is."""

    def __init__(self, opened: socket.socket, owner: _Connection) -> None:
        self.opened = opened
        self.owner = owner
        self._users = 1

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            self.opened.settimeout(self.owner.left_s())
            self.opened.sendall(view[start : start + _PIECE])

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._users += 1
        return io.BufferedReader(_Reader(self), _PIECE)

    def fileno(self) -> int:
        return self.opened.fileno()

    def close(self) -> None:
        self._users -= 1
        if self._users <= 0:
            self.opened.close()


class _Reader(io.RawIOBase):
    """The receiving side of a socket."""

    def __init__(self, source: _Socket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        owner = self._source.owner
        self._source.opened.settimeout(owner.left_s())
        count = self._source.opened.recv_into(buffer)
        owner.ended = not count
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()


def _is_spent(call: Call, *, since: float) -> bool:
    """Whether the better part of a call's time is over: servers keep some of it for their answer."""
    return time.monotonic() - since > call.timeout_s / 2


def _headers(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): text for name, text in response.getheaders()}


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while piece := response.read1(_PIECE):
        yield piece
    if response.length:  # `read1` takes the end of the connection for the end of the answer
        raise IncompleteRead(b"", response.length)
