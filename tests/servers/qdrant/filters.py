"""Filters in their JSON form as objects of the engine."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from tests.servers.qdrant import payloads
from tests.servers.qdrant.limits import Json, Kind, Refused, point_id

_CLAUSES = {"must", "should", "must_not", "min_should"}


def engine_filter(data: Json) -> edge.Filter:
    """A whole filter.

    Raises:
        Refused: a condition that the double does not know.
    """
    if not set(data) <= _CLAUSES:
        raise no_condition()
    clauses = {name: _conditions(data[name]) for name in ("must", "should", "must_not") if data.get(name)}
    least = data.get("min_should")
    return edge.Filter(
        **clauses, min_should=least and edge.MinShould(_conditions(least["conditions"]), least["min_count"])
    )


def no_condition() -> Refused:
    """Seen, as far as the comma."""
    text = (
        'Expected some form of condition, which can be a field condition (like {"key": ..., "match": ... }), or some '
        "other mentioned in the documentation: https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions"
    )
    return Refused(Kind.INVALID, f"Format error in JSON body: {text}")


def has_slice(data: Any) -> bool:
    """A slice is somewhere in a filter."""
    if isinstance(data, list):
        return any(map(has_slice, data))
    return isinstance(data, dict) and ("slice" in data or any(map(has_slice, data.values())))


def _listed(parts: Any) -> list[Json]:
    if parts is None:
        return []
    return parts if isinstance(parts, list) else [parts]


def _conditions(parts: Any) -> list[Any]:
    return [_condition(part) for part in _listed(parts)]


def _condition(data: Json) -> Any:
    match data:
        case {"has_id": ids}:
            return edge.HasIdCondition({point_id(value) for value in ids})
        case {"has_vector": name}:
            return edge.HasVectorCondition(name)
        case {"is_empty": {"key": key}}:
            return edge.IsEmptyCondition(key)
        case {"is_null": {"key": key}}:
            return edge.IsNullCondition(key)
        case {"nested": {"key": key, "filter": inner}}:
            return edge.NestedCondition(key, engine_filter(inner))
        case {"slice": {"total": total, "index": index}}:
            return edge.SliceCondition(total, index)  # type: ignore[attr-defined]  # there, but not in the stub
        case {"key": key}:
            return _field(key, data)
    return engine_filter(data)


def _field(key: str, data: Json) -> Any:
    match data:
        case {"match": {"value": bool(value)}}:
            return edge.FieldCondition(payloads.companion(key), match=edge.MatchValue(payloads.word(value)))
        case {"match": match}:
            return edge.FieldCondition(key, match=_match(match))
        case {"range": bounds}:
            given = {name: value for name, value in bounds.items() if value is not None}
            if any(isinstance(value, str) for value in given.values()):
                return edge.FieldCondition(key, range=edge.RangeDateTime(**given))
            return edge.FieldCondition(key, range=edge.RangeFloat(**given))
        case {"is_empty": value}:
            return edge.FieldCondition(key, is_empty=value)
        case {"is_null": value}:
            return edge.FieldCondition(key, is_null=value)
    raise Refused(Kind.UNKNOWN, f"The double does not know this condition: {sorted(data)}")


_MATCHES = {
    "value": edge.MatchValue,
    "any": edge.MatchAny,
    "except": edge.MatchExcept,
}


def _match(data: Json) -> Any:
    ((kind, value),) = data.items()
    if kind not in _MATCHES:
        raise Refused(Kind.UNKNOWN, f"The double does not know this match: {kind}")
    return _MATCHES[kind](value)
