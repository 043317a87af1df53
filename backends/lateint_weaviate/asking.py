"""Calls of the gRPC service with what they bring, and those that take several. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lateint import errors
from lateint_weaviate import wire
from lateint_weaviate.calls import Http, Rpc, Steps
from lateint_weaviate.collection import Access
from lateint_weaviate.keeping import with_ids
from lateint_weaviate.protocol import aggregate_pb2, base_pb2, batch_delete_pb2, batch_pb2, search_get_pb2
from lateint_weaviate.wire import Object, Record

MISSING = "no document has this id."

_MOST_OBJECTS = 1000
"""Objects that one request brings without vectors."""

_MOST_MATRICES = 64
"""Objects that one request brings with vectors, before it is known how large they are."""


def inserting(speak: Access, objects: Sequence[Object]) -> Rpc:
    """Write objects whole: what was wrong with some, by their place."""
    message = wire.batch(speak.cls, objects, vector=speak.vector)
    return Rpc("BatchObjects", message, batch_pb2.BatchObjectsRequest, batch_pb2.BatchObjectsReply, wire.failures)


def deleting(speak: Access, filters: base_pb2.Filters) -> Rpc:
    """Delete what passes: how many were found, and how many of them were not deleted."""
    message = wire.deletion(speak.cls, filters)
    request, reply = batch_delete_pb2.BatchDeleteRequest, batch_delete_pb2.BatchDeleteReply
    return Rpc("BatchDelete", message, request, reply, wire.deleted)


def counting(speak: Access, filters: base_pb2.Filters | None) -> Rpc:
    """How many objects pass."""
    message = wire.count(speak.cls, filters)
    return Rpc("Aggregate", message, aggregate_pb2.AggregateRequest, aggregate_pb2.AggregateReply, wire.counted)


def reading(message: Any, vector: str | None, timeout_s: float | None = None) -> Rpc:  # noqa: ANN401
    """Objects, as records.

    Args:
        message: from `wire.search` or `wire.fetch`.
        vector: name of the multi-vector that it asks for; None for none.
        timeout_s: seconds for this call; None for the client's own.
    """
    request, reply = search_get_pb2.SearchRequest, search_get_pb2.SearchReply
    return Rpc("Search", message, request, reply, lambda found: wire.records(found, vector=vector), timeout_s)


def page(
    speak: Access, after: str, *, limit: int, properties: list[str] | None, vector: str | None
) -> Steps[list[Record]]:
    """Objects behind a cursor, fewer than the limit where their rows would not fit into one message.

    Args:
        speak: the class.
        after: id behind which to begin; empty for the first page.
        limit: how many at most.
        properties: which to bring; None for all.
        vector: name of the multi-vector to bring; None for none.
    """
    while True:
        message = wire.fetch(speak.cls, vector=vector, limit=limit, after=after, filters=None, properties=properties)
        try:
            found: list[Record] = yield reading(message, vector)
        except errors.BackendError as error:
            if limit == 1 or not _too_large(error):
                raise
            limit = max(1, limit // 4)
        else:
            return found


def by_ids(
    speak: Access,
    uuids: Sequence[str],
    *,
    properties: list[str] | None,
    vector: str | None = None,
    condition: base_pb2.Filters | None = None,
) -> Steps[list[Record]]:
    """Objects of these ids, in as many requests as messages have room for.

    Args:
        speak: the class.
        uuids: which.
        properties: which to bring; None for all.
        vector: name of the multi-vector to bring; None for none.
        condition: only those that pass.
    """
    found: list[Record] = []
    start, size = 0, _MOST_OBJECTS if vector is None else _MOST_MATRICES
    while start < len(uuids):
        part = uuids[start : start + size]
        filters = with_ids(condition, part)
        message = wire.fetch(
            speak.cls, vector=vector, limit=len(part), after=None, filters=filters, properties=properties
        )
        try:
            records: list[Record] = yield reading(message, vector)
        except errors.BackendError as error:
            if len(part) == 1 or not _too_large(error):
                raise
            size = max(1, len(part) // 4)
        else:
            found += records
            start += len(part)
    return found


def counted(speak: Access, condition: base_pb2.Filters, everything: base_pb2.Filters) -> Steps[int]:
    """How many objects pass, exactly.

    A server that was killed while objects were replaced may count some twice, for good: their old entries stay. That is
    seen by what passes everything, and then the objects themselves are counted.

    Args:
        speak: the class.
        condition: what is to be counted.
        everything: what every object passes.
    """
    number: int = yield counting(speak, condition)
    passing: int = yield counting(speak, everything)
    total: int = yield counting(speak, None)
    if passing == total:
        return number
    found, after = 0, ""
    while True:
        records = yield from page(speak, after, limit=_MOST_OBJECTS, properties=[], vector=None)
        if not records:
            return found
        after = records[-1].uuid
        found += len((yield from by_ids(speak, [each.uuid for each in records], properties=[], condition=condition)))


def passing(speak: Access, condition: base_pb2.Filters, everything: base_pb2.Filters, found: int) -> Steps[int]:
    """How many objects pass, exactly where these are more than were found, which is cheap where they are not."""
    number: int = yield counting(speak, condition)
    return number if number <= found else (yield from counted(speak, condition, everything))


def patched(speak: Access, uuid: str, change: dict[str, Any]) -> Steps[str]:
    """Change a part of one object: what was wrong with it, empty if nothing was."""
    try:
        yield Http("PATCH", f"/objects/{speak.cls}/{uuid}", {"class": speak.cls, "id": uuid, **change})
    except errors.IndexNotFound:
        return MISSING
    except errors.UnexpectedResponse as error:
        if error.status not in {400, 422}:
            raise
        return str(error)
    return ""


def _too_large(error: errors.BackendError) -> bool:
    return "larger than max" in str(error)
