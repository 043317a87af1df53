"""Filters over payload: a closed algebra with one meaning on every engine, its JSON form, and the evaluator.

    field("year") >= 2020, ==, !=, <, <=, >        field("lang").is_in(["en", "de"])
    field("year").between(2019, 2021)               field("tags").contains("news")
    field("lang").exists()                          ids(["a-1", "a-2"])
    filter & filter, filter | filter, ~filter

Meaning, fixed here and held by every backend:

- A comparison other than `!=` is false for a document whose field is missing or null.
- `~` is plain negation and `!=` is `~(==)`, so both hold for documents without the field.
- `exists` is true if the field is there and not null; an empty text or list exists.
- A list field matches if any element does; `between(a, b)` on a list means `>= a` and `<= b`, each by any element.
- `<`, `<=`, `>`, `>=` and `between` (inclusive) take integer, float and datetime fields only; datetimes compare as
  instants.
- Text compares whole and exactly: case and spaces count, nothing is tokenised. A boolean is not an integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn, TypeAlias

from lateint import errors
from lateint.spec import FieldType, suggestion
from lateint.types import check_id, plain_scalar

Scalar: TypeAlias = str | bool | int | float | datetime

MAX_DEPTH = 64


class Operator(StrEnum):
    """How a comparison compares."""

    EQUAL = "=="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="


class Filter:
    """A condition on documents; combine with `&`, `|` and `~`."""

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        """Both hold."""
        return And(_flat(And, self, other))

    def __or__(self, other: Filter) -> Filter:
        """At least one holds."""
        return Or(_flat(Or, self, other))

    def __invert__(self) -> Filter:
        """It does not hold."""
        return Not(self)

    def __bool__(self) -> NoReturn:
        """Refuse `and`, `or`, `not` and chained comparisons, which Python would evaluate away."""
        raise errors.InvalidInput(
            "a filter has no truth value.",
            hint="Use `&`, `|`, `~` with parentheses, and `.between(low, high)` for a range.",
        )


@dataclass(frozen=True, slots=True)
class Comparison(Filter):
    """`field operator value`."""

    field: str
    operator: Operator
    value: Scalar


@dataclass(frozen=True, slots=True)
class IsIn(Filter):
    """The field equals one of the values; never true for an empty list of values."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Exists(Filter):
    """The field is there and not null."""

    field: str


@dataclass(frozen=True, slots=True)
class Ids(Filter):
    """The document's id is one of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And(Filter):
    """All hold."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """At least one holds."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """It does not hold."""

    filter: Filter


@dataclass(frozen=True, slots=True, eq=False)
class FieldReference:
    """A field by name, on the left of a comparison. Made by `field`."""

    name: str

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        """Equal; on a list field, any element is."""
        return Comparison(self.name, Operator.EQUAL, _scalar(self.name, value))

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        """Not equal, or without the field."""
        return Not(Comparison(self.name, Operator.EQUAL, _scalar(self.name, value)))

    def __lt__(self, value: Scalar) -> Filter:
        """Less."""
        return Comparison(self.name, Operator.LESS, _scalar(self.name, value))

    def __le__(self, value: Scalar) -> Filter:
        """Less or equal."""
        return Comparison(self.name, Operator.LESS_EQUAL, _scalar(self.name, value))

    def __gt__(self, value: Scalar) -> Filter:
        """Greater."""
        return Comparison(self.name, Operator.GREATER, _scalar(self.name, value))

    def __ge__(self, value: Scalar) -> Filter:
        """Greater or equal."""
        return Comparison(self.name, Operator.GREATER_EQUAL, _scalar(self.name, value))

    def is_in(self, values: Iterable[Scalar]) -> Filter:
        """Equal to one of `values`."""
        if isinstance(values, (str, bytes)):
            raise errors.InvalidInput(f"is_in({values!r}) takes several values.", hint=f"Write is_in([{values!r}]).")
        return IsIn(self.name, tuple(_scalar(self.name, value) for value in values))

    def between(self, low: Scalar, high: Scalar) -> Filter:
        """`>= low` and `<= high`."""
        return (self >= low) & (self <= high)

    def contains(self, value: Scalar) -> Filter:
        """A list field holds `value`."""
        return Comparison(self.name, Operator.EQUAL, _scalar(self.name, value))

    def exists(self) -> Filter:
        """The field is there and not null."""
        return Exists(self.name)

    def __bool__(self) -> NoReturn:
        """Refuse to be taken for a condition."""
        raise errors.InvalidInput(
            f"field {self.name!r} alone is no filter.", hint=f"Write field({self.name!r}).exists()."
        )

    __hash__ = None  # type: ignore[assignment]


def field(name: str) -> FieldReference:
    """Name a payload field in a filter: `field("year") >= 2020`."""
    if not isinstance(name, str) or not name:
        raise errors.InvalidInput(f"field name {name!r} is not text.")
    return FieldReference(name)


def ids(values: Iterable[str]) -> Filter:
    """Documents with one of these ids."""
    if isinstance(values, (str, bytes)):
        raise errors.InvalidInput(f"ids({values!r}) takes several ids.", hint=f"Write ids([{values!r}]).")
    return Ids(tuple(dict.fromkeys(check_id(value) for value in values)))


def bound(condition: Filter, fields: Mapping[str, FieldType]) -> Filter:
    """Check a filter against the fields of an index.

    Args:
        condition: the filter.
        fields: declared fields and their types.

    Returns:
        The same filter with values in their field's type (an integer bound of a float field becomes a float).

    Raises:
        InvalidInput: an undeclared field, a value of another type, or an ordering on a type that has none.
    """
    return _bound(condition, fields, 0)


def fields_of(condition: Filter) -> set[str]:
    """Names of the fields that a filter mentions."""
    match condition:
        case Comparison(name) | IsIn(name) | Exists(name):
            return {name}
        case And(parts) | Or(parts):
            return set().union(*(fields_of(part) for part in parts))
        case Not(part):
            return fields_of(part)
    return set()


def matches(condition: Filter, *, document: str, payload: Mapping[str, Any]) -> bool:
    """Whether a document passes: the definition that engines are held to.

    Args:
        condition: a bound filter.
        document: the document's id.
        payload: its payload, in plain values.
    """
    match condition:
        case Comparison(name, operator, value):
            return any(_compare(operator, element, value) for element in _elements(payload.get(name)))
        case IsIn(name, values):
            return any(
                _compare(Operator.EQUAL, element, value) for element in _elements(payload.get(name)) for value in values
            )
        case Exists(name):
            return payload.get(name) is not None
        case Ids(wanted):
            return document in wanted
        case And(parts):
            return all(matches(part, document=document, payload=payload) for part in parts)
        case Or(parts):
            return any(matches(part, document=document, payload=payload) for part in parts)
        case Not(part):
            return not matches(part, document=document, payload=payload)
    raise _unknown(condition)


def to_json(condition: Filter) -> dict[str, Any]:
    """JSON-like form of a filter; `from_json` reads it back."""
    match condition:
        case Comparison(name, operator, value):
            return {"field": name, "op": operator.value, "value": _value_to_json(value)}
        case IsIn(name, values):
            return {"field": name, "op": "in", "value": [_value_to_json(value) for value in values]}
        case Exists(name):
            return {"field": name, "op": "exists"}
        case Ids(wanted):
            return {"ids": list(wanted)}
        case And(parts):
            return {"and": [to_json(part) for part in parts]}
        case Or(parts):
            return {"or": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
    raise _unknown(condition)


def from_json(data: object) -> Filter:
    """Read the JSON-like form of a filter.

    Raises:
        InvalidInput: names the part that is not understood.
    """
    return _from_json(data, 0)


def _from_json(data: object, depth: int) -> Filter:
    _check_depth(depth)
    match data:
        case {"field": str(name), "op": "exists", **rest} if not rest:
            return field(name).exists()
        case {"field": str(name), "op": "in", "value": list(values), **rest} if not rest:
            return field(name).is_in([_value_from_json(value) for value in values])
        case {"field": str(name), "op": "!=", "value": value, **rest} if not rest:
            return Not(Comparison(field(name).name, Operator.EQUAL, _scalar(name, _value_from_json(value))))
        case {"field": str(name), "op": str(operator), "value": value, **rest} if not rest and operator in set(
            Operator
        ):
            return Comparison(field(name).name, Operator(operator), _scalar(name, _value_from_json(value)))
        case {"ids": list(values), **rest} if not rest:
            return ids(values)
        case {"and": [_, *_] as parts, **rest} if not rest:
            return And(tuple(_from_json(part, depth + 1) for part in parts))
        case {"or": [_, *_] as parts, **rest} if not rest:
            return Or(tuple(_from_json(part, depth + 1) for part in parts))
        case {"not": part, **rest} if not rest:
            return Not(_from_json(part, depth + 1))
    raise errors.InvalidInput(
        f"filter {data!r} is not understood.",
        hint='Write {"field": "year", "op": ">=", "value": 2020}; op is ==, !=, <, <=, >, >=, in or exists; '
        'combine with {"and": […]}, {"or": […]}, {"not": …}, {"ids": […]}.',
    )


def typed(value: Scalar, kind: FieldType, place: str) -> Scalar:
    """`value` as an element of a field of type `kind`.

    Raises:
        InvalidInput: of another type, out of 64 bits, NaN, or a datetime without a zone.
    """
    match kind.element:
        case FieldType.KEYWORD | FieldType.TEXT if isinstance(value, str):
            return value
        case FieldType.BOOLEAN if isinstance(value, bool):
            return value
        case FieldType.INTEGER if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case FieldType.FLOAT if isinstance(value, float) and value == value and abs(value) != float("inf"):  # noqa: PLR0124
            return value
        case FieldType.FLOAT if isinstance(value, int) and not isinstance(value, bool) and _exact_as_float(value):
            return float(value)
        case FieldType.DATETIME if isinstance(value, datetime) and value.utcoffset() is not None:
            return value
    zone = " with a time zone" if kind.element is FieldType.DATETIME else ""
    raise errors.InvalidInput(
        f"{place}: {value!r} ({type(value).__name__}) is not {_ARTICLE[kind.element]}{zone}.",
        hint=f"The field is declared as {kind.value!r}.",
    )


_ARTICLE = {
    FieldType.KEYWORD: "text",
    FieldType.TEXT: "text",
    FieldType.INTEGER: "a 64-bit integer",
    FieldType.FLOAT: "a finite number that a 64-bit float holds exactly",
    FieldType.BOOLEAN: "True or False",
    FieldType.DATETIME: "a datetime",
}


def _exact_as_float(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _bound(condition: Filter, fields: Mapping[str, FieldType], depth: int) -> Filter:
    _check_depth(depth)
    match condition:
        case Comparison(name, operator, value):
            kind = _kind(name, fields)
            if operator is not Operator.EQUAL and not kind.is_ordered:
                raise errors.InvalidInput(
                    f"filter on field {name!r}: {operator} has no meaning for type {kind.value!r}.",
                    hint="Ordering works on integer, float and datetime fields; use ==, is_in or exists.",
                )
            return Comparison(name, operator, typed(value, kind, f"filter on field {name!r}"))
        case IsIn(name, values):
            kind = _kind(name, fields)
            return IsIn(name, tuple(dict.fromkeys(typed(value, kind, f"filter on field {name!r}") for value in values)))
        case Exists(name):
            _kind(name, fields)
            return condition
        case And(parts):
            return And(tuple(_bound(part, fields, depth + 1) for part in parts))
        case Or(parts):
            return Or(tuple(_bound(part, fields, depth + 1) for part in parts))
        case Not(part):
            return Not(_bound(part, fields, depth + 1))
        case Ids():
            return condition
    raise _unknown(condition)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise errors.InvalidInput(
            f"filter nested deeper than {MAX_DEPTH}.", hint="Join parts with one `&` or `|` chain."
        )


def _kind(name: str, fields: Mapping[str, FieldType]) -> FieldType:
    try:
        return fields[name]
    except KeyError:
        raise errors.InvalidInput(
            f"filter on field {name!r}, which the index does not declare.", hint=suggestion(name, fields)
        ) from None


def _flat(kind: type[And | Or], left: Filter, right: Filter) -> tuple[Filter, ...]:
    for side in (left, right):
        if not isinstance(side, Filter):
            raise _unknown(side)
    return tuple(part for side in (left, right) for part in (side.filters if isinstance(side, kind) else (side,)))


def _check_text(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise errors.InvalidInput(
            f"filter on field {name!r}: lone surrogate at position {error.start} of the text.",
            hint="Decode the text with its real encoding first.",
        ) from error


def _scalar(name: str, value: object) -> Scalar:
    value = plain_scalar(value)
    if isinstance(value, str):
        _check_text(name, value)
    if isinstance(value, (str, bool, int, float, datetime)):
        return value
    hint = (
        "Use ~field(…).exists() for a missing field." if value is None else "Compare with text, a number or a datetime."
    )
    raise errors.InvalidInput(f"filter on field {name!r}: cannot compare with {value!r}.", hint=hint)


def _elements(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _compare(operator: Operator, left: Any, right: Any) -> bool:  # noqa: ANN401
    if left is None or isinstance(left, bool) != isinstance(right, bool):
        return False
    match operator:
        case Operator.EQUAL:
            return bool(left == right)
        case Operator.LESS:
            return bool(left < right)
        case Operator.LESS_EQUAL:
            return bool(left <= right)
        case Operator.GREATER:
            return bool(left > right)
        case Operator.GREATER_EQUAL:
            return bool(left >= right)


def _value_to_json(value: Scalar) -> Any:  # noqa: ANN401
    return {"datetime": value.isoformat()} if isinstance(value, datetime) else value


def _value_from_json(value: Any) -> Any:  # noqa: ANN401
    match value:
        case {"datetime": str(text), **rest} if not rest:
            try:
                return datetime.fromisoformat(text)
            except ValueError as error:
                raise errors.InvalidInput(f"filter: {text!r} is not an ISO 8601 datetime.") from error
    return value


def _unknown(condition: object) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"{condition!r} is not a filter.", hint='Build one with lateint.field("name") or lateint.ids([…]).'
    )
