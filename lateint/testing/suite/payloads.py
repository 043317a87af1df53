"""Payloads come back as they went in."""

from __future__ import annotations

from typing import Any

import numpy as np

from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD, WORDS_FIELD
from lateint.spec import FieldType
from lateint.testing.data import DIM, query, ragged, same_payload
from lateint.testing.lab import Lab
from lateint.testing.payloads import NAMES, SHAPES, VALUES
from lateint.testing.suite.base import Suite, cases
from lateint.testing.truth import check_contents
from lateint.types import Document


class TestPayload(Suite):
    """Equal in value and in type, through `get`, `search` and `scan`."""

    @cases("payload", SHAPES)
    async def test_round_trip(self, lab: Lab, payload: dict[str, Any]) -> None:
        """Undeclared fields of every shape.

        Breaks when: the engine has one number type, drops nulls and empty lists, flattens keys with dots, or keeps
        milliseconds.
        """
        index = await lab.shared([])
        await index.write([Document("a", [[1.0] * DIM], payload)])
        (read,) = await index.get(["a"])
        (hit,) = await index.search(query(), 1)
        (scanned,) = [document async for document in index.scan()]
        for found in (read.payload, hit.payload, scanned.payload):
            assert same_payload(found, payload)
        await index.delete(["a"])

    @cases("kind", {kind.value: kind for kind in FieldType})
    async def test_declared_fields(self, lab: Lab, kind: FieldType) -> None:
        """Declared fields come back exactly too, from the column that filters work on or from beside it.

        Breaks when: the engine's own type is narrower: doubles for integers, UTC for zones, text for floats.
        """
        lab.skip_unless(kind in lab.capabilities.field_types, f"filter fields of type {kind.value}")
        vectors = ragged(1)[0].vectors
        documents = [Document(f"d{n}", vectors, {NAMES[kind]: value}) for n, value in enumerate((None, *VALUES[kind]))]
        index = await lab.shared(documents, fields={NAMES[kind]: kind})
        await check_contents(index, documents)
        for hit in await index.search(query(), 100):
            assert same_payload(hit.payload, documents[int(hit.id[1:])].payload)

    async def test_declared_next_to_undeclared(self, lab: Lab) -> None:
        """Declared and undeclared fields of one document come back together, in one payload.

        Breaks when: one of the two is read and the other forgotten.
        """
        payload = {"number": 7, "extra": {"deep": [1, None]}, "word": "x", "number2": 7.0}
        fields = {"number": FieldType.INTEGER, "word": FieldType.KEYWORD}
        documents = [Document("a", [[1.0] * DIM], payload), Document("b", [[1.0] * DIM], {"word": "y"})]
        await check_contents(await lab.index(documents, fields=fields), documents)

    async def test_numpy_values_become_plain(self, lab: Lab) -> None:
        """NumPy scalars and tuples are stored as the Python values that they stand for.

        Breaks when: they reach the engine's serialiser.
        """
        given = {"i": np.int64(2**62), "f": np.float32(0.5), "b": np.bool_(1), "s": np.str_("é"), "t": (1, (2,))}
        plain = {"i": 2**62, "f": 0.5, "b": True, "s": "é", "t": [1, [2]]}
        index = await lab.index([Document("a", [[1.0] * DIM], given)])
        (read,) = await index.get(["a"])
        assert same_payload(read.payload, plain)

    async def test_no_payload(self, lab: Lab) -> None:
        """A document without payload has an empty one, not None.

        Breaks when: the engine leaves out what is empty.
        """
        index = await lab.index([Document("a", [[1.0] * DIM])])
        assert (await index.get(["a"]))[0].payload == {}
        assert (await index.search(query(), 1))[0].payload == {}

    async def test_nothing_of_ours_shows(self, lab: Lab) -> None:
        """Fields that lateint keeps for itself are not the reader's.

        Breaks when: reserved fields are handed back, and a copy then refuses them.
        """
        fields = {NAMES[kind]: kind for kind in FieldType if kind in lab.capabilities.field_types}
        payload = {name: VALUES[kind][0] for name, kind in fields.items()}
        index = await lab.index([Document("a", [[1.0] * DIM], payload)], fields=fields)
        for found in (*await index.get(["a"]), *await index.search(query(), 1)):
            assert found.payload is not None
            assert found.payload.keys() == payload.keys()
        (hit,) = await index.search(query(), 1, payload=[ID_FIELD, PAYLOAD_FIELD, WORDS_FIELD])
        assert hit.payload == {}
