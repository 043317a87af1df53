"""The shell for asyncio. `sync.py` is the same without `await`."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from qdrant_client import AsyncQdrantClient
from qdrant_client.connection import get_async_channel

from lateint import errors
from lateint.engine.backend import AsyncBackend, Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.registry import Settings
from lateint.engine.steps import acarried_out
from lateint.engine.url import EngineURL, require_nothing
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice
from lateint_qdrant import connection
from lateint_qdrant.calls import Ask, Call, Post, Steps
from lateint_qdrant.connection import Endpoint, Reach
from lateint_qdrant.errors import translated
from lateint_qdrant.place import Place, Speech
from lateint_qdrant.verbs import Verbs

T = TypeVar("T")


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


class AsyncQdrantBackend(AsyncBackend):
    """Indexes of a server; see `lateint.engine.backend.AsyncBackend` for what each verb means."""

    def __init__(self, client: AsyncQdrantClient, verbs: Verbs, *, channel: Any = None, owned: bool = True) -> None:  # noqa: ANN401
        self.name = verbs.place.backend
        self.location = verbs.place.location
        self._client = client
        self._verbs = verbs
        self._channel = channel
        self._owned = owned
        # Payload is read, changed and written: another change in between would be lost.
        self._one_update = asyncio.Lock()

    async def server_info(self) -> ServerInfo:
        return await self._run("server_info", None, self._verbs.server_info())

    async def capabilities(self) -> Capabilities:
        return self._verbs.capabilities

    async def create_index(self, spec: IndexSpec) -> IndexInfo:
        return await self._run("create_index", spec.name, self._verbs.create_index(spec))

    async def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        return await self._run("describe_index", name, self._verbs.describe_index(name, vector))

    async def list_indexes(self) -> list[str]:
        return await self._run("list_indexes", None, self._verbs.list_indexes())

    async def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        return await self._run("update_index", index.name, self._verbs.update_index(index, spec))

    async def drop_index(self, name: str) -> None:
        await self._run("drop_index", name, self._verbs.drop_index(name))

    async def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        return await self._run("write", index.name, self._verbs.write(index, documents))

    async def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        async with self._one_update:
            return await self._run("update_payload", index.name, self._verbs.update_payload(index, ids, changes))

    async def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        await self._run("delete", index.name, self._verbs.delete(index, target))

    async def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        return await self._run("get", index.name, self._verbs.get(index, ids, with_vectors=with_vectors))

    async def count(self, index: IndexInfo, condition: Filter | None) -> int:
        return await self._run("count", index.name, self._verbs.count(index, condition))

    async def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return await self._run("search", index.name, self._verbs.search(index, requests))

    async def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        steps = self._verbs.scan(
            index, cursor=cursor, limit=limit, condition=condition, with_vectors=with_vectors, part=part
        )
        return await self._run("scan", index.name, steps)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        if self._owned:
            await self._client.close()

    async def _run(self, operation: str, index: str | None, steps: Steps[T]) -> T:
        translating = partial(translated, operation, index, backend=self.name, secret=self._verbs.place.secret)
        return await acarried_out(steps, self._sent, translating)

    async def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Ask(method, arguments):
                return call.read(await getattr(self._client, method)(**arguments))
            case Post():
                return call.read(await self._posted(call, call.timeout_s or self._verbs.place.timeout_s))

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
