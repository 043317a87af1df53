"""Qdrant's in-process engine: scores, what must never reach it, threads, errors."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_edge", reason="the in-process engine comes with lateint[edge]")

import qdrant_edge as edge

from lateint import IndexSpec, errors, field, filters
from lateint.engine.backend import IndexInfo
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.types import Document, SearchRequest
from lateint.vectors import MultiVector
from lateint_qdrant.edge import EdgeBackend
from lateint_qdrant.errors import translated
from lateint_qdrant.schema import MAX_VALUES

ROW = np.ones((1, 4), np.float32)
SPEC = IndexSpec("pages", 4, fields={"year": "integer", "lang": "keyword"})


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EdgeBackend]:
    backend = EdgeBackend(tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def index(backend: EdgeBackend) -> IndexInfo:
    return backend.create_index(SPEC)


def unit_rows(rng: np.random.Generator, rows: int, dim: int) -> MultiVector:
    vectors = rng.standard_normal((rows, dim))
    unit: MultiVector = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


class TestScores:
    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize("dim", [1, 96, 128])
    def test_every_score_is_maxsim_of_what_is_stored(self, backend: EdgeBackend, dtype: str, dim: int) -> None:
        """The whole point: Qdrant's own score is the reference's, within what its arithmetic explains.

        Breaks when: another distance or comparator is configured, rows are padded or reordered, or storage rounds other
        than told. With one dimension and one row a multi-vector could be taken for a plain vector.
        """
        rng = np.random.default_rng(dim)
        index = backend.create_index(IndexSpec("pages", dim, dtype=dtype))
        documents = {f"d{n}": unit_rows(rng, int(rng.integers(1, 60)), dim) for n in range(60)}
        backend.write(index, [Document(name, vectors) for name, vectors in documents.items()])
        queries = [unit_rows(rng, rows, dim) for rows in (1, 32, 7)]
        requests = [SearchRequest(query=query, k=100, payload=False) for query in queries]
        for query, result in zip(queries, backend.search(index, requests), strict=True):
            assert result.exact
            assert {hit.id for hit in result} == set(documents)
            assert [hit.score for hit in result] == sorted((hit.score for hit in result), reverse=True)
            for hit in result:
                true = maxsim(mirrored(query, dtype), mirrored(documents[hit.id], dtype))
                assert abs(hit.score - true) <= tolerance(rows=len(query), dim=dim, score=true)
        stored = {document.id: document.vectors for document in backend.get(index, list(documents), with_vectors=True)}
        for name, vectors in documents.items():
            assert np.array_equal(stored[name], mirrored(vectors, dtype))
            assert stored[name].dtype == np.float32
            assert stored[name].flags.writeable

    def test_batch_answers_as_single_requests(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """Queries that share a pass over the vectors must not share filters, limits or selections."""
        rng = np.random.default_rng(0)
        backend.write(index, [Document(str(n), unit_rows(rng, 3, 4), {"year": n}) for n in range(50)])
        selections: list[bool | tuple[str, ...]] = [True, False, ("year",)]
        requests = [
            SearchRequest(
                query=unit_rows(rng, 2, 4),
                k=1 + n,
                filter=filters.bound(field("year") < 3 * n, SPEC.fields) if n % 3 else None,
                payload=selections[n % 3],
                with_vectors=n % 2 == 0,
            )
            for n in range(20)
        ]
        together = backend.search(index, requests)
        for request, result in zip(requests, together, strict=True):
            (alone,) = backend.search(index, [request])
            assert [(hit.id, hit.score, hit.payload) for hit in result] == [(h.id, h.score, h.payload) for h in alone]
            assert all((hit.vectors is not None) == request.with_vectors for hit in result)
            assert all((hit.payload is None) == (request.payload is False) for hit in result)
        assert backend.search(index, []) == []

    def test_document_replaced_by_a_shorter_one(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """Rows of the old version that stay behind would go on scoring."""
        backend.write(index, [Document("a", np.repeat(ROW * 9, 8, axis=0), {"year": 1})])
        backend.write(index, [Document("a", ROW)])
        (result,) = backend.search(index, [SearchRequest(query=ROW)])
        assert [(hit.id, hit.score, hit.payload) for hit in result] == [("a", 4.0, {})]
        assert backend.count(index, None) == 1


class TestBadArrays:
    GOOD = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)

    def bad(self) -> Iterator[tuple[str, Any, type[errors.InvalidInput]]]:
        yield "ragged", [[0.1] * 4, [0.2] * 3], errors.MalformedMultiVector
        yield "list", [[0.1] * 4], errors.MalformedMultiVector
        yield "flat", np.ones(4, np.float32), errors.MalformedMultiVector
        yield "cube", np.ones((1, 1, 4), np.float32), errors.MalformedMultiVector
        yield "doubles", np.ones((2, 4)), errors.MalformedMultiVector
        yield "strided", np.ones((2, 8), np.float32)[:, ::2], errors.MalformedMultiVector
        yield "big endian", np.ones((2, 4), ">f4"), errors.MalformedMultiVector
        yield "no rows", np.ones((0, 4), np.float32), errors.EmptyMultiVector
        yield "narrow", np.ones((2, 3), np.float32), errors.DimensionMismatch
        yield "rows of nothing", np.ones((2, 0), np.float32), errors.DimensionMismatch
        yield "too many", np.ones((MAX_VALUES // 4 + 1, 4), np.float32), errors.DocumentTooLarge
        for value in (math.nan, math.inf, -math.inf, 65_520.0, -1e30):
            array = np.ones((3, 4), np.float32)
            array[2, 1] = value
            yield str(value), array, errors.NonFiniteVector

    @pytest.mark.parametrize("dtype", ["float16", "float32"])
    def test_refused_before_the_engine_sees_them(self, backend: EdgeBackend, tmp_path: Path, dtype: str) -> None:
        """One ragged write makes the engine panic at every later opening of the folder; NaN hides or lifts documents.

        The folder must load and answer afterwards, in a new client too.
        """
        index = backend.create_index(SPEC.replace(dtype=dtype))
        backend.write(index, [Document("good", self.GOOD)])
        for name, array, error in self.bad():
            if error is errors.NonFiniteVector and dtype == "float32" and np.isfinite(array).all():
                continue
            with pytest.raises(error) as caught:
                backend.write(index, [Document("new", self.GOOD), Document(name, array)])
            assert caught.value.document == name
            assert repr(name) in str(caught.value)
            with pytest.raises(error):
                backend.search(index, [SearchRequest(query=array)])
            assert backend.count(index, None) == 1, name
        backend.close()
        again = EdgeBackend(tmp_path)
        (result,) = again.search(index, [SearchRequest(query=self.GOOD)])
        assert [hit.id for hit in result] == ["good"]
        again.close()

    def test_largest_values_are_kept(self, backend: EdgeBackend) -> None:
        """A guard that is too eager refuses what the engine takes: the largest array, and the largest of float16."""
        index = backend.create_index(IndexSpec("pages", 3, dtype="float16", normalize=False))
        rows = np.full((MAX_VALUES // 3, 3), 65_504, np.float32)
        backend.write(index, [Document("a", rows)])
        (document,) = backend.get(index, ["a"], with_vectors=True)
        assert np.array_equal(document.vectors, rows)


def test_threads(backend: EdgeBackend, index: IndexInfo) -> None:
    """Backends are called from several threads at once; the engine's handles must not be."""

    def work(thread: int) -> None:
        for n in range(10):
            backend.write(index, [Document(f"{thread}-{n}", ROW, {"year": n})])
            backend.search(index, [SearchRequest(query=ROW)])
            backend.update_payload(index, [f"{thread}-{n}"], changes={"lang": str(thread)})

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents = backend.scan(index, cursor=None, limit=100, condition=None, with_vectors=False).documents
    assert {(d.id, d.payload["lang"]) for d in documents} == {(f"{t}-{n}", str(t)) for t in range(4) for n in range(10)}


def test_strangers_in_the_shard(backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
    """A point that lateint did not write has no id that could be told; that is no reason to crash."""
    shard = edge.EdgeShard.load(str(tmp_path / "pages" / "shard"))
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(7, {"lateint": [[1.0] * 4]}, {"year": 1})]))
    shard.close()
    with pytest.raises(errors.UnexpectedResponse, match="Something other than lateint"):
        backend.search(index, [SearchRequest(query=ROW)])


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "expected", "words"),
        [
            (Exception("Service runtime error: Can't init WAL: Kind(WouldBlock)"), errors.ConnectionFailed, "in one"),
            (OSError(28, "No space left on device"), errors.StorageFull, "Free space"),
            (Exception("IO Error: No space left on device (os error 28)"), errors.StorageFull, "Free space"),
            (PermissionError(13, "Permission denied"), errors.PermissionDenied, "writable"),
            (
                Exception("Failed to open mmap payload storage: Read-only file system (os error 30)"),
                errors.PermissionDenied,
                "read-only, and the engine must write even to search. Copy the folder",
            ),
            (Exception("something new: " + "x" * 1000), errors.UnexpectedResponse, "something new"),
            (
                type("PanicException", (BaseException,), {})("index out of bounds"),
                errors.UnexpectedResponse,
                "broke inside",
            ),
        ],
    )
    def test_table(self, raised: BaseException, expected: type[errors.BackendError], words: str) -> None:
        """The engine knows one exception, and a panic that `except Exception` misses."""
        with pytest.raises(expected, match=words) as caught, translated("write", "pages"):
            raise raised
        assert caught.value.__cause__ is raised
        assert not caught.value.retryable
        assert len(str(caught.value)) < 500
        assert (caught.value.operation, caught.value.index) == ("write", "pages")

    @pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(1), errors.InvalidInput("x")])
    def test_what_passes(self, raised: BaseException) -> None:
        """Ctrl-C must not become an error of an engine."""
        with pytest.raises(type(raised)) as caught, translated("write", "pages"):
            raise raised
        assert caught.value is raised
