"""The shell for asyncio. `sync.py` is the same without `await`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import grpc.aio
import httpx

from lateint import errors
from lateint.engine.registry import Settings
from lateint.engine.shells import AsyncShell
from lateint.engine.url import EngineURL
from lateint_weaviate import connection, wire
from lateint_weaviate.calls import Call, Http, Pause, Rpc
from lateint_weaviate.connection import Endpoint
from lateint_weaviate.errors import translated
from lateint_weaviate.protocol import health_weaviate_pb2
from lateint_weaviate.verbs import Verbs


async def connect(url: EngineURL, settings: Settings) -> AsyncWeaviateBackend:
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
            meta = await own.http(connection.META)
        verbs = connection.verbs(
            backend=place.scheme,
            location=place.location,
            meta=meta,
            timeout_s=place.timeout_s,
            key="none" if place.api_key is None else "yes",
        )
        await own.open_grpc(connection.message_bytes(meta))
    except BaseException:
        await own.close()
        raise
    return AsyncWeaviateBackend(own, verbs, secret=place.api_key)


async def borrow(client: Any, settings: Settings) -> AsyncWeaviateBackend:  # noqa: ANN401
    """Speak through a client that somebody else made, and will close."""
    wire.probe()
    lent = Lent(client._connection)  # noqa: SLF001 - it offers no other way to its interfaces
    backend, location = connection.borrowed(lent.connection)
    with translated("connect", backend=backend):
        meta = await lent.http(connection.META)
    verbs = connection.verbs(
        backend=backend, location=location, meta=meta, timeout_s=settings.timeout_s, key="the client's own"
    )
    return AsyncWeaviateBackend(lent, verbs)


class Way(ABC):
    """How calls reach a server."""

    @abstractmethod
    async def http(self, call: Http) -> Any:  # noqa: ANN401
        """Make a request of the REST interface."""

    @abstractmethod
    async def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        """Make a call of the gRPC service."""

    @abstractmethod
    async def close(self) -> None:
        """Close what is its own."""


class Own(Way):
    """Over connections of our own."""

    def __init__(self, place: Endpoint) -> None:
        self._place = place
        self._http = httpx.AsyncClient(**place.http_options())
        self._channel: grpc.aio.Channel | None = None

    async def open_grpc(self, most_bytes: int) -> None:
        """Open the channel and see whether anybody answers.

        Raises:
            ConnectionFailed: nobody does.
        """
        options = self._place.channel_options(most_bytes)
        if self._place.tls:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.aio.secure_channel(self._place.grpc_target, credentials, options)
        else:
            self._channel = grpc.aio.insecure_channel(self._place.grpc_target, options)
        health = self._channel.unary_unary(
            connection.HEALTH, connection.serialised, health_weaviate_pb2.WeaviateHealthCheckResponse.FromString
        )
        request = health_weaviate_pb2.WeaviateHealthCheckRequest()
        for last in (False, True):  # a server that has just started may close the first connection
            try:
                with translated("connect", backend=self._place.scheme, secret=self._place.api_key):
                    reply = await health(request, timeout=self._place.probe_s)
                break
            except errors.BackendError as error:  # a proxy on the way may give any answer
                if last or isinstance(error, errors.Timeout):
                    raise connection.unreachable_grpc(error, self._place) from error
        connection.check_serving(reply, self._place.grpc_target)

    async def http(self, call: Http) -> Any:  # noqa: ANN401
        reply = await self._http.request(**connection.arguments(call))
        return connection.answer(reply.status_code, reply.content, reply.json)

    async def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        assert self._channel is not None
        send = self._channel.unary_unary(
            f"{connection.SERVICE}/{call.method}", connection.serialised, call.reply.FromString
        )
        return await send(call.message, timeout=timeout_s, metadata=self._place.metadata)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        await self._http.aclose()


class Lent(Way):
    """Over those of a client that somebody else made."""

    def __init__(self, connection_: Any) -> None:  # noqa: ANN401
        self.connection = connection_

    async def http(self, call: Http) -> Any:  # noqa: ANN401
        reply = await getattr(self.connection, call.method.lower())(**connection.lent_arguments(call))
        return connection.answer(reply.status_code, reply.content, reply.json)

    async def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        send = getattr(self.connection.grpc_stub, call.method)
        return await send(connection.parsed(call), timeout=timeout_s, metadata=self.connection.grpc_headers())

    async def close(self) -> None:
        """It is not ours."""


class AsyncWeaviateBackend(AsyncShell):
    """Indexes of a server; see `lateint.engine.backend.AsyncBackend` for what each verb means."""

    def __init__(self, way: Way, verbs: Verbs, *, secret: str | None = None) -> None:
        super().__init__(verbs, translated=translated, secret=secret)
        self._way = way
        self._timeout_s = verbs.timeout_s

    async def close(self) -> None:
        await self._way.close()

    async def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Http():
                return await self._way.http(call)
            case Pause(seconds):
                return await asyncio.sleep(seconds)
            case Rpc():
                return call.read(await self._way.rpc(call, call.timeout_s or self._timeout_s))
