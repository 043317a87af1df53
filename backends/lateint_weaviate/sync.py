"""The blocking shell over a server. `aio.py` is the same with `await`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import grpc
import httpx

from lateint import errors
from lateint.engine.registry import Settings
from lateint.engine.shells import Shell
from lateint.engine.url import EngineURL
from lateint_weaviate import connection, wire
from lateint_weaviate.calls import Call, Http, Pause, Rpc
from lateint_weaviate.connection import Endpoint
from lateint_weaviate.errors import translated
from lateint_weaviate.protocol import health_weaviate_pb2
from lateint_weaviate.verbs import Verbs


def connect(url: EngineURL, settings: Settings) -> WeaviateBackend:
    """Open the server that a URL names.

    Raises:
        InvalidURL: it does not name one.
        ConfigurationError: a key that cannot be sent, or that would travel unencrypted to another machine.
        AuthenticationFailed: the server wants a key, or another one.
        ConnectionFailed: nothing answers there, or not over gRPC.
    """
    wire.probe()
    place = connection.endpoint(url, settings)
    own = Own(place)
    try:
        with translated("connect", backend=place.scheme, secret=place.api_key):
            meta = own.http(connection.META)
        verbs = connection.verbs(
            backend=place.scheme,
            location=place.location,
            meta=meta,
            timeout_s=place.timeout_s,
            key="none" if place.api_key is None else "yes",
        )
        own.open_grpc(connection.message_bytes(meta))
    except BaseException:
        own.close()
        raise
    return WeaviateBackend(own, verbs, secret=place.api_key)


def borrow(client: Any, settings: Settings) -> WeaviateBackend:  # noqa: ANN401
    """Speak through a client that somebody else made, and will close."""
    wire.probe()
    lent = Lent(client._connection)  # noqa: SLF001 - it offers no other way to its interfaces
    backend, location = connection.borrowed(lent.connection)
    with translated("connect", backend=backend):
        meta = lent.http(connection.META)
    verbs = connection.verbs(
        backend=backend, location=location, meta=meta, timeout_s=settings.timeout_s, key="the client's own"
    )
    return WeaviateBackend(lent, verbs)


class Way(ABC):
    """How calls reach a server."""

    @abstractmethod
    def http(self, call: Http) -> Any:  # noqa: ANN401
        """Make a request of the REST interface."""

    @abstractmethod
    def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        """Make a call of the gRPC service."""

    @abstractmethod
    def close(self) -> None:
        """Close what is its own."""


class Own(Way):
    """Over connections of our own."""

    def __init__(self, place: Endpoint) -> None:
        self._place = place
        self._http = httpx.Client(**place.http_options())
        self._channel: grpc.Channel | None = None

    def open_grpc(self, most_bytes: int) -> None:
        """Open the channel and see whether anybody answers.

        Raises:
            ConnectionFailed: nobody does.
        """
        options = self._place.channel_options(most_bytes)
        if self._place.tls:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(self._place.grpc_target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(self._place.grpc_target, options)
        health = self._channel.unary_unary(
            connection.HEALTH, connection.serialised, health_weaviate_pb2.WeaviateHealthCheckResponse.FromString
        )
        request = health_weaviate_pb2.WeaviateHealthCheckRequest()
        for last in (False, True):  # a server that has just started may close the first connection
            try:
                with translated("connect", backend=self._place.scheme, secret=self._place.api_key):
                    reply = health(request, timeout=self._place.probe_s)
                break
            except errors.BackendError as error:  # a proxy on the way may give any answer
                if last or isinstance(error, errors.Timeout):
                    raise connection.unreachable_grpc(error, self._place) from error
        connection.check_serving(reply, self._place.grpc_target)

    def http(self, call: Http) -> Any:  # noqa: ANN401
        reply = self._http.request(**connection.arguments(call))
        return connection.answer(reply.status_code, reply.content, reply.json)

    def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        assert self._channel is not None
        send = self._channel.unary_unary(
            f"{connection.SERVICE}/{call.method}", connection.serialised, call.reply.FromString
        )
        return send(call.message, timeout=timeout_s, metadata=self._place.metadata)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._http.close()


class Lent(Way):
    """Over those of a client that somebody else made."""

    def __init__(self, connection_: Any) -> None:  # noqa: ANN401
        self.connection = connection_

    def http(self, call: Http) -> Any:  # noqa: ANN401
        reply = getattr(self.connection, call.method.lower())(**connection.lent_arguments(call))
        return connection.answer(reply.status_code, reply.content, reply.json)

    def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        send = getattr(self.connection.grpc_stub, call.method)
        return send(connection.parsed(call), timeout=timeout_s, metadata=self.connection.grpc_headers())

    def close(self) -> None:
        """It is not ours."""


class WeaviateBackend(Shell):
    """Indexes of a server; see `lateint.engine.backend.Backend` for what each verb means."""

    def __init__(self, way: Way, verbs: Verbs, *, secret: str | None = None) -> None:
        super().__init__(verbs, translated=translated, secret=secret)
        self._way = way
        self._timeout_s = verbs.timeout_s

    def close(self) -> None:
        self._way.close()

    def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Http():
                return self._way.http(call)
            case Pause(seconds):
                return time.sleep(seconds)
            case Rpc():
                return call.read(self._way.rpc(call, call.timeout_s or self._timeout_s))
