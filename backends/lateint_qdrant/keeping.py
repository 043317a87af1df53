"""How the documents of an index are points of a collection: as lateint keeps them, or as they were found. Pure."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from lateint import errors
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.payload import iso
from lateint.filters import Filter
from lateint.spec import FieldType
from lateint.types import Payload
from lateint_qdrant import filters, schema, translate
from lateint_qdrant.filters import DRIFT, RANGE, Dialect, Json

PointId: TypeAlias = int | str
"""Whole numbers, or UUIDs as text: what Qdrant knows."""


class Keeping(ABC):
    """One way to keep documents."""

    @abstractmethod
    def point(self, document: str) -> PointId | None:
        """The point that holds a document; None where no point can have that id."""

    @abstractmethod
    def stored(self, document: str, payload: Payload) -> dict[str, Any]:
        """Payload of the point that holds a document."""

    @abstractmethod
    def restored(self, point: PointId, payload: Mapping[str, Any] | None) -> tuple[str, Payload]:
        """Id and payload of the document that a point holds."""

    @abstractmethod
    def wanted(self, payload: bool | tuple[str, ...]) -> bool | list[str]:  # noqa: FBT001 - a value, not a switch
        """What to ask Qdrant for, to answer with so much of the payload."""

    @abstractmethod
    def lowered(self, condition: Filter) -> Json:
        """A filter in Qdrant's REST form."""


def keeping(index: IndexInfo) -> Keeping:
    """How this index keeps its documents."""
    return Found(index.spec.fields) if index.id_mode is IdMode.NATIVE else Kept(index.spec.fields)


@dataclass(frozen=True, slots=True)
class Kept(Keeping):
    """As lateint keeps them: under a UUIDv5, with words for filters and a blob for what Qdrant would change."""

    fields: Mapping[str, FieldType]

    def point(self, document: str) -> PointId:
        return str(schema.point_id(document))

    def stored(self, document: str, payload: Payload) -> dict[str, Any]:
        return translate.stored(document, payload, self.fields)

    def restored(self, point: PointId, payload: Mapping[str, Any] | None) -> tuple[str, Payload]:  # noqa: ARG002
        return translate.restored(payload, self.fields)

    def wanted(self, payload: bool | tuple[str, ...]) -> bool | list[str]:  # noqa: FBT001
        return translate.wanted(payload)

    def lowered(self, condition: Filter) -> Json:
        return filters.lowered(condition, self.fields)


@dataclass(frozen=True, slots=True)
class Found(Keeping):
    """As somebody else wrote them: native ids, payload as it is.

    Only datetimes of declared fields are read as such. Filters say what Qdrant itself can say: equality of floats
    allows for the last places that its storage may change; `exists` of a list field cannot be said, because an empty
    list looks like a missing field.
    """

    fields: Mapping[str, FieldType]

    def point(self, document: str) -> PointId | None:
        return native_id(document)

    def stored(self, document: str, payload: Payload) -> dict[str, Any]:  # noqa: ARG002
        return {name: _as_json(value) for name, value in payload.items()}

    def restored(self, point: PointId, payload: Mapping[str, Any] | None) -> tuple[str, Payload]:
        return str(point), {name: _as_declared(value, self.fields.get(name)) for name, value in (payload or {}).items()}

    def wanted(self, payload: bool | tuple[str, ...]) -> bool | list[str]:  # noqa: FBT001
        if isinstance(payload, bool):
            return payload
        return translate.paths(payload) if payload else False

    def lowered(self, condition: Filter) -> Json:
        return filters.lowered(condition, self.fields, _NATIVE)


def native_id(document: str) -> PointId | None:
    """The point of that id; None if it is neither a whole number nor a UUID in its usual form."""
    if document.isascii() and document.isdecimal():
        return int(document) if str(int(document)) == document and int(document) < 2**64 else None
    try:
        return document if str(UUID(document)) == document else None
    except ValueError:
        return None


def check_native_id(document: str) -> None:
    """Refuse an id that no point can have.

    Raises:
        InvalidInput: neither a whole number nor a UUID in its usual form.
    """
    if native_id(document) is None:
        raise errors.InvalidInput(
            f"document id {document!r} is none of this collection, whose points have whole numbers or UUIDs.",
            hint="Write '42', or a UUID in lower case with dashes; an index that lateint creates takes any text.",
            document=document,
        )


def _exists(name: str, kind: FieldType) -> Json:
    if kind.is_list:
        raise errors.UnsupportedFeature(
            f"filter exists on field {name!r}: Qdrant cannot tell an empty list from a missing field.",
            backend=schema.ENGINE,
            feature="filter exists",
            alternative="Copy the collection into an index that lateint creates; there it works.",
        )
    return {"must_not": [{"is_empty": {"key": name}}]}


def _about(name: str, value: float) -> Json:
    low = high = value
    for _ in range(DRIFT):
        low, high = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    return filters.within(name, gte=max(low, -_LARGEST), lte=min(high, _LARGEST))


_NATIVE = Dialect(
    ids=lambda ids: {"has_id": [point for point in map(native_id, ids) if point is not None]},
    exists=_exists,
    booleans=lambda name, values: filters.any_of([filters.matching(name, [value]) for value in values]),
    floats=lambda name, values: filters.any_of([_about(name, value) for value in values]),
    float_order=lambda name, operator, bound: filters.within(name, **{RANGE[operator]: bound}),
)

_NANOSECONDS = re.compile(r"\.\d{6}\d*[1-9]")

_LARGEST = 1.7976931348623157e308


def _as_json(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, list):
        return [_as_json(element) for element in value]
    return {name: _as_json(part) for name, part in value.items()} if isinstance(value, dict) else value


def _as_declared(value: Any, kind: FieldType | None) -> Any:  # noqa: ANN401
    """A datetime where one is declared and the text is one; without a zone Qdrant takes it for UTC.

    One with nanoseconds, which no datetime holds, stays text.
    """
    if kind is not FieldType.DATETIME or not isinstance(value, str) or _NANOSECONDS.search(value):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return value
    return found.replace(tzinfo=UTC) if found.utcoffset() is None else found
