"""Reading an index page by page, by visits that Vespa lets anybody go on with.

Vespa visits bucket by bucket, and says after each where to go on; a bucket may hold more than a page. So a cursor is
where the last bucket began, and which documents of it have been given out: by their ids, because within a bucket there
is no order.

A first page of a bucket is read with its vectors, as it comes, and the rest of the bucket is left unread. Further ones,
and pages of a filtered scan, read no vectors of what they skip: the vectors of what they keep are read by id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lateint import errors
from lateint_vespa.answers import Record
from lateint_vespa.errors import Refused
from lateint_vespa.schema import Layout
from lateint_vespa.visiting import Visit

LISTED = 1000
"""Documents of one visit without vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a scan stands.

    Attributes:
        token: where the bucket begins; None for the first.
        given: digests of the ids that were given out since.
    """

    token: str | None = None
    given: tuple[str, ...] = ()

    @classmethod
    def of(cls, cursor: str | None) -> Place:
        """The place that a cursor says.

        Raises:
            InvalidInput: it says none.
        """
        if cursor is None:
            return cls()
        try:
            token, *given = json.loads(cursor)
            if all(isinstance(text, str) for text in (token or "", *given)):
                return cls(token=token, given=tuple(given))
        except (ValueError, TypeError):
            pass
        raise errors.InvalidInput(f"cursor {cursor!r:.40} is not one.", hint="Pass the .cursor of a scan.")

    def __str__(self) -> str:
        return json.dumps([self.token, *self.given], separators=(",", ":"))


@dataclass(slots=True)
class Reading:
    """One page, read from the pieces of an answer as they come.

    Attributes:
        layout: of the schema.
        start: where the page begins.
        limit: most documents of it.
        with_vectors: they were asked for.
        wanted: which documents it keeps.
        kept: those.
        end: where the next page begins; None after the last document.
    """

    layout: Layout
    start: Place
    limit: int
    with_vectors: bool
    wanted: Callable[[Record], bool]
    kept: list[Record] = field(default_factory=list)
    end: Place | None = None

    def read(self, status: int, headers: Mapping[str, str], pieces: Iterator[bytes]) -> Reading:
        """Read until the page is full or the answer ends.

        When time is over, what has come is a page as well, since it can be gone on from there.

        Raises:
            Refused: the answer is an error.
            PartialResult: it was cut off, or something went wrong on the way.
            UnexpectedResponse: it is not understood.
            TimeoutError: time is over, and nothing has come.
        """
        if status != 200:
            raise Refused(status, b"".join(pieces), headers=headers)
        visit = Visit(self.layout, with_vectors=self.with_vectors, token=self.start.token)
        token, given, skipped = self.start.token, list(self.start.given), set(self.start.given)
        digest = ""
        late = False
        try:
            for record in (record for piece in pieces for record in visit.feed(piece)):
                if visit.token != token:
                    # Vespa says it one document late: that one is not before it.
                    token, given, skipped = visit.token, [digest], {digest}
                digest = _digest(record.id)
                if digest in skipped:
                    continue
                if len(self.kept) == self.limit:
                    self.end = Place(token=token, given=tuple(given))
                    return self
                given.append(digest)
                if self.wanted(record):
                    self.kept.append(record)
        except TimeoutError:
            late = not visit.done
        if not late:
            visit.close()
        if not visit.done:
            if visit.token != token:
                given = [digest]
            self.end = Place(token=visit.token, given=tuple(given))
            if self.end == self.start:
                raise TimeoutError("nothing was read in time")
        return self

    def take(self, records: list[Record], token: str | None) -> None:
        """Take what a visit in one piece has found, before the place where the next one begins."""
        skipped = set(self.start.given)
        fresh = [record for record in records if _digest(record.id) not in skipped]
        if len(fresh) <= self.limit:
            self.end = None if token is None else Place(token=token)
        else:
            fresh = fresh[: self.limit]
            self.end = replace(self.start, given=(*self.start.given, *(_digest(record.id) for record in fresh)))
        self.kept = [record for record in fresh if self.wanted(record)]


def _digest(document: str) -> str:
    return hashlib.blake2b(document.encode(), digest_size=12).hexdigest()
