"""What a transport has to say for the verbs that carry multi-vectors; everything else goes through the usual client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lateint.vectors import MultiVector
from lateint_qdrant.calls import Call, Point
from lateint_qdrant.filters import Json
from lateint_qdrant.keeping import PointId


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Query:
    """One search.

    Attributes:
        rows: of the query.
        k: how many hits.
        condition: in REST form.
        exact: the search parameter; None to leave it out.
        payload: what to return of it, see `Keeping.wanted`.
        with_vectors: return the rows of the hits.
    """

    rows: MultiVector
    k: int
    condition: Json | None
    exact: bool | None
    payload: bool | list[str]
    with_vectors: bool


class Transport(ABC):
    """Makes calls. Replies are read into `Record`, so that a verb does not know how they came.

    A vector is addressed by its name, the unnamed one by the empty name; None asks for no vectors.
    """

    @abstractmethod
    def upsert(self, collection: str, points: Sequence[Point], *, vector: str) -> Call:
        """Write whole points, and wait until they are there."""

    @abstractmethod
    def update_vectors(self, collection: str, points: Sequence[Point], *, vector: str) -> Call:
        """Replace one multi-vector of points that exist, and wait until it is there."""

    @abstractmethod
    def retrieve(
        self, collection: str, points: Sequence[PointId], *, vector: str | None, payload: bool | list[str]
    ) -> Call:
        """Points by id: a list of records."""

    @abstractmethod
    def scroll(
        self, collection: str, *, start: PointId | None, limit: int, condition: Json | None, vector: str | None
    ) -> Call:
        """One page in order of id: a list of records, and where the next begins."""

    @abstractmethod
    def query(
        self, collection: str, queries: Sequence[Query], *, vector: str, timeout_s: float | None, server_s: int | None
    ) -> Call:
        """Searches: a list of records for each.

        Args:
            collection: its name.
            queries: the searches.
            vector: name of the multi-vector.
            timeout_s: seconds for the call; None for the client's own.
            server_s: seconds that the server may take; None for its own.
        """

    @abstractmethod
    def filter(self, condition: Json) -> Any:  # noqa: ANN401
        """A filter as the usual client takes it over this transport."""
