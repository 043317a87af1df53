"""Reading an index side by side, a slice to each worker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from lateint import errors
from lateint.aclient import AsyncIndex
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, field, ids
from lateint.spec import FieldType
from lateint.testing.data import ragged, same_bits, same_payload
from lateint.testing.lab import Lab
from lateint.testing.payloads import fields_for, filterable
from lateint.testing.suite.base import Suite, needs
from lateint.testing.suite.scan import many
from lateint.testing.truth import selected, stored
from lateint.types import Document, Slice


def slices(count: int) -> list[Slice]:
    """All of them."""
    return [Slice(index=index, count=count) for index in range(count)]


class TestScanSlices(Suite):
    """`scan(part=…)`: disjoint parts that together are the whole, the same to every worker."""

    requires = frozenset({Feature.SCAN_SLICES})

    async def test_disjoint_and_complete(self, lab: Lab) -> None:
        """Every document comes in exactly one slice, over many pages, and no slice goes without.

        Breaks when: the engine reads past the slice, as a server that is too old for it may.
        """
        documents = many(1203)
        index = await lab.shared(documents, dim=2)
        for count in (1, 2, 7):
            parts = [await self._read(index, part) for part in slices(count)]
            assert all(parts)
            self._check(parts, {document.id for document in documents})

    async def test_more_slices_than_documents(self, lab: Lab) -> None:
        """Some slices are empty then, and end at once.

        Breaks when: an empty slice is taken for no slice, and brings everything.
        """
        documents = ragged(3)
        index = await lab.shared(documents)
        parts = [await self._read(index, part) for part in slices(16)]
        assert not all(parts)
        self._check(parts, {document.id for document in documents})

    async def test_documents_are_whole(self, lab: Lab) -> None:
        """Rows bit for bit when asked for, None otherwise; payloads equal.

        Breaks when: slices are read through another path than a whole scan.
        """
        documents = {document.id: document for document in filterable(fields_for(lab.capabilities))}
        index = await lab.shared(list(documents.values()), fields=fields_for(lab.capabilities))
        for part in slices(3):
            async for document in index.scan(part=part, with_vectors=True):
                assert same_bits(document.vectors, stored(documents[document.id], index.spec))
                assert same_payload(document.payload, documents[document.id].payload)
            assert all([document.vectors is None async for document in index.scan(part=part)])

    @needs(Feature.SCAN_FILTER)
    async def test_with_a_filter(self, lab: Lab) -> None:
        """Those that pass, in the slice that each is in without the filter; also where the filter is an `|` or a `~`.

        Breaks when: the slice becomes one more alternative of the filter, or takes its place.
        """
        documents = many(1203)
        index = await lab.shared(documents, dim=2, fields={"number": FieldType.INTEGER})
        unfiltered = [set(await self._read(index, part)) for part in slices(3)]
        conditions: list[Filter] = []
        if Feature.FILTER_IDS in lab.capabilities.features:
            conditions += [ids([document.id for document in documents[:50]]), ids([])]
        if Feature.FILTER_EQUAL in lab.capabilities.features:
            conditions += [(field("number") == 7) | (field("number") == 8) | (field("number") == 1200)]
        if {Feature.FILTER_ORDER, Feature.FILTER_NOT} <= lab.capabilities.features:
            conditions += [~(field("number") >= 600)]
        for condition in conditions:
            parts = [await self._read(index, part, condition) for part in slices(3)]
            self._check(parts, selected(condition, documents, index))
            assert all(set(found) <= whole for found, whole in zip(parts, unfiltered, strict=True))

    async def test_side_by_side(self, lab: Lab) -> None:
        """Workers that read at the same time get what they would get one after the other.

        Breaks when: the slice is kept with the connection instead of the request.
        """
        documents = ragged(200)
        index = await lab.shared(documents)
        parts = await lab.together(partial(self._read, index, part) for part in slices(4))
        assert not [part for part in parts if isinstance(part, BaseException)]
        self._check(parts, {document.id for document in documents})

    async def test_other_documents_come_and_go(self, lab: Lab) -> None:
        """A document stays in its slice whatever happens to others, also for a client that comes later.

        Breaks when: slices are cut by position, so that a write between two workers moves documents from one to the
        other; or by a hash that is another one in each process.
        """
        documents = ragged(200)
        index = await lab.index(documents)
        before = [set(await self._read(index, part)) for part in slices(4)]
        gone = {document.id for document in documents[:30]}
        await index.delete(sorted(gone))
        await index.write(Document(f"a-new-{number}", documents[0].vectors) for number in range(33))
        if Feature.PERSISTENT in lab.capabilities.features:
            await lab.reconnect()
            index = await lab.client.open(index.name)
        after = [set(await self._read(index, part)) for part in slices(4)]
        for old, new in zip(before, after, strict=True):
            assert old - gone == {name for name in new if not name.startswith("a-new-")}

    @needs(Feature.STABLE_SCAN)
    async def test_resumed(self, lab: Lab) -> None:
        """A cursor goes on in its slice, in another client, and leaves the other slices alone.

        Breaks when: the cursor is a position in the whole, and the rest of the whole follows.
        """
        documents = ragged(300)
        index = await lab.shared(documents)
        twin = await lab.twin().open(index.name)
        parts = []
        for part in slices(3):
            whole = await self._read(index, part)
            for count in (0, 1, 20, len(whole)):
                scan = index.scan(part=part)
                before = [(await anext(scan)).id for _ in range(count)]
                after = [document.id async for document in twin.scan(part=part, cursor=scan.cursor)]
                assert len(after) == len(set(after))
                assert {*before, *after} == set(whole), f"slice {part} stopped after {count}"
            parts.append(whole)
        self._check(parts, {document.id for document in documents})

    @needs(Feature.STABLE_SCAN)
    async def test_cursor_of_another_slice(self, lab: Lab) -> None:
        """A cursor belongs to one slice; with another one, or with none, it is refused.

        Breaks when: a worker that was given the wrong place goes on there, and leaves a gap that nobody sees.
        """
        index = await lab.shared(ragged(40))
        mine = Slice(index=1, count=2)
        scan = index.scan(part=mine)
        await anext(scan)
        for other in (Slice(index=0, count=2), Slice(index=1, count=3), None):
            with pytest.raises(errors.InvalidInput, match=r"slice '1 of 2'"):
                index.scan(part=other, cursor=scan.cursor)
        with pytest.raises(errors.InvalidInput, match=r"slice 'all'"):
            index.scan(part=mine, cursor=index.scan().cursor)

    @staticmethod
    async def _read(index: AsyncIndex, part: Slice, condition: Filter | None = None) -> list[str]:
        return [document.id async for document in index.scan(part=part, filter=condition)]

    @staticmethod
    def _check(parts: Sequence[Sequence[str]], expected: set[str]) -> None:
        """Each expected document once in all."""
        found = [name for part in parts for name in part]
        assert len(found) == len(set(found))
        assert set(found) == expected
