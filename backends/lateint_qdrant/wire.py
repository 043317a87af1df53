"""Multi-vectors between NumPy and gRPC, as bytes: no float of them ever becomes a Python object. No I/O.

Rows of one dimension have one constant prefix in Qdrant's messages. So a whole document is a matrix of bytes, made by
one strided copy and read by another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from qdrant_client import grpc
from qdrant_client.conversions.conversion import payload_to_grpc

from lateint import errors
from lateint.vectors import MultiVector
from lateint_qdrant.calls import Point
from lateint_qdrant.keeping import PointId


def upsert(collection: str, points: Sequence[Point], *, vector: str) -> bytes:
    """A serialised `UpsertPoints` that waits until the points are there.

    Args:
        collection: its name.
        points: whole points.
        vector: name of the multi-vector; empty for the unnamed one.
    """
    return _request(grpc.UpsertPoints, grpc.PointStruct, collection, points, vector)


def update_vectors(collection: str, points: Sequence[Point], *, vector: str) -> bytes:
    """A serialised `UpdatePointVectors`: the payload of the points is left out."""
    bare = [Point(point.id, point.rows, {}) for point in points]
    return _request(grpc.UpdatePointVectors, grpc.PointVectors, collection, bare, vector)


def rows(vectors: MultiVector) -> memoryview:
    """A serialised `MultiDenseVector`.

    Args:
        vectors: float32, C-contiguous, shape (rows, dim).
    """
    prefix = np.frombuffer(_row_prefix(vectors.shape[1]), np.uint8)
    message = np.empty((len(vectors), len(prefix) + 4 * vectors.shape[1]), np.uint8)
    message[:, : len(prefix)] = prefix
    message[:, len(prefix) :] = vectors.astype("<f4", copy=False).view(np.uint8)
    return message.reshape(-1).data


def matrix(vectors: Any, *, vector: str) -> MultiVector | None:  # noqa: ANN401 - a message of generated code
    """The multi-vector in a `VectorsOutput`.

    Args:
        vectors: the message.
        vector: name of the multi-vector; empty for the unnamed one.

    Returns:
        float32, shape (rows, dim); None if the point has no such vector.

    Raises:
        UnexpectedResponse: its rows are not all of one length.
    """
    named = vectors.vectors.vectors
    if vector in named:  # so comes the unnamed one, too, where a sparse one stands beside it
        output = named[vector]
    elif not vector and vectors.HasField("vector"):
        output = vectors.vector
    else:
        return None
    if output.HasField("multi_dense"):
        return _from_rows(output.multi_dense)
    return _from_flat(output)


def point_id(point: PointId) -> Any:  # noqa: ANN401
    """An id as a message."""
    return grpc.PointId(num=point) if isinstance(point, int) else grpc.PointId(uuid=point)


def from_point_id(message: Any) -> PointId:  # noqa: ANN401
    """The id in a message."""
    return int(message.num) if message.HasField("num") else str(message.uuid)


def _request(whole: Any, part: Any, collection: str, points: Sequence[Point], vector: str) -> bytes:  # noqa: ANN401
    """A request of points; `whole` and `part` are the classes of the two messages."""
    tag = _tag(whole, "points")
    vectors_tag = _tag(part, "vectors")
    message = BytesIO()  # parts that are joined in the end touch twice the memory, at three times the cost
    message.write(whole(collection_name=collection, wait=True).SerializeToString())
    for point in points:
        fields = {"payload": payload_to_grpc(point.payload)} if point.payload else {}
        head = part(id=point_id(point.id), **fields).SerializeToString()
        body = rows(point.rows)
        wrapping = _wrapping(vectors_tag, vector, len(body))
        message.write(tag + _varint(len(head) + len(wrapping) + len(body)) + head + wrapping)
        message.write(body)
    return message.getvalue()


def _wrapping(tag: bytes, vector: str, size: int) -> bytes:
    """All that stands before the rows in a field of type `Vectors`, given how many bytes they take."""
    found = _tag(grpc.Vector, "multi_dense") + _varint(size)
    if not vector:
        return _around(tag, _around(_tag(grpc.Vectors, "vector"), found, size), size)
    found = _around(b"\x0a", vector.encode(), 0) + _around(b"\x12", found, size)  # an entry of a map: 1 key, 2 value
    for outer in (_tag(grpc.NamedVectors, "vectors"), _tag(grpc.Vectors, "vectors"), tag):
        found = _around(outer, found, size)
    return found


def _around(tag: bytes, content: bytes, following: int) -> bytes:
    """A field that holds `content` and as many bytes after it."""
    return tag + _varint(len(content) + following) + content


@lru_cache(maxsize=64)
def _row_prefix(dim: int) -> bytes:
    """What stands before the floats of each row."""
    row = _tag(grpc.DenseVector, "data") + _varint(4 * dim)
    return _around(_tag(grpc.MultiDenseVector, "vectors"), row, 4 * dim)


def _tag(message: Any, name: str) -> bytes:  # noqa: ANN401
    """Tag of a field that is a message, text, or packed numbers."""
    return _varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | 2)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _from_rows(message: Any) -> MultiVector:  # noqa: ANN401 - `MultiDenseVector`
    count = len(message.vectors)
    if count == 0:
        return np.empty((0, 0), np.float32)
    dim = len(message.vectors[0].data)
    prefix = _row_prefix(dim)
    found = np.frombuffer(message.SerializeToString(), np.uint8)
    if len(found) != count * (len(prefix) + 4 * dim):
        raise errors.UnexpectedResponse("the rows of a multi-vector have different lengths.", hint="Report it.")
    table = found.reshape(count, -1)
    return table[:, len(prefix) :].copy().view("<f4").astype(np.float32, copy=False)


def _from_flat(message: Any) -> MultiVector | None:  # noqa: ANN401 - `VectorOutput` as servers up to 1.15 write it
    count = message.vectors_count
    if not count:
        return None
    size = len(message.data)
    if not size or size % count:
        raise errors.UnexpectedResponse(f"{size} values are not {count} rows of one length.", hint="Report it.")
    # Fields are serialised in the order of their numbers, and `data` is the first.
    start = len(_tag(type(message), "data") + _varint(4 * size))
    floats = np.frombuffer(message.SerializeToString(), "<f4", count=size, offset=start)
    return floats.reshape(count, -1).astype(np.float32)
