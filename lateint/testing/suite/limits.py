"""Numbers of the capabilities, at their edges: the last value that works does, the next one is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lateint import errors
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.spec import DType, IndexSpec
from lateint.testing.data import near_rounding, ragged, same_bits
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite, cases
from lateint.testing.truth import Truth, stored
from lateint.types import Document, SearchRequest
from lateint.vectors import row_norms

REACHABLE = 2**20


class TestLimits(Suite):
    """What is declared can be had to the last unit."""

    async def test_largest_k(self, lab: Lab) -> None:
        """`k = max_k` answers with all there is; one more is refused.

        Breaks when: the limit is that of another parameter of the engine.
        """
        documents = ragged(12)
        index = await lab.index(documents)
        most = lab.capabilities.max_k
        result = await index.search(documents[0].vectors, most)
        truth = Truth.of(documents[0].vectors, documents, index)
        truth.check_top(result, most) if result.exact else truth.check_scores(result)
        with pytest.raises(errors.InvalidInput, match=str(most)):
            await index.search(documents[0].vectors, most + 1)

    async def test_largest_document(self, lab: Lab) -> None:
        """A document of exactly `max_values` values is stored, found and read back; one value more is refused.

        Breaks when: the engine's limit is exclusive, or lies elsewhere for queries.
        """
        limit = lab.capabilities.max_values
        lab.skip_unless(limit is not None and limit <= REACHABLE, "say a limit that is worth reaching")
        assert limit is not None
        dim = _divisor(limit, most=lab.capabilities.max_dim)
        random = np.random.default_rng(14)
        vectors = random.standard_normal((limit // dim, dim)).astype(np.float32)
        large = Document("large", vectors)
        small = Document("small", vectors[:3])
        index = await lab.index([large, small], dim=dim)
        Truth.of(vectors[:2], [large, small], index).check_scores(await index.search(vectors[:2], 2))
        (read,) = await index.get(["large"], with_vectors=True)
        assert same_bits(read.vectors, stored(large, index.spec))
        await index.delete(["large"])  # the query may be as long; both at once would only cost time
        Truth.of(vectors, [small], index).check_scores(await index.search(vectors, 2))

    async def test_one_value_too_many(self, lab: Lab) -> None:
        """One value above `max_values` is refused, for documents and for queries.

        Breaks when: the limit is counted in rows or in bytes.
        """
        limit = lab.capabilities.max_values
        lab.skip_unless(limit is not None and limit <= REACHABLE, "say a limit that is worth reaching")
        assert limit is not None
        dim = _divisor(limit + 1, most=lab.capabilities.max_dim)
        vectors = np.ones(((limit + 1) // dim, dim), dtype=np.float32)
        index = await lab.index(dim=dim)
        with pytest.raises(errors.DocumentTooLarge, match="large"):
            await index.write([Document("large", vectors)])
        with pytest.raises(errors.DocumentTooLarge):
            await index.search(vectors)
        assert await index.count() == 0

    async def test_largest_dimension(self, lab: Lab) -> None:
        """An index of `max_dim` dimensions works; one more is refused.

        Breaks when: the engine's limit holds for plain vectors and is lower for multi-vectors.
        """
        most = lab.capabilities.max_dim
        documents = [Document(document.id, document.vectors[:1]) for document in ragged(4, most)]
        index = await lab.index(documents, dim=most)
        Truth.of(documents[0].vectors, documents, index).check_scores(await index.search(documents[0].vectors, 4))
        name = lab.name()
        with pytest.raises((errors.UnsupportedFeature, errors.InvalidInput), match=r"[Dd]im"):
            await lab.client.create_index(IndexSpec(name, most + 1))
        assert name not in await lab.client.list_indexes()

    @cases("dtype", {dtype.value: dtype for dtype in DType if dtype is not DType.FLOAT32})
    async def test_rounding_of_queries(self, lab: Lab, dtype: DType) -> None:
        """The backend itself scores the rounded query where `rounds_queries` says so, and the query as it is elsewhere.

        Rows and query are such that the two differ by many times the tolerance.

        Breaks when: one knows of rounding documents only; every score is then off by what looks like noise.
        """
        lab.skip_unless(dtype in lab.capabilities.dtypes, f"store {dtype.value}")
        query = near_rounding()
        document = Document("a", np.ones_like(query))
        index = await lab.index([document], dim=query.shape[1], dtype=dtype, normalize=False)
        rounded, plain = maxsim(mirrored(query, dtype), document.vectors), maxsim(query, document.vectors)
        norm = float(row_norms(query).max() * row_norms(document.vectors).max())
        allowed = float(tolerance(rows=1, dim=query.shape[1], score=plain, norm=norm))
        assert abs(rounded - plain) > 8 * allowed
        (result,) = await lab.backend.search(index.info, [SearchRequest(query=query, k=1)])
        expected = rounded if index.capabilities.rounds_queries else plain
        assert abs(result[0].score - expected) <= allowed
        (public,) = await index.search(query, 1)
        assert abs(public.score - expected) <= allowed


def _divisor(values: int, *, most: int) -> int:
    """A usual dimension that divides `values`: the largest up to 256."""
    return max(dim for dim in range(1, min(most, 256) + 1) if values % dim == 0)
