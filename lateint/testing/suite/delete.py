"""Deleting by ids and by filter."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, field, ids
from lateint.testing.conditions import simple
from lateint.testing.data import query, ragged
from lateint.testing.lab import Lab
from lateint.testing.payloads import fields_for, filterable
from lateint.testing.suite.base import Suite, needs
from lateint.testing.truth import Truth, check_contents, selected
from lateint.types import Document


class TestDelete(Suite):
    """`delete`: gone from everywhere at once, and nothing else is."""

    async def test_gone_from_every_verb(self, lab: Lab) -> None:
        """Deleted documents are in no answer of any verb.

        Breaks when: the engine marks documents as deleted and one of its ways of reading does not look.
        """
        documents = ragged(12)
        index = await lab.index(documents)
        await index.delete([document.id for document in documents[:5]])
        await check_contents(index, documents[5:])
        assert [found.id for found in await index.get([document.id for document in documents[:5]])] == []
        assert {document.id async for document in index.scan()} == {document.id for document in documents[5:]}
        result = await index.search(query(), 12)
        Truth.of(query(), documents[5:], index).check_top(result, 12)

    async def test_ids_that_are_not_there(self, lab: Lab) -> None:
        """A missing id is no error, so that a delete can be repeated; the others go.

        Breaks when: the engine refuses the whole call.
        """
        documents = ragged(3)
        index = await lab.index(documents)
        for _ in range(2):
            await index.delete(["nobody", documents[0].id, documents[0].id])
        await index.delete([])
        await check_contents(index, documents[1:])

    async def test_written_again(self, lab: Lab) -> None:
        """An id is free again after its document was deleted.

        Breaks when: a tombstone outlives the delete.
        """
        old, new = ragged(2)
        index = await lab.index([old])
        await index.delete([old.id])
        again = Document(old.id, new.vectors, {"again": True})
        await index.write([again])
        await check_contents(index, [again])

    async def test_everything(self, lab: Lab) -> None:
        """An index from which all was deleted is as good as new.

        Breaks when: the engine cannot search an empty segment.
        """
        documents = ragged(8)
        index = await lab.index(documents)
        await index.delete(document.id for document in documents)
        assert await index.count() == 0
        assert len(await index.search(query())) == 0
        assert [document async for document in index.scan()] == []
        await index.write(documents)
        await check_contents(index, documents)

    async def test_more_ids_than_one_call_takes(self, lab: Lab) -> None:
        """Ids are sent in chunks, and every chunk arrives.

        Breaks when: only the first thousand go.
        """
        documents = [Document(f"id-{number}", [[1.0, 2.0]]) for number in range(1203)]
        index = await lab.index(documents, dim=2)
        await index.delete([document.id for document in documents[1:]])
        await check_contents(index, documents[:1])

    @needs(Feature.DELETE_BY_FILTER, Feature.FILTER_EQUAL)
    async def test_by_filter(self, lab: Lab) -> None:
        """A filter deletes what it counts.

        Breaks when: an engine ignores a condition that it does not know, and deletes everything.
        """
        documents = filterable(fields_for(lab.capabilities))
        index = await lab.index(documents, fields=fields_for(lab.capabilities))
        for condition in self._some(lab, documents):
            gone = selected(condition, documents, index)
            await index.delete(filter=condition)
            documents = [document for document in documents if document.id not in gone]
            assert {document.id async for document in index.scan()} == {document.id for document in documents}
        await check_contents(index, documents)

    @needs(Feature.DELETE_BY_FILTER, Feature.FILTER_IDS)
    async def test_by_a_filter_of_ids(self, lab: Lab) -> None:
        """`ids([])` deletes nothing, `ids([...])` those.

        Breaks when: an empty list of conditions means "all" to the engine.
        """
        documents = ragged(5)
        index = await lab.index(documents)
        await index.delete(filter=ids([]))
        await check_contents(index, documents)
        await index.delete(filter=ids([documents[2].id, "nobody"]))
        await check_contents(index, documents[:2] + documents[3:])

    async def test_neither_and_both(self, lab: Lab) -> None:
        """`delete()` must not mean everything; nor may one of two arguments be ignored.

        Breaks when: None is passed on as "no condition".
        """
        documents = ragged(3)
        index = await lab.index(documents)
        with pytest.raises(errors.InvalidInput, match="ids or a filter"):
            await index.delete()
        with pytest.raises(errors.InvalidInput, match="ids or a filter"):
            await index.delete([documents[0].id], filter=ids([documents[0].id]))
        await check_contents(index, documents)

    @staticmethod
    def _some(lab: Lab, documents: list[Document]) -> list[Filter]:
        fields = fields_for(lab.capabilities)
        parts = simple(fields, lab.capabilities, [document.id for document in documents])
        chosen = parts[:: len(parts) // 15]
        return [field("number") == 42, *chosen] if "number" in fields else chosen
