"""Changing payload without resending vectors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lateint import errors
from lateint.engine.capabilities import Feature
from lateint.filters import field
from lateint.spec import FieldType
from lateint.testing.data import query, ragged
from lateint.testing.lab import Lab
from lateint.testing.payloads import SHAPES
from lateint.testing.suite.base import Suite, cases, needs
from lateint.testing.truth import Truth, check_contents
from lateint.types import Document


class TestUpdatePayload(Suite):
    """`update_payload` sets top-level fields and leaves all else alone."""

    requires = frozenset({Feature.UPDATE_PAYLOAD})

    async def test_other_fields_and_rows_stay(self, lab: Lab) -> None:
        """Named fields change, others stay, other documents stay, rows keep every bit.

        Breaks when: the engine's replace is used, or rows are read and written back through another precision.
        """
        documents = ragged(6)
        index = await lab.index(documents)
        report = await index.update_payload([documents[1].id, documents[4].id], {"position": -1, "new": ["x"]})
        assert (report.written, report.failed) == (2, ())
        changed = [
            Document(document.id, document.vectors, {"position": -1, "new": ["x"]}) if number in {1, 4} else document
            for number, document in enumerate(documents)
        ]
        await check_contents(index, changed)
        result = await index.search(query(), 6)
        Truth.of(query(), documents, index).check_top(result, 6)
        assert {hit.id: hit.payload for hit in result} == {document.id: document.payload for document in changed}

    async def test_values_are_replaced_whole(self, lab: Lab) -> None:
        """A nested object or list is set, not merged into the old one; None stores null and does not delete.

        Breaks when: the engine merges deeply.
        """
        before = {"object": {"a": 1, "b": 2}, "list": [1, 2, 3], "gone": "x"}
        index = await lab.index([Document("a", ragged(1)[0].vectors, before)])
        await index.update_payload(["a"], {"object": {"c": 3}, "list": [9], "gone": None})
        (read,) = await index.get(["a"])
        assert read.payload == {"object": {"c": 3}, "list": [9], "gone": None}

    @cases("payload", SHAPES)
    async def test_every_shape_of_value(self, lab: Lab, payload: dict[str, object]) -> None:
        """What `write` can store, `update_payload` can too.

        Breaks when: the two take different ways to the wire.
        """
        (document,) = ragged(1)
        index = await lab.shared([])
        await index.write([document])
        await index.update_payload([document.id], payload)
        await check_contents(index, [Document(document.id, document.vectors, {**document.payload, **payload})])
        await index.delete([document.id])

    @needs(Feature.FILTER_EQUAL)
    async def test_filters_see_the_new_value(self, lab: Lab) -> None:
        """A declared field is found by its new value and no more by the old one, when the call has returned.

        Breaks when: only the payload that is handed back changes, and not what filters work on.
        """
        documents = [Document(document.id, document.vectors, {"number": 1}) for document in ragged(5)]
        index = await lab.index(documents, fields={"number": FieldType.INTEGER})
        await index.update_payload([documents[0].id, documents[3].id], {"number": 2})
        assert await index.count(field("number") == 2) == 2
        assert await index.count(field("number") == 1) == 3
        hits = await index.search(query(), 5, filter=field("number") == 2)
        assert {hit.id for hit in hits} == {documents[0].id, documents[3].id}

    @needs(Feature.FILTER_EXISTS)
    async def test_filters_see_what_comes_and_goes(self, lab: Lab) -> None:
        """A field that is set exists, one set to None does not.

        Breaks when: the engine's list of present fields is not kept up to date.
        """
        documents = ragged(3)
        index = await lab.index(documents, fields={"moment": FieldType.DATETIME})
        await index.update_payload([documents[0].id, documents[1].id], {"moment": datetime(2024, 1, 1, tzinfo=UTC)})
        assert await index.count(field("moment").exists()) == 2
        await index.update_payload([documents[0].id], {"moment": None})
        assert await index.count(field("moment").exists()) == 1

    async def test_missing_documents_are_named(self, lab: Lab) -> None:
        """An id that is not there is among `failed`, is not created, and the others are updated.

        Breaks when: the engine upserts, or ignores unknown ids in silence.
        """
        documents = ragged(2)
        index = await lab.index(documents)
        report = await index.update_payload(["nobody", documents[0].id, "no-one"], {"seen": True})
        assert report.written == 1
        assert sorted(failure.id for failure in report.failed) == ["no-one", "nobody"]
        assert await index.count() == 2
        assert [document.id for document in await index.get(["nobody", "no-one"])] == []

    async def test_value_of_another_type_is_refused(self, lab: Lab) -> None:
        """A declared field keeps its type, as on writing; nothing is changed.

        Breaks when: changes go to the engine unchecked.
        """
        documents = [Document(document.id, document.vectors, {"number": 1}) for document in ragged(2)]
        index = await lab.index(documents, fields={"number": FieldType.INTEGER})
        for value in ("2", 2.0, True, [2]):
            with pytest.raises(errors.PayloadTypeError, match="number"):
                await index.update_payload([documents[0].id], {"number": value})
        await check_contents(index, documents)

    async def test_more_ids_than_one_call_takes(self, lab: Lab) -> None:
        """Ids are sent in chunks; every one of them is updated and counted.

        Breaks when: chunks overlap, or the last one is forgotten.
        """
        documents = [Document(f"id-{number}", [[1.0, 2.0]], {"n": number}) for number in range(1203)]
        index = await lab.index(documents, dim=2)
        report = await index.update_payload((document.id for document in documents), {"seen": True})
        assert (report.written, report.failed) == (1203, ())
        assert all(document.payload["seen"] for document in await index.get([document.id for document in documents]))
