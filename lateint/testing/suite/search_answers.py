"""What comes with a hit, and several queries at once."""

from __future__ import annotations

from lateint.spec import FieldType
from lateint.testing.data import DIM, adversarial, query, ragged, same_bits
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite
from lateint.testing.truth import Truth, stored
from lateint.types import Document


class TestSearchAnswers(Suite):
    """What comes with a hit, and several queries at once."""

    async def test_empty_index(self, lab: Lab) -> None:
        """An index without documents answers with no hits.

        Breaks when: the engine has no schema before its first document.
        """
        index = await lab.index()
        result = await index.search(query(), 10)
        assert len(result) == 0
        assert list(result) == []

    async def test_payload_selection(self, lab: Lab) -> None:
        """All of the payload, none of it, or some top-level fields, declared or not.

        Breaks when: none comes as an empty payload, or a name with a dot reaches into an object.
        """
        payload = {"a": 1, "b": {"c": 2}, "b.c": 3, "number": 4}
        index = await lab.index([Document("a", [[1.0] * DIM], payload)], fields={"number": FieldType.INTEGER})
        for wanted, expected in (
            (True, payload),
            (False, None),
            (["a"], {"a": 1}),
            (("b", "number"), {"b": {"c": 2}, "number": 4}),
            (["b.c"], {"b.c": 3}),
            ([], {}),
            (["missing"], {}),
        ):
            (hit,) = await index.search(query(), 1, payload=wanted)
            assert hit.payload == expected, wanted

    async def test_vectors_of_hits(self, lab: Lab) -> None:
        """With `with_vectors` the stored rows come bit for bit; without, None.

        Breaks when: rows are read back through a shorter text form of numbers.
        """
        documents = {document.id: document for document in adversarial()}
        index = await lab.shared(list(documents.values()))
        for hit in await index.search(query(), 60, with_vectors=True):
            assert hit.vectors is not None
            assert same_bits(hit.vectors, stored(documents[hit.id], index.spec))
        assert all(hit.vectors is None for hit in await index.search(query(), 60))

    async def test_many_queries(self, lab: Lab) -> None:
        """Results come in the order of the queries, each as if asked alone, in more than one call's worth.

        Breaks when: a batch is answered in the order in which its parts finish.
        """
        documents = ragged(20)
        index = await lab.shared(documents)
        queries = [query(count=1 + seed % 6, seed=seed) for seed in range(41)]
        results = await index.search_many(iter(queries), 4)
        assert len(results) == len(queries)
        for asked, result in zip(queries, results, strict=True):
            truth = Truth.of(asked, documents, index)
            truth.check_top(result, 4) if result.exact else truth.check_scores(result)
        assert await index.search_many([], 4) == []

    async def test_result_reads_like_a_list(self, lab: Lab) -> None:
        """Hits can be counted, sliced and iterated again.

        Breaks when: a result is a one-way iterator.
        """
        index = await lab.shared(ragged(6))
        result = await index.search(query(), 4)
        assert [hit.id for hit in result] == [hit.id for hit in result]
        assert result[0] is next(iter(result))
        assert (type(result[0].id), type(result[0].score)) == (str, float)
        assert len(result[1:3]) == 2

    async def test_timeout_of_a_search(self, lab: Lab) -> None:
        """A generous timeout changes nothing.

        Breaks when: it is handed on in another unit.
        """
        index = await lab.shared(ragged(6))
        assert len(await index.search(query(), 4, timeout_s=300.0)) == 4
