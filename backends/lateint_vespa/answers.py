"""What Vespa answers, read strictly: an answer that is not whole is an error, whatever its status says. Pure.

Vespa answers with status 200 and a part of the hits when a node is late or missing, when it could not read a document,
when another profile ranked, and when it searched nothing at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lateint import errors
from lateint.engine.payload import ID_FIELD
from lateint.types import Payload
from lateint.vectors import MultiVector
from lateint_vespa import wire
from lateint_vespa.errors import Refused, said, told
from lateint_vespa.names import document_id, document_name
from lateint_vespa.properties import DIGEST_FIELD, restored
from lateint_vespa.schema import MARKER, SCORE, VECTORS, Layout

_IGNORED = {
    "x-vespa-ignored-fields": "dropped fields that the schema of the application does not have",
    "x-vespa-ignored-operation": "dropped the whole operation",
}
"""Headers of an answer that says 200."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One response.

    Attributes:
        status: of HTTP.
        body: whole.
        headers: names in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One document as it was read.

    Attributes:
        id: the document's.
        payload: empty where it was not asked for.
        rows: its multi-vector; None where it was not asked for.
        score: MaxSim, of a search; NaN otherwise.
        digest: of its payload; None where it was not asked for, or somebody else wrote the document without it.
    """

    id: str
    payload: Payload
    rows: MultiVector | None = None
    score: float = math.nan
    digest: int | None = None


def acknowledged(answer: Answer, layout: Layout, document: str) -> None:
    """Make sure that a document was written or removed.

    Raises:
        Refused: it was not, for the table of errors.
        UnexpectedResponse: Vespa says that it did something else.
    """
    data = _object(answer)
    for name, what in _IGNORED.items():
        if answer.headers.get(name, "false") != "false":
            raise errors.UnexpectedResponse(
                f"document {document!r}: Vespa said yes and {what}.",
                hint="Deploy the index's schema anew; in services.xml, do not ignore undefined fields.",
            )
    _check_id(data, layout, document)


def found(answer: Answer, layout: Layout, document: str, *, with_vectors: bool) -> Record | None:
    """The document that was asked for; None if there is none.

    Raises:
        Refused: an error, for the table of errors.
        UnexpectedResponse: another document, or one that lateint did not write.
    """
    missing = answer.status == 404
    data = _object(answer, missing=missing)
    _check_id(data, layout, document)
    if missing:
        return None
    return record(data.get("fields", {}), layout, full_id=data["id"], with_vectors=with_vectors)


def visited(answer: Answer, layout: Layout) -> tuple[list[Record], str | None]:
    """The documents of a visit that came in one piece, without vectors, and where the next one begins, if any does.

    Raises:
        Refused: an error, for the table of errors.
        UnexpectedResponse: a document that lateint did not write.
    """
    data = _object(answer)
    found, token = data.get("documents"), data.get("continuation")
    if not isinstance(found, list) or not isinstance(token, str | None):
        raise _unexpected("an answer to a visit has no documents")
    return [record(each.get("fields", {}), layout, full_id=each["id"], with_vectors=False) for each in found], token


def record(properties: Any, layout: Layout, *, full_id: str, with_vectors: bool) -> Record:  # noqa: ANN401 - of JSON
    """A document that was read by its id or on a visit.

    Args:
        properties: its fields.
        layout: of the schema.
        full_id: its id in Vespa.
        with_vectors: whether they were asked for.

    Raises:
        UnexpectedResponse: lateint did not write it.
    """
    name, payload = restored(properties)
    if document_id(full_id, layout.schema) != name:
        raise errors.UnexpectedResponse(
            f"the document {full_id!r:.200} calls itself {name!r:.200}.", hint="Something else wrote to this schema."
        )
    digest = properties.get(DIGEST_FIELD)
    if not isinstance(digest, int | None):
        raise _unexpected(f"document {name!r:.200} has the digest {digest!r:.40}")
    return Record(name, payload, _rows(properties, layout) if with_vectors else None, digest=digest)


def ranked(
    answer: Answer, layout: Layout, *, limit: int, with_vectors: bool, with_payload: bool = False
) -> list[Record]:
    """The hits of a search by MaxSim, the best first, equal ones in the order of their ids.

    Args:
        answer: what came.
        layout: of the schema.
        limit: how many hits were asked for.
        with_vectors: whether they were asked for, and payloads with them.
        with_payload: whether payloads were asked for.

    Raises:
        Refused: an error, for the table of errors.
        PartialResult: documents were left out, or came without what was asked for.
        IndexNotFound: no such schema is deployed.
        SchemaMismatch: another rank profile, or one of another layout, made the scores.
        UnexpectedResponse: anything else that lateint does not understand.
    """
    hits = _hits(answer, layout, limit)
    records = [_ranked(hit, layout, with_vectors=with_vectors, with_payload=with_payload) for hit in hits]
    if len({each.id for each in records}) < len(records):
        raise errors.PartialResult("a document is among the hits twice, so another one may be missing.", hint=_AGAIN)
    return sorted(records, key=lambda each: (-each.score, each.id))


def passing(answer: Answer, layout: Layout, *, limit: int) -> list[str]:
    """Ids of documents that pass a filter, those that `calls.passing` asked for.

    Raises:
        Refused, PartialResult, IndexNotFound, SchemaMismatch, UnexpectedResponse: see `ranked`.
    """
    return [_identified(hit, layout, with_payload=False)[0] for hit in _hits(answer, layout, limit, check_count=False)]


def counted(answer: Answer, layout: Layout) -> int:
    """How many documents pass a filter.

    Raises:
        Refused, PartialResult, IndexNotFound, UnexpectedResponse: see `ranked`.
    """
    return _count(_whole(answer, layout))


def _hits(answer: Answer, layout: Layout, limit: int, *, check_count: bool = True) -> list[Any]:
    root = _whole(answer, layout)
    hits: list[Any] = root.get("children", [])
    if len(hits) > limit or (check_count and len(hits) < min(limit, _count(root))):
        raise errors.PartialResult(
            f"{len(hits)} hits came, of {_count(root)} documents that pass and {limit} that were asked for.",
            hint="Documents may have been removed meanwhile: search again.",
        )
    return hits


def _whole(answer: Answer, layout: Layout) -> Any:  # noqa: ANN401 - of JSON
    """The root of an answer about all documents."""
    root = _object(answer).get("root")
    if not isinstance(root, dict):
        raise _unexpected("an answer has no root")
    if root.get("errors"):
        raise errors.PartialResult(f"Vespa answered, with errors: {told(root['errors'])}", hint=_AGAIN)
    coverage = root.get("coverage")
    if coverage is None and not root.get("children") and not _count(root):
        raise errors.IndexNotFound(
            f"Vespa searched nothing: no schema {layout.schema!r} is deployed there.", hint="See `list_indexes()`."
        )
    degraded = [name for name, is_so in (coverage or {}).get("degraded", {}).items() if is_so is not False]
    if not coverage or coverage.get("full") is not True or coverage.get("coverage") != 100 or degraded:
        share = (coverage or {}).get("coverage", "an unknown share")
        raise errors.PartialResult(
            f"Vespa searched {share} % of the documents{f' ({chr(44).join(degraded)})' if degraded else ''}.",
            hint=_AGAIN,
        )
    return root


_AGAIN = "Search again, with a longer timeout; see in Vespa's own metrics whether content nodes are down or overloaded."


def _ranked(hit: Any, layout: Layout, *, with_vectors: bool, with_payload: bool) -> Record:  # noqa: ANN401 - of JSON
    name, payload = _identified(hit, layout, with_payload=with_payload or with_vectors)
    score, relevance = hit["fields"]["matchfeatures"].get(SCORE), hit.get("relevance")
    if not _is_number(score) or score != relevance:
        raise _unexpected(f"document {name!r:.200} has relevance {relevance!r:.40} and MaxSim {score!r:.40}")
    return Record(name, payload, _rows(hit["fields"], layout) if with_vectors else None, float(score))


def _identified(hit: Any, layout: Layout, *, with_payload: bool) -> tuple[str, Payload]:  # noqa: ANN401 - of JSON
    properties = hit.get("fields", {})
    features = properties.get("matchfeatures", {})
    if features.get(MARKER) != layout.marker:
        raise errors.SchemaMismatch(
            f"a hit has the marker {features.get(MARKER)!r:.40}, not {layout.marker}: "
            "another rank profile ranked, or one of another layout.",
            hint="Deploy the index's schema as lateint writes it.",
        )
    if ID_FIELD not in properties:
        raise errors.PartialResult("a hit came without its fields.", hint=_AGAIN)
    return restored(properties, with_payload=with_payload)


def _rows(properties: Any, layout: Layout) -> MultiVector:  # noqa: ANN401 - of JSON
    tensor = properties.get(VECTORS)
    if tensor is None:
        raise _unexpected("a document has no vectors")
    if isinstance(tensor, dict) and tensor.get("type") not in {None, layout.stored_type}:
        raise errors.SchemaMismatch(
            f"vectors came as {tensor['type']!r:.80}, not as {layout.stored_type!r}.", hint="Open the index again."
        )
    return wire.rows(tensor, cells=layout.cells, width=layout.width)


def _object(answer: Answer, *, missing: bool = False) -> Any:  # noqa: ANN401 - of JSON
    """The JSON of an answer that is not an error, or of one that says that there is no such document."""
    if answer.status != 200 and not missing:
        raise Refused(answer.status, answer.body, headers=answer.headers)
    try:
        data = json.loads(answer.body)
    except ValueError as error:
        raise _unexpected(f"{said(answer.body)!r:.80} is not JSON") from error
    if not isinstance(data, dict):
        raise _unexpected(f"{said(answer.body)!r:.80} is not an object")
    if "message" in data:
        raise Refused(answer.status, answer.body, headers=answer.headers)
    return data


def _check_id(data: Mapping[str, Any], layout: Layout, document: str) -> None:
    """A proxy that rewrites paths sends a document's id to another one."""
    full = data.get("id")
    if full != f"id:lateint:{layout.schema}::{document_name(document)}":
        raise _unexpected(f"asked for document {document!r:.200}, Vespa answered for {full!r:.200}")


def _count(root: Mapping[str, Any]) -> int:
    count = root.get("fields", {}).get("totalCount")
    if not isinstance(count, int):
        raise _unexpected("an answer has no count")
    return count


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _unexpected(what: str) -> errors.UnexpectedResponse:
    return errors.UnexpectedResponse(f"{what}.", hint="Is this the container of a Vespa application?")
