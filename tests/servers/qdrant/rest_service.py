"""The REST interface: requests in, responses out."""

from __future__ import annotations

import json
import math
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.qdrant import limits
from tests.servers.qdrant.faults import Call, Cut, Gate
from tests.servers.qdrant.limits import Json, Kind, Refused
from tests.servers.qdrant.rest_routes import Routes
from tests.servers.qdrant.store import Store


def server(store: Store, gate: Gate, port: int) -> ThreadingHTTPServer:
    """A server on a port of the loopback, not yet serving."""

    class Handler(_Handler):
        routes = Routes(store)
        passing = gate

    made = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    made.daemon_threads = True
    return made


class _Handler(BaseHTTPRequestHandler):
    """Leads every request through the gate, and turns what is refused into a response."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    routes: Routes
    passing: Gate

    def do_GET(self) -> None:
        self._start = time.monotonic()
        path = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            method, writes, work = self.routes.found(self.command, path.path)
            given = self.headers.get("api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
            call = Call("rest", method, key=given or None, writes=writes, open=method.startswith(_OPEN))
            waits = parse_qs(path.query).get("wait") == ["true"]
            result = self.passing.pass_through(call, lambda: work(_parsed(body), waits), self._cut)
        except Cut:
            return
        except KeyError as error:
            self._refuse(Refused(Kind.INVALID, f"Format error in JSON body: missing field `{error.args[0]}`"))
            return
        except Refused as refused:
            self._refuse(refused)
            return
        if isinstance(result, str):
            self._send(200, result.encode(), "text/plain; charset=utf-8")
        elif call.open:
            self._send(200, json.dumps(result).encode())
        else:
            self._answer(200, {"result": _finite(result), "status": "ok"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - overrides one of this signature
        """Say nothing: tests read their own reports."""

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, refused: Refused) -> None:
        headers = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
        if refused.kind is Kind.UNAUTHENTICATED:
            self._send(401, refused.text.encode(), "text/plain; charset=utf-8")
        else:
            self._answer(refused.kind.value[0], {"status": {"error": refused.text}}, headers)

    def _answer(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        body["time"] = time.monotonic() - self._start
        self._send(status, json.dumps(body).encode(), headers=headers)

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


_OPEN = ("Health/", "Qdrant/HealthCheck", "Unknown")


def _parsed(body: bytes) -> Json:
    if len(body) > limits.MAX_BODY:
        text = f"JSON payload ({len(body)} bytes) is larger than allowed (limit: {limits.MAX_BODY} bytes)."
        raise Refused(Kind.INVALID, text)
    if not body:
        return {}
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Refused(Kind.INVALID, f"Format error in JSON body: {error}") from error
    if not isinstance(parsed, dict):
        raise Refused(Kind.INVALID, "Format error in JSON body: invalid type, expected a map")
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"expected value, found {name}")


def _finite(value: Any) -> Any:
    """What JSON cannot say becomes null, as with the server."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
