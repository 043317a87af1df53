"""What can be asked of Vespa, and the calls that the data plane makes. Pure: what is sent, not the sending.

What Vespa would assume if it were not told is always told: it returns 10 hits, gives a search half a second, and
answers with a part of the documents when time runs out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

from lateint import errors
from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD
from lateint.types import Slice
from lateint.vectors import MultiVector
from lateint_vespa import wire
from lateint_vespa.filters import Condition
from lateint_vespa.names import document_path, visit_path
from lateint_vespa.properties import DIGEST_FIELD, changeable
from lateint_vespa.schema import (
    FILTERING,
    IDS_ONLY,
    QUERY,
    QUERY_PROFILE,
    VECTORS,
    WHOLE,
    WITH_PAYLOAD,
    Cells,
    Layout,
)

_JSON = "application/json"
_LINES = "application/jsonl"

SEARCH = "/search/"

T = TypeVar("T")


class Door(StrEnum):
    """One of the two servers of an application."""

    CONTAINER = "container"
    CONFIG = "config server"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One request; the reply is an `answers.Answer`, whatever its status.

    Attributes:
        method: of HTTP.
        target: path and query.
        body: None for none.
        accept: what it is answered with.
        timeout_s: after which the server should give up; the client a little later.
        door: which server is asked.
        content: what the body is.
    """

    method: str
    target: str
    body: bytes | None = None
    accept: str = _JSON
    timeout_s: float = 60.0
    door: Door = Door.CONTAINER
    content: str = _JSON

    @property
    def headers(self) -> dict[str, str]:
        """To send with it."""
        content = {} if self.body is None else {"Content-Type": self.content}
        return {"Accept": self.accept, **content}


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait a moment.

    Attributes:
        seconds: how long.
    """

    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Several calls at once, as many as there are connections.

    The reply is a list, in their order, of answers and, where none came, of exceptions.

    Attributes:
        calls: drawn one after the other while others are under way already.
    """

    calls: Iterable[Call]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A call whose answer is read as it comes; the reply is what `read` makes of it.

    Attributes:
        call: the request.
        read: takes the answer's status, its headers and its body in pieces; may stop before the end.
    """

    call: Call
    read: Callable[[int, Mapping[str, str], Iterator[bytes]], Any]


Request: TypeAlias = Call | Pause | Together | Stream
Steps: TypeAlias = Generator[Request, Any, T]


def put(layout: Layout, document: str, *, rows: MultiVector, properties: Mapping[str, Any], timeout_s: float) -> Call:
    """Write a document whole.

    Args:
        layout: of the schema.
        document: its id.
        rows: float32, shape (tokens, dim).
        properties: its other fields, from `properties.stored`.
        timeout_s: seconds.

    Raises:
        DimensionMismatch: rows of another dimension than the schema has.
    """
    _check_dim(rows, layout, document)
    others = json.dumps(properties).encode()
    head = b'{"fields":%b,"%b":' % (others[:-1], VECTORS.encode())
    body = b"".join((head, *wire.blocks(rows, layout.cells), b"}}"))
    return Call("POST", _target(layout.schema, document, timeout_s), body, timeout_s=timeout_s)


def update(
    layout: Layout, document: str, *, properties: Mapping[str, Any], digest: int | None, timeout_s: float
) -> Call:
    """Set the payload of a document, and leave its vectors alone.

    Answered with 412 if it has another payload than the one that was read, or is not there.

    Args:
        layout: of the schema.
        document: its id.
        properties: all of its fields, from `properties.stored`; those that are not among them are cleared.
        digest: of the payload that was read; None if there was none beside it.
        timeout_s: seconds.
    """
    changes = {name: {"assign": properties.get(name)} for name in changeable(layout.fields)}
    unchanged = f"{layout.schema}.{DIGEST_FIELD}=={'null' if digest is None else digest}"
    target = _target(layout.schema, document, timeout_s, condition=unchanged)
    return Call("PUT", target, json.dumps({"fields": changes}).encode(), timeout_s=timeout_s)


def remove(layout: Layout, document: str, *, timeout_s: float) -> Call:
    """Remove a document, if it is there."""
    return Call("DELETE", _target(layout.schema, document, timeout_s), timeout_s=timeout_s)


def get(layout: Layout, document: str, *, with_vectors: bool, timeout_s: float, with_digest: bool = False) -> Call:
    """One document by its id; with the digest of its payload where an update is to follow."""
    more = (DIGEST_FIELD,) if with_digest else ()
    target = _target(layout.schema, document, timeout_s, **_fields(layout, *more, with_vectors=with_vectors))
    return Call("GET", target, timeout_s=timeout_s)


def visit(
    layout: Layout,
    *,
    cluster: str | None,
    token: str | None,
    limit: int,
    with_vectors: bool,
    timeout_s: float,
    part: Slice | None = None,
    stream: bool = True,
) -> Call:
    """Documents in Vespa's own order, one bucket after the other, see `visiting`.

    Args:
        layout: of the schema.
        cluster: its content cluster; None where there is only one.
        token: where a former visit ended.
        limit: ends after so many documents, or some more: never within a bucket.
        with_vectors: vectors too.
        timeout_s: after so many seconds a visit in one piece ends in good order; one as JSON lines need not.
        part: only this slice; those of one count are disjoint by the buckets that ids fall into.
        stream: as JSON lines, of which the first says nothing before the first document; otherwise in one piece.
    """
    parameters = {
        "stream": "true" if stream else "false",
        # Otherwise documents of many buckets come mixed, and no token tells which of them are behind it.
        "concurrency": "1",
        "wantedDocumentCount": str(limit),
        **({} if part is None else {"slices": str(part.count), "sliceId": str(part.index)}),
        **({} if cluster is None else {"cluster": cluster}),
        **({} if token is None else {"continuation": token}),
        **_fields(layout, with_vectors=with_vectors),
        "timeout": _milliseconds(timeout_s),
    }
    target = f"{visit_path(layout.schema)}?{urlencode(parameters)}"
    return Call("GET", target, accept=_LINES if stream else _JSON, timeout_s=timeout_s)


def search(
    layout: Layout,
    *,
    query: MultiVector,
    limit: int,
    condition: Condition,
    with_payload: bool,
    with_vectors: bool,
    query_profile: bool,
    timeout_s: float,
) -> Call:
    """The best documents of all that pass, every one of them scored.

    Args:
        layout: of the schema.
        query: float32, shape (rows, dim).
        limit: how many.
        condition: which.
        with_payload: answer with payloads.
        with_vectors: answer with payloads and vectors.
        query_profile: the application has lateint's, which allows more hits.
        timeout_s: seconds; never a part of the answer when they are over.

    Raises:
        DimensionMismatch: rows of another dimension than the schema has.
    """
    _check_dim(query, layout, None)
    summary = WHOLE if with_vectors else WITH_PAYLOAD if with_payload else IDS_ONLY
    parameters = _query(layout, condition, layout.profile, summary, limit, timeout_s, query_profile=query_profile)
    # As `blocks`: Vespa reads other forms in time that grows with the square of the number of rows.
    tensor = wire.blocks(query, Cells.FLOAT)
    body = b"".join((json.dumps(parameters).encode()[:-1], f',"input.query({QUERY})":'.encode(), *tensor, b"}"))
    return Call("POST", SEARCH, body, timeout_s=timeout_s)


def passing(layout: Layout, *, condition: Condition, limit: int, query_profile: bool, timeout_s: float) -> Call:
    """Ids of documents that pass, in no order; and, with any limit, how many there are in all."""
    parameters = _query(layout, condition, FILTERING, IDS_ONLY, limit, timeout_s, query_profile=query_profile)
    return Call("POST", SEARCH, json.dumps(parameters).encode(), timeout_s=timeout_s)


def _query(
    layout: Layout,
    condition: Condition,
    profile: str,
    summary: str,
    limit: int,
    timeout_s: float,
    *,
    query_profile: bool,
) -> dict[str, Any]:
    return {
        **({"queryProfile": QUERY_PROFILE} if query_profile else {}),
        # The name of a schema may be a word of YQL, so it is told here.
        "model.restrict": layout.schema,
        "yql": f"select * from sources * where {condition.yql}",  # noqa: S608 - holds nothing that a user wrote
        **condition.parameters,
        "hits": limit,
        "offset": 0,
        "timeout": _milliseconds(timeout_s),
        "ranking.profile": profile,
        "ranking.softtimeout.enable": False,
        "presentation.summary": summary,
        "presentation.format.tensors": "hex",
    }


def _fields(layout: Layout, *more: str, with_vectors: bool) -> dict[str, str]:
    names: Iterable[str] = (ID_FIELD, PAYLOAD_FIELD, *more, *((VECTORS,) if with_vectors else ()))
    return {"fieldSet": f"{layout.schema}:{','.join(names)}", "format.tensors": "hex"}


def _target(schema: str, document: str, timeout_s: float, **parameters: str) -> str:
    return f"{document_path(schema, document)}?{urlencode({**parameters, 'timeout': _milliseconds(timeout_s)})}"


def _check_dim(rows: MultiVector, layout: Layout, document: str | None) -> None:
    """Vespa would not say: it reads hexadecimal of half the length as cells of half the size."""
    if rows.shape[1] != layout.dim:
        raise errors.DimensionMismatch(
            f"{'query' if document is None else f'document {document!r}'}: rows have dimension {rows.shape[1]}, "
            f"schema {layout.schema!r} takes {layout.dim}.",
            hint="Encode it with the model that the index was made for.",
            document=document,
        )


def _milliseconds(timeout_s: float) -> str:
    return f"{max(1, round(1000 * timeout_s))}ms"
