"""A port of the loopback that leads to another one, and misbehaves on order."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from tests.servers.ports import free_ports

Way = Literal["requests", "replies"]


class Proxy:
    """Forwards bytes; one connection behind it for each before it.

    Attributes:
        port: where it listens.
        delay_s: what every piece of at most 64 KiB waits, either way: a slow line.
        passed: bytes that went through so far, by way.
    """

    def __init__(self, target_port: int) -> None:
        (self.port,) = free_ports(1)
        self.delay_s = 0.0
        self.passed: Counter[Way] = Counter()
        self._target_port = target_port
        self._change = threading.Condition()  # guards what follows
        self._held: set[Way] = set()
        self._until_cut: int | None = None
        self._connections: set[socket.socket] = set()  # both ends of each
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    @property
    def connections(self) -> int:
        """How many are open."""
        with self._change:
            return len(self._connections) // 2

    def open(self) -> Self:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.05)  # a close from another thread wakes nobody
        self._start(self._accept, self._listener)
        return self

    def close(self) -> None:
        """Refuse connections, and cut those that are there."""
        listener, self._listener = self._listener, None
        self.cut()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if listener is not None:
            listener.close()

    def cut(self) -> None:
        """End all connections; new ones are welcome."""
        with self._change:
            self._until_cut = None
            for one in self._connections:
                with suppress(OSError):  # it has ended itself
                    one.shutdown(socket.SHUT_RDWR)
            self._connections.clear()
            self._change.notify_all()

    def cut_after(self, sent: int) -> None:
        """Cut all connections once so many more bytes have gone to the server: in the middle of a request."""
        with self._change:
            self._until_cut = sent

    def hold(self, *ways: Way) -> None:
        """Let nothing through, though connections stay: `"replies"` alone for a server that works and is not heard."""
        with self._change:
            self._held = set(ways or ("requests", "replies"))

    def release(self) -> None:
        """Let through what was held, and all that comes."""
        with self._change:
            self._held.clear()
            self._change.notify_all()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                near, _ = listener.accept()
            except TimeoutError:
                continue
            self._start(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        """One connection, both ways; nobody at the other end is an end like any other."""
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._target_port)) as far:
            near.settimeout(None)
            with self._change:
                if self._listener is None:
                    return
                self._connections |= {near, far}
            back = threading.Thread(target=self._pump, args=("replies", far, near), daemon=True)
            back.start()
            self._pump("requests", near, far)
            back.join()
            with self._change:
                self._connections -= {near, far}

    def _pump(self, way: Way, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(self.delay_s)
                part, last = self._let_through(way, source, data)
                sink.sendall(part)
                if last:
                    self.cut()
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _let_through(self, way: Way, source: socket.socket, data: bytes) -> tuple[bytes, bool]:
        """Wait while it is held; what of it may pass, and whether it is the last."""
        with self._change:
            self._change.wait_for(lambda: way not in self._held or source not in self._connections)
            if source not in self._connections:
                return b"", False
            last = False
            if way == "requests" and self._until_cut is not None:
                data = data[: self._until_cut]
                self._until_cut -= len(data)
                last = self._until_cut == 0
            self.passed[way] += len(data)
            return data, last
