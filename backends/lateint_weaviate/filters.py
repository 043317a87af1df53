"""Lowers a bound filter to Weaviate's. Pure.

Weaviate would fold some values together; `properties` says which, and where they lie instead. So a condition on a field
is one on its property, on its far values, on the words, or on several of these. `exists` is a word, and `~` is
Weaviate's own, which holds for missing values too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn, TypeAlias

from lateint import errors
from lateint.engine.payload import WORDS_FIELD, iso
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or, Scalar
from lateint.spec import FieldType
from lateint_weaviate.names import property_name
from lateint_weaviate.properties import far_property, farthest, is_near, sort_key, text_word
from lateint_weaviate.protocol import base_pb2
from lateint_weaviate.schema import ALL_FIELD, ENGINE, object_id

Filters: TypeAlias = base_pb2.Filters
Leaf: TypeAlias = "Callable[[Filter], Filters]"

ID = "_id"


def lowered(condition: Filter, fields: Mapping[str, FieldType]) -> Filters:
    """A filter over objects that lateint wrote.

    Args:
        condition: bound to `fields`.
        fields: declared fields and their types.
    """
    return _joined(condition, partial(_leaf, fields=fields))


def found(
    condition: Filter,
    fields: Mapping[str, FieldType],
    *,
    properties: Mapping[str, Mapping[str, Any]],
    null_state: bool,
) -> Filters:
    """A filter over objects that something else wrote. Fields are properties of that name.

    Args:
        condition: bound to `fields`.
        fields: properties and their types.
        properties: definitions of these, from the REST interface.
        null_state: the class indexes which properties are null.

    Raises:
        UnsupportedFeature: the class has no index that says this exactly.
    """
    return _joined(condition, partial(_found_leaf, fields=fields, properties=properties, null_state=null_state))


def everything() -> Filters:
    """Holds for every object that lateint wrote."""
    return _equal(ALL_FIELD, [True])


def nothing() -> Filters:
    """Holds for no object of any class: the server refuses an empty list of values."""
    return _equal(ID, [""])


def matching_ids(uuids: Sequence[str]) -> Filters:
    """The object's id is one of these."""
    return _equal(ID, uuids)


_OPERATORS = {
    Operator.EQUAL: base_pb2.Filters.OPERATOR_EQUAL,
    Operator.LESS: base_pb2.Filters.OPERATOR_LESS_THAN,
    Operator.LESS_EQUAL: base_pb2.Filters.OPERATOR_LESS_THAN_EQUAL,
    Operator.GREATER: base_pb2.Filters.OPERATOR_GREATER_THAN,
    Operator.GREATER_EQUAL: base_pb2.Filters.OPERATOR_GREATER_THAN_EQUAL,
}

_LESS = frozenset({Operator.LESS, Operator.LESS_EQUAL})


def _joined(condition: Filter, leaf: Leaf) -> Filters:
    match condition:
        case And(parts):
            return base_pb2.Filters(
                operator=base_pb2.Filters.OPERATOR_AND, filters=[_joined(part, leaf) for part in parts]
            )
        case Or(parts):
            return _any_of([_joined(part, leaf) for part in parts])
        case Not(part):
            return base_pb2.Filters(operator=base_pb2.Filters.OPERATOR_NOT, filters=[_joined(part, leaf)])
    return leaf(condition)


def _leaf(condition: Filter, *, fields: Mapping[str, FieldType]) -> Filters:
    match condition:
        case Comparison(name, Operator.EQUAL, value):
            return _equals(name, [value], fields[name])
        case Comparison(name, operator, value):
            return _ordered(name, operator, value, fields[name])
        case IsIn(name, values):
            return _equals(name, values, fields[name])
        case Exists(name):
            return _equal(WORDS_FIELD, [name])
        case Ids(ids):
            return matching_ids([object_id(document) for document in ids])
    raise TypeError(condition)


def _equals(name: str, values: Sequence[Any], kind: FieldType) -> Filters:
    near = [value for value in values if is_near(value, kind)]
    far = [value for value in values if not is_near(value, kind)]
    parts = []
    if near:
        parts.append(_equal(property_name(name), near))
    if far and kind.is_ordered:
        parts.append(_equal(far_property(name), [sort_key(value) for value in far]))
    elif far:
        parts.append(_equal(WORDS_FIELD, [text_word(name, value) for value in far]))
    return _any_of(parts)


def _ordered(name: str, operator: Operator, value: Any, kind: FieldType) -> Filters:  # noqa: ANN401 - of that type
    """By the field's property and, where the type has far values, by those."""
    if kind.element is FieldType.FLOAT:
        return _compared(property_name(name), operator, value)
    lowest, highest = farthest(kind)
    parts = [_compared(far_property(name), operator, sort_key(value))]
    if is_near(value, kind):
        parts.append(_compared(property_name(name), operator, value))
    elif (value > highest) == (operator in _LESS):  # all near values are on the right side
        parts.append(_compared(property_name(name), Operator.GREATER_EQUAL, lowest))
    return _any_of(parts)


def _found_leaf(
    condition: Filter,
    *,
    fields: Mapping[str, FieldType],
    properties: Mapping[str, Mapping[str, Any]],
    null_state: bool,
) -> Filters:
    match condition:
        case Ids(ids):
            return matching_ids(ids)
        case Exists(name):
            return _found_exists(name, fields[name], null_state=null_state)
        case Comparison(name, operator, value) if operator is not Operator.EQUAL:
            _check_found(name, [value], fields[name], properties[name])
            return _compared(name, operator, value)
        case Comparison(name, _, value):
            values: Sequence[Scalar] = [value]
        case IsIn(name, values):
            pass
        case _:
            raise TypeError(condition)
    _check_found(name, values, fields[name], properties[name])
    return _equal(name, values)


def _found_exists(name: str, kind: FieldType, *, null_state: bool) -> Filters:
    if kind.is_list or kind.element in {FieldType.KEYWORD, FieldType.TEXT}:
        _refuse(name, "exists", "Weaviate takes empty text and empty lists for missing")
    if not null_state:
        _refuse(name, "exists", "the collection was created without indexNullState")
    return base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_IS_NULL,
        value_boolean=False,
        target=base_pb2.FilterTarget(property=name),
    )


def _check_found(name: str, values: Sequence[Scalar], kind: FieldType, definition: Mapping[str, Any]) -> None:
    """Refuse values that this property does not tell from others."""
    if definition.get("indexFilterable") is False and definition.get("indexRangeFilters") is not True:
        _refuse(name, "by value", "the property has no filterable index")
    if kind.element in {FieldType.KEYWORD, FieldType.TEXT}:
        if definition.get("tokenization") != "field":
            _refuse(name, "by value", f"its text is cut into tokens ({definition.get('tokenization')})")
        if not all(isinstance(value, str) and value and value == value.strip() for value in values):
            _refuse(name, "by value", "Weaviate compares text without the white space around it")
    elif kind.element is FieldType.DATETIME and not all(is_near(value, kind) for value in values):
        _refuse(name, "by value", "Weaviate compares datetimes of the years 1678 to 2261 only")


def _refuse(name: str, what: str, why: str) -> NoReturn:
    raise errors.UnsupportedFeature(
        f"filter on field {name!r}, {what}: {why}.",
        backend=ENGINE,
        feature=f"filter {what}",
        alternative="Copy the collection into an index that lateint creates; there it works.",
    )


def _equal(target: str, values: Sequence[Scalar]) -> Filters:
    """The property is, or its list holds, one of the values."""
    if any(value == 0 and isinstance(value, float) for value in values):
        values = [*(value for value in values if value != 0), 0.0, -0.0]
    match values:
        case []:
            return nothing()
        case [value]:
            return _compared(target, Operator.EQUAL, value)
    made = base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_CONTAINS_ANY, target=base_pb2.FilterTarget(property=target)
    )
    match values[0]:
        case bool():
            made.value_boolean_array.values.extend(values)
        case int():
            made.value_int_array.values.extend(values)
        case float():
            made.value_number_array.values.extend(values)
        case _:
            made.value_text_array.values.extend(map(_text, values))
    return made


def _compared(target: str, operator: Operator, value: Scalar) -> Filters:
    """A comparison with a property as Weaviate makes it, which puts -0.0 before 0.0."""
    made = base_pb2.Filters(operator=_OPERATORS[operator], target=base_pb2.FilterTarget(property=target))
    match value:
        case bool():
            made.value_boolean = value
        case int():
            made.value_int = value
        case float():
            between = operator in {Operator.LESS, Operator.GREATER_EQUAL}
            made.value_number = value or (-0.0 if between else 0.0)
        case _:
            made.value_text = _text(value)
    return made


def _text(value: Any) -> str:  # noqa: ANN401
    return (
        iso(value.astimezone(UTC)) if isinstance(value, datetime) else str(value)
    )  # offsets are of whole minutes there


def _any_of(parts: list[Filters]) -> Filters:
    match parts:
        case []:
            return nothing()
        case [part]:
            return part
    return base_pb2.Filters(operator=base_pb2.Filters.OPERATOR_OR, filters=parts)
