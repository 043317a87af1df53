"""A backend in a hundred lines: documents in a dictionary, scored by `lateint.scoring`, and no filter of any kind.

It shows what a third-party distribution holds: a plugin record, a capability record that promises no more than is there,
and the verbs. What it does not promise it refuses, and the suite holds it to both.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from typing import NoReturn

from lateint import errors
from lateint.engine.backend import Backend, Failures, IdMode, IndexInfo
from lateint.engine.capabilities import Capabilities, Feature
from lateint.engine.payload import selected
from lateint.engine.registry import Plugin, Settings, Variant
from lateint.engine.url import EngineURL, require_nothing
from lateint.filters import Filter
from lateint.scoring import maxsim
from lateint.spec import IndexSpec
from lateint.types import Document, Hit, Page, SearchRequest, SearchResult, ServerInfo, Slice

CAPABILITIES = Capabilities(
    features=frozenset({Feature.EXACT_SEARCH, Feature.STABLE_SCAN}), max_dim=4096, max_values=2**16, max_k=500
)

plugin = Plugin(
    scheme="tiny",
    variants={"": Variant(summary="an example of a backend", example="tiny://", connect="lateint_tiny:connect")},
)


def connect(url: EngineURL, settings: Settings) -> TinyBackend:
    """A new, empty store."""
    require_nothing(url)
    return TinyBackend()


class TinyBackend(Backend):
    """See `lateint.engine.backend.Backend` for what each verb means."""

    name = "tiny"
    location = "tiny://"

    def __init__(self) -> None:
        self._specs: dict[str, IndexSpec] = {}
        self._documents: dict[str, dict[str, Document]] = {}
        self._lock = threading.Lock()

    def server_info(self) -> ServerInfo:
        return ServerInfo(engine=self.name, version="0.1.0", location=self.location)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        with self._lock:
            if spec.name in self._specs:
                raise errors.IndexExists(f"index {spec.name!r} exists.", backend=self.name, index=spec.name)
            self._specs[spec.name], self._documents[spec.name] = spec, {}
        return _info(spec)

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        self._held(name)
        if vector is not None:
            raise errors.SchemaMismatch(
                f"index {name!r} has no multi-vector {vector!r}.", backend=self.name, index=name
            )
        return _info(self._specs[name])

    def list_indexes(self) -> list[str]:
        return sorted(self._specs)

    def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        if spec.fields != index.spec.fields:
            self._refuse(Feature.ADD_FIELD)
        self._specs[index.name] = spec
        return _info(spec)

    def drop_index(self, name: str) -> None:
        self._held(name)
        del self._specs[name], self._documents[name]

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        with self._lock:
            self._held(index.name).update((document.id, _copied(document)) for document in documents)
        return ()

    def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, object]) -> Failures:
        self._refuse(Feature.UPDATE_PAYLOAD)

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        if isinstance(target, Filter):
            self._refuse(Feature.DELETE_BY_FILTER)
        with self._lock:
            for name in target:
                self._held(index.name).pop(name, None)

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        held = self._held(index.name)
        return [_copied(held[name], with_vectors=with_vectors) for name in ids if name in held]

    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        return len(self._all(index, condition))

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return [self._answer(self._all(index, request.filter), request) for request in requests]

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
        if part is not None:
            self._refuse(Feature.SCAN_SLICES)
        held = sorted(self._all(index, condition), key=lambda document: document.id)
        later = [document for document in held if cursor is None or document.id > cursor]
        page = tuple(_copied(document, with_vectors=with_vectors) for document in later[:limit])
        return Page(page, page[-1].id if len(later) > limit else None)

    def close(self) -> None:
        self._specs.clear()

    def _held(self, name: str) -> dict[str, Document]:
        if name not in self._specs:
            raise errors.IndexNotFound(f"no index {name!r}.", backend=self.name, index=name)
        return self._documents[name]

    def _all(self, index: IndexInfo, condition: Filter | None) -> list[Document]:
        if condition is not None:
            self._refuse(Feature.FILTER_EQUAL)
        with self._lock:
            return list(self._held(index.name).values())

    @staticmethod
    def _answer(documents: list[Document], request: SearchRequest) -> SearchResult:
        scored = sorted((-maxsim(request.query, document.vectors), document.id, document) for document in documents)
        hits = (
            Hit(
                name,
                -score,
                selected(dict(found.payload), request.payload),
                found.vectors if request.with_vectors else None,
            )
            for score, name, document in scored[: request.k]
            for found in [_copied(document)]
        )
        return SearchResult(tuple(hits), exact=True)

    def _refuse(self, feature: Feature) -> NoReturn:
        raise errors.UnsupportedFeature(f"{self.name} cannot do this: {feature.value}.", feature=feature.value)


def _copied(document: Document, *, with_vectors: bool = True) -> Document:
    """What one side does to its document must not reach the other."""
    vectors = document.vectors.copy() if with_vectors else None
    return Document(document.id, vectors, copy.deepcopy(dict(document.payload)))


def _info(spec: IndexSpec) -> IndexInfo:
    return IndexInfo(spec=spec, capabilities=CAPABILITIES, id_mode=IdMode.TEXT)
