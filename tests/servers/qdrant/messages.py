"""Points in messages of the gRPC interface as the store's JSON form, and back.

Payloads, ids and vectors are read here, field by field, because how they are written is what an adapter under test
decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import grpc as q

from tests.servers.qdrant import limits
from tests.servers.qdrant.limits import InvalidMatrix, Json, Kind, Refused

# --- values, ids ---


def from_value(value: q.Value) -> Any:
    match value.WhichOneof("kind"):
        case None | "null_value":
            return None
        case "struct_value":
            return from_payload(value.struct_value.fields)
        case "list_value":
            return [from_value(element) for element in value.list_value.values]
        case kind:
            return getattr(value, kind)


def from_payload(fields: Mapping[str, q.Value]) -> Json:
    return {name: from_value(value) for name, value in fields.items()}


def to_value(value: Any) -> q.Value:
    match value:
        case None:
            return q.Value(null_value=q.NULL_VALUE)
        case bool():
            return q.Value(bool_value=value)
        case int() if -(2**63) <= value < 2**63:
            return q.Value(integer_value=value)
        case int() | float():
            return q.Value(double_value=value)
        case str():
            return q.Value(string_value=value)
        case dict():
            return q.Value(struct_value=q.Struct(fields=to_payload(value)))
    return q.Value(list_value=q.ListValue(values=map(to_value, value)))


def to_payload(payload: Json) -> dict[str, q.Value]:
    return {name: to_value(value) for name, value in payload.items()}


def from_id(identifier: q.PointId) -> Any:
    """A number or the text of a UUID, checked."""
    match identifier.WhichOneof("point_id_options"):
        case None:
            raise Refused(Kind.INVALID, "Empty ID is not allowed")
        case "num":
            return identifier.num
    try:
        return str(limits.point_id(identifier.uuid))
    except Refused:
        raise Refused(Kind.INVALID, f"Unable to parse UUID: {identifier.uuid}") from None


def to_id(identifier: Any) -> q.PointId:
    return q.PointId(num=identifier) if isinstance(identifier, int) else q.PointId(uuid=identifier)


# --- vectors ---


def from_vectors(vectors: q.Vectors, path: str) -> dict[str, Any]:
    """Vectors by name, checked as the server's validation does.

    Args:
        vectors: named ones, or the unnamed one.
        path: where they are in the message, for errors.
    """
    match vectors.WhichOneof("vectors_options"):
        case "vector":
            return {"": _from_vector(vectors.vector, f"{path}.vectors_options.vector")}
        case "vectors":
            named = vectors.vectors.vectors
            return {name: _from_vector(named[name], f"{path}.vectors_options.vectors.[]") for name in named}
    return {}


def _from_vector(vector: q.Vector, path: str) -> Any:
    match vector.WhichOneof("vector"):
        case "dense":
            return list(vector.dense.data)
        case "multi_dense":
            return matrix(vector.multi_dense, path)
        case kind:
            raise Refused(Kind.UNKNOWN, f"The double does not keep such vectors: {kind or 'sparse, or flat'}")


def matrix(message: q.MultiDenseVector, path: str) -> list[list[float]]:
    rows = [row.data for row in message.vectors]
    try:
        limits.check_matrix(rows)
    except InvalidMatrix as error:
        raise limits.over_grpc(error, path) from error
    return [list(row) for row in rows]


def to_vectors(vectors: Any, *, flattened: bool) -> q.VectorsOutput:
    if isinstance(vectors, dict):
        named = {name: _to_vector(value, flattened=flattened) for name, value in vectors.items()}
        return q.VectorsOutput(vectors=q.NamedVectorsOutput(vectors=named))
    return q.VectorsOutput(vector=_to_vector(vectors, flattened=flattened))


def _to_vector(value: Any, *, flattened: bool) -> q.VectorOutput:
    if not isinstance(value[0], list):
        return q.VectorOutput(data=value) if flattened else q.VectorOutput(dense=q.DenseVector(data=value))
    if flattened:
        return q.VectorOutput(data=[number for row in value for number in row], vectors_count=len(value))
    return q.VectorOutput(multi_dense=q.MultiDenseVector(vectors=[q.DenseVector(data=row) for row in value]))


# --- whole points ---


def to_record(point: Json, *, flattened: bool) -> q.RetrievedPoint:
    return q.RetrievedPoint(**_common(point, flattened=flattened))


def to_scored(point: Json, *, flattened: bool) -> q.ScoredPoint:
    return q.ScoredPoint(**_common(point, flattened=flattened), score=point["score"], version=point["version"])


def _common(point: Json, *, flattened: bool) -> Json:
    fields: Json = {"id": to_id(point["id"]), "payload": to_payload(point.get("payload") or {})}
    if point.get("vector"):
        fields["vectors"] = to_vectors(point["vector"], flattened=flattened)
    return fields
