"""The same calls through the client's own methods: over REST, and in its local mode. No I/O.

Correct rather than fast: the client's models hold every number as a Python object. gRPC is the transport for bulk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import models

from lateint.vectors import MultiVector
from lateint_qdrant.calls import Ask, Call, Point, Record, applied
from lateint_qdrant.filters import Json
from lateint_qdrant.keeping import PointId
from lateint_qdrant.transport import Query, Transport


class OverClient(Transport):
    """See `lateint_qdrant.transport.Transport`."""

    def upsert(self, collection: str, points: Sequence[Point], *, vector: str) -> Call:
        made = [
            models.PointStruct(id=point.id, vector=_struct(point.rows, vector), payload=point.payload)
            for point in points
        ]
        return Ask("upsert", {"collection_name": collection, "points": made, "wait": True}, read=applied)

    def update_vectors(self, collection: str, points: Sequence[Point], *, vector: str) -> Call:
        made = [models.PointVectors(id=point.id, vector=_struct(point.rows, vector)) for point in points]
        return Ask("update_vectors", {"collection_name": collection, "points": made, "wait": True}, read=applied)

    def retrieve(
        self, collection: str, points: Sequence[PointId], *, vector: str | None, payload: bool | list[str]
    ) -> Call:
        return Ask(
            "retrieve",
            {
                "collection_name": collection,
                "ids": list(points),
                "with_payload": payload,
                "with_vectors": _selector(vector),
            },
            read=lambda records: [_record(record, vector) for record in records],
        )

    def scroll(
        self, collection: str, *, start: PointId | None, limit: int, condition: Json | None, vector: str | None
    ) -> Call:
        return Ask(
            "scroll",
            {
                "collection_name": collection,
                "offset": start,
                "limit": limit,
                "scroll_filter": None if condition is None else self.filter(condition),
                "with_payload": True,
                "with_vectors": _selector(vector),
            },
            read=lambda page: ([_record(record, vector) for record in page[0]], page[1]),
        )

    def query(
        self,
        collection: str,
        queries: Sequence[Query],
        *,
        vector: str,
        timeout_s: float | None,  # noqa: ARG002 - this client knows whole seconds, and one number for both sides
        server_s: int | None,
    ) -> Call:
        def read(replies: Sequence[Any]) -> list[list[Record]]:
            wanted = [vector if query.with_vectors else None for query in queries]
            return [
                [_record(point, name, point.score) for point in reply.points]
                for reply, name in zip(replies, wanted, strict=True)
            ]

        asked = [self._asked(query, vector) for query in queries]
        place = {"collection_name": collection, "timeout": server_s}
        if len(asked) == 1:  # of a batch the client makes a deep copy, number by number: a third of the time
            alone = {_ALONE.get(name, name): value for name, value in asked[0].items()}
            return Ask("query_points", place | alone, read=lambda reply: read([reply]))
        requests = [models.QueryRequest(**one) for one in asked]
        return Ask("query_batch_points", place | {"requests": requests}, read=read)

    def _asked(self, query: Query, vector: str) -> dict[str, Any]:
        return {
            "query": query.rows.tolist(),
            "using": vector or None,
            "filter": None if query.condition is None else self.filter(query.condition),
            "params": None if query.exact is None else models.SearchParams(exact=query.exact),
            "limit": query.k,
            "with_payload": query.payload,
            "with_vector": _selector(vector if query.with_vectors else None),
        }

    def filter(self, condition: Json) -> models.Filter:
        return models.Filter.model_validate(condition)


_ALONE = {"filter": "query_filter", "params": "search_params", "with_vector": "with_vectors"}
"""How the client calls parts of a request where it is the only one."""


def _struct(rows: MultiVector, vector: str) -> Any:  # noqa: ANN401
    return {vector: rows.tolist()} if vector else rows.tolist()


def _selector(vector: str | None) -> bool | list[str]:
    return [vector] if vector else vector is not None


def _record(record: Any, vector: str | None, score: float = float("nan")) -> Record:  # noqa: ANN401
    return Record(record.id, record.payload, None if vector is None else _rows(record.vector, vector), score)


def _rows(vectors: Any, vector: str) -> MultiVector | None:  # noqa: ANN401
    found = vectors.get(vector) if isinstance(vectors, dict) else vectors
    return None if found is None else np.array(found, np.float32)
