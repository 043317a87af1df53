"""Changing an index that holds documents: new fields, metadata, encoder."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.engine.capabilities import Feature
from lateint.filters import field
from lateint.spec import FieldType
from lateint.testing import conditions
from lateint.testing.data import ragged
from lateint.testing.lab import Lab
from lateint.testing.payloads import fields_for, filterable
from lateint.testing.suite.base import Suite, needs
from lateint.testing.truth import check_contents, check_filters
from lateint.types import Document


class TestUpdate(Suite):
    """`update` changes what is said of an index, and no document."""

    async def test_metadata_is_replaced(self, lab: Lab) -> None:
        """Metadata are set whole, seen by this handle and by the next one; documents stay.

        Breaks when: they are merged, or kept in the handle only.
        """
        documents = ragged(4)
        index = await lab.index(documents, metadata={"old": 1, "both": 1})
        await index.update(metadata={"both": 2, "ünïcode": ["日本", None]})
        assert index.spec.metadata == {"both": 2, "ünïcode": ["日本", None]}
        assert (await lab.client.open(index.name)).spec == index.spec
        await check_contents(index, documents)

    async def test_encoder_is_bound_once(self, lab: Lab) -> None:
        """An index without an encoder takes one, then no other: vectors of two models do not compare.

        Breaks when: the fingerprint is overwritten.
        """
        index = await lab.index()
        await index.update(encoder={"model": "a", "dim": 8})
        await index.update(encoder={"model": "a", "dim": 8})
        with pytest.raises(errors.EncoderMismatch, match="'b'"):
            await index.update(encoder={"model": "b", "dim": 8})
        assert (await lab.client.open(index.name)).spec.encoder == {"model": "a", "dim": 8}

    @needs(Feature.ADD_FIELD, Feature.UPDATE_PAYLOAD)
    async def test_what_another_handle_declared_stays(self, lab: Lab) -> None:
        """A change through a handle that was opened before another change keeps that one.

        Breaks when: the spec of the handle, as it was on opening, replaces the one that is there.
        """
        index = await lab.index()
        older = await lab.client.open(index.name)
        await index.update(fields={"word": "keyword"}, encoder={"model": "a"})
        await older.update(metadata={"new": 1})
        spec = (await lab.client.open(index.name)).spec
        assert (spec.fields, spec.encoder, spec.metadata) == ({"word": FieldType.KEYWORD}, {"model": "a"}, {"new": 1})

    async def test_type_of_a_field_does_not_change(self, lab: Lab) -> None:
        """Declaring a field again with its own type is fine, with another it is refused.

        Breaks when: the engine adds a second index of another type under the name.
        """
        index = await lab.index(fields={"word": FieldType.KEYWORD})
        await index.update(fields={"word": "keyword"})
        with pytest.raises(errors.InvalidInput, match="word"):
            await index.update(fields={"word": "integer"})
        assert (await lab.client.open(index.name)).spec.fields == {"word": FieldType.KEYWORD}


class TestAddField(Suite):
    """Fields declared when documents are there already."""

    requires = frozenset({Feature.ADD_FIELD, Feature.UPDATE_PAYLOAD})

    async def test_filters_as_if_declared_from_the_start(self, lab: Lab) -> None:
        """Documents written before, and after, are found by every filter on the new fields.

        Breaks when: the engine indexes only what is written from then on.
        """
        fields = fields_for(lab.capabilities)
        documents = filterable(fields)
        index = await lab.index(documents[:40])
        await index.update(fields=fields)
        await index.write(documents[40:])
        assert index.spec.fields == fields
        assert index.spec.pending == ()
        names = [document.id for document in documents]
        await check_filters(index, documents, conditions.simple(fields, lab.capabilities, names)[::4])
        await check_contents(index, documents)

    @needs(Feature.FILTER_EQUAL)
    async def test_beside_fields_that_are_there(self, lab: Lab) -> None:
        """Fields of each type come one after the other; the new and the first both work, also through a new handle.

        Breaks when: adding a field rewrites the list of fields, or fits documents to the new one only.
        """
        every = fields_for(lab.capabilities)
        lab.skip_unless(len(every) > 1, "filter fields of two types")
        documents = filterable(every, count=32)
        (first, kind), *others = every.items()
        index = await lab.index(documents, fields={first: kind})
        for number, (name, other) in enumerate(others, start=2):
            await index.update(fields={name: other})
            opened = await lab.client.open(index.name)
            assert opened.spec.fields == dict([*every.items()][:number])
            found = [*conditions.equal(first, kind), *conditions.equal(name, other)]
            await check_filters(opened, documents, found)

    @needs(Feature.FILTER_EQUAL)
    async def test_written_through_an_older_handle(self, lab: Lab) -> None:
        """A handle that was opened before the field was declared writes documents that filters on it find.

        Breaks when: such a handle goes on with the fields that it knew, and filters on the new ones miss its documents.
        """
        fields = fields_for(lab.capabilities)
        documents = filterable(fields)
        index = await lab.index()
        older = await lab.client.open(index.name)
        await index.update(fields=fields)
        await older.write(documents)
        names = [document.id for document in documents]
        await check_filters(index, documents, conditions.simple(fields, lab.capabilities, names)[::9])

    async def test_stored_value_of_another_type(self, lab: Lab) -> None:
        """If one document does not fit, the field is not declared, the document is named, and nothing was changed.

        Breaks when: the type is checked on the way, or the engine leaves such documents out of its index.
        """
        documents = [Document(document.id, document.vectors, {"number": n}) for n, document in enumerate(ragged(30))]
        documents[21] = Document(documents[21].id, documents[21].vectors, {"number": "21"})
        index = await lab.index(documents)
        with pytest.raises(errors.PayloadTypeError, match=documents[21].id):
            await index.update(fields={"number": "integer"})
        assert index.spec.fields == {}
        assert (await lab.client.open(index.name)).spec.fields == {}
        with pytest.raises(errors.InvalidInput, match="number"):
            await index.count(field("number") == 1)
        await check_contents(index, documents)

    async def test_unknown_type(self, lab: Lab) -> None:
        """A type that does not exist is refused with the nearest one.

        Breaks when: text goes to the engine as it is.
        """
        index = await lab.index(ragged(2))
        with pytest.raises(errors.InvalidInput, match="integer"):
            await index.update(fields={"number": "integr"})
        assert (await lab.client.open(index.name)).spec.fields == {}
