"""The records that travel between an application, lateint and an engine: frozen, over plain NumPy arrays."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from lateint import errors

if TYPE_CHECKING:
    from lateint.filters import Filter
    from lateint.vectors import MultiVector

PayloadValue: TypeAlias = "bool | int | float | str | datetime | list[PayloadValue] | dict[str, PayloadValue] | None"
Payload: TypeAlias = "dict[str, PayloadValue]"

MAX_ID_BYTES = 512
MAX_SLICES = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One document: an id, its multi-vector, and what else is known of it.

    Attributes:
        id: 1 to 512 bytes of UTF-8, no control characters; never changed.
        vectors: shape (tokens, dim). On writing anything that `as_multivector` takes; on reading float32, or None when
            vectors were not asked for, or the document has lost them, or an adopted one never had any.
        payload: JSON-like, with zone-aware datetimes; 64-bit integers, no NaN.
        normalized: rows are unit length already, or bits of a binary index, and are written bit for bit. Set on what is
            read from an index that normalises or is binary, so that a copy does not normalise rounded rows again.
    """

    id: str
    vectors: Any
    payload: Mapping[str, Any] = field(default_factory=dict)
    normalized: bool = field(default=False, kw_only=True, repr=False)

    def __repr__(self) -> str:
        return f"Document(id={self.id!r}, {_shown(self.vectors)}payload={self.payload!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One search result.

    Attributes:
        id: the document's id.
        score: the MaxSim sum; higher is better on every engine.
        payload: None when it was not asked for.
        vectors: float32, shape (tokens, dim), as stored; None when not asked for.
    """

    id: str
    score: float
    payload: Payload | None = None
    vectors: MultiVector | None = None

    def __repr__(self) -> str:
        return f"Hit(id={self.id!r}, score={self.score!r}, {_shown(self.vectors)}payload={self.payload!r})"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SearchRequest:
    """One query as a backend gets it: checked, normalised, rounded where storage would round it.

    Attributes:
        query: float32, shape (rows, dim).
        k: number of hits wanted, at least 1.
        filter: bound to the fields of the index, or None.
        exact: True for a full scan, False for the engine's approximation where it has one.
        payload: True for all of it, False for none, or the top-level fields wanted.
        with_vectors: return the stored rows too.
        timeout_s: seconds for this request; None for the client's own.
    """

    query: MultiVector
    k: int = 10
    filter: Filter | None = None
    exact: bool = True
    payload: bool | tuple[str, ...] = True
    with_vectors: bool = False
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult(Sequence[Hit]):
    """Hits of one query, best first; equal scores in order of id.

    Attributes:
        hits: the hits.
        exact: every document that passes the filter was scored.
        candidates: how many documents were scored, where the engine tells.
        warnings: what to know before trusting the scores; empty when there is nothing.
    """

    hits: tuple[Hit, ...]
    exact: bool = field(kw_only=True)
    candidates: int | None = field(default=None, kw_only=True)
    warnings: tuple[str, ...] = field(default=(), kw_only=True)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, item: int) -> Hit: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, item: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[item]


@dataclass(frozen=True, slots=True)
class WriteFailure:
    """One document that was not written.

    Attributes:
        id: its id.
        reason: why, for a person.
        retryable: whether writing it again may succeed.
    """

    id: str
    reason: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """What became of a write.

    Attributes:
        written: documents acknowledged by the engine. One that a later document of the same id replaced on the way
            counts.
        failed: documents that were not, each with a reason.
        retries: how often a batch had to be sent again.
    """

    written: int = 0
    failed: tuple[WriteFailure, ...] = ()
    retries: int = 0

    def raise_for_failures(self) -> None:
        """Raise if anything failed.

        Raises:
            PartialWrite: names the first failures and carries all of them.
        """
        if not self.failed:
            return
        shown = "; ".join(f"{failure.id!r}: {failure.reason.rstrip('.')}" for failure in self.failed[:3])
        more = f"; and {len(self.failed) - 3} more" if len(self.failed) > 3 else ""
        error = errors.PartialWrite(
            f"Written: {self.written}. Not written: {len(self.failed)} ({shown}{more}).",
            hint="`.failed` names all; write those again that are retryable.",
            operation="write",
            retryable=all(failure.retryable for failure in self.failed),
        )
        error.failed = self.failed
        error.report = self
        raise error


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page of a scan.

    Attributes:
        documents: in the engine's own stable order.
        cursor: where the next page begins, in the backend's own words; None after the last page.
    """

    documents: tuple[Document, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One of several disjoint parts of an index that together are the whole, for workers that read side by side.

    Which slice a document is in depends on its id and `count` alone, so workers need not know of each other. How it
    does is the engine's own affair: the same id may be in another slice of another index.

    Attributes:
        index: which one, from 0 to `count` - 1.
        count: how many there are, from 1 to 1,024.

    Raises:
        InvalidInput: a number that is none, or out of these bounds.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not (_is_count(self.count) and 1 <= self.count <= MAX_SLICES):
            raise errors.InvalidInput(
                f"count={self.count!r:.40} is no number of slices.", hint=f"Pass an integer from 1 to {MAX_SLICES:,}."
            )
        if not (_is_count(self.index) and 0 <= self.index < self.count):
            raise errors.InvalidInput(
                f"index={self.index!r:.40} is none of {self.count} slices.",
                hint=f"Pass an integer from 0 to {self.count - 1}.",
            )

    def __str__(self) -> str:
        return f"{self.index} of {self.count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What answers at the other end.

    Attributes:
        engine: name of the engine.
        version: its version, empty where it has none.
        location: server or folder, without secrets.
        details: anything else worth showing, as text.
    """

    engine: str
    version: str
    location: str
    details: Mapping[str, str] = field(default_factory=dict)


def check_id(value: object) -> str:
    """Return `value` if it can be the id of a document.

    Raises:
        InvalidInput: not text, empty, above 512 bytes of UTF-8, or with control characters, lone surrogates or
            noncharacters.
    """
    if not isinstance(value, str):
        raise errors.InvalidInput(
            f"document id {_short(value)} is a {type(value).__name__}, not text.", hint="Use str(id)."
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise errors.InvalidInput(
            f"document id {_short(value)}: lone surrogate at position {error.start}.",
            hint="Decode the id with its real encoding first.",
        ) from error
    if not 1 <= size <= MAX_ID_BYTES:
        raise errors.InvalidInput(
            f"document id {_short(value)} has {size} bytes; 1 to {MAX_ID_BYTES} are allowed.",
            hint="Use a hash of it as id and keep the original in the payload.",
        )
    for position, character in enumerate(value):
        if unicodedata.category(character) == "Cc" or _is_noncharacter(ord(character)):
            raise errors.InvalidInput(
                f"document id {_short(value)}: character U+{ord(character):04X} at position {position} is not allowed.",
                hint="Remove control characters and noncharacters from ids.",
            )
    return value


def plain_scalar(value: object) -> object:
    """A NumPy scalar, or an instance of a subclass such as an enum, as the plain Python value; anything else as it is.

    A datetime with a zone gets the fixed offset that it has: Python compares two of one named zone by their clock
    faces, not as instants. NumPy's times are left alone: they have no zone.

    Raises:
        InvalidInput: a datetime subclass with nanoseconds, which a datetime would lose.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biufcU":
        value = value.item()
    if isinstance(value, datetime):
        return _plain_datetime(value)
    if isinstance(value, (bool, str, int, float)):
        return _exact(value)
    return value


def _exact(value: str | float) -> str | float:
    """The plain value inside an instance of a subclass: `str(member)` of an enum would be its name."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _plain_datetime(value: datetime) -> datetime:
    if getattr(value, "nanosecond", 0):
        raise errors.InvalidInput(f"{value} has nanoseconds.", hint="Round it to microseconds, or store it as text.")
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    offset = value.utcoffset()
    return datetime(*parts, tzinfo=None if offset is None else timezone(offset))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(vectors: object) -> str:
    """Rows as their shape, for a `repr`: nobody reads a million numbers."""
    if vectors is None:
        return ""
    return f"vectors=<{getattr(vectors, 'shape', type(vectors).__name__)}>, "


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _short(value: object) -> str:
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 120 else text[:120] + "…"
