"""Lowers a bound filter to Qdrant's REST form: `must`, `should`, `must_not` over conditions. Pure.

What Qdrant cannot say exactly goes through the words under `lateint_fields` (see `lateint.engine.payload`):

- `exists`: its `is_empty` does not tell an empty list from a missing field.
- booleans: a word each, as in `draft:true`.
- floats: Qdrant keeps payload as JSON text and reads it back up to two units in the last place off (one random float in
  ten changes), again with each rewrite of a segment. So each float of a declared field has a word, as in `price=9.5`.
  Equality matches the word; an ordering is a range that keeps its distance from the bound, or a word in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

from lateint.engine.payload import WORDS_FIELD, boolean_word, iso
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or, Scalar
from lateint.spec import FieldType
from lateint.types import Slice
from lateint_qdrant.schema import point_id

Json: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What can be asked of points, which depends on who wrote them.

    Attributes:
        ids: the document has one of these ids.
        exists: a field of this type is there.
        booleans: the field is one of the values, or has one.
        floats: the same for floats.
        float_order: the field is on one side of a bound.
    """

    ids: Callable[[Sequence[str]], Json]
    exists: Callable[[str, FieldType], Json]
    booleans: Callable[[str, Sequence[Any]], Json]
    floats: Callable[[str, Sequence[Any]], Json]
    float_order: Callable[[str, Operator, float], Json]


def lowered(condition: Filter, fields: Mapping[str, FieldType], dialect: Dialect | None = None) -> Json:
    """A filter in Qdrant's REST form.

    Args:
        condition: bound to `fields`.
        fields: declared fields and their types.
        dialect: of the points; None for those that lateint wrote.
    """
    found = _lowered(condition, fields, dialect or _WORDS)
    return found if found.keys() & {"must", "should", "must_not"} else {"must": [found]}


def sliced(condition: Json | None, part: Slice | None) -> Json | None:
    """The filter within a slice; beside it, and not in its `should`, so that both must hold.

    Never for a server that does not know slices: over gRPC it would read past it, and answer with everything.
    """
    if part is None:
        return condition
    only = {"slice": {"total": part.count, "index": part.index}}
    return {"must": [only] if condition is None else [only, condition]}


def keys(condition: Json) -> Iterator[str]:
    """Payload keys that a lowered filter reads."""
    match condition:
        case {"key": str(key)} | {"is_empty": {"key": str(key)}}:
            yield key
        case {"has_id": _}:
            return
        case _:
            for parts in condition.values():
                for part in parts:
                    yield from keys(part)


def float_word(name: str, value: float) -> str:
    """The word that says that a float field holds `value`; the same for both zeros."""
    return f"{name}={float(value) + 0.0!r}"


NOTHING: Json = {"has_id": []}
"""Holds for no document. Not an empty `should`, which holds for all."""

DRIFT = 16
"""Units in the last place that a stored float may be off: 2 at first, more after many rewrites of its segment."""

RANGE = {Operator.LESS: "lt", Operator.LESS_EQUAL: "lte", Operator.GREATER: "gt", Operator.GREATER_EQUAL: "gte"}


def _lowered(condition: Filter, fields: Mapping[str, FieldType], dialect: Dialect) -> Json:
    match condition:
        case And(parts):
            return {"must": [_lowered(part, fields, dialect) for part in parts]}
        case Or(parts):
            return any_of([_lowered(part, fields, dialect) for part in parts])
        case Not(part):
            return {"must_not": [_lowered(part, fields, dialect)]}
        case Comparison(name, Operator.EQUAL, value):
            return _equal(name, [value], fields[name].element, dialect)
        case Comparison(name, operator, float(value)):
            return dialect.float_order(name, operator, value)
        case Comparison(name, operator, value):
            return within(name, **{RANGE[operator]: instant(value) if isinstance(value, datetime) else value})
        case IsIn(name, values):
            return _equal(name, values, fields[name].element, dialect)
        case Exists(name):
            return dialect.exists(name, fields[name])
        case Ids(ids):
            return dialect.ids(ids)
    raise TypeError(condition)


def _equal(name: str, values: Sequence[Any], kind: FieldType, dialect: Dialect) -> Json:
    match kind:
        case FieldType.BOOLEAN:
            return dialect.booleans(name, values)
        case FieldType.FLOAT:
            return dialect.floats(name, values)
        case FieldType.DATETIME:
            return any_of([within(name, gte=instant(value), lte=instant(value)) for value in values])
    return matching(name, values)


def _ordered_float(name: str, operator: Operator, bound: float) -> Json:
    """Safely beyond the bound by the stored number, or one of the floats up to there by its word."""
    less = operator in {Operator.LESS, Operator.LESS_EQUAL}
    steps = [bound]
    for _ in range(2 * DRIFT + 1):
        steps.append(math.nextafter(steps[-1], -math.inf if less else math.inf))
    far = steps[DRIFT + 1]
    between = steps[0 if operator in {Operator.LESS_EQUAL, Operator.GREATER_EQUAL} else 1 : -1]
    words = [float_word(name, step) for step in dict.fromkeys(between) if math.isfinite(step)]
    beyond = [within(name, **{"lte" if less else "gte": far})] if math.isfinite(far) else []
    return any_of([*beyond, _has_word(words)])


def within(name: str, **bounds: Scalar) -> Json:
    """The field is within bounds, named as in `RANGE`."""
    return {"key": name, "range": bounds}


def matching(name: str, values: Sequence[Scalar]) -> Json:
    """The field is one of the values."""
    match values:
        case []:
            return NOTHING
        case [value]:
            return {"key": name, "match": {"value": value}}
    return {"key": name, "match": {"any": list(values)}}


def _has_word(words: Sequence[str]) -> Json:
    return matching(WORDS_FIELD, words)


_WORDS = Dialect(
    ids=lambda ids: {"has_id": [str(point_id(document)) for document in ids]},
    exists=lambda name, _: _has_word([name]),
    booleans=lambda name, values: _has_word([boolean_word(name, value=value) for value in values]),
    floats=lambda name, values: _has_word([float_word(name, value) for value in values]),
    float_order=_ordered_float,
)


def any_of(conditions: list[Json]) -> Json:
    """At least one holds."""
    match conditions:
        case []:
            return NOTHING
        case [condition]:
            return condition
    return {"should": conditions}


def instant(value: datetime) -> str:
    """A datetime as RFC 3339, which knows offsets in whole minutes only."""
    offset = value.utcoffset() or timedelta()
    minute = timedelta(minutes=1)
    if not offset % minute:
        return iso(value)
    try:
        return iso(value.astimezone(timezone(offset - offset % minute)))
    except OverflowError:  # at the first minute of year 1
        return iso(value.astimezone(timezone(offset - offset % minute + minute)))
