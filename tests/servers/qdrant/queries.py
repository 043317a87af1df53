"""Searches and scrolls in their JSON form as objects of the engine, and what they find as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from tests.servers.qdrant import payloads
from tests.servers.qdrant.filters import engine_filter
from tests.servers.qdrant.limits import Json, Kind, Refused, check_vector, point_id

Lookup = Callable[[Any, str], Any]
"""The stored vector of a point, by id and name."""


def query(request: Json, vectors: Mapping[str, Json], lookup: Lookup) -> edge.QueryRequest:
    """One search."""
    return edge.QueryRequest(
        limit=_limit(request),
        offset=request.get("offset") or 0,
        query=_wanted(request, vectors, lookup),
        prefetches=_prefetches(request, vectors, lookup),
        with_vector=request.get("with_vector") or False,
        with_payload=payload_selector(request.get("with_payload", False)),
        filter=_condition(request),
        score_threshold=request.get("score_threshold"),
        params=_params(request),
    )


def scroll(request: Json) -> edge.ScrollRequest:
    """One page, by id or by a field that has a range index."""
    offset = request.get("offset")
    return edge.ScrollRequest(
        offset=None if offset is None else point_id(offset),
        limit=_limit(request),
        filter=request.get("filter") and engine_filter(request["filter"]),
        with_payload=payload_selector(request.get("with_payload", True)),
        with_vector=request.get("with_vector") or False,
        order_by=request.get("order_by") and _order(request["order_by"]),
    )


def payload_selector(wanted: Any) -> Any:
    """What of a payload is wanted, as the engine takes it."""
    match wanted:
        case {"include": names}:
            return edge.PayloadSelector.Include(names)
        case {"exclude": names}:
            return edge.PayloadSelector.Exclude(names)
        case None:
            return False
    return wanted


def record(found: edge.Record, with_payload: Any) -> Json:
    """A point as a scroll or a look-up returns it."""
    return _point(found, with_payload)


def scored(found: edge.ScoredPoint, with_payload: Any) -> Json:
    """A point as a search returns it."""
    return _point(found, with_payload) | {"version": found.version, "score": found.score}


def plain_id(value: Any) -> Any:
    """An id as JSON has it: a number or the text of a UUID."""
    return str(value) if isinstance(value, UUID) else value


def _point(found: Any, with_payload: Any) -> Json:
    point: Json = {"id": plain_id(found.id)}
    if with_payload:
        point["payload"] = payloads.visible(found.payload) or {}
    if found.vector is not None:
        point["vector"] = found.vector
    return point


def _limit(request: Json) -> int:
    limit = request.get("limit")
    if limit is None:
        return 10
    if limit < 1:
        text = "Validation error in JSON body: [limit: value 0 invalid, must be 1 or larger]"
        raise Refused(Kind.UNPROCESSABLE, text)
    return int(limit)


def _condition(request: Json) -> edge.Filter | None:
    """The filter; a search by the vector of a point leaves that point out."""
    condition = request.get("filter")
    identifier = _identifier(request.get("query"))
    if identifier is not None:
        itself = {"must_not": [{"has_id": [identifier]}]}
        condition = {"must": [condition, itself]} if condition else itself
    return engine_filter(condition) if condition else None


def _identifier(wanted: Any) -> Any:
    if isinstance(wanted, dict):
        wanted = wanted.get("nearest")
    return wanted if isinstance(wanted, (int, str)) else None


def _prefetches(request: Json, vectors: Mapping[str, Json], lookup: Lookup) -> list[edge.Prefetch] | None:
    given = request.get("prefetch")
    if not given:
        return None
    return [
        edge.Prefetch(
            limit=_limit(part),
            query=_wanted(part, vectors, lookup),
            prefetches=_prefetches(part, vectors, lookup),
            params=_params(part),
            filter=_condition(part),
            score_threshold=part.get("score_threshold"),
        )
        for part in (given if isinstance(given, list) else [given])
    ]


def _wanted(request: Json, vectors: Mapping[str, Json], lookup: Lookup) -> Any:
    using = request.get("using") or ""
    match request.get("query"):
        case None:
            return None
        case {"nearest": vector, **more} if not more.get("mmr"):
            return _nearest(vector, using, vectors, lookup)
        case dict(other):
            raise Refused(Kind.UNKNOWN, f"The double does not know this query: {sorted(other)}")
        case vector:
            return _nearest(vector, using, vectors, lookup)


def _nearest(vector: Any, using: str, vectors: Mapping[str, Json], lookup: Lookup) -> edge.Query:
    identifier = _identifier(vector)
    if identifier is not None:
        vector = lookup(identifier, using)
    return edge.Query.Nearest(check_vector(using, vector, vectors), using)


def _params(request: Json) -> edge.SearchParams | None:
    given = request.get("params")
    if not given:
        return None
    return edge.SearchParams(
        hnsw_ef=given.get("hnsw_ef"),
        exact=given.get("exact") or False,
        indexed_only=given.get("indexed_only") or False,
    )


def _order(order: Any) -> edge.OrderBy:
    given = {"key": order} if isinstance(order, str) else order
    direction = edge.Direction.Desc if given.get("direction") == "desc" else edge.Direction.Asc
    return edge.OrderBy(given["key"], direction, given.get("start_from"))
