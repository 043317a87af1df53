"""How the documents of an index are objects of a class: as lateint keeps them, or as they were found. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lateint import errors
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.payload import iso
from lateint.filters import Filter
from lateint.spec import FieldType
from lateint.types import Payload
from lateint.vectors import MultiVector
from lateint_weaviate import filters, properties, schema
from lateint_weaviate.protocol import base_pb2
from lateint_weaviate.schema import DOUBLED_FIELD
from lateint_weaviate.wire import Record

NOBODY = "00000000-0000-8000-8000-000000000000"
"""An id that no object has: none that is derived from a name or drawn by chance is of this form."""

_EXACT = 2**53
"""Weaviate reads numbers as 64-bit floats, integers too."""


class Keeping(ABC):
    """One way to keep documents."""

    @abstractmethod
    def object(self, document: str) -> str | None:
        """The object that holds a document; None where no object can have that id."""

    @abstractmethod
    def stored(self, document: str, payload: Payload) -> dict[str, Any]:
        """Properties of the object that holds a document."""

    @abstractmethod
    def restored(self, record: Record) -> tuple[str, Payload]:
        """Id and payload of the document that an object holds."""

    @abstractmethod
    def rows(self, record: Record) -> MultiVector | None:
        """Its multi-vector."""

    @abstractmethod
    def wanted(self, *, payload: bool | tuple[str, ...]) -> list[str] | None:
        """Properties to ask for, to answer with so much of the payload; None for all."""

    @abstractmethod
    def everything(self) -> base_pb2.Filters:
        """A filter that every object passes."""

    @abstractmethod
    def lowered(self, condition: Filter) -> base_pb2.Filters:
        """A filter as Weaviate takes it."""


def keeping(index: IndexInfo) -> Keeping:
    """How this index keeps its documents."""
    if index.id_mode is IdMode.NATIVE:
        return Found(index.spec.fields, index.native["access"].properties, index.native["access"].null_state)
    return Kept(index.spec.fields)


@dataclass(frozen=True, slots=True)
class Kept(Keeping):
    """As lateint keeps them: under a UUIDv5, with properties for filters and a blob with the whole payload."""

    fields: Mapping[str, FieldType]

    def object(self, document: str) -> str:
        return schema.object_id(document)

    def stored(self, document: str, payload: Payload) -> dict[str, Any]:
        return properties.stored(document, payload, self.fields)

    def restored(self, record: Record) -> tuple[str, Payload]:
        return properties.restored(record.properties)

    def rows(self, record: Record) -> MultiVector | None:
        if record.rows is not None and record.properties.get(DOUBLED_FIELD):
            return record.rows[:-1]
        return record.rows

    def wanted(self, *, payload: bool | tuple[str, ...]) -> list[str] | None:
        return [*properties.wanted(payload), DOUBLED_FIELD]

    def everything(self) -> base_pb2.Filters:
        return filters.everything()

    def lowered(self, condition: Filter) -> base_pb2.Filters:
        # After a restart the server takes objects that were deleted or replaced for such as pass a negation.
        return both(self.everything(), filters.lowered(condition, self.fields))


@dataclass(frozen=True, slots=True)
class Found(Keeping):
    """As somebody else wrote them: native ids, properties as they are.

    Attributes:
        fields: declared fields and their types.
        properties: what the class says of each of its properties.
        null_state: the class indexes which properties are missing.
    """

    fields: Mapping[str, FieldType]
    properties: Mapping[str, Mapping[str, Any]]
    null_state: bool

    def object(self, document: str) -> str | None:
        return native_id(document)

    def stored(self, document: str, payload: Payload) -> dict[str, Any]:
        return {name: self._as_property(document, name, value) for name, value in payload.items()}

    def restored(self, record: Record) -> tuple[str, Payload]:
        return record.uuid, {name: self._as_payload(name, value) for name, value in record.properties.items()}

    def rows(self, record: Record) -> MultiVector | None:
        return record.rows

    def wanted(self, *, payload: bool | tuple[str, ...]) -> list[str] | None:
        if payload is True:
            return None
        return [name for name in payload or () if name in self.properties]

    def everything(self) -> base_pb2.Filters:
        """Every object has another id than nobody's."""
        return base_pb2.Filters(
            operator=base_pb2.Filters.OPERATOR_NOT_EQUAL,
            target=base_pb2.FilterTarget(property="_id"),
            value_text=NOBODY,
        )

    def lowered(self, condition: Filter) -> base_pb2.Filters:
        return filters.found(condition, self.fields, properties=self.properties, null_state=self.null_state)

    def _as_property(self, document: str, name: str, value: Any) -> Any:  # noqa: ANN401
        """A value of the payload as the property takes it; a property that is not there would be made by the server."""
        if name not in self.properties:
            raise errors.PayloadTypeError(
                f"document {document!r}, payload field {name!r}: the collection has no such property.",
                hint="Add it with the client of Weaviate, or leave the field out.",
                document=document,
            )
        elements = value if isinstance(value, list) else [value]
        for element in elements:
            if isinstance(element, (dict, list)) or (isinstance(element, int) and abs(element) > _EXACT):
                raise errors.PayloadTypeError(
                    f"document {document!r}, payload field {name!r}: Weaviate would not keep {element!r:.60} as it is.",
                    hint="Write it to an index that lateint creates.",
                    document=document,
                )
        plain = [iso(element) if isinstance(element, datetime) else element for element in elements]
        return plain if isinstance(value, list) else plain[0]

    def _as_payload(self, name: str, value: Any) -> Any:  # noqa: ANN401
        """A property as the payload has it: dates as datetimes."""
        kind = (self.properties.get(name, {}).get("dataType") or [""])[0]
        if kind == "date":
            return _as_datetime(value)
        return [_as_datetime(element) for element in value] if kind == "date[]" else value


def native_id(document: str) -> str | None:
    """The object of that id; None if it is no UUID in its usual form."""
    try:
        return document if str(UUID(document)) == document else None
    except ValueError:
        return None


def check_native_id(document: str) -> None:
    """Refuse an id that no object can have.

    Raises:
        InvalidInput: no UUID in its usual form.
    """
    if native_id(document) is None:
        raise errors.InvalidInput(
            f"document id {document!r} is none of this collection, whose objects have UUIDs.",
            hint="Write a UUID in lower case with dashes; an index that lateint creates takes any text.",
            document=document,
        )


def with_ids(condition: base_pb2.Filters | None, uuids: Sequence[str]) -> base_pb2.Filters:
    """Only objects of these ids, of those that pass."""
    named = filters.matching_ids(uuids)
    return named if condition is None else both(condition, named)


def both(left: base_pb2.Filters, right: base_pb2.Filters) -> base_pb2.Filters:
    """Both hold."""
    return base_pb2.Filters(operator=base_pb2.Filters.OPERATOR_AND, filters=[left, right])


def _as_datetime(value: Any) -> Any:  # noqa: ANN401
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return found.replace(tzinfo=UTC) if found.utcoffset() is None else found
