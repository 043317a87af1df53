"""Data that outlive the client, where the engine says so."""

from __future__ import annotations

from lateint.engine.capabilities import Feature
from lateint.filters import field
from lateint.spec import FieldType
from lateint.testing.data import adversarial, query, ragged
from lateint.testing.lab import Lab
from lateint.testing.payloads import fields_for, filterable
from lateint.testing.suite.base import Suite, needs
from lateint.testing.truth import Truth, check_contents
from lateint.types import Document


class TestPersistence(Suite):
    """What was acknowledged is there after closing and connecting again."""

    requires = frozenset({Feature.PERSISTENT})

    async def test_documents_and_spec(self, lab: Lab) -> None:
        """Rows, payloads, spec and answers are the same through a new client.

        Breaks when: something is kept in memory until an explicit flush, or the spec lives in the handle.
        """
        fields = fields_for(lab.capabilities)
        documents = [*filterable(fields), *adversarial()]
        index = await lab.index(documents, fields=fields, metadata={"a": 1}, encoder={"model": "m"})
        before = await index.search(query(), 20)
        again = await lab.reopened(index)
        assert again.spec == index.spec
        assert again.capabilities == index.capabilities
        await check_contents(again, documents)
        after = await again.search(query(), 20)
        assert [(hit.id, hit.score) for hit in after] == [(hit.id, hit.score) for hit in before]
        Truth.of(query(), documents, again).check_top(after, 20)

    async def test_every_dtype(self, lab: Lab) -> None:
        """The storage format, and rows that are not normalised, outlive the client too.

        Breaks when: a reopened index is taken for the default one.
        """
        documents = ragged(10)
        for dtype in sorted(lab.capabilities.dtypes):
            index = await lab.reopened(await lab.index(documents, dtype=dtype, normalize=False))
            assert (index.spec.dtype, index.spec.normalize) == (dtype, False)
            await check_contents(index, documents)

    async def test_several_rounds(self, lab: Lab) -> None:
        """Writing, rewriting and deleting go on over several openings.

        Breaks when: a log is replayed twice, or deletes are lost on loading.
        """
        documents = ragged(20)
        index = await lab.index(documents[:10])
        index = await lab.reopened(index)
        await index.write(documents[8:])
        index = await lab.reopened(index)
        await index.delete([document.id for document in documents[:4]])
        await index.write([Document(documents[5].id, documents[0].vectors, {"rewritten": True})])
        index = await lab.reopened(index)
        expected = {document.id: document for document in documents[4:]}
        expected[documents[5].id] = Document(documents[5].id, documents[0].vectors, {"rewritten": True})
        await check_contents(index, list(expected.values()))

    async def test_list_and_drop(self, lab: Lab) -> None:
        """A new client lists what is there and can drop it; what was dropped stays so.

        Breaks when: the list of indexes is that of open handles.
        """
        kept, dropped = await lab.index(ragged(2)), await lab.index(ragged(2))
        await lab.reconnect()
        assert {kept.name, dropped.name} <= set(await lab.client.list_indexes())
        await lab.client.drop_index(dropped.name)
        await lab.reconnect()
        listed = await lab.client.list_indexes()
        assert kept.name in listed
        assert dropped.name not in listed

    @needs(Feature.ADD_FIELD, Feature.UPDATE_PAYLOAD, Feature.FILTER_EQUAL)
    async def test_fields_added_later(self, lab: Lab) -> None:
        """A field declared later is declared for good, and filters on it work through a new client.

        Breaks when: the field is known to the handle that declared it only.
        """
        documents = ragged(12)
        index = await lab.index(documents)
        await index.update(fields={"position": "integer"}, metadata={"changed": True})
        index = await lab.reopened(index)
        assert index.spec.fields == {"position": FieldType.INTEGER}
        assert index.spec.metadata == {"changed": True}
        assert await index.count(field("position") == 5) == 1
        await check_contents(index, documents)
