"""asyncio over a blocking backend, for engines whose client has no asynchronous form."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lateint.engine.backend import AsyncBackend, Backend, Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice


class ThreadedBackend(AsyncBackend):
    """Runs every verb of a blocking backend in a worker thread.

    The event loop stays free while the engine waits or releases the interpreter lock, and not otherwise.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name
        self.location = backend.location

    async def server_info(self) -> ServerInfo:
        return await asyncio.to_thread(self._backend.server_info)

    async def capabilities(self) -> Capabilities:
        return await asyncio.to_thread(self._backend.capabilities)

    async def create_index(self, spec: IndexSpec) -> IndexInfo:
        return await asyncio.to_thread(self._backend.create_index, spec)

    async def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        return await asyncio.to_thread(self._backend.describe_index, name, vector=vector)

    async def list_indexes(self) -> list[str]:
        return await asyncio.to_thread(self._backend.list_indexes)

    async def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        return await asyncio.to_thread(self._backend.update_index, index, spec=spec)

    async def drop_index(self, name: str) -> None:
        await asyncio.to_thread(self._backend.drop_index, name)

    async def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        return await asyncio.to_thread(self._backend.write, index, documents)

    async def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        return await asyncio.to_thread(self._backend.update_payload, index, ids, changes=changes)

    async def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        await asyncio.to_thread(self._backend.delete, index, target)

    async def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        return await asyncio.to_thread(self._backend.get, index, ids, with_vectors=with_vectors)

    async def count(self, index: IndexInfo, condition: Filter | None) -> int:
        return await asyncio.to_thread(self._backend.count, index, condition)

    async def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return await asyncio.to_thread(self._backend.search, index, requests)

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
        return await asyncio.to_thread(
            self._backend.scan,
            index,
            cursor=cursor,
            limit=limit,
            condition=condition,
            with_vectors=with_vectors,
            part=part,
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._backend.close)
