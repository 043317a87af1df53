"""Backends that are wrong in one thing each, as an installed plugin `broken`; the suite must notice every one."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.capabilities import Capabilities, Feature
from lateint.engine.memory import MemoryBackend
from lateint.engine.registry import Plugin, Settings, Variant
from lateint.engine.url import EngineURL
from lateint.filters import And, Filter, Not, Or, fields_of, ids, matches
from lateint.scoring import mirrored
from lateint.spec import DType, IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, Slice
from lateint.vectors import normalized


class Sound(MemoryBackend):
    """Nothing is wrong with it."""

    name = "broken"

    def __init__(self, url: EngineURL, settings: Settings) -> None:
        super().__init__()


class Rescored(Sound):
    """Changes results on their way out."""

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return [
            self.changed(result, request)
            for request, result in zip(requests, super().search(index, requests), strict=True)
        ]

    def changed(self, result: SearchResult, request: SearchRequest) -> SearchResult:
        raise NotImplementedError


class Clamps(Rescored):
    """Scores below zero become zero, as padding does it."""

    def changed(self, result: SearchResult, request: SearchRequest) -> SearchResult:
        return SearchResult(tuple(replace(hit, score=max(0.0, hit.score)) for hit in result), exact=True)


class Negates(Rescored):
    """Scores are distances."""

    def changed(self, result: SearchResult, request: SearchRequest) -> SearchResult:
        return SearchResult(tuple(replace(hit, score=-hit.score) for hit in result), exact=True)


class LosesTies(Rescored):
    """Of documents with equal scores one is returned."""

    def changed(self, result: SearchResult, request: SearchRequest) -> SearchResult:
        return SearchResult(tuple({hit.score: hit for hit in result}.values()), exact=True)


class FiltersLate(Sound):
    """Ranks first and filters what is left."""

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        found = super().search(index, [replace(request, filter=None) for request in requests])
        return [
            SearchResult(
                tuple(
                    h
                    for h in result
                    if request.filter is None or matches(request.filter, document=h.id, payload=h.payload or {})
                ),
                exact=True,
            )
            for request, result in zip(requests, found, strict=True)
        ]


class RoundsQueries(Sound):
    """Rounds queries to the storage format and does not say so."""

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        rounded = [replace(request, query=mirrored(request.query, index.spec.dtype)) for request in requests]
        return super().search(index, rounded)


class SignsBits(Sound):
    """Scores bits as -1 and 1: the ranking is the same, the scores are not."""

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        found = super().search(index, requests)
        if index.spec.dtype is not DType.BINARY:
            return found
        sums = [float(request.query.sum()) for request in requests]
        return [
            SearchResult(tuple(replace(hit, score=2 * hit.score - total) for hit in result), exact=True)
            for total, result in zip(sums, found, strict=True)
        ]


class DropsLast(Sound):
    """Forgets the last document of every batch."""

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        return super().write(index, documents[: max(1, len(documents) - 1)])


class Rewritten(Sound):
    """Changes documents on their way in."""

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        return super().write(index, [self.changed(document, index) for document in documents])

    def changed(self, document: Document, index: IndexInfo) -> Document:
        raise NotImplementedError


class NormalisesTwice(Rewritten):
    """Normalises rows that were normalised and rounded."""

    def changed(self, document: Document, index: IndexInfo) -> Document:
        again = mirrored(normalized(document.vectors), index.spec.dtype)
        return Document(document.id, again if index.spec.normalize else document.vectors, document.payload)


class FoldsIds(Rewritten):
    """Normalises ids to their composed form."""

    def changed(self, document: Document, index: IndexInfo) -> Document:
        return Document(unicodedata.normalize("NFC", document.id), document.vectors, document.payload)


class FloatsOnly(Rewritten):
    """Keeps integers as floats."""

    def changed(self, document: Document, index: IndexInfo) -> Document:
        return Document(document.id, document.vectors, _each(document.payload, _as_float))


class Milliseconds(Rewritten):
    """Keeps datetimes to the millisecond."""

    def changed(self, document: Document, index: IndexInfo) -> Document:
        return Document(document.id, document.vectors, _each(document.payload, _to_milliseconds))


class MergesPayloads(Rewritten):
    """Keeps fields of the document that was there before."""

    def changed(self, document: Document, index: IndexInfo) -> Document:
        old = self.get(index, [document.id], with_vectors=False)
        return Document(document.id, document.vectors, {**(old[0].payload if old else {}), **document.payload})


class SkipsMissing(Sound):
    """A negation does not hold for documents without the field."""

    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        return super().count(index, self._narrowed(index, condition))

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        narrowed = [replace(request, filter=self._narrowed(index, request.filter)) for request in requests]
        return super().search(index, narrowed)

    def _narrowed(self, index: IndexInfo, condition: Filter | None) -> Filter | None:
        match condition:
            case Not(part):
                documents = super().scan(index, cursor=None, limit=10_000, condition=None, with_vectors=False).documents
                having = [d.id for d in documents if all(d.payload.get(name) is not None for name in fields_of(part))]
                return And((condition, ids(having)))
            case And(parts):
                return And(tuple(self._narrowed(index, part) or part for part in parts))
            case Or(parts):
                return Or(tuple(self._narrowed(index, part) or part for part in parts))
        return condition


class SkipsFirst(Sound):
    """A page that is not the first lacks its first document."""

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        page = super().scan(
            index, cursor=cursor, limit=limit, condition=condition, with_vectors=with_vectors, part=part
        )
        return page if cursor is None else Page(page.documents[1:], page.cursor)


class IgnoresSlices(Sound):
    """Reads past the slice: every worker gets everything."""

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        return super().scan(index, cursor=cursor, limit=limit, condition=condition, with_vectors=with_vectors)


class CutsByPlace(Sound):
    """Deals documents out to slices by their place in the index, which other documents shift."""

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        found = super().scan(index, cursor=None, limit=10_000, condition=None, with_vectors=False).documents
        dealt = ids([d.id for place, d in enumerate(found) if part is None or place % part.count == part.index])
        both = dealt if condition is None else And((condition, dealt))
        return super().scan(index, cursor=cursor, limit=limit, condition=both, with_vectors=with_vectors)


class Replaces(Sound):
    """Creating an index replaces the one that is there."""

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        if spec.name in self.list_indexes():
            self.drop_index(spec.name)
        return super().create_index(spec)


class Declares(Sound):
    """Has other capabilities than it says."""

    features: frozenset[Feature]

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), features=self.features)

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        return replace(super().create_index(spec), capabilities=self.capabilities())

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        return replace(super().describe_index(name, vector=vector), capabilities=self.capabilities())


class Boasts(Declares):
    """Says that data outlive the client."""

    features = frozenset(Feature) - {Feature.APPROXIMATE_SEARCH}


class Denies(Declares):
    """Says that it can neither scan with a filter nor evaluate `exists`."""

    features = frozenset(Feature) - {
        Feature.APPROXIMATE_SEARCH,
        Feature.PERSISTENT,
        Feature.SCAN_FILTER,
        Feature.FILTER_EXISTS,
    }


class Drifts(Sound):
    """Takes a parameter by another name."""

    def count(self, index: IndexInfo, filter: Filter | None) -> int:  # noqa: A002
        return super().count(index, filter)


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _each(part, change) for key, part in value.items()}
    return [_each(part, change) for part in value] if isinstance(value, list) else change(value)


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _to_milliseconds(value: Any) -> Any:
    return value.replace(microsecond=value.microsecond // 1000 * 1000) if isinstance(value, datetime) else value


PLANTED = (
    Sound, Clamps, Negates, LosesTies, FiltersLate, RoundsQueries, SignsBits, DropsLast, NormalisesTwice, FoldsIds,
    FloatsOnly, Milliseconds, MergesPayloads, SkipsMissing, SkipsFirst, IgnoresSlices, CutsByPlace, Replaces, Boasts,
    Denies, Drifts,
)  # fmt: skip

plugin = Plugin(
    scheme="broken",
    variants={
        backend.__name__.lower(): Variant(
            summary=str(backend.__doc__), example="broken://", connect=f"defects:{backend.__name__}"
        )
        for backend in PLANTED
    },
)
