"""`memory://`: the reference scorer behind the contract. Exact, thread-safe, gone with its client."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from lateint import errors
from lateint.engine.backend import Backend, Failures, IdMode, IndexInfo
from lateint.engine.capabilities import Accumulator, Capabilities, Feature
from lateint.engine.payload import checked, selected
from lateint.engine.registry import Plugin, Settings, Variant
from lateint.engine.url import EngineURL, require_nothing
from lateint.filters import Filter, matches
from lateint.scoring import Corpus, score_corpus, top_k
from lateint.spec import DType, IndexSpec, suggestion
from lateint.types import Document, Hit, Page, Payload, SearchRequest, SearchResult, ServerInfo, Slice, WriteFailure
from lateint.vectors import MultiVector

CAPABILITIES = Capabilities(
    features=frozenset(Feature) - {Feature.APPROXIMATE_SEARCH, Feature.PERSISTENT},
    dtypes=frozenset(DType),
    accumulator=Accumulator.FLOAT64,
)

plugin = Plugin(
    scheme="memory",
    variants={
        "": Variant(
            summary="the NumPy reference scorer, for tests and small work; nothing is kept",
            example="memory://",
            connect="lateint.engine.memory:connect",
        )
    },
)


def connect(url: EngineURL, settings: Settings) -> MemoryBackend:  # noqa: ARG001 - the signature of all backends
    """A new, empty store."""
    require_nothing(url)
    return MemoryBackend()


@dataclass(slots=True)
class _Stored:
    """One index. A stored record is replaced, never changed, so that what was handed out stays as it was."""

    spec: IndexSpec
    rows: dict[str, tuple[MultiVector, Payload]] = field(default_factory=dict)
    corpus: tuple[list[str], Corpus] | None = None


class MemoryBackend(Backend):
    """Documents in a dictionary, scored by `lateint.scoring`."""

    name = "memory"
    location = "memory://"

    def __init__(self) -> None:
        self._indexes: dict[str, _Stored] = {}
        self._lock = threading.RLock()

    def server_info(self) -> ServerInfo:
        return ServerInfo(engine=self.name, version=metadata.version("lateint"), location=self.location)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        with self._lock:
            if spec.name in self._indexes:
                raise errors.IndexExists(
                    f"index {spec.name!r} exists.",
                    hint="Open it, drop it, or choose another name.",
                    backend=self.name,
                    operation="create_index",
                    index=spec.name,
                )
            self._indexes[spec.name] = _Stored(spec)
        return _info(spec)

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        with self._lock:
            if vector is not None:
                raise errors.SchemaMismatch(
                    f"index {name!r} has one multi-vector, without a name; {vector!r} was asked for.",
                    hint="Leave it out.",
                )
            return _info(self._stored(name).spec)

    def list_indexes(self) -> list[str]:
        with self._lock:
            return sorted(self._indexes)

    def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        with self._lock:
            self._stored(index.name).spec = spec
        return _info(spec)

    def drop_index(self, name: str) -> None:
        with self._lock:
            self._stored(name)
            del self._indexes[name]

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        with self._lock:
            stored = self._stored(index.name)
            for document in documents:
                rows = document.vectors.copy()
                rows.flags.writeable = False
                stored.rows[document.id] = (rows, dict(document.payload))
            stored.corpus = None
        return ()

    def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        with self._lock:
            stored = self._stored(index.name)
            for name in ids:
                if name in stored.rows:
                    rows, payload = stored.rows[name]
                    stored.rows[name] = (rows, {**payload, **changes})
            return tuple(WriteFailure(name, "no such document") for name in ids if name not in stored.rows)

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        with self._lock:
            stored = self._stored(index.name)
            names = self._matching(stored, target) if isinstance(target, Filter) else target
            for name in names:
                stored.rows.pop(name, None)
            stored.corpus = None

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        with self._lock:
            stored = self._stored(index.name)
            return [_document(name, stored.rows[name], with_vectors) for name in ids if name in stored.rows]

    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        with self._lock:
            return len(self._matching(self._stored(index.name), condition))

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        with self._lock:
            stored = self._stored(index.name)
            found = [(request, *self._corpus(stored, request.filter)) for request in requests]
            rows = dict(stored.rows)
        return [_answer(request, names, corpus, rows) for request, names, corpus in found]

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
        with self._lock:
            stored = self._stored(index.name)
            later = (name for name in self._matching(stored, condition) if cursor is None or name > cursor)
            names = sorted(name for name in later if part is None or _slice(name, part.count) == part.index)
            page = [_document(name, stored.rows[name], with_vectors) for name in names[:limit]]
        return Page(tuple(page), page[-1].id if len(names) > limit else None)

    def close(self) -> None:
        with self._lock:
            self._indexes.clear()

    def _stored(self, name: str) -> _Stored:
        try:
            return self._indexes[name]
        except KeyError:
            raise errors.IndexNotFound(
                f"no index {name!r}.", hint=suggestion(name, self._indexes), backend=self.name, index=name
            ) from None

    @staticmethod
    def _matching(stored: _Stored, condition: Filter | None) -> list[str]:
        if condition is None:
            return list(stored.rows)
        return [
            name for name, (_, payload) in stored.rows.items() if matches(condition, document=name, payload=payload)
        ]

    def _corpus(self, stored: _Stored, condition: Filter | None) -> tuple[list[str], Corpus]:
        """Ids and rows to score; kept for the next search when unfiltered and unchanged."""
        if condition is None and stored.corpus is not None:
            return stored.corpus
        names = sorted(self._matching(stored, condition))
        corpus = Corpus.from_multivectors((stored.rows[name][0] for name in names), dtype="float32")
        if condition is None:
            stored.corpus = (names, corpus)
        return names, corpus


def _answer(
    request: SearchRequest, names: list[str], corpus: Corpus, rows: Mapping[str, tuple[MultiVector, Payload]]
) -> SearchResult:
    if not names:
        return SearchResult((), exact=True, candidates=0)
    positions, scores = top_k(score_corpus([request.query], corpus)[0], request.k)
    hits = tuple(
        Hit(
            id=names[position],
            score=float(score),
            payload=selected(_copied(rows[names[position]][1]), request.payload),
            vectors=rows[names[position]][0] if request.with_vectors else None,
        )
        for position, score in zip(positions, scores, strict=True)
    )
    return SearchResult(hits, exact=True, candidates=len(names))


def _document(name: str, record: tuple[MultiVector, Payload], with_vectors: bool) -> Document:  # noqa: FBT001
    rows, payload = record
    return Document(name, rows if with_vectors else None, _copied(payload))


def _slice(name: str, count: int) -> int:
    """Which of `count` slices a document is in; not by `hash`, which is another one in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()) % count


def _copied(payload: Payload) -> Payload:
    """A copy down to the leaves: what a caller does to it must not reach the store."""
    return checked(payload, {}, document="")[0]


def _info(spec: IndexSpec) -> IndexInfo:
    return IndexInfo(spec=spec, capabilities=CAPABILITIES, id_mode=IdMode.TEXT)
