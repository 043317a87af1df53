"""What every test of the suite works with: a client of one colour at a fresh location."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lateint import errors
from lateint.aclient import AsyncClient, AsyncIndex
from lateint.engine.backend import AsyncBackend
from lateint.engine.capabilities import Capabilities, Feature
from lateint.spec import IndexSpec
from lateint.testing.colours import Colour
from lateint.testing.data import DIM
from lateint.testing.shelf import Shelf
from lateint.testing.target import Target
from lateint.types import Document

T = TypeVar("T")


class Lab:
    """One location, one colour, and the indexes that a test makes there.

    Attributes:
        client: an open client.
        capabilities: what the engine declares for a new index.
        colour: how the test is run.
        url: of the location.
        target: what the author of the backend said.
    """

    client: AsyncClient
    capabilities: Capabilities

    def __init__(self, target: Target, colour: Colour, folder: Path, shelf: Shelf) -> None:
        """`shelf` has what this test shares with others."""
        self.target = target
        self.colour = colour
        self.url = target.url_in(folder)
        self._prefix = f"conformance-{secrets.token_hex(4)}"
        self._made = 0
        self._indexes: dict[str, IndexSpec] = {}
        self._shelf = shelf
        self._clients: list[AsyncClient] = []

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        try:
            return self.colour.run(steps)
        except Exception:
            self._shelf.clear()
            raise

    async def begin(self) -> None:
        """Connect, and ask what the engine declares."""
        self.client = await self.connect()
        self.capabilities = await self.client.capabilities()

    async def end(self) -> None:
        """Leave nothing behind."""
        if self.target.is_shared and self._made:
            await self.reconnect()
            left = {name for name, spec in self._indexes.items() if await self._left(name, spec)}
            for name in await self.client.list_indexes():
                if (name.startswith(self._prefix) or name in self._indexes) and name not in left:
                    await self.client.drop_index(name)
        await self.disconnect()

    async def connect(self, **options: Any) -> AsyncClient:  # noqa: ANN401
        """Another client of the location; some engines allow one at a time."""
        client = await self.colour.connect(self.url, **{**self.target.options, **options})
        self._clients.append(client)
        return client

    async def disconnect(self) -> None:
        """Close every client."""
        while self._clients:
            await self._clients.pop().close()

    async def reconnect(self) -> None:
        """Close every client and open a new one."""
        await self.disconnect()
        self.client = await self.connect()

    @property
    def plenty(self) -> int:
        """More hits than the index of a test has documents, where one search gives as many."""
        return min(500, self.capabilities.max_k)

    def twin(self, **options: Any) -> AsyncClient:  # noqa: ANN401
        """Another client of the same backend object, for engines that lose their data with it."""
        return self.colour.twin(self.client, **options)

    def name(self) -> str:
        """A new name for an index."""
        self._made += 1
        return f"{self._prefix}-{self._made}"

    async def index(self, documents: Iterable[Document] = (), *, dim: int = DIM, **spec: Any) -> AsyncIndex:  # noqa: ANN401
        """An index that nobody else uses, with these documents in it and no others.

        Args:
            documents: written one way or another before this returns.
            dim: of the index.
            spec: what else `IndexSpec` takes.
        """
        made = IndexSpec(self.name(), dim, **spec)
        index = None
        if self.target.spares is not None:
            index = await self.target.spares.taken(made, self.client)
        if index is None:
            index = await self.client.create_index(made)
        self._indexes[index.name] = index.spec
        await index.write(documents)
        return index

    async def shared(self, documents: Sequence[Document], *, dim: int = DIM, **spec: Any) -> AsyncIndex:  # noqa: ANN401
        """An index with these documents in it, for a test that leaves it as it finds it: the next one gets the same.

        That is so within one class of tests, where indexes outlive clients, and until a test fails.

        Args:
            documents: in it.
            dim: of the index.
            spec: what else `IndexSpec` takes.
        """
        if not self.target.is_shared or Feature.PERSISTENT not in self.capabilities.features:
            return await self.index(documents, dim=dim, **spec)
        spec["dim"] = dim
        if name := self._shelf.find(documents, spec):
            return await self.client.open(name)
        index = await self.client.create_index(IndexSpec(self._shelf.name(), **spec))
        await index.write(documents)
        self._shelf.put(index.name, documents, spec)
        return index

    async def _left(self, name: str, spec: IndexSpec) -> bool:
        """Whether an index goes to later tests: one that is still there, and as it was."""
        if self.target.spares is None:
            return False
        try:
            index = await self.client.open(name)
        except errors.IndexNotFound:
            return False
        return index.spec == spec and await self.target.spares.left(index)

    async def reopened(self, index: AsyncIndex) -> AsyncIndex:
        """The same index through a new client."""
        await self.reconnect()
        return await self.client.open(index.name)

    @staticmethod
    def skip_unless(possible: bool, what: str) -> None:  # noqa: FBT001
        """Skip a test, in words, for something that the engine declares it cannot do."""
        if not possible:
            pytest.skip(f"declared: cannot {what}")

    @property
    def backend(self) -> AsyncBackend:
        """The backend itself, without the client's checks."""
        return self.colour.backend(self.client)

    async def together(self, calls: Iterable[Callable[[], Coroutine[Any, Any, Any]]]) -> list[Any]:
        """Run calls at the same time; an error is returned in its place."""
        return await self.colour.together(list(calls))
