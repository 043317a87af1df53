"""The shell for asyncio. `sync.py` is the same without `await`."""

from __future__ import annotations

import warnings
from typing import Any

from qdrant_client import AsyncQdrantClient
from qdrant_client.connection import get_async_channel

from lateint import errors
from lateint.engine.registry import Settings
from lateint.engine.shells import AsyncShell
from lateint.engine.url import EngineURL, require_nothing
from lateint_qdrant import connection
from lateint_qdrant.calls import Ask, Call, Post
from lateint_qdrant.connection import Endpoint, Reach
from lateint_qdrant.errors import translated
from lateint_qdrant.place import Place, Speech
from lateint_qdrant.verbs import Verbs


async def connect(url: EngineURL, settings: Settings) -> AsyncQdrantBackend:
    """Open the server that a URL names.

    Raises:
        InvalidURL: it does not name one.
        ConfigurationError: a key would travel unencrypted to another machine.
        ConnectionFailed: nothing answers there.
    """
    endpoint = connection.endpoint(url, settings)
    grpc = endpoint.reach is Reach.GRPC or (endpoint.reach is Reach.AUTO and await _answers_grpc(endpoint))
    client = _client(endpoint, grpc=grpc, timeout_s=endpoint.timeout_s)
    try:
        verbs = await _verbs(client, endpoint.place(Speech.GRPC if grpc else Speech.REST))
    except BaseException:
        await client.close()
        raise
    channel = get_async_channel(**endpoint.channel_options()) if grpc else None
    return AsyncQdrantBackend(client, verbs, channel=channel)


async def connect_memory(url: EngineURL, settings: Settings) -> AsyncQdrantBackend:
    """A new, empty store in the client's local mode."""
    require_nothing(url)
    client = AsyncQdrantClient(":memory:")
    return AsyncQdrantBackend(client, await _verbs(client, connection.memory(settings)))


async def borrow(client: AsyncQdrantClient, settings: Settings) -> AsyncQdrantBackend:
    """Speak through a client that somebody else made, and will close."""
    verbs = await _verbs(client, connection.borrowed(client.init_options, settings))
    return AsyncQdrantBackend(client, verbs, owned=False)


class AsyncQdrantBackend(AsyncShell):
    """Indexes of a server; see `lateint.engine.backend.AsyncBackend` for what each verb means."""

    def __init__(self, client: AsyncQdrantClient, verbs: Verbs, *, channel: Any = None, owned: bool = True) -> None:  # noqa: ANN401
        super().__init__(verbs, translated=translated, secret=verbs.place.secret)
        self._client = client
        self._timeout_s = verbs.place.timeout_s
        self._channel = channel
        self._owned = owned

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        if self._owned:
            await self._client.close()

    async def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Ask(method, arguments):
                return call.read(await getattr(self._client, method)(**arguments))
            case Post():
                return call.read(await self._posted(call, call.timeout_s or self._timeout_s))

    async def _posted(self, call: Post, timeout_s: float) -> Any:  # noqa: ANN401
        if self._channel is None:  # the stub of a borrowed client takes a message, and serialises it once more
            return await getattr(self._client.grpc_points, call.method)(
                call.request.FromString(call.message), timeout=timeout_s
            )
        send = self._channel.unary_unary(f"/qdrant.Points/{call.method}", None, call.reply.FromString)
        return await send(call.message, timeout=timeout_s)


async def _verbs(client: AsyncQdrantClient, place: Place) -> Verbs:
    with translated("connect", backend=place.backend, secret=place.secret, location=place.location):
        version = (await client.info()).version
    return connection.verbs(place, version)


def _client(endpoint: Endpoint, *, grpc: bool, timeout_s: float) -> AsyncQdrantClient:
    with translated("connect", backend=endpoint.scheme, secret=endpoint.api_key), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a key without TLS, which has been decided on
        return AsyncQdrantClient(**endpoint.client_options(grpc=grpc, timeout_s=timeout_s))


async def _answers_grpc(endpoint: Endpoint) -> bool:
    client = _client(endpoint, grpc=True, timeout_s=endpoint.probe_s)
    try:
        with translated("connect", backend=endpoint.scheme, secret=endpoint.api_key):
            await client.info()
    except (errors.AuthenticationFailed, errors.PermissionDenied):
        return True
    except errors.BackendError:
        return False
    finally:
        await client.close()
    return True
