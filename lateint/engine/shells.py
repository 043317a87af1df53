"""Backends whose verbs are written as steps: a blocking and an asyncio shell, which differ by `await` and nothing else.

An adapter writes `Verbs` once, without I/O, and adds to each shell how a call is made and how connections are closed.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from lateint.engine.backend import AsyncBackend, Backend, Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.steps import acarried_out, carried_out
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice

T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]


class Verbs(Protocol):
    """The verbs of `Backend` as steps, see there for what each means; each yields the calls that its shell makes."""

    @property
    def backend(self) -> str:
        """See `Backend.name`."""

    @property
    def location(self) -> str:
        """See `Backend.location`."""

    @property
    def capabilities(self) -> Capabilities:
        """Of an index that lateint creates there."""

    def server_info(self) -> Steps[ServerInfo]:
        """See `Backend.server_info`."""

    def create_index(self, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.create_index`."""

    def describe_index(self, name: str, vector: str | None) -> Steps[IndexInfo]:
        """See `Backend.describe_index`."""

    def list_indexes(self) -> Steps[list[str]]:
        """See `Backend.list_indexes`."""

    def update_index(self, index: IndexInfo, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.update_index`."""

    def drop_index(self, name: str) -> Steps[None]:
        """See `Backend.drop_index`."""

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Steps[Failures]:
        """See `Backend.write`."""

    def update_payload(self, index: IndexInfo, ids: Sequence[str], changes: Mapping[str, Any]) -> Steps[Failures]:
        """See `Backend.update_payload`; two of one connection never run at once."""

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> Steps[None]:
        """See `Backend.delete`."""

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> Steps[list[Document]]:
        """See `Backend.get`."""

    def count(self, index: IndexInfo, condition: Filter | None) -> Steps[int]:
        """See `Backend.count`."""

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> Steps[list[SearchResult]]:
        """See `Backend.search`."""

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None,
    ) -> Steps[Page]:
        """See `Backend.scan`."""


class Translated(Protocol):
    """Makes a context in which exceptions of an engine's client become `lateint.errors`."""

    def __call__(
        self, operation: str, index: str | None = None, *, backend: str, secret: str | None = None
    ) -> AbstractContextManager[None]:
        """For one operation, on an index or none."""


class Shell(Backend):
    """The blocking shell; see `Backend` for what each verb means.

    Args:
        verbs: of this connection.
        translated: for errors of what `_sent` and the verbs do.
        secret: to be kept out of messages.
    """

    def __init__(self, verbs: Verbs, *, translated: Translated, secret: str | None = None) -> None:
        self.name = verbs.backend
        self.location = verbs.location
        self._verbs = verbs
        self._translated = partial(translated, backend=self.name, secret=secret)
        # Payload is read, changed and written: another change in between would be lost.
        self._one_update = threading.Lock()

    @abstractmethod
    def _sent(self, call: Any) -> Any:  # noqa: ANN401
        """Make one call of a verb, and return what the verb is to be resumed with."""

    def _run(self, operation: str, index: str | None, steps: Steps[T]) -> T:
        return carried_out(steps, self._sent, partial(self._translated, operation, index))

    def server_info(self) -> ServerInfo:
        return self._run("server_info", None, self._verbs.server_info())

    def capabilities(self) -> Capabilities:
        return self._verbs.capabilities

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        return self._run("create_index", spec.name, self._verbs.create_index(spec))

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        return self._run("describe_index", name, self._verbs.describe_index(name, vector))

    def list_indexes(self) -> list[str]:
        return self._run("list_indexes", None, self._verbs.list_indexes())

    def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        return self._run("update_index", index.name, self._verbs.update_index(index, spec))

    def drop_index(self, name: str) -> None:
        self._run("drop_index", name, self._verbs.drop_index(name))

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        return self._run("write", index.name, self._verbs.write(index, documents))

    def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        with self._one_update:
            return self._run("update_payload", index.name, self._verbs.update_payload(index, ids, changes))

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        self._run("delete", index.name, self._verbs.delete(index, target))

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        return self._run("get", index.name, self._verbs.get(index, ids, with_vectors=with_vectors))

    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        return self._run("count", index.name, self._verbs.count(index, condition))

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return self._run("search", index.name, self._verbs.search(index, requests))

    def scan(
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
        return self._run("scan", index.name, steps)


class AsyncShell(AsyncBackend):
    """The shell for asyncio; see `Shell`."""

    def __init__(self, verbs: Verbs, *, translated: Translated, secret: str | None = None) -> None:
        self.name = verbs.backend
        self.location = verbs.location
        self._verbs = verbs
        self._translated = partial(translated, backend=self.name, secret=secret)
        self._one_update = asyncio.Lock()

    @abstractmethod
    async def _sent(self, call: Any) -> Any:  # noqa: ANN401
        """See `Shell._sent`."""

    async def _run(self, operation: str, index: str | None, steps: Steps[T]) -> T:
        return await acarried_out(steps, self._sent, partial(self._translated, operation, index))

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
