"""Verbs called at the same time: by threads on the blocking client, by tasks on the asynchronous one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import numpy as np
import pytest

from lateint import errors
from lateint.spec import IndexSpec
from lateint.testing.data import DIM, query, ragged, same_bits
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite
from lateint.testing.truth import Truth, check_contents
from lateint.types import Document

WORKERS = 8


class TestConcurrency(Suite):
    """A client may be used from several places at once."""

    async def test_writers_of_different_documents(self, lab: Lab) -> None:
        """Eight writers at once lose nothing of each other.

        Breaks when: a shared buffer, or a read-modify-write of the whole index, is not guarded.
        """
        parts = [ragged(10, seed=seed) for seed in range(WORKERS)]
        parts = [[Document(f"{n}-{d.id}", d.vectors, d.payload) for d in part] for n, part in enumerate(parts)]
        index = await lab.index()
        reports = await lab.together(partial(index.write, part) for part in parts)
        assert [getattr(report, "written", report) for report in reports] == [10] * WORKERS
        await check_contents(index, [document for part in parts for document in part])

    async def test_writers_of_the_same_document(self, lab: Lab) -> None:
        """One of the versions stands, whole: never the rows of one with the payload of another.

        Breaks when: rows and payload are written by two calls.
        """
        versions = [
            Document("a", np.roll(np.eye(DIM, dtype=np.float32), n, axis=0)[: 1 + n % 3], {"version": n})
            for n in range(WORKERS)
        ]
        index = await lab.index()
        await lab.together(partial(index.write, [version]) for version in versions)
        (found,) = await index.get(["a"], with_vectors=True)
        assert same_bits(found.vectors, versions[found.payload["version"]].vectors)
        assert await index.count() == 1

    async def test_readers_beside_a_writer(self, lab: Lab) -> None:
        """Searches during writes answer with true scores of documents that were written.

        Breaks when: a search reads half a batch, or a cache is invalidated too early.
        """
        documents = ragged(60)
        index = await lab.index(documents[:20])
        searches = [partial(index.search, query(seed=seed), 10) for seed in range(WORKERS)]
        report, *results = await lab.together([partial(index.write, documents[20:]), *searches])
        assert getattr(report, "written", report) == 40
        for seed, result in enumerate(results):
            assert not isinstance(result, BaseException), result
            Truth.of(query(seed=seed), documents, index).check_scores(result)
        await check_contents(index, documents)

    async def test_creators_of_one_index(self, lab: Lab) -> None:
        """Of several `create_index` of one name exactly one succeeds, the others are told.

        Breaks when: "is it there?" and "make it" are two steps.
        """
        spec = IndexSpec(lab.name(), DIM)
        outcomes = await lab.together([partial(lab.client.create_index, spec)] * WORKERS)
        refused = [outcome for outcome in outcomes if isinstance(outcome, errors.IndexExists)]
        assert len(refused) == WORKERS - 1, outcomes
        index = await lab.client.open(spec.name)
        await index.write(ragged(3))
        await check_contents(index, ragged(3))

    async def test_cancelled_write(self, lab: Lab) -> None:
        """Cancelling a write ends it; what was on its way is settled, and the index goes on as before.

        Breaks when: a task of the write outlives it, or the connection is left in the middle of an answer.
        """
        if not lab.colour.is_async:
            pytest.skip("the blocking client has no tasks to cancel")
        index = await lab.index()
        waiting = asyncio.Event()

        async def endless() -> AsyncIterator[Document]:
            for document in ragged(5):
                yield document
            waiting.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(index.write(endless()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await index.count() in {0, 5}
        await index.write(ragged(7))
        await check_contents(index, ragged(7))

    async def test_different_indexes(self, lab: Lab) -> None:
        """Indexes of one client do not get into each other's way.

        Breaks when: the index in use is state of the connection.
        """
        indexes = [await lab.index(dim=2 + number) for number in range(4)]
        contents = [ragged(12, 2 + number, seed=number) for number in range(4)]
        calls = [partial(index.write, documents) for index, documents in zip(indexes, contents, strict=True)]
        await lab.together(calls)
        for index, documents in zip(indexes, contents, strict=True):
            await check_contents(index, documents)
