"""A document's id and payload as fields of a schema, and back. Pure.

The whole payload lies in one JSON field, from which it is read. Declared fields are attributes of their own as well,
for filters and for other tools. An attribute cannot tell some values from none, and Vespa takes no text with control
characters; both are kept out of attributes, and filters find them elsewhere:

- Empty text, empty lists, truth values and which fields there are: words under `lateint_fields`, see `engine.payload`.
- Text with such characters, text beyond 256 characters, every value of a text field, and the integer -2**63: words of
  their digest, as in `title=#3f0a…`.
- Datetimes are whole seconds since 1970, as Vespa's own `freshness` wants them, and microseconds in a field beside it:
  in one number they would be beyond what Vespa compares exactly.

A digest of the payload lies beside it. By that an update says which payload it was made of, and Vespa refuses it to a
document that has another one by then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lateint import errors
from lateint.engine.payload import (
    ID_FIELD,
    PAYLOAD_FIELD,
    WORDS_FIELD,
    Native,
    decoded,
    microseconds,
    projected,
)
from lateint.spec import FieldType
from lateint.types import Payload
from lateint_vespa.names import attribute_name

DIGEST_FIELD = "lateint_digest"
"""A number made of the whole payload; an attribute, so that Vespa compares it without reading documents from disk."""

MAX_TERM = 256
"""Longer text is looked up by its digest."""

LOWEST = -(2**63)
"""What an attribute of integers holds where there is nothing."""

_ILLEGAL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
"""Characters that Vespa refuses in text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One field of a schema.

    Attributes:
        name: legal.
        type: as the schema language has it.
        indexing: what becomes of it.
        cased: text is compared whole and exactly.
        fast_search: values are kept in a dictionary, by which they are found.
        filters: it is never ranked by.
        bm25: its words are indexed for ranking by text.
    """

    name: str
    type: str
    indexing: tuple[str, ...]
    cased: bool = False
    fast_search: bool = False
    filters: bool = False
    bm25: bool = False


def definitions(fields: Mapping[str, FieldType]) -> list[SchemaField]:
    """The fields of a schema beside its vectors.

    Args:
        fields: declared fields and their types.
    """
    made = [
        _attribute(ID_FIELD, "string", "summary"),
        _attribute(WORDS_FIELD, "array<string>"),
        SchemaField(name=PAYLOAD_FIELD, type="string", indexing=("summary",)),
        SchemaField(name=DIGEST_FIELD, type="long", indexing=("attribute",)),
    ]
    for name, kind in fields.items():
        if kind is FieldType.TEXT:
            made.append(SchemaField(name=attribute_name(name), type="string", indexing=("index",), bm25=True))
        else:
            made.append(_attribute(attribute_name(name), _TYPES[kind]))
        if kind is FieldType.DATETIME:
            made.append(_attribute(micros_field(name), "int"))
    return made


def stored(document: str, payload: Payload, fields: Mapping[str, FieldType]) -> dict[str, Any]:
    """The fields of a document, in JSON values; those without a value are left out.

    Args:
        document: its id.
        payload: all of it, checked.
        fields: declared fields and their types.
    """
    projection = projected(payload, fields, Native.DECLARED)
    made: dict[str, Any] = {ID_FIELD: document}
    words = list(projection.words)
    for name, value in projection.native.items():
        kind = fields[name]
        elements = value if kind.is_list else [value]
        words += dict.fromkeys(far_word(name, element) for element in elements if not is_near(element, kind))
        shown = [element for element in elements if _is_shown(element, kind)]
        if kind is FieldType.DATETIME:
            made[attribute_name(name)], made[micros_field(name)] = seconds(value)
        elif shown:
            made[attribute_name(name)] = shown if kind.is_list else shown[0]
    if words:
        made[WORDS_FIELD] = words
    # Also an empty one, so that none is a payload that did not come.
    made[PAYLOAD_FIELD] = blob = projection.blob or "{}"
    made[DIGEST_FIELD] = _digest(blob)
    return made


def changeable(fields: Mapping[str, FieldType]) -> list[str]:
    """All fields of a document that its payload decides: an update sets each, or clears it."""
    return [field.name for field in definitions(fields) if field.name != ID_FIELD]


def restored(properties: Mapping[str, Any], *, with_payload: bool = True) -> tuple[str, Payload]:
    """Id and payload of the document that has these fields.

    Args:
        properties: the fields.
        with_payload: it was asked for; otherwise an empty one.

    Raises:
        UnexpectedResponse: it is not one of lateint.
        PartialResult: it came without its payload.
    """
    document = properties.get(ID_FIELD)
    if not isinstance(document, str):
        raise errors.UnexpectedResponse(
            f"a document came without {ID_FIELD!r}.", hint="Something else wrote to this schema, or took it away."
        )
    if not with_payload:
        return document, {}
    if PAYLOAD_FIELD not in properties:
        raise errors.PartialResult(
            f"document {document!r:.200} came without {PAYLOAD_FIELD!r}.",
            hint="Deploy the index's schema as lateint writes it, and see that nothing on the way leaves fields out.",
        )
    return document, decoded(properties[PAYLOAD_FIELD])


def micros_field(name: str) -> str:
    """The field with the microseconds of a datetime field."""
    return f"lateint_micros_{attribute_name(name)}"


def seconds(value: datetime) -> tuple[int, int]:
    """Whole seconds since 1970 in UTC, downwards, and the microseconds after them."""
    return divmod(microseconds(value), 1_000_000)


def is_near(value: Any, kind: FieldType) -> bool:  # noqa: ANN401 - of the field's type
    """Whether a value of a field is found by the field's own attribute, and not by a word."""
    match kind.element:
        case FieldType.KEYWORD:
            return 0 < len(value) <= MAX_TERM and not _ILLEGAL.search(value)
        case FieldType.TEXT:
            return False
        case FieldType.INTEGER:
            return bool(value != LOWEST)
    return True


def far_word(name: str, value: str | int) -> str:
    """The word that says that a field holds a value that its attribute cannot."""
    return f"{name}=#{hashlib.blake2b(str(value).encode(), digest_size=16).hexdigest()}"


_DIGEST_BITS = 53
"""So that it is exact also for whoever takes numbers for doubles, as Vespa's Java code does when it compares them."""


def _digest(blob: str) -> int:
    return int.from_bytes(hashlib.blake2b(blob.encode(), digest_size=8).digest()) >> (64 - _DIGEST_BITS)


_TYPES = {
    FieldType.KEYWORD: "string",
    FieldType.INTEGER: "long",
    FieldType.FLOAT: "double",
    FieldType.BOOLEAN: "bool",
    FieldType.DATETIME: "long",
    FieldType.KEYWORDS: "array<string>",
    FieldType.INTEGERS: "array<long>",
    FieldType.FLOATS: "array<double>",
}


def _attribute(name: str, kind: str, *more: str) -> SchemaField:
    return SchemaField(
        name=name,
        type=kind,
        indexing=("attribute", *more),
        cased="string" in kind,
        fast_search=kind != "bool",  # Vespa refuses it there
        filters=True,
    )


def _is_shown(value: Any, kind: FieldType) -> bool:  # noqa: ANN401 - of the field's type
    """Whether the field in Vespa gets a value: a text field all that Vespa takes, others what filters look up there."""
    return bool(value) and not _ILLEGAL.search(value) if kind is FieldType.TEXT else is_near(value, kind)
