"""What an engine should answer, from the documents alone: by the float64 reference and by the definition of filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lateint.aclient import AsyncIndex
from lateint.engine.capabilities import Feature
from lateint.filters import Filter, bound, matches
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.spec import IndexSpec
from lateint.testing.data import same_bits, same_payload
from lateint.types import Document, SearchResult
from lateint.vectors import MultiVector, as_multivector, normalized, row_norms


def stored(document: Document, spec: IndexSpec) -> MultiVector:
    """The rows of a document as an index should hold them."""
    vectors = as_multivector(document.vectors, spec.dim)
    if spec.normalize and not document.normalized:
        vectors = normalized(vectors)
    return mirrored(vectors, spec.dtype)


def asked(query: Any, index: AsyncIndex) -> MultiVector:  # noqa: ANN401
    """The rows of a query as an index should score them."""
    vectors = as_multivector(query, index.spec.dim)
    if index.spec.normalize:
        vectors = normalized(vectors)
    return mirrored(vectors, index.spec.dtype) if index.capabilities.rounds_queries else vectors


@dataclass(frozen=True, slots=True)
class Truth:
    """The true score of every document for one query, and how far an engine may be off.

    Attributes:
        scores: by id.
        allowed: by id.
    """

    scores: dict[str, float]
    allowed: dict[str, float]

    @classmethod
    def of(cls, query: Any, documents: Iterable[Document], index: AsyncIndex) -> Truth:  # noqa: ANN401
        """Score `documents` as `index` should; of two with one id the last counts."""
        rows = asked(query, index)
        longest = float(row_norms(rows).max())
        scores: dict[str, float] = {}
        allowed: dict[str, float] = {}
        for document in documents:
            held = stored(document, index.spec)
            score = scores[document.id] = maxsim(rows, held)
            norm = longest * float(row_norms(held).max())
            allowed[document.id] = float(tolerance(rows=len(rows), dim=rows.shape[1], score=score, norm=norm))
        return cls(scores, allowed)

    def check_scores(self, result: SearchResult) -> None:
        """Each hit is a document that is there, once, with its own score."""
        found = [hit.id for hit in result]
        assert len(set(found)) == len(found), f"a document came twice: {found}"
        strangers = [name for name in found if name not in self.scores]
        assert not strangers, f"hits that should not be there: {strangers}"
        wrong = {
            hit.id: (hit.score, self.scores[hit.id])
            for hit in result
            if not abs(hit.score - self.scores[hit.id]) <= self.allowed[hit.id]
        }
        assert not wrong, f"scores (found, true) beyond the tolerance: {wrong}"

    def check_top(self, result: SearchResult, k: int) -> None:
        """The hits are the best `k`, in order. Documents closer than twice the tolerance are a tie, in any order."""
        self.check_scores(result)
        assert len(result) == min(k, len(self.scores)), f"{len(result)} hits, {min(k, len(self.scores))} expected"
        slack = 2 * max(self.allowed.values(), default=0.0)
        found = [self.scores[hit.id] for hit in result]
        for place, (better, worse) in enumerate(pairwise(found)):
            assert better >= worse - slack, f"hits {place} and {place + 1} are in the wrong order"
        present = {hit.id for hit in result}
        left_out = {name: score for name, score in self.scores.items() if name not in present}
        lost = [name for name, score in left_out.items() if found and score > min(found) + slack]
        assert not lost, f"better than the last hit and not among them: {lost}"


async def check_contents(index: AsyncIndex, documents: Sequence[Document]) -> None:
    """The index holds exactly these documents: rows bit for bit, payloads equal in value and type."""
    expected = {document.id: document for document in documents}
    assert await index.count() == len(expected)
    found = {document.id: document for document in await index.get(list(expected), with_vectors=True)}
    assert found.keys() == expected.keys(), f"missing: {sorted(expected.keys() - found.keys())}"
    for name, document in expected.items():
        assert same_bits(found[name].vectors, stored(document, index.spec)), f"{name!r}: other rows than were written"
        assert same_payload(found[name].payload, document.payload), f"{name!r}: another payload than was written"


def selected(condition: Filter, documents: Iterable[Document], index: AsyncIndex) -> set[str]:
    """Ids of the documents that pass a filter, by the definition."""
    checked = bound(condition, index.spec.fields)
    return {document.id for document in documents if matches(checked, document=document.id, payload=document.payload)}


async def check_filters(index: AsyncIndex, documents: Sequence[Document], conditions: Iterable[Filter]) -> None:
    """Every filter selects what the definition says: in `count`, in `search`, and in `scan` where that takes one."""
    features = index.capabilities.features
    query = documents[0].vectors
    wrong: list[str] = []
    for condition in conditions:
        expected = selected(condition, documents, index)
        number = await index.count(condition)
        answers = {"count": set() if number == len(expected) else {f"{number} instead of {len(expected)}"}}
        if Feature.EXACT_SEARCH in features:
            result = await index.search(query, len(documents), filter=condition, payload=False)
            answers["search"] = {hit.id for hit in result} ^ expected
        if Feature.SCAN_FILTER in features:
            answers["scan"] = {document.id async for document in index.scan(filter=condition)} ^ expected
        wrong += [f"{str(condition)[:500]}: {verb} differs on {sorted(ids)}" for verb, ids in answers.items() if ids]
    assert not wrong, f"{len(wrong)} disagreements with the definition of filters:\n" + "\n".join(wrong[:10])
