"""Records of lateint as objects of the in-process engine, and back. No I/O."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from lateint import errors
from lateint.filters import Filter
from lateint.spec import DType, FieldType, IndexSpec
from lateint.types import Document, Hit, SearchRequest, Slice
from lateint.vectors import MultiVector
from lateint_qdrant import translate
from lateint_qdrant.filters import Json, lowered, sliced
from lateint_qdrant.schema import VECTOR, Memory, memory, point_id

_DATATYPE = {
    DType.FLOAT32: edge.VectorStorageDatatype.Float32,
    DType.FLOAT16: edge.VectorStorageDatatype.Float16,
}
_MEMORY = {Memory.CACHED: edge.Memory.Cached, Memory.COLD: edge.Memory.Cold}
_INDEX = {
    FieldType.KEYWORD: edge.PayloadSchemaType.Keyword,
    FieldType.INTEGER: edge.PayloadSchemaType.Integer,
    FieldType.FLOAT: edge.PayloadSchemaType.Float,
    FieldType.DATETIME: edge.PayloadSchemaType.Datetime,
}
_EXACT = edge.SearchParams(exact=True)

_PER_POINT = 64
"""Bytes that a point takes beside its payload and vectors."""


def config(spec: IndexSpec) -> edge.EdgeConfig:
    """Configuration of a new shard: no HNSW graph, no copy of vectors for one, every update logged first."""
    no_graph = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
    vector = edge.EdgeVectorParams(
        size=spec.dim,
        distance=edge.Distance.Dot,
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        datatype=_DATATYPE[spec.dtype],
        hnsw_config=no_graph,
        memory=_MEMORY[memory(spec)],
    )
    return edge.EdgeConfig(
        vectors={VECTOR: vector},
        hnsw_config=no_graph,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=0),
        wal_enabled=True,
    )


def create_payload_index(name: str, kind: FieldType) -> edge.UpdateOperation:
    """Index a payload field, for points that are there and those to come."""
    return edge.UpdateOperation.create_field_index(name, _INDEX[kind])


def upsert(documents: Sequence[Document], spec: IndexSpec) -> tuple[edge.UpdateOperation, int]:
    """Write documents whole; and how many bytes their payload is."""
    payloads = [translate.stored(document.id, dict(document.payload), spec.fields) for document in documents]
    points = [
        edge.Point(point_id(document.id), {VECTOR: rows(document.vectors)}, payload)
        for document, payload in zip(documents, payloads, strict=True)
    ]
    return edge.UpdateOperation.upsert_points(points), sum(map(size, payloads))


def size(payload: Mapping[str, Any]) -> int:
    """About how many bytes the payload of a point is."""
    return len(json.dumps(payload)) + _PER_POINT


def delete(target: Sequence[str] | Filter, spec: IndexSpec) -> edge.UpdateOperation:
    """Delete documents by id or by filter."""
    if isinstance(target, Filter):
        return edge.UpdateOperation.delete_points_by_filter(_filter(lowered(target, spec.fields)))
    return edge.UpdateOperation.delete_points([point_id(document) for document in target])


def query(request: SearchRequest, spec: IndexSpec) -> edge.QueryRequest:
    """One exact search."""
    return edge.QueryRequest(
        limit=request.k,
        query=edge.Query.Nearest(rows(request.query), VECTOR),
        filter=condition(request.filter, spec),
        params=_EXACT,
        with_payload=translate.wanted(request.payload),
        with_vector=request.with_vectors,
    )


def document(record: edge.Record, spec: IndexSpec) -> Document:
    """The document that a point holds."""
    identifier, payload = translate.restored(record.payload, spec.fields)
    return Document(identifier, matrix(record.vector), payload, normalized=spec.normalize)


def hit(point: edge.ScoredPoint, request: SearchRequest, spec: IndexSpec) -> Hit:
    """The hit that a scored point is, with what the request asked for."""
    identifier, payload = translate.restored(point.payload, spec.fields)
    return translate.hit(identifier, payload, request, score=point.score, rows=matrix(point.vector))


def rows(vectors: MultiVector) -> list[Any]:
    """One multi-vector as the engine takes it: a view per row.

    The engine reads any sequence of numbers. Views save a quarter of what `tolist()` takes, and keep no boxed floats.
    """
    return [memoryview(row) for row in vectors]


def matrix(vector: Any) -> MultiVector | None:  # noqa: ANN401 - a union of seven, of which two occur
    """Rows as the engine returns them, as an array; None where they were not asked for, or the document lost them.

    Packing row by row takes a third of the time that `np.array` does.
    """
    if vector is None or VECTOR not in vector:
        return None
    values: list[list[float]] = vector[VECTOR]
    pack = struct.Struct(f"{len(values[0])}f").pack
    packed = bytearray().join([pack(*row) for row in values])
    return np.frombuffer(packed, np.float32).reshape(len(values), -1)


def point(cursor: str) -> UUID:
    """The point that a cursor names.

    Raises:
        InvalidInput: it names none.
    """
    try:
        named = UUID(cursor)
    except (ValueError, TypeError, AttributeError):
        named = None
    if named is None or str(named) != cursor:  # UUID takes braces, digits of any script and the like
        raise errors.InvalidInput(f"cursor {cursor!r:.60} is none of this engine.", hint="Start the scan anew.")
    return named


def condition(wanted: Filter | None, spec: IndexSpec, part: Slice | None = None) -> edge.Filter | None:
    """A bound filter, and a slice, as the engine takes them."""
    found = sliced(None if wanted is None else lowered(wanted, spec.fields), part)
    return None if found is None else _filter(found)


def _filter(data: Json) -> edge.Filter:
    clauses = {clause: [_condition(part) for part in parts] for clause, parts in data.items()}
    return edge.Filter(must=clauses.get("must"), should=clauses.get("should"), must_not=clauses.get("must_not"))


def _condition(data: Json) -> Any:  # noqa: ANN401 - the engine's classes of conditions have no common one
    match data:
        case {"has_id": ids}:
            return edge.HasIdCondition({UUID(text) for text in ids})
        case {"slice": {"total": total, "index": index}}:
            return edge.SliceCondition(total, index)  # type: ignore[attr-defined]  # missing in the stub
        case {"key": key, "match": {"value": value}}:
            return edge.FieldCondition(key, match=edge.MatchValue(value))
        case {"key": key, "match": {"any": values}}:
            return edge.FieldCondition(key, match=edge.MatchAny(values))
        case {"key": key, "range": bounds} if any(isinstance(bound, str) for bound in bounds.values()):
            return edge.FieldCondition(key, range=edge.RangeDateTime(**bounds))
        case {"key": key, "range": bounds}:
            return edge.FieldCondition(key, range=edge.RangeFloat(**bounds))
    return _filter(data)
