"""Reading a whole index, also in parts and from another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest

from lateint import errors
from lateint.aclient import AsyncIndex
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, field, ids
from lateint.spec import FieldType
from lateint.testing.data import ragged, same_bits, same_payload
from lateint.testing.lab import Lab
from lateint.testing.payloads import fields_for, filterable
from lateint.testing.suite.base import Suite, cases, needs
from lateint.testing.truth import selected, stored
from lateint.types import Document

MANY = 3000

_ELSEWHERE = """
import json, sys, lateint
url, options, name, cursor = json.loads(sys.stdin.read())
with lateint.connect(url, **options) as client:
    documents = client.open(name).scan(cursor=cursor)
    print(json.dumps([document.id for document in documents]))
"""


def many(count: int = MANY) -> list[Document]:
    """Small documents, more than any page holds; ids in no order."""
    return [
        Document(f"id-{number * 7919 % count:04d}", [[1.0, number % 17 - 8.0]] * (1 + number % 3), {"number": number})
        for number in range(count)
    ]


class TestScan(Suite):
    """`scan`: every document, each as it is stored."""

    async def test_everything_once(self, lab: Lab) -> None:
        """In a quiet index every document comes exactly once, over many pages.

        Breaks when: pages overlap or leave a gap, most often at the first and at the last one.
        """
        documents = many()
        index = await lab.shared(documents, dim=2)
        found = [document.id async for document in index.scan()]
        assert len(found) == MANY
        assert set(found) == {document.id for document in documents}

    async def test_documents_are_whole(self, lab: Lab) -> None:
        """Rows bit for bit when asked for, None otherwise; payloads equal; `normalized` says whether rows were.

        Breaks when: a scan reads through another path than `get`.
        """
        documents = {document.id: document for document in filterable(fields_for(lab.capabilities))}
        for normalize in (True, False):
            index = await lab.index(documents.values(), fields=fields_for(lab.capabilities), normalize=normalize)
            found = [document async for document in index.scan(with_vectors=True)]
            assert {document.id for document in found} == documents.keys()
            for document in found:
                assert same_bits(document.vectors, stored(documents[document.id], index.spec))
                assert same_payload(document.payload, documents[document.id].payload)
                assert document.normalized is normalize
            assert all([document.vectors is None async for document in index.scan()])

    @cases("count", {f"{count}": count for count in (0, 1, 15, 16, 17, 32, 33)})
    async def test_sizes_around_a_page(self, lab: Lab, count: int) -> None:
        """Indexes that fill a page exactly, or one more or less.

        Breaks when: a full last page is followed by a cursor that leads nowhere.
        """
        documents = ragged(count)
        index = await lab.index(documents)
        assert sorted([document.id async for document in index.scan()]) == [document.id for document in documents]

    async def test_order_is_the_same_twice(self, lab: Lab) -> None:
        """Two scans of a quiet index agree, with and without vectors.

        Breaks when: pages are cut by an order that depends on the page size.
        """
        index = await lab.shared(ragged(100))
        first = [document.id async for document in index.scan()]
        assert [document.id async for document in index.scan(with_vectors=True)] == first

    @needs(Feature.SCAN_FILTER)
    async def test_with_a_filter(self, lab: Lab) -> None:
        """Those that pass, over several pages, also when most pages hold none.

        Breaks when: an empty page ends the scan.
        """
        documents = many()
        index = await lab.shared(documents, dim=2, fields={"number": FieldType.INTEGER})
        conditions: list[Filter] = []
        if Feature.FILTER_IDS in lab.capabilities.features:
            conditions += [ids([documents[2999].id, documents[5].id]), ids([])]
        if Feature.FILTER_ORDER in lab.capabilities.features:
            conditions += [field("number") >= 2990, field("number") < 1500]
        for condition in conditions:
            found = [document.id async for document in index.scan(filter=condition)]
            assert len(found) == len(set(found))
            assert set(found) == selected(condition, documents, index)


class TestScanResumed(Suite):
    """A cursor goes on where it was taken: nothing is missing, at most one page comes again."""

    requires = frozenset({Feature.STABLE_SCAN})

    async def test_in_another_process(self, lab: Lab) -> None:
        """A scan of 3,000 documents, stopped in the middle, goes on in a new process, or handle where data die with it.

        Breaks when: the cursor holds what only the old process knows, or points behind documents not yet given out.
        """
        documents = many()
        index = await lab.shared(documents, dim=2)
        before, cursor = await self._part(index, 1500)
        if Feature.PERSISTENT in lab.capabilities.features:
            await lab.disconnect()
            after = self._elsewhere(lab, index.name, cursor)
            await lab.reconnect()
        else:
            after = [found.id async for found in (await lab.twin().open(index.name)).scan(cursor=cursor)]
        assert {*before, *after} == {document.id for document in documents}
        assert len(after) == len(set(after))
        assert len(before) + len(after) <= MANY + 1000

    async def test_at_every_place(self, lab: Lab) -> None:
        """Stopped after any number of documents, a scan misses none.

        Breaks when: the cursor is that of the next page while this one is half read.
        """
        documents = ragged(70)
        index = await lab.shared(documents)
        for count in (0, 1, 2, 15, 16, 17, 40, 69, 70):
            before, cursor = await self._part(index, count)
            after = [document.id async for document in index.scan(cursor=cursor)]
            assert len(before) == count
            assert {*before, *after} == {document.id for document in documents}, f"stopped after {count}"

    async def test_documents_come_and_go_meanwhile(self, lab: Lab) -> None:
        """What is there throughout comes, whatever else is written and deleted between two pages.

        Breaks when: the cursor is an offset, and a delete shifts what follows.
        """
        documents = ragged(300)
        index = await lab.index(documents)
        before, cursor = await self._part(index, 120)
        await index.delete(before[:60])
        await index.write(Document(f"new-{number}", documents[0].vectors) for number in range(60))
        after = [document.id async for document in index.scan(cursor=cursor)]
        throughout = {document.id for document in documents} - set(before[:60])
        assert throughout <= {*before, *after}
        assert len(after) == len(set(after))

    async def test_cursors_are_text_and_move_on(self, lab: Lab) -> None:
        """A cursor is plain ASCII text, and does not stay the same all the way.

        Breaks when: bytes or an object of the engine's client leak out.
        """
        index = await lab.shared(ragged(200))
        scan = index.scan()
        cursors = [scan.cursor, *[scan.cursor async for _ in scan]]
        assert all(isinstance(cursor, str) and cursor.isascii() for cursor in cursors)
        assert any(left != right for left, right in pairwise(cursors))

    async def test_of_another_index_or_filter(self, lab: Lab) -> None:
        """A cursor belongs to one index and one filter; elsewhere it is refused.

        Breaks when: it is a bare position, which fits anywhere.
        """
        documents = ragged(40)
        index, other = await lab.index(documents), await lab.index(documents)
        _, cursor = await self._part(index, 20)
        with pytest.raises(errors.InvalidInput, match=index.name):
            other.scan(cursor=cursor)
        if {Feature.SCAN_FILTER, Feature.FILTER_IDS} <= lab.capabilities.features:
            with pytest.raises(errors.InvalidInput, match="filter"):
                index.scan(cursor=cursor, filter=ids(["a"]))

    @needs(Feature.SCAN_FILTER, Feature.FILTER_IDS)
    async def test_with_a_filter(self, lab: Lab) -> None:
        """A filtered scan goes on as well.

        Breaks when: the position is counted among the documents that pass.
        """
        documents = ragged(200)
        index = await lab.shared(documents)
        condition = ids([document.id for document in documents[::3]])
        before, cursor = await self._part(index, 30, condition)
        after = [document.id async for document in index.scan(cursor=cursor, filter=condition)]
        assert {*before, *after} == selected(condition, documents, index)

    @staticmethod
    async def _part(index: AsyncIndex, count: int, condition: Filter | None = None) -> tuple[list[str], str]:
        """Ids of the first `count` documents, and the cursor then."""
        scan = index.scan(filter=condition)
        found = [(await anext(scan)).id for _ in range(count)]
        return found, scan.cursor

    @staticmethod
    def _elsewhere(lab: Lab, name: str, cursor: str) -> list[str]:
        """Ids that a new process reads from the cursor on."""
        done = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            input=json.dumps([lab.url, dict(lab.target.options), name, cursor]),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found: list[str] = json.loads(done.stdout)
        return found
