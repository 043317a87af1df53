"""Where a server is and how it is reached: from a URL and settings to what opens connections. No I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lateint import errors
from lateint.engine.keys import check_sealed, check_sendable
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL, integer_option, require_host
from lateint_weaviate import schema
from lateint_weaviate.calls import Http, Rpc
from lateint_weaviate.errors import Refused
from lateint_weaviate.protocol import health_weaviate_pb2
from lateint_weaviate.verbs import Verbs

PORT = 8080
GRPC_PORT = 50051
TLS_PORT = 443
KEY_VARIABLE = "WEAVIATE_API_KEY"

PROBE_S = 5.0
"""Seconds that the gRPC port has for its first answer."""

_CLOUD = (".weaviate.cloud", ".weaviate.io", ".weaviate.network", ".semi.technology")

# A server that restarts is found again within the time that retries are given.
_GRPC_OPTIONS = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 2000}

META = Http("GET", "/meta")

HEALTH = "/grpc.health.v1.Health/Check"
SERVICE = "/weaviate.v1.Weaviate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server.

    Attributes:
        scheme: of its URL.
        host: its name or address.
        port: of REST.
        grpc_host: of gRPC, mostly the same.
        grpc_port: of gRPC.
        tls: both speak TLS.
        timeout_s: seconds for one call.
        api_key: a key or bearer token, never shown.
    """

    scheme: str
    host: str
    port: int
    grpc_host: str
    grpc_port: int
    tls: bool
    timeout_s: float
    api_key: str | None = field(default=None, repr=False)

    @property
    def location(self) -> str:
        """What to show of it."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def grpc_target(self) -> str:
        """Host and port of gRPC."""
        return f"{_bracketed(self.grpc_host)}:{self.grpc_port}"

    @property
    def probe_s(self) -> float:
        """Seconds to wait for the gRPC port."""
        return min(PROBE_S, self.timeout_s)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call of gRPC."""
        return () if self.api_key is None else (("authorization", f"Bearer {self.api_key}"),)

    def http_options(self) -> dict[str, Any]:
        """What an HTTP client takes."""
        return {
            "base_url": f"{'https' if self.tls else 'http'}://{_bracketed(self.host)}:{self.port}/v1",
            "headers": {} if self.api_key is None else {"authorization": f"Bearer {self.api_key}"},
            "timeout": self.timeout_s,
        }

    @staticmethod
    def channel_options(most_bytes: int) -> list[tuple[str, int]]:
        """What a gRPC channel takes.

        Args:
            most_bytes: largest message that the server takes.
        """
        limits = {"grpc.max_send_message_length": most_bytes, "grpc.max_receive_message_length": most_bytes}
        return list({**limits, **_GRPC_OPTIONS}.items())


def endpoint(url: EngineURL, settings: Settings) -> Endpoint:
    """The server that a URL names, with the key from the settings or else from the environment.

    Raises:
        InvalidURL: no host, a path, or an option that makes no sense.
        ConfigurationError: a key that cannot be sent, or that would travel unencrypted to another machine.
    """
    host, port = require_host(url)
    tls = url.variant == "https"
    cloud = tls and host.endswith(_CLOUD)
    place = Endpoint(
        scheme=url.scheme,
        host=host,
        port=port or (TLS_PORT if tls else PORT),
        grpc_host=url.options.get("grpc_host") or (_cloud_grpc_host(host) if cloud else host),
        grpc_port=integer_option(url, name="grpc_port", default=TLS_PORT if cloud else GRPC_PORT),
        tls=tls,
        timeout_s=settings.timeout_s,
        api_key=settings.api_key or os.environ.get(KEY_VARIABLE) or None,
    )
    insecure = integer_option(url, name="insecure", default=0)
    if place.api_key is not None:
        check_sendable(place.api_key, variable=KEY_VARIABLE)
        remedy = f"Use {schema.ENGINE}+https://…; in a network that you trust, add insecure=1 to the URL."
        for name in (place.host, place.grpc_host):
            check_sealed(name, tls=tls or bool(insecure), variable=KEY_VARIABLE, remedy=remedy)
    return place


def verbs(*, backend: str, location: str, meta: Mapping[str, Any], timeout_s: float, key: str) -> Verbs:
    """How to speak to a server that has answered.

    Args:
        backend: its name.
        location: server, without secrets.
        meta: what the server says of itself.
        timeout_s: seconds for one call.
        key: whether there is one, to show.

    Raises:
        UnsupportedFeature: the server is too old.
    """
    version = str(meta.get("version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if numbers < schema.SINCE:
        since = schema.dotted(schema.SINCE)
        raise errors.UnsupportedFeature(
            f"Weaviate {version or 'of unknown version'} at {location} is too old: lateint needs multi-vectors and the "
            "filter operator NOT.",
            backend=backend,
            feature="multi-vectors",
            since=since,
            alternative=f"Upgrade it to {since} or later.",
        )
    size = message_bytes(meta)
    return Verbs(
        backend=backend,
        location=location,
        details={"gRPC": "answers", "largest message": f"{size:,} bytes", "key": key},
        capabilities=replace(
            schema.CAPABILITIES,
            max_values=(size - schema.HEADROOM) // 4,
            max_batch_bytes=min(schema.CAPABILITIES.max_batch_bytes, (size - schema.HEADROOM) // 2),
        ),
        timeout_s=timeout_s,
    )


def message_bytes(meta: Mapping[str, Any]) -> int:
    """Largest gRPC message of a server."""
    return int(meta.get("grpcMaxMessageSize") or schema.MESSAGE_BYTES)


def answer(status: int, content: bytes, parse: Any) -> Any:  # noqa: ANN401
    """What a request brought.

    Args:
        status: of HTTP.
        content: the body.
        parse: reads it as JSON.

    Raises:
        Refused: an error.
    """
    if status >= 400:
        raise Refused(status, content)
    return parse() if content else None


def check_serving(reply: Any, place: str) -> None:  # noqa: ANN401
    """Refuse a gRPC service that is not ready.

    Raises:
        ConnectionFailed: it says so.
    """
    if reply.status != health_weaviate_pb2.WeaviateHealthCheckResponse.SERVING:
        raise errors.ConnectionFailed(f"the gRPC service at {place} is not ready.", hint="Wait for the server.")


def unreachable_grpc(error: errors.BackendError, place: Endpoint) -> errors.ConnectionFailed:
    """REST answers and gRPC does not: the fault that costs most people most time."""
    return errors.ConnectionFailed(
        f"{place.location} answers over REST, and {place.grpc_target} does not over gRPC: {error}",
        hint="Publish the gRPC port (50051) of the server, and name it in the URL: grpc_port=…, and grpc_host=… if it "
        "is at another host.",
        retryable=False,
    )


def arguments(call: Http) -> dict[str, Any]:
    """A request as the client of httpx takes it."""
    return {"method": call.method, "url": call.path, "json": call.body, "params": dict(call.query)}


def lent_arguments(call: Http) -> dict[str, Any]:
    """A request as a client of Weaviate takes it."""
    body = {} if call.method == "GET" else {"weaviate_object": call.body}
    return {"path": call.path, "params": dict(call.query), **body}


def serialised(message: Any) -> bytes:  # noqa: ANN401
    """A request as bytes, which it may be already."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def parsed(call: Rpc) -> Any:  # noqa: ANN401
    """A request as a message, which stubs that others made take."""
    return call.request.FromString(call.message) if isinstance(call.message, bytes) else call.message


def borrowed(connection: Any) -> tuple[str, str]:  # noqa: ANN401
    """Backend and location of a client that somebody else made.

    Args:
        connection: the client's own.

    Raises:
        ConfigurationError: the client is closed, or of a version that keeps its connection elsewhere.
    """
    missing = [name for name in _BORROWED if not hasattr(type(connection), name)]
    if missing:
        raise errors.ConfigurationError(
            f"this client of Weaviate has no {', '.join(missing)}.",
            hint="Use weaviate-client 4.16 to 4.24, or pass a URL: lateint then opens a connection of its own.",
        )
    if not connection.is_connected():
        raise errors.ConfigurationError("this client of Weaviate is not connected.", hint="Call its connect() first.")
    scheme, _, place = connection.url.partition("://")
    backend = f"{schema.ENGINE}+https" if scheme == "https" else schema.ENGINE
    return backend, f"{backend}://{place}"


_BORROWED = ("get", "post", "put", "patch", "delete", "grpc_stub", "grpc_headers", "is_connected")


def _cloud_grpc_host(host: str) -> str:
    """Weaviate's own cloud has gRPC under another name."""
    if host.endswith(".weaviate.network"):
        name, _, domain = host.partition(".")
        return f"{name}.grpc.{domain}"
    return f"grpc-{host}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
