"""`python -m tests.servers.qdrant FOLDER`: serve the collections of a folder until killed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.qdrant import grpc_service, rest_service
from tests.servers.qdrant.faults import Gate
from tests.servers.qdrant.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description="A double of a Qdrant server, on the loopback.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rest-port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True, help="takes orders for faults")
    parser.add_argument("--version", default="1.18.3", help="what it says it is")
    parser.add_argument("--api-key")
    parser.add_argument("--read-only-api-key")
    parser.add_argument("--flattened", action="store_true", help="return vectors over gRPC in their deprecated form")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before there are threads that could receive them

    store = Store(given.folder, given.version)
    gate = Gate(given.api_key, given.read_only_api_key)
    port = GrpcPort(lambda: grpc_service.server(store, gate, given.grpc_port, flattened=given.flattened))
    port.switch(opened=True)
    rest = rest_service.server(store, gate, given.rest_port)
    orders = control(gate, port, given.control_port)
    for server in (rest, orders):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    if given.until_eof:
        threading.Thread(target=end_with_input, daemon=True).start()
    signal.sigwait(ends)
    port.switch(opened=False)
    rest.shutdown()
    store.close()
    sys.exit(0)


def end_with_input() -> None:
    """A parent that dies, however it does, closes our input."""
    while os.read(0, 4096):  # not `sys.stdin`, whose lock would be held at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class GrpcPort:
    """The gRPC server, which can be closed while REST goes on."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._server: Any = None

    def switch(self, *, opened: bool) -> None:
        """Open or close the port; calls under way are broken off."""
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None
        if opened:
            self._server = self._make()
            self._server.start()


def control(gate: Gate, port: GrpcPort, number: int) -> ThreadingHTTPServer:
    """Orders, one JSON object each: POST and DELETE /faults, GET /report, POST /grpc."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.path == "/faults":
                gate.order(body)
            elif self.path == "/grpc":
                port.switch(**body)
            self._answer({})

        def do_DELETE(self) -> None:
            gate.clear()
            self._answer({})

        def do_GET(self) -> None:
            self._answer(gate.report())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

        def _answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    made = ThreadingHTTPServer(("127.0.0.1", number), Handler)
    made.daemon_threads = True
    return made


if __name__ == "__main__":
    main()
