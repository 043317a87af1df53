"""Reading a visit, line by line as it comes, and telling a whole one from one that ended early. No I/O.

Its status is 200 before anything is known. It has gone well up to a line that says where to go on, or that nothing is
left; whatever ends without one was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lateint import errors
from lateint_vespa.answers import Record, record
from lateint_vespa.schema import Layout


class Visit:
    """One visit of documents.

    Feed it what comes; take the documents; call `close` when the response has ended.

    Attributes:
        token: the next visit begins there. None at the start, and at the end of all documents. While documents come, it
            is the place before the last of them: Vespa keeps it back until it writes the next document.
        done: there are no more documents.
    """

    def __init__(self, layout: Layout, *, with_vectors: bool, token: str | None = None) -> None:
        self.token = token
        self.done = False
        self._layout = layout
        self._with_vectors = with_vectors
        self._pieces: list[bytes] = []
        self._read = 0
        self._told: int | None = None
        self._at_rest = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """Documents in the next bytes of the response, in order; `token` and `done` follow as they are taken.

        Raises:
            PartialResult: Vespa says that something went wrong.
            UnexpectedResponse: a document that lateint did not write, or a line that it does not understand.
        """
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join((*self._pieces, line))
            self._pieces.clear()
            if whole:
                yield from self._line(whole)
        if rest:
            self._pieces.append(rest)

    def close(self) -> None:
        """Make sure that the response was whole.

        Raises:
            PartialResult: it was cut off.
        """
        if self._pieces or not self._at_rest or (self._told is not None and self._told != self._read):
            raise errors.PartialResult(
                f"a visit of documents was cut off after {self._read} of them.", hint="Go on from the last page."
            )

    def _line(self, line: bytes) -> Iterator[Record]:
        try:
            data: Any = json.loads(line)
        except ValueError as error:
            raise errors.UnexpectedResponse(
                f"a line of a visit is not JSON: {line[:80]!r}.", hint="Go on from the last page."
            ) from error
        self._at_rest = False
        match data:
            case {"put": str(full_id), **rest}:
                self._read += 1
                yield record(rest.get("fields", {}), self._layout, full_id=full_id, with_vectors=self._with_vectors)
            case {"continuation": {"token": str(token)}}:
                self.token, self._at_rest = token, True
            case {"continuation": {"percentFinished": percent}} if percent == 100:
                self.token, self._at_rest, self.done = None, True, True
            case {"sessionStats": {"documentCount": int(count)}}:
                self._told = count
            case {"message": {"severity": "info" | "warning"}}:
                pass
            case {"message": {"text": str(text)}}:
                raise errors.PartialResult(f"a visit of documents ended early: {text:.300}.", hint="Go on from there.")
            case _:
                raise errors.UnexpectedResponse(
                    f"a line of a visit is not understood: {line[:80]!r}.", hint="Report it."
                )
