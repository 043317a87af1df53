"""A document's id and payload as properties of an object, and back. Pure.

The whole payload lies in a blob, from which it is read. Declared fields are properties of their own as well, for
filters and for other tools. What Weaviate's index would fold together is kept out of them, and filters find it
elsewhere:

- Text is compared without the white space around it, so text with some is not there, nor are empty and very long ones;
  all these, and every value of a text field, have a word under `lateint_fields`, as in `title=#3f0a…`, of their digest.
- Integers become doubles, and datetimes nanoseconds in 64 bits. Integers beyond 2**53 and years before 1678 or after
  2262 are in a list of their own, `lateint_far_year`, as text that sorts as they do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lateint import errors
from lateint.engine.payload import (
    ID_FIELD,
    PAYLOAD_FIELD,
    WORDS_FIELD,
    Native,
    decoded,
    iso,
    microseconds,
    projected,
)
from lateint.spec import FieldType
from lateint.types import Payload
from lateint_weaviate.names import property_name
from lateint_weaviate.schema import ALL_FIELD

MAX_TERM = 256
"""Longer text is indexed by its digest."""

FARTHEST_INTEGER = 2**53
"""A double tells integers apart up to here, and down to its negative."""

EARLIEST = datetime(1678, 1, 1, tzinfo=UTC)
LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""Between these, nanoseconds since 1970 fit into 64 bits."""


def definitions(fields: Mapping[str, FieldType]) -> list[dict[str, Any]]:
    """The properties of a class, as the REST interface takes them.

    Args:
        fields: declared fields and their types.
    """
    made = [
        _definition(ID_FIELD, "text", indexed=False),
        _definition(PAYLOAD_FIELD, "text", indexed=False),
        _definition(WORDS_FIELD, "text[]"),
        _definition(ALL_FIELD, "boolean"),
    ]
    for name, kind in fields.items():
        sortable = kind.is_ordered and not kind.is_list
        made.append(
            _definition(property_name(name), _DATA_TYPES[kind], indexed=kind is not FieldType.TEXT, sortable=sortable)
        )
        if kind.element in _FAR:
            made.append(_definition(far_property(name), "text[]"))
    return made


def stored(document: str, payload: Payload, fields: Mapping[str, FieldType]) -> dict[str, Any]:
    """Properties of the object that holds a document, in JSON values.

    Args:
        document: its id.
        payload: all of it, checked.
        fields: declared fields and their types.
    """
    projection = projected(payload, fields, Native.DECLARED)
    made: dict[str, Any] = {ID_FIELD: document, ALL_FIELD: True}
    words = list(projection.words)
    for name, value in projection.native.items():
        kind = fields[name]
        elements = value if kind.is_list else [value]
        near = [element for element in elements if is_near(element, kind)]
        far = [element for element in elements if not is_near(element, kind)]
        if kind.element in _FAR and far:
            made[far_property(name)] = [sort_key(element) for element in far]
        elif far:
            words += dict.fromkeys(text_word(name, element) for element in far)
        shown = elements if kind is FieldType.TEXT else near
        if shown:
            plain = [iso(element) if isinstance(element, datetime) else element for element in shown]
            made[property_name(name)] = plain if kind.is_list else plain[0]
    if words:
        made[WORDS_FIELD] = words
    if projection.blob is not None:
        made[PAYLOAD_FIELD] = projection.blob
    return made


def restored(properties: Mapping[str, Any]) -> tuple[str, Payload]:
    """Id and payload of the document that an object holds.

    Raises:
        UnexpectedResponse: the object is not one of lateint.
    """
    document = properties.get(ID_FIELD)
    if not isinstance(document, str):
        raise errors.UnexpectedResponse(
            f"an object has no {ID_FIELD!r}.", hint="Something else wrote to this collection; open it with write=True."
        )
    blob = properties.get(PAYLOAD_FIELD)
    return document, {} if blob is None else decoded(blob)


def wanted(payload: bool | Sequence[str]) -> list[str]:  # noqa: FBT001 - a value, not a switch
    """Properties to ask for: the id's, and the blob's if anything of the payload is asked for.

    Args:
        payload: True for all of it, False for none, or names of fields.
    """
    return [ID_FIELD, PAYLOAD_FIELD] if payload else [ID_FIELD]


def far_property(name: str) -> str:
    """The property with the values of a field that lie beyond Weaviate's own type."""
    return f"lateint_far_{property_name(name)}"


def is_near(value: Any, kind: FieldType) -> bool:  # noqa: ANN401 - of the field's type
    """Whether a value of a field is compared exactly by the index of the field's own property."""
    match kind.element:
        case FieldType.KEYWORD:
            return 0 < len(value) <= MAX_TERM and value == value.strip()
        case FieldType.TEXT:
            return False
        case FieldType.INTEGER:
            return bool(-FARTHEST_INTEGER <= value <= FARTHEST_INTEGER)
        case FieldType.DATETIME:
            return bool(EARLIEST <= value <= LATEST)
    return True


def farthest(kind: FieldType) -> tuple[Any, Any]:
    """The lowest and the highest value of an integer or datetime field's own property."""
    return (EARLIEST, LATEST) if kind.element is FieldType.DATETIME else (-FARTHEST_INTEGER, FARTHEST_INTEGER)


def sort_key(value: int | datetime) -> str:
    """Text that sorts as the values do."""
    number = microseconds(value) if isinstance(value, datetime) else value
    return f"{number + 2**63:016x}"


def text_word(name: str, value: str) -> str:
    """The word that says that a field holds this text."""
    return f"{name}=#{hashlib.blake2b(value.encode(), digest_size=16).hexdigest()}"


_FAR = frozenset({FieldType.INTEGER, FieldType.DATETIME})

_DATA_TYPES = {
    FieldType.KEYWORD: "text",
    FieldType.TEXT: "text",
    FieldType.INTEGER: "int",
    FieldType.FLOAT: "number",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATETIME: "date",
    FieldType.KEYWORDS: "text[]",
    FieldType.INTEGERS: "int[]",
    FieldType.FLOATS: "number[]",
}


def _definition(name: str, data_type: str, *, indexed: bool = True, sortable: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "dataType": [data_type],
        "indexFilterable": indexed,
        "indexSearchable": False,
        "indexRangeFilters": sortable,
    }
    return made | {"tokenization": "field"} if data_type.startswith("text") else made
