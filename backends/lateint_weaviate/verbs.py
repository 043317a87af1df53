"""The thirteen verbs, as generators without I/O: each yields calls and is resumed with what they brought.

They are written once, for the blocking client and for asyncio, over connections of our own and over a borrowed one's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from lateint import errors
from lateint.engine import guard
from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.payload import selected
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Hit, Page, SearchRequest, SearchResult, ServerInfo, Slice, WriteFailure
from lateint.vectors import MultiVector
from lateint_weaviate import asking, careful, collection, journal, names, properties, schema, selfcheck, wire
from lateint_weaviate.calls import Http, Steps
from lateint_weaviate.careful import Memory
from lateint_weaviate.collection import access
from lateint_weaviate.keeping import NOBODY, Keeping, keeping, with_ids
from lateint_weaviate.protocol import base_pb2
from lateint_weaviate.selfcheck import Comparison
from lateint_weaviate.wire import Object, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What the verbs need to know of the place.

    Attributes:
        backend: see `Backend.name`.
        location: server, without secrets.
        details: what else is worth showing.
        capabilities: of an index that lateint creates there.
        timeout_s: seconds for one call.
        memory: of this connection.
    """

    backend: str
    location: str
    details: Mapping[str, str]
    capabilities: Capabilities
    timeout_s: float
    memory: Memory = field(default_factory=Memory)

    def server_info(self) -> Steps[ServerInfo]:
        """See `Backend.server_info`."""
        found = yield Http("GET", "/meta")
        return ServerInfo(
            engine=schema.ENGINE, version=str(found["version"]), location=self.location, details=self.details
        )

    def create_index(self, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.create_index`."""
        cls = names.class_name(spec.name)
        definition = schema.class_definition(cls, spec, properties.definitions(spec.fields))
        if spec.name in (yield from self.list_indexes()):
            raise errors.IndexExists(
                f"there is an index {spec.name!r} already.", hint="Open it, drop it, or choose another name."
            )
        with suppress(errors.PermissionDenied):  # who may create this one only; the first writer will try again
            yield from journal.made()
        yield Http("POST", "/schema", definition)
        self.memory.forget(cls)
        self.memory.trusted.add(cls)
        return collection.created(spec, self.capabilities, cls)

    def describe_index(self, name: str, vector: str | None) -> Steps[IndexInfo]:
        """See `Backend.describe_index`."""
        definition = yield from self._definition(name)
        info = collection.kept(name, definition, self.capabilities, vector=vector)
        cls = str(definition["class"])
        if info is None:
            chosen = collection.chosen(name, definition, vector)
            sample = yield from self._sample(cls, chosen)
            if sample is None or sample.rows is None:
                raise errors.SchemaMismatch(
                    f"collection {name!r} holds no document with a multi-vector {chosen!r}: its dimension is unknown.",
                    hint="Write a document with the client of Weaviate first, or create an index with lateint.",
                )
            dim = sample.rows.shape[1]
            info = collection.found(name, definition, self.capabilities, vector=chosen, dim=dim)
            if (yield from careful.is_indexing(access(info))):
                info = collection.warned(info, "The server is still indexing documents: searches miss those.")
            return selfcheck.judged(info, (yield from self._compared(info, sample)))
        state, note = yield from self._state(info)
        if state.entries or note:  # then any score may be wrong, and says nothing of how the server scores
            return replace(info, warnings=(*info.warnings, note or state.warning))
        self.memory.marks.setdefault(cls, state.mark)
        if cls not in self.memory.trusted:
            sample = yield from self._sample(cls, schema.VECTOR)
            if sample is not None:
                seen = yield from self._compared(info, sample)
                info = selfcheck.judged(info, seen)
                if len(seen) == 1:
                    self.memory.trusted.add(cls)
        return info

    def list_indexes(self) -> Steps[list[str]]:
        """See `Backend.list_indexes`."""
        found = yield Http("GET", "/schema")
        return sorted(collection.listed(each) for each in found["classes"] or () if each["class"] != schema.JOURNAL)

    def update_index(self, index: IndexInfo, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.update_index`."""
        if not index.managed:
            raise errors.UnsupportedFeature(
                f"collection {index.name!r} was not created by lateint, which leaves its description alone.",
                backend=self.backend,
                feature="update",
                alternative="Declare fields in open(…, fields=…); add properties with the client of Weaviate.",
            )
        path = f"/schema/{access(index).cls}"
        definition = yield Http("GET", path)
        there = {entry["name"] for entry in definition["properties"] or ()}
        for entry in properties.definitions(spec.fields):
            if entry["name"] not in there:
                yield Http("POST", f"{path}/properties", entry)
        definition = yield Http("GET", path)
        yield Http("PUT", path, {**definition, "description": schema.description(spec)})
        return (yield from self.describe_index(index.name, None))

    def drop_index(self, name: str) -> Steps[None]:
        """See `Backend.drop_index`."""
        # Deleting a class that is not there is no error of Weaviate: look first.
        definition = yield from self._definition(name)
        cls = str(definition["class"])
        if cls not in names.classes(name):
            raise errors.UnsupportedFeature(
                f"{name!r} is an alias of collection {collection.listed(definition)!r}.",
                backend=self.backend,
                feature="drop",
                alternative="Drop the collection by its name, or the alias with the client of Weaviate.",
            )
        yield Http("DELETE", f"/schema/{cls}")
        self.memory.forget(cls)
        if schema.is_described(definition.get("description")):
            yield from journal.dropped(cls)

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Steps[Failures]:
        """See `Backend.write`."""
        kept = keeping(index)
        objects: dict[str, Object] = {}
        by_object: dict[str, str] = {}
        large: list[WriteFailure] = []
        for document in documents:
            self._check(document.vectors, index, document.id)
            uuid = _required(kept, document.id)
            made = Object(uuid, document.vectors, kept.stored(document.id, dict(document.payload)))
            if fault := _too_large(made, index):
                large.append(WriteFailure(document.id, fault))
            else:
                objects[uuid], by_object[uuid] = made, document.id
        refused = yield from careful.put(index, objects, self.memory, timeout_s=self.timeout_s)
        return (*large, *(WriteFailure(by_object[uuid], reason) for uuid, reason in refused.items()))

    def update_payload(self, index: IndexInfo, ids: Sequence[str], changes: Mapping[str, Any]) -> Steps[Failures]:
        """See `Backend.update_payload`: what differs is set, what is gone is deleted, everything else is let be."""
        kept, speak = keeping(index), access(index)
        made = {entry["name"] for entry in properties.definitions(index.spec.fields)}
        objects = {uuid: document for document in ids if (uuid := kept.object(document)) is not None}
        refused = {document: asking.MISSING for document in ids if kept.object(document) is None}
        for record in (yield from asking.by_ids(speak, list(objects), properties=None)):
            if index.managed:
                name, payload = kept.restored(record)
                new = kept.stored(name, {**payload, **changes})
                changed = {key: value for key, value in new.items() if record.properties.get(key) != value}
                # A property that somebody else added stays; those that lateint makes it makes all.
                changed |= dict.fromkeys((record.properties.keys() & made) - new.keys())
            else:
                changed = kept.stored(record.uuid, dict(changes))
            document = objects.pop(record.uuid)
            fault = _too_large(Object(record.uuid, None, {**record.properties, **changed}), index)
            if changed and not fault:
                fault = yield from asking.patched(speak, record.uuid, {"properties": changed})
            if fault:
                refused[document] = fault
        refused |= dict.fromkeys(objects.values(), asking.MISSING)
        return tuple(WriteFailure(document, refused[document]) for document in ids if document in refused)

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> Steps[None]:
        """See `Backend.delete`."""
        kept = keeping(index)
        if isinstance(target, Filter):
            yield from self._delete(index, kept.lowered(target))
        else:
            uuids = [uuid for uuid in map(kept.object, target) if uuid is not None]
            yield from self._delete(index, with_ids(None, [*uuids, NOBODY]))

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> Steps[list[Document]]:
        """See `Backend.get`."""
        kept = keeping(index)
        uuids = [uuid for uuid in map(kept.object, ids) if uuid is not None]
        speak = access(index)
        records = yield from asking.by_ids(
            speak,
            uuids,
            properties=kept.wanted(payload=True),
            vector=speak.vector if with_vectors else None,
        )
        return [_document(kept, record, index) for record in records]

    def count(self, index: IndexInfo, condition: Filter | None) -> Steps[int]:
        """See `Backend.count`."""
        kept, speak = keeping(index), access(index)
        if condition is not None:
            return (yield from asking.counted(speak, kept.lowered(condition), kept.everything()))
        found: int = yield asking.counting(speak, None)
        return found

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> Steps[list[SearchResult]]:
        """See `Backend.search`: again if somebody wrote meanwhile, and with a warning if somebody still does."""
        cls = access(index).cls
        mark = self.memory.marks.get(cls)
        for _ in range(_TRIES):
            answers = []
            for request in requests:
                self._check(request.query, index, None)
                answers.append((yield from self._search(index, request)))
            if not index.managed or not requests:
                return answers
            state, note = yield from self._state(index, requests[0].timeout_s)
            if state.entries or note:
                self.memory.marks.pop(cls, None)
                break
            self.memory.marks[cls] = state.mark
            if state.mark == mark:
                return answers
            mark = state.mark
        else:
            note = "Documents were written while this was searched: their scores may be wrong and they may be missing."
        return [_doubted(answer, note or state.warning) for answer in answers]

    def _state(self, index: IndexInfo, timeout_s: float | None = None) -> Steps[tuple[journal.State, str]]:
        """What is being written, and why that is not known where it is not."""
        try:
            return (yield from journal.looked(access(index).cls, timeout_s=timeout_s)), ""
        except errors.PermissionDenied:
            note = f"This key may not read {schema.JOURNAL}, which tells whether documents are just being written."
            return journal.State((), ""), note

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Steps[Page]:
        """See `Backend.scan`: in order of object ids; what is added behind the cursor meanwhile is not seen."""
        kept, speak = keeping(index), access(index)
        vector = speak.vector if with_vectors and condition is None else None
        wanted = [] if condition is not None else kept.wanted(payload=True)
        limit = min(limit, index.capabilities.max_k)
        before, end = _bounds(part)
        page = yield from asking.page(speak, cursor or before, limit=limit, properties=wanted, vector=vector)
        records = [record for record in page if end is None or record.uuid < end]
        following = page[-1].uuid if page and len(records) == len(page) else None
        if condition is not None and records:
            uuids = [record.uuid for record in records]
            records = yield from asking.by_ids(
                speak,
                uuids,
                properties=kept.wanted(payload=True),
                vector=speak.vector if with_vectors else None,
                condition=kept.lowered(condition),
            )
            records.sort(key=lambda record: record.uuid)
        return Page(tuple(_document(kept, record, index) for record in records), following)

    def _definition(self, name: str) -> Steps[Mapping[str, Any]]:
        """The class that a name, or an alias, stands for."""
        for cls in names.classes(name):
            with suppress(errors.IndexNotFound):
                found: Mapping[str, Any] = yield Http("GET", f"/schema/{cls}")
                return found
        raise errors.IndexNotFound(f"there is no index {name!r}.", hint="See `list_indexes()`.")

    def _delete(self, index: IndexInfo, filters: base_pb2.Filters) -> Steps[None]:
        """Delete all that passes, a server's portion at a time. The last round finds nothing and is what keeps it."""
        matches = -1
        while matches:
            matches, failed = yield asking.deleting(access(index), filters)
            if failed:
                raise errors.UnexpectedResponse(
                    f"{failed} of {matches} documents were not deleted.", hint="Delete again.", retryable=True
                )

    def _search(self, index: IndexInfo, request: SearchRequest) -> Steps[SearchResult]:
        kept, speak = keeping(index), access(index)
        condition = None if request.filter is None else kept.lowered(request.filter)
        exact, notes = request.exact, list(speak.score_warnings)
        if exact and not index.managed:
            number = yield asking.counting(speak, condition)
            if number >= speak.cutoff:
                exact = False
                notes.append(
                    f"{number} documents pass and flatSearchCutoff is {speak.cutoff}: the server walks its graph."
                )
        if exact:
            condition = kept.everything() if condition is None else condition
        message = wire.search(
            speak.cls,
            vector=speak.vector,
            rows=request.query,
            limit=request.k,
            filters=condition,
            properties=kept.wanted(payload=request.payload),
            with_vectors=False,
        )
        for _ in range(_TRIES):
            records: list[Record] = yield asking.reading(message, None, request.timeout_s)
            missing = 0
            if condition is not None and exact and len(records) < request.k:
                missing = (yield from asking.passing(speak, condition, kept.everything(), len(records))) - len(records)
            if missing <= 0:
                break
        else:
            exact = False
            notes.append(f"{missing} documents pass and were not found: the server does not have them in its index.")
        lost = sum(1 for record in records if not math.isfinite(record.distance))
        if lost:
            notes.append(
                f"{lost} documents have no score: the server is still indexing them, or they have to be written again."
            )
        records = [record for record in records if math.isfinite(record.distance)]
        if not exact:
            notes += speak.graph_warnings
        rows: dict[str, Any] = {}
        if request.with_vectors:
            uuids = [record.uuid for record in records]
            found = yield from asking.by_ids(
                speak,
                uuids,
                properties=kept.wanted(payload=False),
                vector=speak.vector,
            )
            rows = {record.uuid: kept.rows(record) for record in found}
        hits = []
        for record in records:
            identifier, payload = kept.restored(record)
            score = -record.distance
            hits.append(Hit(identifier, score, selected(payload, request.payload), rows.get(record.uuid)))
        return SearchResult(tuple(hits), exact=exact and not lost, warnings=tuple(notes))

    def _sample(self, cls: str, vector: str, after: str = "") -> Steps[Record | None]:
        """The first document behind a cursor that has a multi-vector; None if the next few have none."""
        for _ in range(_SAMPLES):
            records = yield asking.reading(
                wire.fetch(cls, vector=vector, limit=1, after=after, filters=None, properties=None), vector
            )
            if not records or records[0].rows is not None:
                return records[0] if records else None
            after = records[0].uuid
        return None

    def _compared(self, info: IndexInfo, sample: Record | None) -> Steps[list[Comparison]]:
        """What the server says of a stored document, beside what is true; of more if it is wrong."""
        speak = access(info)
        seen: list[Comparison] = []
        while sample is not None and sample.rows is not None and len(seen) < selfcheck.MOST:
            seen.append(Comparison(sample.uuid, sample.rows))
            if sample.rows.shape[1] == info.spec.dim:
                query = selfcheck.query(sample.rows, info)
                score = yield from self._score(info, sample.uuid, query)
                seen[-1] = Comparison(sample.uuid, sample.rows, score)
                if selfcheck.wrong(info, seen[-1]) is None:
                    break
                larger = yield from self._score(info, sample.uuid, selfcheck.larger(query))
                seen[-1] = Comparison(sample.uuid, sample.rows, score, larger)
            sample = yield from self._sample(speak.cls, speak.vector, sample.uuid)
        return seen

    def _score(self, info: IndexInfo, uuid: str, query: MultiVector) -> Steps[float | None]:
        """The server's score of one object; None where it gives none."""
        speak = access(info)
        message = wire.search(
            speak.cls,
            vector=speak.vector,
            rows=query,
            limit=1,
            filters=with_ids(None, [uuid]),
            properties=[],
            with_vectors=False,
        )
        found: list[Record] = yield asking.reading(message, None)
        return -found[0].distance if found and math.isfinite(found[0].distance) else None

    def _check(self, vectors: Any, index: IndexInfo, document: str | None) -> None:  # noqa: ANN401
        if document is not None and len(vectors) > schema.MAX_ROWS:
            raise errors.DocumentTooLarge(
                f"document {document!r}: {len(vectors):,} rows, Weaviate takes {schema.MAX_ROWS:,}.",
                hint="Split it, or pool it to fewer rows.",
                document=document,
            )
        guard.check(
            vectors,
            index.spec,
            engine="Weaviate",
            document=document,
            max_values=index.capabilities.max_values,
        )


_SAMPLES = 8

_TRIES = 3
"""Times that a search is made until nothing came between."""


def _bounds(part: Slice | None) -> tuple[str, str | None]:
    """The id that a slice begins behind, empty for the lowest one, and that which it ends before, None for the highest.

    Slices are equal ranges of ids: those that lateint derives are spread evenly, and so are random ones.
    """
    if part is None:
        return "", None
    first, end = (2**128 * number // part.count for number in (part.index, part.index + 1))
    return str(UUID(int=first - 1)) if first else "", str(UUID(int=end)) if end < 2**128 else None


def _required(kept: Keeping, document: str) -> str:
    uuid = kept.object(document)
    if uuid is None:
        raise errors.InvalidInput(f"document id {document!r} is none of this collection.", document=document)
    return uuid


def _too_large(made: Object, index: IndexInfo) -> str:
    """What to say of an object that no message could bring, or bring back; empty if one can."""
    most = 4 * (index.capabilities.max_values or 0) + schema.HEADROOM
    if made.size <= most:
        return ""
    return f"it takes {made.size:,} bytes, and a message of this server {most:,} (GRPC_MAX_MESSAGE_SIZE)."


def _doubted(answer: SearchResult, note: str) -> SearchResult:
    return replace(answer, exact=False, warnings=(*answer.warnings, note))


def _document(kept: Keeping, record: Record, index: IndexInfo) -> Document:
    identifier, payload = kept.restored(record)
    return Document(identifier, kept.rows(record), payload, normalized=index.spec.normalize)
