"""Does an index return what it should? Every score against the reference, every ranking, every document.

The engine's answer to each query is compared by id with the float64 reference over the same rows, rounded as the
engine's storage rounds them, within the derived tolerance of `lateint.scoring.tolerance`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lateint import errors
from lateint.aclient import AsyncIndex
from lateint.client import Index
from lateint.engine import pipelines, scan
from lateint.engine.drive import END, Pull, Steps
from lateint.engine.pipelines import Handle, Progress, ProgressCallback
from lateint.engine.prepare import prepared_document, prepared_searches
from lateint.jobs.report import RankDisagreement, ScoreError, VerificationReport
from lateint.scoring import Corpus, first_disagreement, score_corpus, tolerance
from lateint.spec import DType
from lateint.types import Document, SearchResult
from lateint.vectors import STORED_SLACK, MultiVector, row_norms

QUERIES = 20
QUERY_ROWS = 32
DEPTH = 10_000
SAMPLE_DEPTH = 100
_CHUNK = 64
_WRONG_KEPT = 100


def verify(
    index: Index,
    *,
    against: Index | Iterable[Document] | None = None,
    queries: Iterable[Any] | None = None,
    sample: int | None = None,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> VerificationReport:
    """Check that an index holds and returns what it should.

    Args:
        index: the index.
        against: what it should hold, as another index or as documents; None compares with its own stored rows, and then
            missing documents cannot be noticed.
        queries: multi-vectors to ask; None makes 20 from stored documents, with noise.
        sample: how many documents to read; None reads all. Every score that the engine returns is checked either way.
        seed: of the sample and the noise.
        progress: called as documents are read.

    Returns:
        A report; `raise_if_failed()` turns a bad one into an exception.
    """
    source: Iterable[Document] = against.scan(with_vectors=True) if isinstance(against, Index) else against or ()
    steps = _verification(
        index._handle,  # noqa: SLF001 - a job works on the handle that the index works on
        queries=queries,
        sample=sample,
        seed=seed,
        progress=progress,
        compared=against is not None,
    )
    return index._run(steps, source=source)  # noqa: SLF001


async def averify(
    index: AsyncIndex,
    *,
    against: AsyncIndex | Iterable[Document] | AsyncIterable[Document] | None = None,
    queries: Iterable[Any] | None = None,
    sample: int | None = None,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> VerificationReport:
    """As `verify`, for asyncio."""
    source = against.scan(with_vectors=True) if isinstance(against, AsyncIndex) else against or ()
    steps = _verification(
        index._handle,  # noqa: SLF001 - a job works on the handle that the index works on
        queries=queries,
        sample=sample,
        seed=seed,
        progress=progress,
        compared=against is not None,
    )
    return await index._client._run(steps, source=source)  # noqa: SLF001


@dataclass(slots=True)
class _Truth:
    """Reference scores of the documents read so far, for every query."""

    queries: Sequence[MultiVector]
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)
    furthest: dict[str, float] = field(default_factory=dict)
    vectorless: list[str] = field(default_factory=list)

    def add(self, documents: Sequence[Document]) -> None:
        self.vectorless += (document.id for document in documents if document.vectors is None)
        documents = _with_rows(documents)
        if not documents or not self.queries:
            return
        corpus = Corpus.from_multivectors([document.vectors for document in documents])
        scores = score_corpus(self.queries, corpus, precision="float64")
        for position, document in enumerate(documents):
            self.scores[document.id] = scores[:, position]
            norms = row_norms(document.vectors)
            self.longest[document.id] = float(norms.max())
            self.furthest[document.id] = float(np.abs(norms - 1.0).max())


@dataclass(slots=True)
class _Contents:
    """What comparing with the original documents found."""

    found: dict[str, Literal["kept", "changed", "missing"]] = field(default_factory=dict)
    """By id, of the original that came last."""

    def ids(self, finding: str) -> tuple[str, ...]:
        return tuple(name for name, found in self.found.items() if found == finding)


def _verification(
    handle: Handle,
    *,
    queries: Iterable[Any] | None,
    sample: int | None,
    seed: int,
    progress: ProgressCallback | None,
    compared: bool,
) -> Steps[VerificationReport]:
    if sample is not None and sample < 1:
        raise errors.InvalidInput(
            f"sample={sample!r} is not a number of documents.", hint="Pass 1 or more, or leave it out."
        )
    random = np.random.default_rng(seed)
    names = yield from _names(handle)
    counted = yield from pipelines.count_documents(handle, None)
    chosen = (
        names
        if sample is None or sample >= len(names)
        else sorted(random.choice(names, sample, replace=False).tolist())
    )
    asked = list(queries) if queries is not None else (yield from _made_queries(handle, names, random))
    depth = min(len(names), handle.info.capabilities.max_k, DEPTH if sample is None else SAMPLE_DEPTH)
    requests = prepared_searches(
        asked,
        handle.info,
        backend=handle.backend,
        k=max(1, depth),
        condition=None,
        exact=None,
        payload=False,
        with_vectors=False,
        timeout_s=None,
    )
    results = yield from pipelines.search(handle, requests)
    truth = _Truth([request.query for request in requests])
    wanted = {*chosen, *(hit.id for result in results for hit in result)}
    contents = _Contents()
    if compared:
        yield from _read_originals(handle, wanted, truth, contents, progress)
        wanted -= contents.found.keys()
    yield from _read_stored(handle, sorted(wanted), truth, progress, total=len(names))
    return _report(
        handle,
        names,
        counted,
        truth,
        results,
        contents if compared else None,
        depth=depth,
        seed=seed,
        read=len(truth.scores),
    )


def _names(handle: Handle) -> Steps[list[str]]:
    state = scan.start(handle, condition=None, with_vectors=False, cursor=None)
    names: set[str] = set()
    while not state.finished:
        yield from state.fetch()
        names.update(document.id for document in state.buffer)
        state.buffer.clear()
    return sorted(names)


def _made_queries(handle: Handle, names: Sequence[str], random: np.random.Generator) -> Steps[list[MultiVector]]:
    """Rows of stored documents, moved by noise of about their own length: near to some documents, equal to none."""
    chosen: list[int] = random.choice(len(names), min(QUERIES, len(names)), replace=False).tolist() if names else []
    documents = yield from pipelines.get(handle, [names[position] for position in chosen], with_vectors=True)
    made = []
    for document in _with_rows(documents):
        rows = document.vectors[:QUERY_ROWS]
        if handle.info.spec.dtype is DType.BINARY:  # signs, which no other bits answer better than these
            rows = 2 * rows - 1
        noise = random.standard_normal(rows.shape) / np.sqrt(rows.shape[1])
        made.append((rows + noise * row_norms(rows)[:, None]).astype(np.float32))
    return made


def _with_rows(documents: Sequence[Document]) -> list[Document]:
    """Those that have a multi-vector.

    Raises:
        NonFiniteVector: stored rows hold NaN or infinities; no score of theirs is a number.
    """
    found = [document for document in documents if document.vectors is not None]
    for document in found:
        if not np.isfinite(document.vectors).all():
            raise errors.NonFiniteVector(
                f"document {document.id!r}: its stored rows hold NaN or infinities.",
                hint="Delete it or write it anew, then verify again.",
                document=document.id,
            )
    return found


def _read_originals(
    handle: Handle, wanted: set[str], truth: _Truth, contents: _Contents, progress: ProgressCallback | None
) -> Steps[None]:
    """Take originals in chunks, compare each with what is stored, and score it as it should be stored."""
    more = True
    while more:
        chunk: dict[str, Document] = {}
        while len(chunk) < _CHUNK:
            item = yield Pull()
            if item is END:
                more = False
                break
            document, _ = prepared_document(item, handle.info)
            chunk[document.id] = document
        stored = yield from pipelines.get(handle, list(chunk), with_vectors=True)
        found = {document.id: document for document in stored}
        for name, document in chunk.items():
            if name not in found:
                contents.found[name] = "missing"
            else:
                contents.found[name] = "kept" if _same(found[name], document) else "changed"
        truth.add([document for name, document in chunk.items() if name in wanted])
        _tell(progress, len(contents.found), None)


def _read_stored(
    handle: Handle, names: Sequence[str], truth: _Truth, progress: ProgressCallback | None, *, total: int
) -> Steps[None]:
    for start in range(0, len(names), _CHUNK):
        documents = yield from pipelines.get(handle, names[start : start + _CHUNK], with_vectors=True)
        truth.add(documents)
        _tell(progress, len(truth.scores), total)


def _report(
    handle: Handle,
    names: Sequence[str],
    counted: int,
    truth: _Truth,
    results: Sequence[SearchResult],
    contents: _Contents | None,
    *,
    depth: int,
    seed: int,
    read: int,
) -> VerificationReport:
    worst = ScoreError.none()
    wrong: list[ScoreError] = []
    disagreements: list[RankDisagreement] = []
    compared = wrong_count = 0
    names_read = list(truth.scores)
    longest = np.array([truth.longest[name] for name in names_read])
    for number, (query, result) in enumerate(zip(truth.queries, results, strict=True)):
        scores = np.array([truth.scores[name][number] for name in names_read])
        norm = longest * row_norms(query).max()
        tolerances = tolerance(rows=len(query), dim=query.shape[1], score=scores, norm=norm)
        expected = dict(zip(names_read, scores.tolist(), strict=True))
        allowed = dict(zip(names_read, tolerances.tolist(), strict=True))
        for hit in result:
            if hit.id not in expected:
                continue
            found = ScoreError(number, hit.id, expected[hit.id], hit.score, allowed[hit.id])
            compared += 1
            worst = max(worst, found, key=lambda error: error.ratio)
            if found.ratio > 1:
                wrong_count += 1
                if len(wrong) < _WRONG_KEPT:
                    wrong.append(found)
        ranking = [(hit.id, hit.score) for hit in result]
        disagreement = first_disagreement(expected, ranking, tolerance=allowed, k=depth)
        if disagreement is not None:
            disagreements.append(RankDisagreement(number, str(disagreement)))
    extra = sorted(set(names) - contents.found.keys()) if contents is not None else []
    return VerificationReport(
        backend=handle.backend,
        index=handle.info.name,
        dtype=handle.info.spec.dtype.value,
        documents=len(names),
        counted=counted,
        documents_read=read,
        queries=len(truth.queries),
        scores_compared=compared,
        worst=worst,
        wrong_score_count=wrong_count,
        wrong_scores=tuple(wrong),
        rank_disagreements=tuple(disagreements),
        compared_with_originals=contents is not None,
        missing=contents.ids("missing") if contents is not None else (),
        extra=tuple(extra),
        changed=contents.ids("changed") if contents is not None else (),
        unnormalized=_unnormalized(handle, truth),
        vectorless=tuple(truth.vectorless) if handle.info.managed else (),
        exact=all(result.exact for result in results),
        warnings=(
            *dict.fromkeys(warning for result in results for warning in result.warnings),
            *_adopted_vectorless(handle, truth),
        ),
        seed=seed,
    )


def _unnormalized(handle: Handle, truth: _Truth) -> tuple[str, ...]:
    if not handle.info.spec.normalize or handle.info.spec.dtype is DType.BINARY:
        return ()
    return tuple(name for name, distance in truth.furthest.items() if distance > STORED_SLACK)


def _adopted_vectorless(handle: Handle, truth: _Truth) -> tuple[str, ...]:
    number = len(truth.vectorless)
    if not number or handle.info.managed:
        return ()
    return (f"{number} documents have no multi-vector, so no search finds them, such as {truth.vectorless[0]!r}.",)


def _same(stored: Document, expected: Document) -> bool:
    return np.array_equal(stored.vectors, expected.vectors) and stored.payload == expected.payload


def _tell(progress: ProgressCallback | None, done: int, total: int | None) -> None:
    if progress is not None:
        progress(Progress(operation="verify", done=done, total=total))
