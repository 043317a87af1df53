"""Payload as a point of Qdrant keeps it, and back. Pure; the same for a server and for the in-process engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from lateint import errors
from lateint.engine import payload as payloads
from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD, WORDS_FIELD, Native
from lateint.spec import FieldType
from lateint.types import Hit, Payload, SearchRequest
from lateint.vectors import MultiVector
from lateint_qdrant.filters import float_word


def stored(document: str, payload: Payload, fields: Mapping[str, FieldType]) -> dict[str, Any]:
    """Payload of the point that holds a document.

    Everything that JSON can say is there under its own name. Floats are so for other readers and for ranges only:
    Qdrant may return them slightly off, so the fields that hold any are in the blob too, from where they are restored.

    Args:
        document: id of the document.
        payload: its payload, checked.
        fields: declared fields and their types.
    """
    projection = payloads.projected(payload, fields, Native.JSON)
    point: dict[str, Any] = {
        name: payloads.iso(value) if isinstance(value, datetime) else value for name, value in projection.native.items()
    }
    point[ID_FIELD] = document
    words = [*projection.words, *_float_words(payload, fields)]
    if words:
        point[WORDS_FIELD] = words
    lossy = {name: value for name, value in payload.items() if name not in projection.native or _holds_float(value)}
    if lossy:
        point[PAYLOAD_FIELD] = payloads.encoded(lossy)
    return point


def restored(point: Mapping[str, Any] | None, fields: Mapping[str, FieldType]) -> tuple[str, Payload]:
    """Id and payload of the document that a point holds.

    Raises:
        UnexpectedResponse: the point was not written by lateint, or does not fit the declared fields.
    """
    document = (point or {}).get(ID_FIELD)
    if point is None or not isinstance(document, str):
        raise errors.UnexpectedResponse(
            f"a point has no {ID_FIELD!r} in its payload.", hint="Something other than lateint wrote to this index."
        )
    try:
        return document, payloads.restored(point, point.get(PAYLOAD_FIELD), fields)
    except ValueError as error:
        raise errors.UnexpectedResponse(
            f"document {document!r}: its payload does not fit the declared fields: {error}.",
            hint="Fields can be declared only with the type that all documents have in them.",
        ) from error


def hit(document: str, payload: Payload, request: SearchRequest, *, score: float, rows: MultiVector | None) -> Hit:
    """A document that a search found, with what was asked for of its payload.

    Raises:
        UnexpectedResponse: its score is no number.
    """
    if not math.isfinite(score):
        raise errors.UnexpectedResponse(
            f"document {document!r} has the score {score}.",
            hint="Its stored rows hold NaN or infinities, or they or those of the query are too long for float32: "
            "write it anew, normalised.",
        )
    return Hit(document, score, payloads.selected(payload, request.payload), rows)


def wanted(payload: bool | tuple[str, ...]) -> bool | list[str]:  # noqa: FBT001 - a value, not a switch
    """What to ask Qdrant for: everything, or paths of top-level fields, the id always among them.

    Args:
        payload: True for all of it, False for none, or the names of fields.
    """
    if payload is True:
        return True
    names = payload or ()
    return paths((*names, ID_FIELD, *([PAYLOAD_FIELD] if names else [])))


def paths(names: tuple[str, ...]) -> bool | list[str]:
    """Paths of top-level fields; True, for everything, where no path can name one of them."""
    if any(quote in name for name in names for quote in '"\\'):
        return True
    return [f'"{name}"' for name in names]


def _float_words(payload: Payload, fields: Mapping[str, FieldType]) -> Iterator[str]:
    """Words for the elements of the declared float fields."""
    for name, kind in fields.items():
        value = payload.get(name)
        if kind.element is not FieldType.FLOAT or value is None:
            continue
        for element in value if isinstance(value, list) else [value]:
            yield float_word(name, element)  # type: ignore[arg-type]  # checked payload holds numbers here


def _holds_float(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_holds_float, value))
    if isinstance(value, dict):
        return any(map(_holds_float, value.values()))
    return isinstance(value, float)
