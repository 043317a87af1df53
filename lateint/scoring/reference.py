"""The one scorer: MaxSim of queries and documents, exactly, without padding.

    MaxSim(query, document) = Σ over query rows of max over document rows of their dot product

`maxsim` is the definition for one pair, in float64. `score_corpus` gives the same for many, blockwise: one matrix
product of some documents with some queries into a small tile, the largest value per document and query row, and the sum
over query rows in float64. The rows of a tile are document rows: BLAS multiplies a tall matrix by a slim one up to 1.5
times as fast as the other way round (`bench/README.md`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.scoring.corpus import Corpus
from lateint.scoring.rounding import widened
from lateint.spec import DType
from lateint.vectors import MultiVector, as_multivector

TILE_BYTES = 1 << 20
"""Similarities held at a time by each thread.

Documents of one row need as much again for their maxima; and queries of one row twice that to add these up in float64,
and twice that for the sums.
"""

BLOCK_BYTES = 1 << 21
"""Document rows per matrix product: more do not make it faster."""

WIDENED_BYTES = 1 << 19
"""The same where rows are converted first: the copy should stay in the L2 cache, beside the tile."""

GROUP_ROWS = 512
"""Query rows per matrix product, unless a single query has more: about where a product reaches its full speed."""

_FEW_QUERY_ROWS = 48


def maxsim(query: Any, document: Any) -> float:  # noqa: ANN401
    """Score of one document for one query, in float64.

    Args:
        query: anything that `as_multivector` takes, shape (rows, dim).
        document: the same, shape (tokens, dim).

    Raises:
        InvalidInput: what `as_multivector` refuses; `DimensionMismatch` where the two differ.
    """
    rows = as_multivector(query)
    tokens = as_multivector(document, rows.shape[1])
    similarities = rows.astype(np.float64) @ tokens.astype(np.float64).T
    return float(similarities.max(axis=1).sum())


def score_corpus(
    queries: Sequence[Any] | NDArray[Any],
    corpus: Corpus,
    *,
    threads: int = 1,
    precision: Literal["float32", "float64"] = "float32",
) -> NDArray[np.float64]:
    """Scores of every document for every query.

    Temporary memory, whatever the sizes are: about 2 MiB for each thread (at most 7, for documents and queries of one
    row), and a copy of up to 512 query rows, or of a single query with more rows.

    Args:
        queries: multi-vectors, each of shape (rows, dim); the numbers of rows may differ. Many at once cost much less
            than one after the other.
        corpus: the documents.
        threads: how many to spread the work over; the result is the same. More than one pays only where NumPy's BLAS,
            which has threads of its own, is limited to one (`OPENBLAS_NUM_THREADS=1`, `MKL_NUM_THREADS=1`, or
            threadpoolctl).
        precision: of the dot products. The sum over query rows is always taken in float64.

    Returns:
        float64, shape (queries, documents): higher is better.

    Raises:
        InvalidInput: what `as_multivector` refuses, a number of threads below 1, an unknown precision, or values so
            large that a score has no finite value.
    """
    if threads < 1:
        raise errors.InvalidInput(f"threads={threads}: at least one is needed.", hint="Leave it out for one.")
    if precision not in {"float32", "float64"}:
        raise errors.InvalidInput(f"precision={precision!r} is not known.", hint="Use 'float32' or 'float64'.")
    checked = _checked(queries, corpus.dim if len(corpus) else None)
    scores = np.empty((len(checked), len(corpus)))
    compute = np.dtype(precision)
    with ThreadPoolExecutor(threads) as pool:
        for group in _groups(checked, compute):
            rows = _block_rows(group.columns, corpus)
            scorer = _Scorer(group, corpus, rows, scores[group.first : group.last])
            blocks = deque(_blocks(corpus.offsets, rows))
            if threads == 1:
                scorer.work(blocks)
                continue
            for worker in [pool.submit(scorer.work, blocks) for _ in range(min(threads, len(blocks)))]:
                worker.result()
    return scores


def _checked(queries: Sequence[Any] | NDArray[Any], dim: int | None) -> list[MultiVector]:
    if getattr(queries, "ndim", None) == 2:
        raise errors.MalformedMultiVector(
            "queries: a matrix could be one query or many rows.", hint="Pass `[query]` for a single one."
        )
    checked: list[MultiVector] = []
    for position, query in enumerate(queries):
        try:
            checked.append(as_multivector(query, dim))
        except errors.InvalidInput as error:
            error.add_note(f"It is query {position}, counted from 0.")
            raise
        dim = checked[0].shape[1]
    return checked


@dataclass(frozen=True, slots=True)
class _Group:
    """Queries that are scored by the same matrix products.

    Attributes:
        first: the first of them.
        last: the one after them.
        columns: their rows as columns, shape (dim, rows of all), C-contiguous.
        starts: where each query begins among the columns.
    """

    first: int
    last: int
    columns: NDArray[Any]
    starts: NDArray[np.intp]


def _groups(queries: Sequence[MultiVector], compute: np.dtype[Any]) -> Iterator[_Group]:
    first = 0
    while first < len(queries):
        last, rows = first + 1, len(queries[first])
        while last < len(queries) and rows + len(queries[last]) <= GROUP_ROWS:
            rows += len(queries[last])
            last += 1
        members = queries[first:last]
        columns = np.empty((members[0].shape[1], rows), compute)
        np.concatenate([query.T for query in members], axis=1, out=columns)
        starts = np.cumsum([0, *map(len, members[:-1])])
        yield _Group(first, last, columns, starts)
        first = last


def _block_rows(columns: NDArray[Any], corpus: Corpus) -> int:
    """How many document rows to multiply with the query rows at a time."""
    converted = corpus.dtype is not DType.FLOAT32 or columns.dtype != np.float32
    by_block = (WIDENED_BYTES if converted else BLOCK_BYTES) // (columns.itemsize * max(1, corpus.dim))
    by_tile = TILE_BYTES // (columns.itemsize * columns.shape[1])
    return max(1, min(int(by_block), int(by_tile)))


def _blocks(offsets: NDArray[np.int64], rows: int) -> Iterator[tuple[int, int]]:
    """First document of each block and the one after its last: as many as have `rows` rows, or a longer one alone."""
    first = 0
    while first < len(offsets) - 1:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + rows, "right")) - 1)
        yield first, last
        first = last


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores blocks of a corpus for one group of queries.

    Attributes:
        group: the queries.
        corpus: the documents.
        rows: document rows per matrix product.
        scores: to be filled, shape (queries of the group, documents).
    """

    group: _Group
    corpus: Corpus
    rows: int
    scores: NDArray[np.float64]

    def work(self, blocks: deque[tuple[int, int]]) -> None:
        """Score blocks until none is left; several threads may share them."""
        columns = self.group.columns
        tile = np.empty((self.rows, columns.shape[1]), columns.dtype)
        wide = np.empty((self.rows, self.corpus.dim), np.float32) if self.corpus.dtype is not DType.FLOAT32 else None
        while blocks:
            try:
                first, last = blocks.popleft()
            except IndexError:  # another thread took the last one
                return
            self._score(first, last, tile, wide)

    def _score(self, first: int, last: int, tile: NDArray[Any], wide: NDArray[np.float32] | None) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # the sums are looked at
            largest = self._largest(first, last, tile, wide)
            sums = np.add.reduceat(largest, self.group.starts, axis=1, dtype=np.float64)
        if not np.isfinite(sums).all():
            raise errors.InvalidInput(
                f"a score has no finite value: dot products exceed {tile.dtype}.", hint="Normalise the rows."
            )
        self.scores[:, first:last] = sums.T

    def _largest(self, first: int, last: int, tile: NDArray[Any], wide: NDArray[np.float32] | None) -> NDArray[Any]:
        """The largest similarity of each document in a block with each query row, shape (documents, query rows)."""
        begin, end = int(self.corpus.offsets[first]), int(self.corpus.offsets[last])
        starts = self.corpus.offsets[first:last] - begin
        largest: NDArray[Any] | None = None
        for start in range(begin, end, self.rows):  # once, unless a single document is longer than a block
            tokens = self.corpus.tokens[start : min(start + self.rows, end)]
            count = len(tokens)
            tokens = widened(tokens, out=None if wide is None else wide[:count])
            found = _maxima(np.matmul(tokens, self.group.columns, out=tile[:count]), starts)
            largest = found if largest is None else np.maximum(largest, found, out=largest)
        assert largest is not None, "a block has at least one row"
        return largest


def _maxima(tile: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """Columnwise maximum of each run of rows, shape (runs, columns); a run ends where the next begins."""
    if tile.shape[1] <= _FEW_QUERY_ROWS:
        return np.maximum.reduceat(tile, starts, axis=0)
    # `reduceat` walks down one column at a time: on wide tiles a call per document, which takes whole rows, is faster.
    result = np.empty((len(starts), tile.shape[1]), tile.dtype)
    for row, start, end in zip(result, starts, [*starts[1:], len(tile)], strict=True):
        np.maximum.reduce(tile[start:end], axis=0, out=row)
    return result
