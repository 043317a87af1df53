"""Multi-vectors between NumPy and gRPC, as bytes: no float of them ever becomes a Python object. No I/O.

Weaviate takes a multi-vector as its dimension, two bytes, and the rows behind each other, little-endian. So a request
of many documents is their arrays between short heads, joined once.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import numpy as np

from lateint import errors
from lateint.vectors import MultiVector
from lateint_weaviate.protocol import (
    aggregate_pb2,
    base_pb2,
    base_search_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
)

# Tags of fields: number and kind, as protobuf writes them. `fits` holds them against the installed client.
_OBJECT = b"\x0a"
_VECTORS = b"\xba\x01"
_NAME = b"\x0a"
_BYTES = b"\x1a"
_MULTI = b"\x20\x02"
"""The type of a multi-vector, with its tag."""

SLOW = "the installed weaviate-client has other messages than lateint writes: its own classes write them, more slowly."
"""What to say where `fits` says no."""

CLIENTS = "Install one of 4.16 to 4.24: pip install 'lateint[weaviate]'."
"""Which are known."""

_LOG = logging.getLogger("lateint.weaviate")

_HEAD = 1024
"""Bytes, at most, of an object's id and the names of its class and its multi-vector."""


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """One object to be written.

    Attributes:
        uuid: its id.
        rows: its multi-vector; None to write it without.
        properties: text, numbers, truth values and lists of them, by property.
    """

    uuid: str
    rows: MultiVector | None
    properties: Mapping[str, Any]

    @property
    def size(self) -> int:
        """About how many bytes it takes in a message; rather more than fewer."""
        rows = 0 if self.rows is None else self.rows.nbytes
        return _HEAD + rows + sum(2 * len(name) + _bytes(value) for name, value in self.properties.items())


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One object as it was read.

    Attributes:
        uuid: its id.
        properties: those that were asked for and are there; datetimes as text.
        rows: its multi-vector; None where there is none, or it was not asked for.
        distance: of a search; NaN otherwise.
        updated_ms: when it was written, by the server's clock; 0 where that was not asked for.
    """

    uuid: str
    properties: dict[str, Any]
    rows: MultiVector | None = None
    distance: float = math.nan
    updated_ms: int = 0


def batch(cls: str, objects: Sequence[Object], *, vector: str) -> bytes:
    """A serialised `BatchObjectsRequest`, which writes objects whole.

    Args:
        cls: name of the class.
        objects: rows are float32, C-contiguous, at most 65,535 values wide.
        vector: name of the multi-vector.
    """
    return (_joined if fits() else _serialised)(cls, objects, vector)


def _joined(cls: str, objects: Sequence[Object], vector: str) -> bytes:
    """The arrays themselves between short heads."""
    name = _NAME + _varint(len(vector.encode())) + vector.encode()
    parts: list[bytes | memoryview] = []
    for each in objects:
        head = batch_pb2.BatchObject(uuid=each.uuid, collection=cls, properties=_properties(each.properties))
        start = head.SerializeToString()
        if each.rows is None:
            parts += (_OBJECT, _varint(len(start)), start)
            continue
        rows = each.rows.astype("<f4", copy=False).reshape(-1).view(np.uint8).data
        opening = name + _BYTES + _varint(2 + len(rows)) + struct.pack("<H", each.rows.shape[1])
        start += _VECTORS + _varint(len(opening) + len(rows) + len(_MULTI)) + opening
        parts += (_OBJECT, _varint(len(start) + len(rows) + len(_MULTI)), start, rows, _MULTI)
    return b"".join(parts)


def _serialised(cls: str, objects: Sequence[Object], vector: str) -> bytes:
    """The same by the client's own classes, which copy the rows three times on their way."""
    request = batch_pb2.BatchObjectsRequest()
    for each in objects:
        made = request.objects.add(uuid=each.uuid, collection=cls, properties=_properties(each.properties))
        if each.rows is not None:
            kind = base_pb2.Vectors.VECTOR_TYPE_MULTI_FP32
            made.vectors.add(name=vector, vector_bytes=packed(each.rows), type=kind)
    return bytes(request.SerializeToString())


def failures(reply: batch_pb2.BatchObjectsReply) -> dict[int, str]:
    """What was wrong with objects of a batch, by their place in it."""
    return {error.index: error.error for error in reply.errors}


def search(
    cls: str,
    *,
    vector: str,
    rows: MultiVector,
    limit: int,
    filters: base_pb2.Filters | None,
    properties: Sequence[str] | None,
    with_vectors: bool,
) -> search_get_pb2.SearchRequest:
    """The objects nearest to a multi-vector.

    Args:
        cls: name of the class.
        vector: name of the multi-vector.
        rows: the query, float32, shape (rows, dim).
        limit: how many.
        filters: only among those that pass.
        properties: which to answer with; None for all.
        with_vectors: answer with the multi-vectors too.
    """
    query = base_pb2.Vectors(vector_bytes=packed(rows), type=base_pb2.Vectors.VECTOR_TYPE_MULTI_FP32)
    return _request(
        cls,
        limit=limit,
        filters=filters,
        properties=properties,
        vector=vector if with_vectors else None,
        near_vector=base_search_pb2.NearVector(
            vectors=[query], targets=base_search_pb2.Targets(target_vectors=[vector])
        ),
    )


def fetch(
    cls: str,
    *,
    vector: str | None,
    limit: int,
    after: str | None,
    filters: base_pb2.Filters | None,
    properties: Sequence[str] | None,
    times: bool = False,
) -> search_get_pb2.SearchRequest:
    """Objects in the order of their ids, or those that pass a filter, which excludes `after`.

    Args:
        cls: name of the class.
        vector: name of the multi-vector to answer with; None for none.
        limit: how many.
        after: id behind which to begin, empty for the first page; None where there is a filter.
        filters: only those that pass.
        properties: which to answer with; None for all.
        times: answer with when they were written.
    """
    return _request(cls, limit=limit, filters=filters, properties=properties, vector=vector, after=after, times=times)


def records(reply: search_get_pb2.SearchReply, *, vector: str | None) -> list[Record]:
    """The objects in a reply, in its order.

    Args:
        reply: the message.
        vector: name of the multi-vector that was asked for; None for none.

    Raises:
        UnexpectedResponse: bytes of a multi-vector that are none.
    """
    found = []
    for result in reply.results:
        metadata = result.metadata
        found.append(
            Record(
                str(UUID(bytes=metadata.id_as_bytes)),
                _values(result.properties.non_ref_props),
                _rows(metadata.vectors, vector) if vector is not None else None,
                metadata.distance if metadata.distance_present else math.nan,
                metadata.last_update_time_unix,
            )
        )
    return found


def deletion(cls: str, filters: base_pb2.Filters) -> batch_delete_pb2.BatchDeleteRequest:
    """Delete what passes; servers take at most 10,000 objects at a time."""
    return batch_delete_pb2.BatchDeleteRequest(collection=cls, filters=filters)


def deleted(reply: batch_delete_pb2.BatchDeleteReply) -> tuple[int, int]:
    """How many objects a deletion found, and how many of them it failed to delete."""
    return reply.matches, reply.failed


def count(cls: str, filters: base_pb2.Filters | None) -> aggregate_pb2.AggregateRequest:
    """How many objects pass, or there are."""
    return aggregate_pb2.AggregateRequest(collection=cls, objects_count=True, filters=filters)


def counted(reply: aggregate_pb2.AggregateReply) -> int:
    """The number that `count` asked for."""
    return reply.single_result.objects_count


def packed(rows: MultiVector) -> bytes:
    """A multi-vector, float32, shape (rows, dim), as Weaviate takes it."""
    return struct.pack("<H", rows.shape[1]) + rows.astype("<f4", copy=False).tobytes()


def unpacked(data: bytes) -> MultiVector:
    """The multi-vector, float32, shape (rows, dim), that `packed` packed; a copy.

    Raises:
        UnexpectedResponse: a length that is not of whole rows.
    """
    dim = int.from_bytes(data[:2], "little")
    if not dim or (len(data) - 2) % (4 * dim):
        raise errors.UnexpectedResponse(f"{len(data)} bytes are no multi-vector of dimension {dim}.", hint="Report it.")
    # A copy, because the bytes are read-only and, behind two others, not aligned.
    return np.frombuffer(data, "<f4", offset=2).reshape(-1, dim).astype(np.float32)


@cache
def fits() -> bool:
    """Whether the messages of the installed client are those that `batch` writes by itself.

    If not, it leaves that to the client's own classes. The client's `insert_many` would be a worse way: it sends again
    what was cut, and the server calls that a success and does not index again what it has.
    """
    objects = [Object(str(UUID(int=1)), np.arange(6, dtype=np.float32).reshape(2, 3), {"a": "b"})]
    return _joined("Probe", objects, "v") == _serialised("Probe", objects, "v")


def probe() -> None:
    """Make sure that the messages of the installed client can be written and read, and log it if only slowly.

    Raises:
        MissingDependency: they cannot.
    """
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    uuid = str(UUID(int=1))
    try:
        message = batch_pb2.BatchObjectsRequest.FromString(batch("Probe", [Object(uuid, rows, {"a": "b"})], vector="v"))
        reply = search_get_pb2.SearchReply()
        result = reply.results.add()
        result.metadata.id_as_bytes = UUID(int=1).bytes
        result.metadata.vectors.append(message.objects[0].vectors[0])
        read = records(reply, vector="v")[0]
        search("Probe", vector="v", rows=rows, limit=1, filters=None, properties=None, with_vectors=True)
        same = (message.objects[0].uuid, read.uuid) == (uuid, uuid)
        same = same and read.rows is not None and np.array_equal(read.rows, rows)
    except Exception as error:
        raise _other_client() from error
    if not same:
        raise _other_client()
    if not fits():
        _LOG.warning(SLOW)


def _request(
    cls: str,
    *,
    limit: int,
    filters: base_pb2.Filters | None,
    properties: Sequence[str] | None,
    vector: str | None,
    near_vector: base_search_pb2.NearVector | None = None,
    after: str | None = None,
    times: bool = False,
) -> search_get_pb2.SearchRequest:
    return search_get_pb2.SearchRequest(
        collection=cls,
        limit=limit,
        filters=filters,
        properties=search_get_pb2.PropertiesRequest(
            non_ref_properties=properties, return_all_nonref_properties=properties is None
        ),
        metadata=search_get_pb2.MetadataRequest(
            uuid=True,
            distance=near_vector is not None,
            vectors=[vector] if vector else None,
            last_update_time_unix=times,
        ),
        near_vector=near_vector,
        after=after,
        uses_123_api=True,
        uses_125_api=True,
        uses_127_api=True,
    )


def _bytes(value: Any) -> int:  # noqa: ANN401 - one of many types
    if isinstance(value, list):
        return 16 + sum(map(_bytes, value))
    if isinstance(value, str):
        return 16 + (len(value) if value.isascii() else len(value.encode()))
    return 16


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _properties(values: Mapping[str, Any]) -> batch_pb2.BatchObject.Properties:
    """Properties as a message: scalars in one structure, lists apart by the type of their elements."""
    made = batch_pb2.BatchObject.Properties()
    scalars = {}
    for name, value in values.items():
        if not isinstance(value, list):
            scalars[name] = value
        elif not value:
            made.empty_list_props.append(name)
        elif isinstance(value[0], str):
            made.text_array_properties.add(prop_name=name, values=value)
        elif isinstance(value[0], bool):
            made.boolean_array_properties.add(prop_name=name, values=value)
        elif all(isinstance(element, int) for element in value):
            made.int_array_properties.add(prop_name=name, values=value)
        else:
            made.number_array_properties.add(prop_name=name, values_bytes=struct.pack(f"<{len(value)}d", *value))
    made.non_ref_properties.update(scalars)
    return made


def _values(message: properties_pb2.Properties) -> dict[str, Any]:
    """What a message of properties says, without nulls."""
    found = {name: _value(value) for name, value in message.fields.items()}
    return {name: value for name, value in found.items() if value is not None}


def _value(message: properties_pb2.Value) -> Any:  # noqa: ANN401 - one of many types
    kind = message.WhichOneof("kind")
    match kind:
        case None | "null_value":
            return None
        case "list_value":
            return _list(message.list_value)
        case "object_value":
            return _values(message.object_value)
        case "geo_value" | "phone_value":
            return {part.name: value for part, value in getattr(message, kind).ListFields()}
    return getattr(message, kind)


def _list(message: properties_pb2.ListValue) -> list[Any]:
    kind = message.WhichOneof("kind")
    if kind is None:
        return []
    values = getattr(message, kind).values
    match kind:
        case "int_values":
            return list(struct.unpack(f"<{len(values) // 8}q", values))
        case "number_values":
            return list(struct.unpack(f"<{len(values) // 8}d", values))
        case "object_values":
            return [_values(each) for each in values]
    return list(values)


def _rows(vectors: Iterable[base_pb2.Vectors], name: str) -> MultiVector | None:
    for each in vectors:
        if each.name == name and each.type == base_pb2.Vectors.VECTOR_TYPE_MULTI_FP32:
            return unpacked(each.vector_bytes)
    return None


def _other_client() -> errors.MissingDependency:
    return errors.MissingDependency(
        "the installed weaviate-client has other messages than lateint knows.",
        hint=CLIENTS,
    )
