"""The thirteen verbs on a server, as generators without I/O: each yields calls and is resumed with what they brought.

They are written once, for the blocking client and for asyncio, over gRPC, over REST and in the client's local mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from qdrant_client import models

from lateint import errors
from lateint.engine import guard, splitting
from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.filters import Filter
from lateint.spec import DType, IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice, WriteFailure
from lateint.vectors import MultiVector
from lateint_qdrant import collection, payload_changes, schema, translate
from lateint_qdrant.access import Access, access_to
from lateint_qdrant.calls import Ask, Point, Record, Steps, applied
from lateint_qdrant.cosine import unrounded
from lateint_qdrant.filters import Json, keys, sliced
from lateint_qdrant.keeping import Keeping, PointId, keeping, native_id
from lateint_qdrant.place import Place, Speech
from lateint_qdrant.transport import Query, Transport

LONGEST_S = 86_400.0
"""Seconds that a call may be given; clients overflow on times that mean "for ever"."""

_MISSING = "no document has this id."

_DATATYPE = {DType.FLOAT32: models.Datatype.FLOAT32, DType.FLOAT16: models.Datatype.FLOAT16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What the verbs need to know.

    Attributes:
        place: the store.
        capabilities: of an index that lateint creates there.
        transport: how calls with multi-vectors are made.
        version: of the server.
    """

    place: Place
    capabilities: Capabilities
    transport: Transport
    version: tuple[int, ...]

    @property
    def backend(self) -> str:
        """See `Backend.name`."""
        return self.place.backend

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.place.location

    def server_info(self) -> Steps[ServerInfo]:
        """See `Backend.server_info`."""
        found = yield Ask("info")
        return ServerInfo(
            engine=schema.ENGINE,
            version=str(found.version),
            location=self.place.location,
            details={"transport": self.place.speech.value},
        )

    def create_index(self, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.create_index`. What was begun and cannot be finished is taken back."""
        if self.version < schema.METADATA_SINCE:
            since = schema.dotted(schema.METADATA_SINCE)
            raise errors.UnsupportedFeature(
                f"index {spec.name!r}: Qdrant {schema.dotted(self.version)} keeps no metadata with a collection.",
                backend=self.place.backend,
                feature="create_index",
                since=since,
                alternative=f"Use a server from {since} on; collections that are there can be opened.",
            )
        vector = models.VectorParams(
            size=spec.dim,
            distance=models.Distance.DOT,
            datatype=_DATATYPE[spec.dtype],
            multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            hnsw_config=models.HnswConfigDiff(m=0),
            on_disk=schema.memory(spec) is schema.Memory.COLD,
        )
        yield Ask(
            "create_collection",
            {
                "collection_name": spec.name,
                "vectors_config": {schema.VECTOR: vector},
                "metadata": collection.metadata(spec),
            },
        )
        try:
            yield from self._add_payload_indexes(spec)
            return (yield from self.describe_index(spec.name, None))  # a server may put limits on what is new
        except errors.LateintError as error:
            try:
                yield Ask("delete_collection", {"collection_name": spec.name})
            except errors.LateintError as second:
                error.add_note(f"lateint: the unfinished collection is still there: {second}")
            raise

    def describe_index(self, name: str, vector: str | None) -> Steps[IndexInfo]:
        """See `Backend.describe_index`."""
        found = yield Ask("get_collection", {"collection_name": schema.check_collection(name)})
        return collection.described(name, found, self.capabilities, vector=vector)

    def list_indexes(self) -> Steps[list[str]]:
        """See `Backend.list_indexes`."""
        found = yield Ask("get_collections")
        return sorted(entry.name for entry in found.collections)

    def update_index(self, index: IndexInfo, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.update_index`."""
        if not index.managed:
            raise errors.UnsupportedFeature(
                f"collection {index.name!r} was not created by lateint, which leaves its metadata alone.",
                backend=self.place.backend,
                feature="update",
                alternative="Declare fields in open(…, fields=…); add payload indexes with the client of Qdrant.",
            )
        yield from self._add_payload_indexes(spec)
        yield Ask("update_collection", {"collection_name": index.name, "metadata": collection.metadata(spec)})
        return (yield from self.describe_index(index.name, None))

    def drop_index(self, name: str) -> Steps[None]:
        """See `Backend.drop_index`."""
        # Deleting a collection that is not there is no error of Qdrant: look first.
        yield Ask("get_collection", {"collection_name": schema.check_collection(name)})
        dropped = yield Ask("delete_collection", {"collection_name": name})
        if not dropped:
            raise errors.IndexNotFound(
                f"{name!r} is an alias, or the collection has just been dropped.", hint="Drop the collection itself."
            )

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Steps[Failures]:
        """See `Backend.write`."""
        kept, access = keeping(index), access_to(index)
        for document in documents:
            self._check(document.vectors, index, document.id)
        points = [
            Point(
                cast("PointId", kept.point(document.id)),  # the pipeline has refused ids that no point can have
                _sent(document.vectors, access),
                kept.stored(document.id, dict(document.payload)),
            )
            for document in documents
        ]
        for part in splitting.by_number(points, access.max_points):
            if index.managed:
                yield self.transport.upsert(index.name, part, vector=access.vector)
            else:
                yield from self._write_partly(index, part, access.vector)
        return ()

    def update_payload(self, index: IndexInfo, ids: Sequence[str], changes: Mapping[str, Any]) -> Steps[Failures]:
        """See `Backend.update_payload`: what differs is set, what is gone is deleted, everything else is let be."""
        kept = keeping(index)
        points = {point: document for document in ids if (point := kept.point(document)) is not None}
        if not points:
            return tuple(WriteFailure(document, _MISSING) for document in ids)
        records = yield self.transport.retrieve(index.name, list(points), vector=None, payload=True)
        operations: list[Any] = []
        for record in records:
            old = record.payload or {}
            if index.managed:
                document, payload = kept.restored(record.id, old)
                new = kept.stored(document, {**payload, **changes})
            else:
                new = {**old, **kept.stored("", dict(changes))}
            operations += payload_changes.operations(record.id, old, new, touched=changes.keys())
        yield from self._update(index.name, operations)
        found = {points[record.id] for record in records}
        return tuple(WriteFailure(document, _MISSING) for document in ids if document not in found)

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> Steps[None]:
        """See `Backend.delete`."""
        selector: Any
        if isinstance(target, Filter):
            selector = self.transport.filter(self._lowered(index, target, access_to(index).deletable))
        else:
            selector = [point for point in map(keeping(index).point, target) if point is not None]
            if not selector:
                return
        arguments = {"collection_name": index.name, "points_selector": selector, "wait": True}
        yield Ask("delete", arguments, read=applied)

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> Steps[list[Document]]:
        """See `Backend.get`."""
        kept = keeping(index)
        points = [point for point in map(kept.point, ids) if point is not None]
        if not points:
            return []
        vector = access_to(index).vector if with_vectors else None
        records = yield self.transport.retrieve(index.name, points, vector=vector, payload=True)
        return [_document(kept, record, index) for record in records]

    def count(self, index: IndexInfo, condition: Filter | None) -> Steps[int]:
        """See `Backend.count`."""
        lowered = self._retrieving(index, condition)
        counted = None if lowered is None else self.transport.filter(lowered)
        found = yield Ask("count", {"collection_name": index.name, "count_filter": counted, "exact": True})
        return int(found.count)

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> Steps[list[SearchResult]]:
        """See `Backend.search`."""
        kept, access = keeping(index), access_to(index)
        queries = []
        for request in requests:
            self._check(request.query, index, None)
            queries.append(
                Query(
                    rows=_sent(request.query, access),
                    k=request.k,
                    condition=self._retrieving(index, request.filter),
                    exact=None if self.local else request.exact,
                    payload=kept.wanted(request.payload),
                    with_vectors=request.with_vectors,
                )
            )
        given = [min(request.timeout_s, LONGEST_S) for request in requests if request.timeout_s is not None]
        timeout_s = max(given, default=None)
        server_s = None if self.local else _server_seconds(timeout_s or self.place.timeout_s, access.max_timeout_s)
        answers: list[list[Record]] = []
        for part in splitting.by_size(queries, [query.rows.nbytes for query in queries], self._most_bytes):
            for some in splitting.by_number(part, access.max_queries):
                answers += yield self.transport.query(
                    index.name,
                    some,
                    vector=access.vector,
                    timeout_s=timeout_s,
                    server_s=server_s,
                )
        return [_result(kept, access, request, records) for request, records in zip(requests, answers, strict=True)]

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Steps[Page]:
        """See `Backend.scan`."""
        kept, access = keeping(index), access_to(index)
        records, following = yield self.transport.scroll(
            index.name,
            start=None if cursor is None else _position(cursor),
            limit=min(limit, index.capabilities.max_k),
            condition=sliced(self._retrieving(index, condition), part),
            vector=access.vector if with_vectors else None,
        )
        documents = tuple(_document(kept, record, index) for record in records)
        return Page(documents, None if following is None else str(following))

    @property
    def local(self) -> bool:
        """The client's local mode has no payload indexes and no search parameters, and says so each time."""
        return self.place.speech is Speech.LOCAL

    @property
    def _most_bytes(self) -> int:
        return self.capabilities.max_batch_bytes

    def _add_payload_indexes(self, spec: IndexSpec) -> Steps[None]:
        """Those that are there already stay as they are."""
        if self.local:
            return
        for name, kind in schema.payload_indexes(spec.fields).items():
            arguments = {"collection_name": spec.name, "field_name": name, "field_schema": kind.value, "wait": True}
            yield Ask("create_payload_index", arguments)

    def _write_partly(self, index: IndexInfo, points: Sequence[Point], vector: str) -> Steps[None]:
        """New points whole; of those that are there the multi-vector and the payload keys that are given."""
        records = yield self.transport.retrieve(index.name, [point.id for point in points], vector=None, payload=True)
        there = {record.id: record.payload or {} for record in records}
        new = [point for point in points if point.id not in there]
        old = [point for point in points if point.id in there]
        if new:
            yield self.transport.upsert(index.name, new, vector=vector)
        if old:
            yield self.transport.update_vectors(index.name, old, vector=vector)
        operations: list[Any] = []
        for point in old:
            before = there[point.id]
            operations += payload_changes.operations(
                point.id, before, {**before, **point.payload}, touched=point.payload.keys()
            )
        yield from self._update(index.name, operations)

    def _update(self, name: str, operations: Sequence[Any]) -> Steps[None]:
        """Several changes of payload, in as many requests as their size needs."""
        for part in splitting.by_size(operations, [len(repr(operation)) for operation in operations], self._most_bytes):
            arguments = {"collection_name": name, "update_operations": part, "wait": True}
            yield Ask("batch_update_points", arguments, read=lambda replies: list(map(applied, replies)))

    def _check(self, vectors: Any, index: IndexInfo, document: str | None) -> None:  # noqa: ANN401
        guard.check(vectors, index.spec, engine="Qdrant", document=document, max_values=index.capabilities.max_values)

    def _retrieving(self, index: IndexInfo, condition: Filter | None) -> Json | None:
        return None if condition is None else self._lowered(index, condition, access_to(index).filterable)

    def _lowered(self, index: IndexInfo, condition: Filter, allowed: frozenset[str] | None) -> Json:
        lowered = keeping(index).lowered(condition)
        refused = sorted(set(keys(lowered)) - allowed) if allowed is not None else []
        if refused:
            raise errors.UnsupportedFeature(
                f"filter on {refused[0]!r}: the strict mode of collection {index.name!r} forbids filters on fields "
                "without a payload index.",
                backend=self.place.backend,
                feature="filter without a payload index",
                alternative="Add a payload index for it with the client of Qdrant, or filter while reading.",
            )
        return lowered


def _sent(rows: MultiVector, access: Access) -> MultiVector:
    """Rows that the server makes the given ones of."""
    return unrounded(rows) if access.scales_and_rounds else rows


def _document(kept: Keeping, record: Record, index: IndexInfo) -> Document:
    identifier, payload = kept.restored(record.id, record.payload)
    return Document(identifier, record.rows, payload, normalized=index.spec.normalize)


def _result(kept: Keeping, access: Access, request: SearchRequest, records: Sequence[Record]) -> SearchResult:
    exact = request.exact or not access.approximate
    hits = []
    for record in records:
        identifier, payload = kept.restored(record.id, record.payload)
        score = -record.score if access.smaller_is_better else record.score
        hits.append(translate.hit(identifier, payload, request, score=score, rows=record.rows))
    warnings = access.score_warnings if exact else (*access.score_warnings, *access.short_cut_warnings)
    return SearchResult(tuple(hits), exact=exact, warnings=warnings)


def _position(cursor: str) -> Any:  # noqa: ANN401
    """The point that a cursor names."""
    point = native_id(cursor)
    if point is None:
        raise errors.InvalidInput(f"cursor {cursor!r} is none of this engine.", hint="Start the scan anew.")
    return point


def _server_seconds(timeout_s: float, most: int | None) -> int:
    """What the server may be told: whole seconds, and no more than it allows."""
    seconds = max(1, math.ceil(timeout_s))
    return seconds if most is None else min(seconds, most)
