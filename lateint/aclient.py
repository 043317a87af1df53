"""The asyncio client: `await aconnect(url)`. The same names and meanings as in `lateint.client`, with `await`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sized
from typing import Any, Self, TypeVar

from lateint.client import READ_ONLY, check_adopted, check_open, checked_timeout
from lateint.engine import indexes, pipelines, registry, scan
from lateint.engine.backend import AsyncBackend, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.drive import Call, Steps, arun
from lateint.engine.pipelines import Handle, ProgressCallback
from lateint.engine.prepare import prepared_searches
from lateint.engine.retry import RetryPolicy
from lateint.filters import Filter
from lateint.spec import FieldType, IndexSpec
from lateint.types import Document, SearchResult, ServerInfo, Slice, WriteReport

T = TypeVar("T")


async def aconnect(
    target: str | object,
    *,
    api_key: str | None = None,
    timeout_s: float = 60.0,
    read_only: bool = False,
    retry: RetryPolicy | None = None,
) -> AsyncClient:
    """As `lateint.connect`, for asyncio."""
    settings = registry.Settings(timeout_s=checked_timeout(timeout_s), api_key=api_key)
    return AsyncClient(await registry.aconnect(target, settings), read_only=read_only, retry=retry or RetryPolicy())


class AsyncClient:
    """A connection to one engine. Made by `aconnect`; see `Client` for what each verb means."""

    def __init__(self, backend: AsyncBackend, *, read_only: bool = False, retry: RetryPolicy | None = None) -> None:
        self._backend = backend
        self._read_only = READ_ONLY if read_only else ""
        self._retry = retry or RetryPolicy()
        self._closed = False

    def __repr__(self) -> str:
        return f"<lateint.AsyncClient {self._backend.location}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def server_info(self) -> ServerInfo:
        """See `Client.server_info`."""
        info: ServerInfo = await self._called("server_info")
        return info

    async def capabilities(self) -> Capabilities:
        """See `Client.capabilities`."""
        capabilities: Capabilities = await self._called("capabilities")
        return capabilities

    async def create_index(self, spec: IndexSpec) -> AsyncIndex:
        """See `Client.create_index`."""
        steps = indexes.create(spec, backend=self._backend.name, read_only=self._read_only)
        return self._index(await self._run(steps), write=True)

    async def open(
        self,
        name: str,
        *,
        vector: str | None = None,
        fields: Mapping[str, FieldType | str] | None = None,
        write: bool = False,
    ) -> AsyncIndex:
        """See `Client.open`."""
        steps = indexes.describe(name, vector=vector, fields=fields, retry=self._retry)
        return self._index(await self._run(steps), write=write)

    async def list_indexes(self) -> list[str]:
        """See `Client.list_indexes`."""
        names: list[str] = await self._called("list_indexes")
        return names

    async def drop_index(self, name: str) -> None:
        """See `Client.drop_index`."""
        pipelines.check_writable(self._read_only, operation="drop_index", backend=self._backend.name, index=name)
        await self._run(indexes.drop(name))

    async def close(self) -> None:
        """See `Client.close`."""
        self._closed = True
        await self._backend.close()

    async def _called(self, verb: str) -> Any:  # noqa: ANN401
        return (await self._run(pipelines.retried(Call(verb), self._retry)))[0]

    async def _run(self, steps: Steps[T], *, source: AsyncIterable[Any] | Iterable[Any] = ()) -> T:
        check_open(closed=self._closed, location=self._backend.location)
        return await arun(steps, self._backend, source=source)

    def _index(self, info: IndexInfo, *, write: bool) -> AsyncIndex:
        read_only = self._read_only or check_adopted(info, write=write)
        return AsyncIndex(self, Handle(backend=self._backend.name, info=info, retry=self._retry, read_only=read_only))


class AsyncIndex:
    """One index of an asynchronous client; see `Index` for what each verb means."""

    def __init__(self, client: AsyncClient, handle: Handle) -> None:
        self._client = client
        self._handle = handle

    def __repr__(self) -> str:
        return f"<lateint.AsyncIndex {self.name!r} of {self._client!r}>"

    @property
    def name(self) -> str:
        """See `Index.name`."""
        return self._handle.info.name

    @property
    def spec(self) -> IndexSpec:
        """See `Index.spec`."""
        return self._handle.info.spec

    @property
    def capabilities(self) -> Capabilities:
        """See `Index.capabilities`."""
        return self._handle.info.capabilities

    @property
    def info(self) -> IndexInfo:
        """See `Index.info`."""
        return self._handle.info

    async def write(
        self,
        documents: Iterable[Document] | AsyncIterable[Document],
        *,
        on_error: str = "raise",
        progress: ProgressCallback | None = None,
    ) -> WriteReport:
        """See `Index.write`. A plain iterable is consumed in the event loop: pass an asynchronous one if it is slow."""
        total = len(documents) if isinstance(documents, Sized) else None
        steps = pipelines.write(self._handle, on_error=on_error, progress=progress, total=total)
        return await self._client._run(steps, source=pipelines.document_source(documents))  # noqa: SLF001 - the two are one unit

    async def update_payload(self, ids: Iterable[str], changes: Mapping[str, Any]) -> WriteReport:
        """See `Index.update_payload`."""
        return await self._run(pipelines.update_payload(self._handle, ids, changes))

    async def delete(self, ids: Iterable[str] | None = None, *, filter: Filter | None = None) -> None:  # noqa: A002
        """See `Index.delete`."""
        await self._run(pipelines.delete(self._handle, ids, filter))

    async def get(self, ids: Iterable[str], *, with_vectors: bool = False) -> list[Document]:
        """See `Index.get`."""
        return await self._run(pipelines.get(self._handle, ids, with_vectors=with_vectors))

    async def count(self, filter: Filter | None = None) -> int:  # noqa: A002
        """See `Index.count`."""
        return await self._run(pipelines.count_documents(self._handle, filter))

    async def search(
        self,
        query: Any,  # noqa: ANN401 - whatever as_multivector takes
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002
        exact: bool | None = None,
        payload: bool | Iterable[str] = True,
        with_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> SearchResult:
        """See `Index.search`."""
        results = await self.search_many(
            [query], k, filter=filter, exact=exact, payload=payload, with_vectors=with_vectors, timeout_s=timeout_s
        )
        return results[0]

    async def search_many(
        self,
        queries: Iterable[Any],
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002
        exact: bool | None = None,
        payload: bool | Iterable[str] = True,
        with_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> list[SearchResult]:
        """See `Index.search_many`."""
        requests = prepared_searches(
            queries,
            self._handle.info,
            backend=self._handle.backend,
            k=k,
            condition=filter,
            exact=exact,
            payload=payload,
            with_vectors=with_vectors,
            timeout_s=timeout_s,
        )
        return await self._run(pipelines.search(self._handle, requests))

    def scan(
        self,
        *,
        with_vectors: bool = False,
        filter: Filter | None = None,  # noqa: A002
        part: Slice | None = None,
        cursor: str | None = None,
    ) -> AsyncScan:
        """See `Index.scan`; needs no `await` itself."""
        state = scan.start(self._handle, condition=filter, with_vectors=with_vectors, cursor=cursor, part=part)
        return AsyncScan(self, state)

    async def update(
        self,
        *,
        fields: Mapping[str, FieldType | str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        encoder: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Index.update`."""
        info = await self._run(indexes.update(self._handle, fields=fields, metadata=metadata, encoder=encoder))
        self._handle = indexes.with_info(self._handle, info)

    async def _run(self, steps: Steps[T]) -> T:
        return await self._client._run(steps)  # noqa: SLF001 - the two are one unit


class AsyncScan(AsyncIterator[Document]):
    """Documents of an index, one after the other. Made by `AsyncIndex.scan`."""

    def __init__(self, index: AsyncIndex, state: scan.ScanState) -> None:
        self._index = index
        self._state = state

    @property
    def cursor(self) -> str:
        """See `Scan.cursor`."""
        return self._state.cursor

    async def __anext__(self) -> Document:
        state = self._state
        if not state.buffer:
            await self._index._run(state.fetch())  # noqa: SLF001 - the two are one unit
        if not state.buffer:
            raise StopAsyncIteration
        return state.buffer.popleft()
