"""Arrays and payloads stay whose they are: neither side can change what the other holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lateint.testing.data import DIM, query, ragged, rows, same_bits
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite
from lateint.testing.truth import check_contents, stored
from lateint.types import Document
from lateint.vectors import normalized


class TestBorrowed(Suite):
    """Neither side can change what the other holds."""

    async def test_inputs_are_not_changed(self, lab: Lab) -> None:
        """Arrays and payloads of the caller are what they were, also when rows had to be normalised.

        Breaks when: normalising or projecting works in place.
        """
        vectors = rows(np.random.default_rng(9), 4)
        payload = {"list": [1, {"deep": "value"}], "none": None}
        kept = vectors.copy()
        index = await lab.index([Document("a", vectors, payload)])
        asked = query()
        kept_query = asked.copy()
        await index.search(asked)
        assert same_bits(vectors, kept)
        assert same_bits(asked, kept_query)
        assert payload == {"list": [1, {"deep": "value"}], "none": None}

    async def test_arrays_changed_afterwards(self, lab: Lab) -> None:
        """An array is the caller's again once `write` has returned.

        Breaks when: a store in the process keeps the caller's own array.
        """
        vectors = normalized(rows(np.random.default_rng(10), 3))
        kept = vectors.copy()
        payload: dict[str, Any] = {"list": [1, 2], "object": {"a": 1}}
        index = await lab.index([Document("a", vectors, payload)])
        vectors[:] = 0
        payload["list"].append(3)
        payload["object"]["a"] = 2
        await check_contents(index, [Document("a", kept, {"list": [1, 2], "object": {"a": 1}})])

    async def test_one_buffer_for_all_documents(self, lab: Lab) -> None:
        """A generator may fill the same array again and again, as readers of files do.

        Breaks when: documents wait for their batch as views of the caller's array; all then hold the last one's rows.
        """
        documents = [Document(document.id, normalized(document.vectors[:1])) for document in ragged(9)]
        buffer = np.zeros((1, DIM), dtype=np.float32)

        def reading() -> Iterator[Document]:
            for document in documents:
                buffer[:] = document.vectors
                yield Document(document.id, buffer)

        index = await lab.index(reading())
        await check_contents(index, documents)

    async def test_what_is_read_is_the_readers(self, lab: Lab) -> None:
        """Changing what a read returned does not reach the index.

        Breaks when: a store in the process, or a cache, hands out its own objects.
        """
        document = Document("a", rows(np.random.default_rng(11), 3), {"list": [1, {"deep": 1}]})
        index = await lab.index([document])
        for _ in range(2):
            (read,) = await index.get(["a"], with_vectors=True)
            (hit,) = await index.search(query(), 1, with_vectors=True)
            (scanned,) = [found async for found in index.scan(with_vectors=True)]
            found: list[Any] = [read, hit, scanned]
            for vectors, payload in ((one.vectors, one.payload) for one in found):
                assert same_bits(vectors, stored(document, index.spec))
                payload["list"][1]["deep"] = "changed"
                payload["new"] = True
                if vectors.flags.writeable:
                    vectors[:] = 7
        await check_contents(index, [document])

    async def test_layouts_of_arrays(self, lab: Lab) -> None:
        """Views, transposes, other widths and byte orders, lists: all mean the numbers they hold.

        Breaks when: bytes are sent without asking how they lie.
        """
        base = np.random.default_rng(12).integers(-8, 8, (6, 2 * DIM)).astype(np.float32) + np.float32(0.5)
        shapes = {
            "view": base[::2, ::2],
            "fortran": np.asfortranarray(base[:, :DIM]),
            "reversed": base[::-1, DIM - 1 :: -1],
            "float64": base[:, :DIM].astype(np.float64),
            "float16": base[:, :DIM].astype(np.float16),
            "integers": (base[:, :DIM] * 2).astype(np.int64),
            "big-endian": base[:, :DIM].astype(">f4"),
            "lists": base[:, :DIM].tolist(),
            "read-only": np.broadcast_to(base[:1, :DIM], (3, DIM)),
        }
        documents = [Document(name, vectors) for name, vectors in shapes.items()]
        index = await lab.index(documents)
        await check_contents(index, documents)
