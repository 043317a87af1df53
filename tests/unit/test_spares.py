"""Indexes that conformance tests hand on: emptied, of the same spec, one user at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lateint.aclient import AsyncClient, aconnect
from lateint.spec import IndexSpec
from lateint.testing.data import DIM, ragged
from lateint.testing.spares import Spares


def run(steps: Callable[[AsyncClient, Spares], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        async with await aconnect("memory://") as client:
            await steps(client, Spares("memory://"))

    asyncio.run(inside())


@pytest.mark.parametrize("count", [0, 5, 150])
def test_handed_on_without_documents(count: int) -> None:
    """Breaks when: a test finds what another one wrote."""

    async def steps(client: AsyncClient, spares: Spares) -> None:
        index = await client.create_index(IndexSpec("first", DIM))
        await index.write(ragged(count))
        assert await spares.left(index)
        taken = await spares.taken(IndexSpec("second", DIM), client)
        assert taken is not None
        assert (taken.name, await taken.count()) == ("first", 0)

    run(steps)


def test_one_user_at_a_time() -> None:
    async def steps(client: AsyncClient, spares: Spares) -> None:
        assert await spares.left(await client.create_index(IndexSpec("first", DIM)))
        assert await spares.taken(IndexSpec("second", DIM), client) is not None
        assert await spares.taken(IndexSpec("third", DIM), client) is None

    run(steps)


@pytest.mark.parametrize(
    "spec",
    [
        IndexSpec("other", DIM + 1),
        IndexSpec("other", DIM, normalize=False),
        IndexSpec("other", DIM, dtype="float16"),
        IndexSpec("other", DIM, fields={"a": "integer"}),
        IndexSpec("other", DIM, metadata={"a": 1}),
        IndexSpec("other", DIM, encoder={"model": "a"}),
    ],
)
def test_of_another_spec(spec: IndexSpec) -> None:
    """Breaks when: a test works on an index of another shape than it asked for."""

    async def steps(client: AsyncClient, spares: Spares) -> None:
        assert await spares.left(await client.create_index(IndexSpec("first", DIM)))
        assert await spares.taken(spec, client) is None

    run(steps)


def test_what_is_full_is_to_be_dropped() -> None:
    async def steps(client: AsyncClient, spares: Spares) -> None:
        index = await client.create_index(IndexSpec("first", DIM))
        await index.write(ragged(500))
        assert not await spares.left(index)

    run(steps)
