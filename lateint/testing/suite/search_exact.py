"""Exact search returns the true top k by MaxSim."""

from __future__ import annotations

import numpy as np
import pytest

from lateint.engine.capabilities import Feature
from lateint.filters import field, ids
from lateint.spec import DType, FieldType
from lateint.testing.data import DIM, adversarial, one_token, opposed, query, ragged, repeated, rows, tied
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite, cases, needs
from lateint.testing.truth import Truth, selected
from lateint.types import Document


class TestSearchExact(Suite):
    """Every score equals the float64 reference by id, and the ranking is the true one up to ties."""

    requires = frozenset({Feature.EXACT_SEARCH})

    @cases("k", {f"k{k}": k for k in [1, 2, 5, 10, 33, 500]})
    async def test_top_k(self, lab: Lab, k: int) -> None:
        """The best `k` of a mixed index; all of it when `k` is larger.

        Breaks when: the engine's candidate list is shorter than `k`, or `k` beyond the index is an error.
        """
        documents = adversarial()
        index = await lab.shared(documents)
        for seed in range(4):
            asked = query(seed=seed)
            result = await index.search(asked, min(k, lab.plenty), exact=True)
            assert result.exact
            Truth.of(asked, documents, index).check_top(result, k)

    async def test_all_similarities_negative(self, lab: Lab) -> None:
        """Padding or masking with zeros lifts every document to 0 and shuffles the ranking.

        Breaks when: an adapter pads batches, an engine multiplies by a mask, or negative sums are clamped.
        """
        asked, documents = opposed()
        index = await lab.shared(documents)
        result = await index.search(asked, lab.plenty, exact=True)
        assert all(hit.score < 0 for hit in result)
        Truth.of(asked, documents, index).check_top(result, lab.plenty)

    @cases("k", {f"k{k}": k for k in [1, 6, 7, 8, 13, 28]})
    async def test_ties_at_the_cut(self, lab: Lab, k: int) -> None:
        """Equal documents fill the cut at `k`: which of them come is free, how many is not.

        Breaks when: hits of equal score replace each other, or are all left out at the cut.
        """
        documents = tied()
        index = await lab.shared(documents)
        result = await index.search(query(), k, exact=True)
        Truth.of(query(), documents, index).check_top(result, k)
        assert len({hit.id for hit in result}) == k

    async def test_equal_scores_come_in_order_of_id(self, lab: Lab) -> None:
        """Equal scores are ordered by id: the same answer from run to run and from engine to engine.

        Breaks when: hits are handed on in the engine's internal order.
        """
        index = await lab.shared(tied())
        hits = list(await index.search(query(), lab.plenty, exact=True))
        assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id))

    async def test_one_token_documents(self, lab: Lab) -> None:
        """Documents of one row, and queries of one row, are matrices like any other.

        Breaks when: a one-row matrix is squeezed into a plain vector, and another field or distance is used.
        """
        documents = one_token()
        index = await lab.shared(documents)
        for asked in (query(count=1), query(count=7), np.eye(DIM, dtype=np.float32)[:1]):
            Truth.of(asked, documents, index).check_top(await index.search(asked, lab.plenty, exact=True), lab.plenty)

    async def test_repeated_rows(self, lab: Lab) -> None:
        """Rows that come twice in a document change nothing; in a query they count twice.

        Breaks when: scores are averaged over rows, or rows are stored as a set.
        """
        documents = [*repeated(), *ragged(5)]
        index = await lab.shared(documents)
        asked = np.vstack([query(count=2), query(count=2), query(count=1)])
        result = await index.search(asked, lab.plenty, exact=True)
        Truth.of(asked, documents, index).check_top(result, lab.plenty)

    async def test_score_is_a_sum_over_query_rows(self, lab: Lab) -> None:
        """Scores grow with the number of query rows: they are neither distances nor means, and higher is better.

        Breaks when: a distance is not negated, or the engine divides by the number of rows.
        """
        document = Document("a", np.eye(DIM, dtype=np.float32))
        index = await lab.shared([document])
        for count in (1, 3, DIM):
            (hit,) = await index.search(np.eye(DIM, dtype=np.float32)[:count], 1, exact=True)
            assert hit.score == pytest.approx(count, rel=1e-5)

    async def test_layouts_of_queries(self, lab: Lab) -> None:
        """Views, transposes, wider numbers and lists mean the numbers they hold.

        Breaks when: the bytes of a query are sent without asking how they lie.
        """
        documents = ragged(10)
        index = await lab.shared(documents)
        asked = query(count=6)
        wide = np.zeros((6, 2 * DIM))
        wide[:, ::2] = asked
        for form in (asked.tolist(), asked.astype(np.float64), np.asfortranarray(asked), wide[:, ::2], asked[::-1]):
            result = await index.search(form, lab.plenty, exact=True)
            Truth.of(asked, documents, index).check_top(result, lab.plenty)

    async def test_rows_that_are_not_normalised(self, lab: Lab) -> None:
        """With `normalize=False` lengths count, on both sides: the score is the sum of dot products.

        Breaks when: the engine runs cosine, or only one side is normalised.
        """
        documents = ragged(30)
        index = await lab.shared(documents, normalize=False)
        asked = query() * np.float32(3)
        Truth.of(asked, documents, index).check_top(await index.search(asked, lab.plenty, exact=True), lab.plenty)

    async def test_queries_are_normalised_as_documents_are(self, lab: Lab) -> None:
        """The length of a query row does not matter where rows are normalised.

        Breaks when: queries go to the engine as they come.
        """
        documents = ragged(10)
        index = await lab.shared(documents)
        scaled = query() * np.array([[0.01], [100], [1], [3], [1e-3]], dtype=np.float32)
        Truth.of(query(), documents, index).check_top(await index.search(scaled, 10, exact=True), 10)

    @cases("dtype", {dtype.value: dtype for dtype in DType})
    @cases("normalize", {"normalised": True, "raw": False})
    async def test_storage_formats(self, lab: Lab, dtype: DType, normalize: bool) -> None:  # noqa: FBT001
        """In a narrow format the score is the exact one of the rounded rows, not merely near that of the original ones.

        Breaks when: the engine rounds otherwise than to nearest even, rounds the query too without saying so, scores
        bits as -1 and 1, or loses rows without a single bit.
        """
        lab.skip_unless(dtype in lab.capabilities.dtypes, f"store {dtype.value}")
        documents = [*ragged(30, 32), *opposed(32)[1]]
        index = await lab.shared(documents, dim=32, dtype=dtype, normalize=normalize)
        asked = query(32)
        Truth.of(asked, documents, index).check_top(await index.search(asked, lab.plenty, exact=True), lab.plenty)

    async def test_long_queries_and_documents(self, lab: Lab) -> None:
        """A query of 200 rows on documents of up to 400, as visual pages have them.

        Breaks when: an engine cuts either side at its default token limit.
        """
        random = np.random.default_rng(13)
        documents = [Document(f"long-{count}", rows(random, count, 16)) for count in (1, 50, 128, 256, 400)]
        asked = rows(random, 200, 16)
        index = await lab.shared(documents, dim=16)
        Truth.of(asked, documents, index).check_top(await index.search(asked, 5, exact=True), 5)

    async def test_exact_is_the_default(self, lab: Lab) -> None:
        """An engine that can answer exactly does so unless told otherwise.

        Breaks when: None is handed on as False.
        """
        index = await lab.shared(ragged(5))
        assert (await index.search(query(), 3)).exact

    @needs(Feature.FILTER_EQUAL)
    async def test_filter_comes_before_the_cut(self, lab: Lab) -> None:
        """The best `k` of those that pass, not those of the best `k` that pass.

        Breaks when: the engine filters after it has ranked.
        """
        documents = [Document(d.id, d.vectors, {"number": n % 5}) for n, d in enumerate(adversarial())]
        index = await lab.shared(documents, fields={"number": FieldType.INTEGER})
        condition = field("number") == 3
        passing = [document for document in documents if document.id in selected(condition, documents, index)]
        for k in (1, 4, lab.plenty):
            result = await index.search(query(), k, filter=condition, exact=True)
            Truth.of(query(), passing, index).check_top(result, k)

    @needs(Feature.FILTER_IDS)
    async def test_filter_that_nothing_passes(self, lab: Lab) -> None:
        """No document passes: no hits, no error, and still an exact answer.

        Breaks when: an empty filter result means "no filter".
        """
        index = await lab.shared(ragged(5))
        for condition in (ids([]), ids(["nobody"])):
            result = await index.search(query(), 3, filter=condition, exact=True)
            assert list(result) == []
            assert result.exact
