"""An index of bits: what it keeps, what it scores, what it gives back, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lateint
from lateint import errors
from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.memory import CAPABILITIES, MemoryBackend
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.types import Document, SearchRequest, SearchResult
from lateint.vectors import as_multivector, row_norms

DIM = 16
values = st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(DIM)), elements=values)
padded = st.builds(lambda found, row: np.insert(found, min(row, len(found)), 0, axis=0), rows, st.integers(0, 6))


def indexed(documents: Sequence[Document] = (), backend: MemoryBackend | None = None, **spec: Any) -> lateint.Index:
    client = lateint.Client(backend or MemoryBackend())
    index = client.create_index(lateint.IndexSpec("pages", DIM, **{"dtype": "binary", **spec}))
    index.write(documents)
    return index


def vectors_of(index: lateint.Index) -> dict[str, np.ndarray[Any, Any]]:
    return {document.id: document.vectors for document in index.scan(with_vectors=True)}


def ordinary(number: int = 40, *, seed: int = 3) -> list[Document]:
    random = np.random.default_rng(seed)
    found = [Document(f"d{at:02}", random.standard_normal((1 + at % 5, DIM)), {"at": at}) for at in range(number)]
    return [*found, Document("below-zero", -np.abs(random.standard_normal((2, DIM))))]


@given(rows)
def test_what_is_kept(found: np.ndarray[Any, Any]) -> None:
    """Whatever is written, the bits are those of the numbers given: no length is taken from them first.

    Divided by its length, a value next to a huge one would become 0 and lose its bit.
    """
    index = indexed([Document("a", found)], normalize=False)
    assert vectors_of(index)["a"].tolist() == mirrored(found, "binary").tolist() == (found > 0).tolist()


@given(rows.filter(lambda found: bool(np.abs(found).max(axis=1).all())))
def test_same_bits_where_queries_are_normalised(found: np.ndarray[Any, Any]) -> None:
    """`normalize` is about queries only."""
    assert vectors_of(indexed([Document("a", found)]))["a"].tolist() == (found > 0).tolist()


@given(rows, st.booleans())
def test_copies_are_equal(found: np.ndarray[Any, Any], normalize: bool) -> None:
    """What was read is written as the same bits, rows of zeros included, whether queries are normalised or not."""
    index = indexed([Document("a", found)], normalize=False)
    for _ in range(3):
        (read,) = index.get(["a"], with_vectors=True)
        copied = indexed([read], normalize=normalize)
        assert vectors_of(copied)["a"].tobytes() == read.vectors.tobytes()
        index = copied


@given(padded)
def test_padding_is_refused(found: np.ndarray[Any, Any]) -> None:
    """Rows of zeros that nobody read from an index are padding, which scores 0 where true rows score less."""
    with pytest.raises(errors.ZeroVector, match="document 'a', row "):
        indexed([Document("a", found)])
    indexed([Document("a", found)], normalize=False)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(bad: float, normalize: bool) -> None:
    """It would become a bit, and no score would ever show it."""
    index = indexed(normalize=normalize)
    spoilt = np.ones((3, DIM), np.float32)
    spoilt[2, 5] = bad
    with pytest.raises(errors.NonFiniteVector, match="row 2, column 5"):
        index.write([Document("a", spoilt)])
    with pytest.raises(errors.NonFiniteVector, match="row 2, column 5"):
        index.search(spoilt)


def test_queries_stay_what_they_are() -> None:
    """Float queries on bits are most of the quality; rounding the query too would be another, poorer function."""
    seen: list[np.ndarray[Any, Any]] = []

    class Watched(MemoryBackend):
        def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
            seen.extend(request.query for request in requests)
            return super().search(index, requests)

    documents = ordinary()
    index = indexed(documents, Watched(), normalize=False)
    query = np.random.default_rng(5).standard_normal((4, DIM)).astype(np.float32)
    found = {hit.id: hit.score for hit in index.search(query, len(documents))}
    assert seen[0].tobytes() == query.tobytes()
    norm = float(row_norms(query).max()) * np.sqrt(DIM)
    for document in documents:
        true = maxsim(query, mirrored(as_multivector(document.vectors), "binary"))
        assert abs(found[document.id] - true) <= tolerance(rows=len(query), dim=DIM, score=true, norm=norm)


def test_elsewhere() -> None:
    """Bits go as they are into floats that are not normalised; an index of unit rows says why it does not take them."""
    source = indexed(ordinary())
    read = list(source.scan(with_vectors=True))
    query = np.random.default_rng(6).standard_normal((4, DIM))
    floats = indexed(read, dtype="float32", normalize=False)
    assert {name: found.tobytes() for name, found in vectors_of(floats).items()} == {
        name: found.tobytes() for name, found in vectors_of(source).items()
    }
    for normalize in (True, False):
        bits = list(indexed(ordinary(), normalize=normalize).scan(with_vectors=True))
        with pytest.raises(errors.InvalidInput, match="normalize=False"):
            indexed(bits, dtype="float32")
    assert [hit.id for hit in indexed(read).search(query, 9)] == [hit.id for hit in source.search(query, 9)]


def test_engines_without_bits_say_what_they_have() -> None:
    """Refused before anything is created, with the formats that there are."""

    class Floats(MemoryBackend):
        def capabilities(self) -> Capabilities:
            return replace(CAPABILITIES, dtypes=frozenset({lateint.DType.FLOAT32, lateint.DType.FLOAT16}))

    with pytest.raises(errors.UnsupportedFeature, match="cannot store binary") as caught:
        indexed(backend=Floats())
    assert caught.value.feature == "dtype binary"
    assert caught.value.alternative == "Use float16 or float32."


class TestVerify:
    """`verify` of an index of bits, by the reference on the same bits."""

    @pytest.mark.parametrize("normalize", [True, False])
    def test_copy(self, normalize: bool) -> None:
        """Against the index that it was copied from, with rows of zeros on both sides."""
        source = indexed(ordinary(), normalize=normalize)
        target = indexed(list(source.scan(with_vectors=True)), normalize=normalize)
        report = lateint.verify(target, against=source)
        report.raise_if_failed()
        assert report.dtype == "binary"
        assert report.scores_compared == report.documents * report.queries

    def test_index_of_rows_without_bits(self) -> None:
        """Queries are made of stored rows; one of length zero could not be normalised."""
        index = indexed([Document(f"d{at}", -np.ones((3, DIM))) for at in range(5)])
        lateint.verify(index).raise_if_failed()

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param(lambda bits: 2 * bits - 1, id="signs"),
            pytest.param(lambda bits: bits.reshape(-1, 8)[:, ::-1].reshape(bits.shape), id="from the wrong end"),
            pytest.param(lambda bits: 1 - bits, id="the other bits"),
        ],
    )
    def test_faults_are_found(self, changed: Any) -> None:
        """What an engine, or the rank expression of one, may take bits for."""

        class Misread(MemoryBackend):
            def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
                other = MemoryBackend()
                info = other.create_index(index.spec)
                read = super().scan(index, cursor=None, limit=1000, condition=None, with_vectors=True).documents
                other.write(info, [replace(item, vectors=changed(item.vectors).astype(np.float32)) for item in read])
                return other.search(info, requests)

        report = lateint.verify(indexed(ordinary(), Misread()))
        assert any("scores further" in line for line in report.problems), report.problems

    def test_other_bits_are_found(self) -> None:
        """One bit of one row."""

        class Flips(MemoryBackend):
            def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
                spoilt = documents[0].vectors.copy()
                spoilt[0, 3] = 1 - spoilt[0, 3]
                return super().write(index, [replace(documents[0], vectors=spoilt), *documents[1:]])

        documents = ordinary()
        assert lateint.verify(indexed(documents, Flips()), against=documents).changed == (documents[0].id,)
