"""Reading a whole index page by page, with a cursor that another process can go on from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from lateint import errors
from lateint.engine.capabilities import Feature
from lateint.engine.drive import Steps
from lateint.engine.pipelines import Handle, as_read, called
from lateint.filters import Filter, to_json
from lateint.types import Document, Page, Slice

_VERSION = 1
_FIRST_PAGE = 16
_LARGEST_PAGE = 1000


@dataclass(slots=True)
class ScanState:
    """Where a scan stands; `fetch` brings the next page into `buffer`.

    Attributes:
        handle: the index.
        condition: a checked filter, or None.
        with_vectors: whether rows are read too.
        part: the slice that is read, or None for the whole.
        at: the backend's cursor of the page last fetched; None for the first.
        following: that of the page after it.
        finished: there is no page after it.
        buffer: documents fetched and not yet given out.
        limit: documents in the next page.
    """

    handle: Handle
    condition: Filter | None
    with_vectors: bool
    part: Slice | None = None
    at: str | None = None
    following: str | None = None
    finished: bool = False
    buffer: deque[Document] = field(default_factory=deque)
    limit: int = _FIRST_PAGE

    @property
    def cursor(self) -> str:
        """Opaque text from which a scan of the same index, slice and filter goes on, at the start of this page."""
        content = {"v": _VERSION, **self._identity(), "at": self.at}
        return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()

    def fetch(self) -> Steps[None]:
        """Bring the next page that has documents; sets `finished` when there is none after it."""
        while not self.buffer and not self.finished:
            self.at = self.following
            page: Page = yield from called(
                self.handle,
                "scan",
                cursor=self.at,
                limit=self.limit,
                condition=self.condition,
                with_vectors=self.with_vectors,
                part=self.part,
            )
            self.buffer.extend(as_read(document, self.handle.info) for document in page.documents)
            self.following, self.finished = page.cursor, page.cursor is None
            self._adapt(page)

    def _adapt(self, page: Page) -> None:
        """Pages are cut by bytes: as many documents of the size just seen as one batch may hold."""
        size = sum(512 if document.vectors is None else document.vectors.nbytes for document in page.documents)
        if size:
            fitting = self.handle.info.capabilities.max_batch_bytes * len(page.documents) // size
            self.limit = max(1, min(_LARGEST_PAGE, fitting))

    def _identity(self) -> dict[str, Any]:
        text = "" if self.condition is None else json.dumps(to_json(self.condition), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        part = "all" if self.part is None else str(self.part)
        return {"backend": self.handle.backend, "index": self.handle.info.name, "slice": part, "filter": digest}


def start(
    handle: Handle, *, condition: Filter | None, with_vectors: bool, cursor: str | None, part: Slice | None = None
) -> ScanState:
    """A scan from the beginning, or from where a cursor says.

    Raises:
        InvalidInput: the cursor is not one, or is of another index, slice or filter; or `part` is no slice.
        UnsupportedFeature: the engine cannot scan with a filter, or in slices, or not go on later.
    """
    if part is not None:
        if not isinstance(part, Slice):
            raise errors.InvalidInput(
                f"part={part!r:.60} is not a Slice.", hint="Pass lateint.Slice(index=0, count=4)."
            )
        handle.info.capabilities.require(
            Feature.SCAN_SLICES, backend=handle.backend, alternative="Scan the whole index."
        )
    checked = handle.filter(condition)
    if checked is not None:
        handle.info.capabilities.require(
            Feature.SCAN_FILTER, backend=handle.backend, alternative="Filter while reading."
        )
    state = ScanState(handle, checked, with_vectors, part)
    if cursor is not None:
        handle.info.capabilities.require(
            Feature.STABLE_SCAN, backend=handle.backend, alternative="Scan from the beginning."
        )
        state.at = state.following = _position(cursor, state)
        if state.cursor != cursor:
            raise errors.InvalidInput(f"cursor {cursor[:40]!r} is not one.", hint="Pass the .cursor of a scan.")
    return state


def _position(cursor: str, state: ScanState) -> str | None:
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        version, position = content.pop("v"), content.pop("at")
    except (ValueError, KeyError, AttributeError, TypeError, binascii.Error) as error:
        raise errors.InvalidInput(
            f"cursor {str(cursor)[:40]!r} is not one.", hint="Pass the .cursor of a scan."
        ) from error
    mine = state._identity()  # noqa: SLF001 - the same module
    if version != _VERSION or content != mine:
        different = [
            f"{name} {content.get(name)!r} instead of {mine[name]!r}"
            for name in mine
            if content.get(name) != mine[name]
        ]
        raise errors.InvalidInput(
            f"the cursor is of another scan: {', '.join(different) or f'version {version}'}.",
            hint="Go on with the index, slice and filter that it came from, or scan from the beginning.",
        )
    if position is not None and not isinstance(position, str):
        raise errors.InvalidInput(f"cursor {cursor[:40]!r} is not one.", hint="Pass the .cursor of a scan.")
    return position
