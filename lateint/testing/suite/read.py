"""`get` and `count`."""

from __future__ import annotations

import numpy as np
import pytest

from lateint import errors
from lateint.engine.capabilities import Feature
from lateint.filters import ids
from lateint.spec import DType
from lateint.testing.data import DIM, one_token, ragged, same_bits
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite, needs
from lateint.testing.truth import stored
from lateint.types import Document


class TestGet(Suite):
    """`get`: the documents asked for, in the order asked for."""

    async def test_order_and_missing_ones(self, lab: Lab) -> None:
        """Answers follow the request; missing ids are left out, repeated ones come once.

        Breaks when: the engine answers in its own order, or with a hole for each missing id.
        """
        documents = ragged(9)
        index = await lab.index(documents)
        names = [documents[number].id for number in (7, 0, 3, 8, 1)]
        found = await index.get([names[0], "nobody", *names, names[2], "no-one"])
        assert [document.id for document in found] == names

    async def test_with_and_without_vectors(self, lab: Lab) -> None:
        """Rows come when asked for, as read-only facts of float32; otherwise None, not empty.

        Breaks when: a placeholder stands for rows that were not read.
        """
        documents = ragged(4)
        index = await lab.index(documents)
        names = [document.id for document in documents]
        assert [document.vectors for document in await index.get(names)] == [None] * 4
        for read, written in zip(await index.get(names, with_vectors=True), documents, strict=True):
            assert same_bits(read.vectors, stored(written, index.spec))
            assert read.payload == written.payload

    async def test_many(self, lab: Lab) -> None:
        """More documents than one call of the engine carries come whole and in order.

        Breaks when: an engine cuts an answer at its default limit (10, 100, 1000).
        """
        documents = [Document(f"id-{number:04d}", [[1.0, number]], {"n": number}) for number in range(1203)]
        index = await lab.index(documents, dim=2)
        names = [document.id for document in reversed(documents)]
        assert [document.id for document in await index.get(names)] == names
        found = await index.get(names[:200], with_vectors=True)
        assert [document.id for document in found] == names[:200]
        assert all(document.vectors.shape == (1, 2) for document in found)

    async def test_nothing(self, lab: Lab) -> None:
        """No ids, no documents, no error.

        Breaks when: an empty list means "all" to the engine.
        """
        index = await lab.index(ragged(3))
        assert await index.get([]) == []
        assert await index.get([], with_vectors=True) == []

    async def test_normalised_rows_say_so(self, lab: Lab) -> None:
        """Documents of an index that normalises carry `normalized`: a copy writes their rows bit for bit.

        Breaks when: rows that storage has rounded are normalised and rounded once more on the way to another index.
        """
        documents = ragged(6)
        for dtype in sorted(lab.capabilities.dtypes - {DType.BINARY}):
            index = await lab.index(documents, dtype=dtype)
            read = await index.get([document.id for document in documents], with_vectors=True)
            assert all(document.normalized for document in read)
            for target in (dtype, DType.FLOAT32):
                copied = await lab.index(read, dtype=target)
                again = await copied.get([document.id for document in documents], with_vectors=True)
                assert all(same_bits(left.vectors, right.vectors) for left, right in zip(read, again, strict=True))
        plain = await lab.index(documents, normalize=False)
        assert not any(document.normalized for document in await plain.get([documents[0].id], with_vectors=True))

    async def test_bits_are_read_as_they_are_stored(self, lab: Lab) -> None:
        """A binary index gives 0.0 and 1.0, and these are the same bits again wherever they are written.

        Half of the documents have rows of zeros, for want of a value above 0. An index that normalises floats refuses
        to take bits for unit rows; scaled, they would rank otherwise.

        Breaks when: bits are read as -1 and 1, packed from the wrong end, or taken for padding.
        """
        lab.skip_unless(DType.BINARY in lab.capabilities.dtypes, "store bits")
        documents = one_token()
        ids = [document.id for document in documents]
        for normalize in (True, False):
            index = await lab.index(documents, dtype=DType.BINARY, normalize=normalize)
            read = await index.get(ids, with_vectors=True)
            assert all(document.normalized for document in read)
            expected = [(document.vectors > 0).astype(np.float32) for document in documents]
            assert all(same_bits(document.vectors, bits) for document, bits in zip(read, expected, strict=True))
            for dtype in (DType.BINARY, DType.FLOAT32):
                target = await lab.index(read, dtype=dtype, normalize=normalize and dtype is DType.BINARY)
                again = await target.get(ids, with_vectors=True)
                assert all(same_bits(left.vectors, right.vectors) for left, right in zip(read, again, strict=True))
            unit = await lab.index()
            with pytest.raises(errors.InvalidInput, match="normalize=False"):
                await unit.write(read)


class TestCount(Suite):
    """`count` is exact."""

    async def test_follows_every_change(self, lab: Lab) -> None:
        """Writes, rewrites and deletes are counted when they return.

        Breaks when: the engine estimates, or counts rewritten documents twice until it has compacted.
        """
        documents = ragged(10)
        index = await lab.index(documents)
        assert await index.count() == 10
        await index.write(documents[:6])
        assert await index.count() == 10
        await index.delete([document.id for document in documents[8:]])
        assert await index.count() == 8
        await index.write([Document("new", [[1.0] * DIM])])
        assert await index.count() == 9

    @needs(Feature.FILTER_IDS)
    async def test_of_a_filter(self, lab: Lab) -> None:
        """With a filter, those that pass are counted.

        Breaks when: the filter is not handed on, and the count is that of the whole index.
        """
        documents = ragged(10)
        index = await lab.index(documents)
        assert await index.count(ids([documents[1].id, documents[2].id, "nobody"])) == 2
        assert await index.count(ids([])) == 0

    async def test_beyond_a_page(self, lab: Lab) -> None:
        """An index of more documents than any page is counted whole.

        Breaks when: the count is the length of one answer.
        """
        index = await lab.index((Document(f"id-{number}", [[1.0]]) for number in range(2501)), dim=1)
        assert await index.count() == 2501
