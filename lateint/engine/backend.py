"""The contract of a backend: thirteen verbs and `close`, once blocking and once for asyncio.

A backend moves bytes between lateint's records and one engine. It does not check, normalise, batch, retry or report
progress: the pipelines do, once, for all engines. What reaches a backend has been checked against its capabilities. It
never creates an index on write and never deletes one on create. Every exception of the engine's client leaves it as
one of `lateint.errors`, with the cause chained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lateint.engine.capabilities import Capabilities
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice, WriteFailure


class IdMode(StrEnum):
    """How an index keeps document ids."""

    TEXT = "text"
    """As they are."""
    MAPPED = "mapped"
    """Under a UUIDv5 of the id; the original in a reserved field."""
    NATIVE = "native"
    """An adopted index: its own integers and UUIDs, written as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """One index as a backend sees it; first argument of every verb that works on an index.

    Attributes:
        spec: what it is in neutral words.
        capabilities: what can be asked of this index.
        id_mode: how ids are kept.
        managed: lateint created it; otherwise it was adopted.
        writable: writes keep everything that the index holds beside what lateint knows.
        not_carried: vectors and fields of it that lateint does not carry.
        warnings: what to know before trusting its scores.
        check_id: raises InvalidInput for a document id that the index cannot keep; None where it keeps any.
        native: what the backend itself needs to address it (name of the vector and the like).
    """

    spec: IndexSpec
    capabilities: Capabilities
    id_mode: IdMode
    managed: bool = True
    writable: bool = True
    not_carried: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    check_id: Callable[[str], None] | None = None
    native: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the index."""
        return self.spec.name


Failures = tuple[WriteFailure, ...]


class Backend(ABC):
    """The blocking form. Methods may be called from several threads at once.

    Attributes:
        name: short name of the engine and variant, as in its URL.
        location: server or folder, without secrets.
    """

    name: str
    location: str

    @abstractmethod
    def server_info(self) -> ServerInfo:
        """Engine, version, location."""

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What an index that lateint creates here could do; an index of its own may do less."""

    @abstractmethod
    def create_index(self, spec: IndexSpec) -> IndexInfo:
        """Create an index that does not exist yet.

        Raises:
            IndexExists: one of that name does.
        """

    @abstractmethod
    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        """Look at an existing index; `vector` chooses among several multi-vectors.

        Raises:
            IndexNotFound: there is none of that name.
            SchemaMismatch: it has no multi-vector, or several and none was chosen.
        """

    @abstractmethod
    def list_indexes(self) -> list[str]:
        """Names, sorted."""

    @abstractmethod
    def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        """Make `spec` the index's own: it adds fields, or changes metadata or encoder, and nothing else."""

    @abstractmethod
    def drop_index(self, name: str) -> None:
        """Delete an index and all that is in it.

        Raises:
            IndexNotFound: there is none of that name.
        """

    @abstractmethod
    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        """Write documents whole, replacing those of the same id; returns once they are durable and found by a search.

        Args:
            index: the index.
            documents: checked and normalised, float32 rows; ids are distinct.

        Returns:
            Those that the engine refused; all others are acknowledged.

        Raises:
            BackendError: with a `report` if only some failed: those that it does not name are acknowledged, and are not
                sent again.
        """

    @abstractmethod
    def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        """Set top-level payload fields of documents, leaving their vectors and other fields alone.

        Returns:
            Those that were not updated, missing ones among them.
        """

    @abstractmethod
    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        """Delete by ids or by filter. Ids that are not there are no error."""

    @abstractmethod
    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        """Documents by id, in any order, missing ones left out."""

    @abstractmethod
    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        """How many documents pass, exactly."""

    @abstractmethod
    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """Answer all requests, in their order, each best first by MaxSim sum."""

    @abstractmethod
    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        """One page of at most `limit` documents after `cursor`, None for the first page.

        Args:
            index: the index.
            cursor: that of the page before, of a scan with the same `condition` and `part`.
            limit: most documents of this page.
            condition: only documents that pass.
            with_vectors: read the stored rows too.
            part: only documents of this slice. A document's slice follows from its id and `part.count`, whatever else
                is in the index; slices are of about equal size. A hash of the id does, and so do ranges of ids that are
                evenly spread.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the backend opened itself; a client that was passed in stays open. May be called twice."""


class AsyncBackend(ABC):
    """The same contract for asyncio; see `Backend` for what each verb means."""

    name: str
    location: str

    @abstractmethod
    async def server_info(self) -> ServerInfo:
        """See `Backend.server_info`."""

    @abstractmethod
    async def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""

    @abstractmethod
    async def create_index(self, spec: IndexSpec) -> IndexInfo:
        """See `Backend.create_index`."""

    @abstractmethod
    async def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        """See `Backend.describe_index`."""

    @abstractmethod
    async def list_indexes(self) -> list[str]:
        """See `Backend.list_indexes`."""

    @abstractmethod
    async def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        """See `Backend.update_index`."""

    @abstractmethod
    async def drop_index(self, name: str) -> None:
        """See `Backend.drop_index`."""

    @abstractmethod
    async def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        """See `Backend.write`."""

    @abstractmethod
    async def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        """See `Backend.update_payload`."""

    @abstractmethod
    async def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        """See `Backend.delete`."""

    @abstractmethod
    async def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        """See `Backend.get`."""

    @abstractmethod
    async def count(self, index: IndexInfo, condition: Filter | None) -> int:
        """See `Backend.count`."""

    @abstractmethod
    async def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """See `Backend.search`."""

    @abstractmethod
    async def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        """See `Backend.scan`."""

    @abstractmethod
    async def close(self) -> None:
        """See `Backend.close`."""
