"""Payload between users and engines: one way to check it, to project it onto what an engine keeps, and to restore it.

An engine gets up to three things, and a payload comes back equal to what went in, declared or not:

- native fields, which its filters work on. An engine that keeps JSON exactly gets every field that JSON can say;
  another gets the declared fields only.
- a blob of ASCII JSON under `lateint_payload`, holding the fields that are not native, and datetimes by type.
- a list of words under `lateint_fields`: which fields are present (`year`), which of them are empty (`title:empty`),
  which are true or false (`draft:true`). `exists`, negation and comparisons that an engine lacks are lowered to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from lateint import errors
from lateint.filters import typed
from lateint.spec import RESERVED_PREFIX, FieldType
from lateint.types import Payload, plain_scalar

ID_FIELD = "lateint_id"
PAYLOAD_FIELD = "lateint_payload"
WORDS_FIELD = "lateint_fields"

MAX_DEPTH = 64


class Native(Enum):
    """Which fields an engine keeps in its own form."""

    JSON = "every field that JSON can say"
    DECLARED = "declared fields only"


@dataclass(frozen=True, slots=True)
class Projection:
    """A payload as an engine keeps it.

    Attributes:
        native: fields in their own form; values are plain Python, datetimes included.
        blob: ASCII JSON of the fields that are not (all) in `native`; None if there are none.
        words: what is present, empty, true or false.
    """

    native: dict[str, Any]
    blob: str | None
    words: list[str]


def checked(payload: Mapping[str, Any], fields: Mapping[str, FieldType], *, document: str) -> tuple[Payload, int]:
    """A plain copy of a payload, and about how many bytes it takes.

    NumPy scalars become Python numbers and tuples become lists; nothing else is converted.

    Args:
        payload: what the user gave.
        fields: declared fields and their types.
        document: id to name in errors.

    Raises:
        PayloadTypeError: a value that cannot be kept exactly, or not of its field's type; a reserved or non-text key.
    """
    if not isinstance(payload, Mapping):
        raise errors.PayloadTypeError(
            f"document {document!r}: payload is a {type(payload).__name__}, not a mapping.",
            hint="Pass a dict of field names to values.",
            document=document,
        )
    result: Payload = {}
    size = 0
    for key, value in payload.items():
        place = f"document {document!r}, payload field {key!r}"
        _check_key(key, place, document)
        if key.startswith(RESERVED_PREFIX):
            raise errors.PayloadTypeError(
                f"{place}: names beginning with {RESERVED_PREFIX!r} are reserved.", hint="Rename it.", document=document
            )
        plain, bytes_ = _plain(value, place, document, depth=0)
        if key in fields and plain is not None:
            plain = _typed(plain, fields[key], place, document)
        result[key] = plain
        size += bytes_ + len(key)
    return result, size


def projected(payload: Payload, fields: Mapping[str, FieldType], native: Native) -> Projection:
    """How an engine keeps a payload.

    Args:
        payload: from `checked`.
        fields: declared fields and their types.
        native: which fields the engine keeps in its own form.
    """
    if native is Native.JSON:
        own = {key: value for key, value in payload.items() if key in fields or _is_json(value)}
        rest = {key: value for key, value in payload.items() if key not in own}
    else:
        own = {key: value for key, value in payload.items() if key in fields and value is not None}
        rest = payload
    return Projection(own, encoded(rest) if rest else None, words(payload, fields))


def restored(native: Mapping[str, Any], blob: str | None, fields: Mapping[str, FieldType]) -> Payload:
    """The payload that `projected` took apart: what is in the blob wins.

    Args:
        native: the engine's fields, reserved ones included; datetimes as ISO 8601 text or as datetimes.
        blob: the blob, or None.
        fields: declared fields and their types.
    """
    payload = {
        key: _from_native(value, fields.get(key))
        for key, value in native.items()
        if not key.startswith(RESERVED_PREFIX)
    }
    if blob is not None:
        payload.update(decoded(blob))
    return payload


def words(payload: Payload, fields: Mapping[str, FieldType]) -> list[str]:
    """Sorted words on the declared fields that are present: `name`, `name:empty`, `name:true`, `name:false`."""
    found: list[str] = []
    for name in fields:
        value = payload.get(name)
        if value is None:
            continue
        found.append(name)
        if isinstance(value, bool):
            found.append(boolean_word(name, value=value))
        elif value in ("", []):
            found.append(f"{name}:empty")
    return sorted(found)


def boolean_word(name: str, *, value: bool) -> str:
    """The word that says that a boolean field is true, or false."""
    return f"{name}:{'true' if value else 'false'}"


def selected(payload: Payload, wanted: bool | Iterable[str]) -> Payload | None:  # noqa: FBT001 - a value, not a switch
    """The part of a payload that a search asked for: all, none (None) or some top-level fields."""
    if wanted is False:
        return None
    if wanted is True:
        return payload
    names = set(wanted)
    return {key: value for key, value in payload.items() if key in names}


def encoded(payload: Payload) -> str:
    """ASCII JSON that keeps datetimes; `decoded` reads it back."""
    return json.dumps(
        {key: _tagged(value) for key, value in payload.items()},
        ensure_ascii=True,
        allow_nan=False,
        separators=(",", ":"),
    )


def decoded(blob: str) -> Payload:
    """Read what `encoded` wrote.

    Raises:
        UnexpectedResponse: the text is not that.
    """
    try:
        data = json.loads(blob)
        return {key: _untagged(value) for key, value in data.items()}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise errors.UnexpectedResponse(
            f"stored payload {blob[:80]!r} is not readable: {error}.", hint="Something else wrote to this index."
        ) from error


def iso(value: datetime) -> str:
    """ISO 8601 with microseconds and offset: what engines index, and what comes back with the same offset."""
    return value.isoformat(timespec="microseconds")


def microseconds(value: datetime) -> int:
    """Microseconds since 1970 in UTC, exact; also for datetimes whose UTC form is out of Python's years."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    offset = value.utcoffset() or timedelta()
    return ((value.replace(tzinfo=UTC) - epoch) - offset) // timedelta(microseconds=1)


_DATETIME = "$datetime"
_OBJECT = "$object"


def _tagged(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, datetime):
        return {_DATETIME: value.isoformat()}
    if isinstance(value, list):
        return [_tagged(element) for element in value]
    if isinstance(value, dict):
        plain = {key: _tagged(element) for key, element in value.items()}
        return {_OBJECT: plain} if plain.keys() & {_DATETIME, _OBJECT} else plain
    return value


def _untagged(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_untagged(element) for element in value]
    if isinstance(value, dict):
        if value.keys() == {_DATETIME}:
            return datetime.fromisoformat(value[_DATETIME])
        plain = value[_OBJECT] if value.keys() == {_OBJECT} else value
        return {key: _untagged(element) for key, element in plain.items()}
    return value


def _from_native(value: Any, kind: FieldType | None) -> Any:  # noqa: ANN401
    if kind is FieldType.DATETIME and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def _is_json(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, datetime):
        return False
    if isinstance(value, list):
        return all(map(_is_json, value))
    return all(map(_is_json, value.values())) if isinstance(value, dict) else True


def _typed(value: Any, kind: FieldType, place: str, document: str) -> Any:  # noqa: ANN401
    if isinstance(value, list) != kind.is_list:
        shape = "a list" if kind.is_list else "a single value"
        raise errors.PayloadTypeError(
            f"{place}: {value!r} is not {shape}.", hint=f"The field is declared as {kind.value!r}.", document=document
        )
    try:
        if kind.is_list:
            return [typed(element, kind, f"{place}, element {position}") for position, element in enumerate(value)]
        return typed(value, kind, place)
    except errors.InvalidInput as error:
        raise errors.PayloadTypeError(str(error), document=document) from None


def _check_key(key: object, place: str, document: str) -> None:
    if not isinstance(key, str):
        raise errors.PayloadTypeError(f"{place}: the name is not text.", hint="Use str(name).", document=document)
    _check_text(key, place, document)


def _check_text(text: str, place: str, document: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise errors.PayloadTypeError(
            f"{place}: lone surrogate at position {error.start} of the text.",
            hint="Decode the text with its real encoding first.",
            document=document,
        ) from error


def _plain(value: Any, place: str, document: str, *, depth: int) -> tuple[Any, int]:  # noqa: ANN401
    """A plain copy of one value, and about its size in bytes."""
    if depth > MAX_DEPTH:
        raise errors.PayloadTypeError(
            f"{place}: nested deeper than {MAX_DEPTH}.", hint="Flatten it.", document=document
        )
    try:
        value = plain_scalar(value)
    except errors.InvalidInput as error:
        raise errors.PayloadTypeError(f"{place}: {error}", document=document) from None
    if value is None or isinstance(value, bool):
        return value, 4
    if isinstance(value, str):
        _check_text(value, place, document)
        return value, len(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            shown = str(value) if value.bit_length() < 128 else f"of {value.bit_length()} bits"
            raise errors.PayloadTypeError(
                f"{place}: integer {shown} is beyond 64 bits.", hint="Store it as text.", document=document
            )
        return value, 8
    if isinstance(value, float):
        if not math.isfinite(value):
            raise errors.PayloadTypeError(
                f"{place}: {value} is not finite.", hint="Leave the field out.", document=document
            )
        return value, 8
    if isinstance(value, datetime):
        return _datetime(value, place, document), 32
    if isinstance(value, (list, tuple)):
        parts = [_plain(element, place, document, depth=depth + 1) for element in value]
        return [part for part, _ in parts], 2 + sum(size for _, size in parts)
    if isinstance(value, Mapping):
        for key in value:
            _check_key(key, place, document)
        items = {key: _plain(element, place, document, depth=depth + 1) for key, element in value.items()}
        return {key: part for key, (part, _) in items.items()}, 2 + sum(
            len(key) + size for key, (_, size) in items.items()
        )
    raise errors.PayloadTypeError(
        f"{place}: a {type(value).__name__} cannot be kept.",
        hint="Use text, numbers, True, False, None, datetimes with a zone, lists and dicts.",
        document=document,
    )


def _datetime(value: datetime, place: str, document: str) -> datetime:
    offset = value.utcoffset()
    if offset is None:
        raise errors.PayloadTypeError(
            f"{place}: datetime {value.isoformat()} has no time zone.",
            hint="Say which: value.replace(tzinfo=timezone.utc).",
            document=document,
        )
    if offset % timedelta(minutes=1):
        raise errors.PayloadTypeError(
            f"{place}: the UTC offset of {value.isoformat()} is not in whole minutes.",
            hint="Convert it: value.astimezone(timezone.utc).",
            document=document,
        )
    return value
