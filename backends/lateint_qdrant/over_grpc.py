"""Calls of the hot verbs over gRPC: messages are built and read here, multi-vectors as bytes. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from qdrant_client import grpc
from qdrant_client.conversions.conversion import grpc_to_payload

from lateint.engine.payload import microseconds
from lateint_qdrant import wire
from lateint_qdrant.calls import Call, Point, Post, Record, check_applied
from lateint_qdrant.filters import Json
from lateint_qdrant.keeping import PointId
from lateint_qdrant.transport import Query, Transport


class OverGrpc(Transport):
    """See `lateint_qdrant.transport.Transport`."""

    def upsert(self, collection: str, points: Sequence[Point], *, vector: str) -> Call:
        message = wire.upsert(collection, points, vector=vector)
        return Post("Upsert", message, grpc.UpsertPoints, grpc.PointsOperationResponse, read=_applied)

    def update_vectors(self, collection: str, points: Sequence[Point], *, vector: str) -> Call:
        message = wire.update_vectors(collection, points, vector=vector)
        return Post("UpdateVectors", message, grpc.UpdatePointVectors, grpc.PointsOperationResponse, read=_applied)

    def retrieve(
        self, collection: str, points: Sequence[PointId], *, vector: str | None, payload: bool | list[str]
    ) -> Call:
        message = grpc.GetPoints(
            collection_name=collection,
            ids=map(wire.point_id, points),
            with_payload=_payload_selector(payload),
            with_vectors=_vector_selector(vector),
        )
        return Post(
            "Get",
            message.SerializeToString(),
            grpc.GetPoints,
            grpc.GetResponse,
            read=lambda reply: [_record(point, vector) for point in reply.result],
        )

    def scroll(
        self, collection: str, *, start: PointId | None, limit: int, condition: Json | None, vector: str | None
    ) -> Call:
        message = grpc.ScrollPoints(
            collection_name=collection,
            offset=None if start is None else wire.point_id(start),
            limit=limit,
            filter=None if condition is None else self.filter(condition),
            with_payload=_payload_selector(True),  # noqa: FBT003 - the value that means all of it
            with_vectors=_vector_selector(vector),
        )

        def read(reply: Any) -> tuple[list[Record], PointId | None]:  # noqa: ANN401
            following = wire.from_point_id(reply.next_page_offset) if reply.HasField("next_page_offset") else None
            return [_record(point, vector) for point in reply.result], following

        return Post("Scroll", message.SerializeToString(), grpc.ScrollPoints, grpc.ScrollResponse, read=read)

    def query(
        self, collection: str, queries: Sequence[Query], *, vector: str, timeout_s: float | None, server_s: int | None
    ) -> Call:
        message = grpc.QueryBatchPoints(
            collection_name=collection,
            query_points=[self._query(collection, query, vector) for query in queries],
            timeout=server_s,
        )

        def read(reply: Any) -> list[list[Record]]:  # noqa: ANN401
            wanted = [vector if query.with_vectors else None for query in queries]
            return [
                [_record(point, name, float(point.score)) for point in batch.result]
                for batch, name in zip(reply.result, wanted, strict=True)
            ]

        return Post(
            "QueryBatch",
            message.SerializeToString(),
            grpc.QueryBatchPoints,
            grpc.QueryBatchResponse,
            timeout_s=timeout_s,
            read=read,
        )

    def _query(self, collection: str, query: Query, vector: str) -> Any:  # noqa: ANN401
        nearest = grpc.VectorInput()
        nearest.multi_dense.MergeFromString(bytes(wire.rows(query.rows)))
        return grpc.QueryPoints(
            collection_name=collection,
            query=grpc.Query(nearest=nearest),
            using=vector or None,
            filter=None if query.condition is None else self.filter(query.condition),
            params=None if query.exact is None else grpc.SearchParams(exact=query.exact),
            limit=query.k,
            with_payload=_payload_selector(query.payload),
            with_vectors=_vector_selector(vector if query.with_vectors else None),
        )

    def filter(self, condition: Json) -> Any:  # noqa: ANN401
        clauses: dict[str, Any] = {}
        for clause, parts in condition.items():
            clauses[clause] = [self._condition(part) for part in parts]
        return grpc.Filter(**clauses)

    def _condition(self, data: Json) -> Any:  # noqa: ANN401
        match data:
            case {"has_id": points}:
                return grpc.Condition(has_id=grpc.HasIdCondition(has_id=map(wire.point_id, points)))
            case {"slice": {"total": total, "index": index}}:
                return grpc.Condition(slice=grpc.SliceCondition(total=total, index=index))
            case {"is_empty": {"key": key}}:
                return grpc.Condition(is_empty=grpc.IsEmptyCondition(key=key))
            case {"key": key, "match": match}:
                return grpc.Condition(field=grpc.FieldCondition(key=key, match=_match(match)))
            case {"key": key, "range": bounds} if any(isinstance(bound, str) for bound in bounds.values()):
                return grpc.Condition(field=grpc.FieldCondition(key=key, datetime_range=_between(bounds)))
            case {"key": key, "range": bounds}:
                return grpc.Condition(field=grpc.FieldCondition(key=key, range=grpc.Range(**bounds)))
        return grpc.Condition(filter=self.filter(data))


def _applied(reply: Any) -> None:  # noqa: ANN401
    check_applied(_STATUS.get(reply.result.status, "unknown"))


_STATUS = {grpc.UpdateStatus.Acknowledged: "acknowledged", grpc.UpdateStatus.Completed: "completed"}


def _record(point: Any, vector: str | None, score: float = math.nan) -> Record:  # noqa: ANN401
    rows = None if vector is None else wire.matrix(point.vectors, vector=vector)
    return Record(wire.from_point_id(point.id), grpc_to_payload(point.payload), rows, score)


def _payload_selector(wanted: bool | list[str]) -> Any:  # noqa: ANN401, FBT001
    if isinstance(wanted, bool):
        return grpc.WithPayloadSelector(enable=wanted)
    return grpc.WithPayloadSelector(include=grpc.PayloadIncludeSelector(fields=wanted))


def _vector_selector(vector: str | None) -> Any:  # noqa: ANN401
    if vector:
        return grpc.WithVectorsSelector(include=grpc.VectorsSelector(names=[vector]))
    return grpc.WithVectorsSelector(enable=vector is not None)


def _match(data: Json) -> Any:  # noqa: ANN401
    match data:
        case {"value": bool(value)}:
            return grpc.Match(boolean=value)
        case {"value": int(value)}:
            return grpc.Match(integer=value)
        case {"value": value}:
            return grpc.Match(keyword=value)
        case {"any": [int(), *_] as values}:
            return grpc.Match(integers=grpc.RepeatedIntegers(integers=values))
    return grpc.Match(keywords=grpc.RepeatedStrings(strings=data["any"]))


def _between(bounds: Json) -> Any:  # noqa: ANN401
    """A range of instants; also one before the year 1, which no datetime in UTC could be."""
    found = grpc.DatetimeRange()
    for name, text in bounds.items():
        seconds, rest = divmod(microseconds(datetime.fromisoformat(text)), 1_000_000)
        bound = getattr(found, name)
        bound.seconds, bound.nanos = seconds, rest * 1000
        bound.SetInParent()  # at 1970 both are zero, and would be left out
    return found
