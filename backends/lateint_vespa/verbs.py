"""The thirteen verbs, as generators without I/O: each yields calls and is resumed with what they brought."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lateint import errors
from lateint.engine import guard
from lateint.engine.backend import Failures, IdMode, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.payload import selected
from lateint.filters import Filter, matches
from lateint.spec import IndexSpec
from lateint.types import Document, Hit, Page, SearchRequest, SearchResult, ServerInfo, Slice, WriteFailure, WriteReport
from lateint_vespa import answers, calls, probing
from lateint_vespa.access import Access, access, layout
from lateint_vespa.answers import Answer, Record
from lateint_vespa.calls import Call, Pause, Steps, Stream, T, Together
from lateint_vespa.deployment import Deployer
from lateint_vespa.errors import OF_ONE_DOCUMENT, Refused, translated
from lateint_vespa.filters import Condition, lowered
from lateint_vespa.probing import NOTHING
from lateint_vespa.properties import stored
from lateint_vespa.scanning import LISTED, Place, Reading
from lateint_vespa.schema import CAPABILITIES, ENGINE, VECTORS, layout_of


@dataclass(slots=True)
class Memory:
    """What a connection has learned.

    Attributes:
        configured: its config server has answered; None if it was not asked yet.
        profiled: whether the application had lateint's query profile when a schema was first opened.
    """

    configured: bool | None = None
    profiled: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What the verbs need to know of the place.

    Attributes:
        backend: name to put into errors.
        location: of the container, without secrets.
        version: of Vespa.
        details: what else is worth showing.
        timeout_s: seconds for one call.
        cluster: content cluster of the documents; None where there is only one.
        deployer: for what goes through the config server; None where that cannot be reached.
        memory: of this connection.
        clock: seconds that only go forward.
    """

    backend: str
    location: str
    version: str
    details: Mapping[str, str]
    timeout_s: float
    cluster: str | None
    deployer: Deployer | None
    memory: Memory = field(default_factory=Memory)
    clock: Callable[[], float] = time.monotonic

    @property
    def capabilities(self) -> Capabilities:
        """Of an index that lateint creates there."""
        return CAPABILITIES

    def server_info(self) -> Steps[ServerInfo]:
        """See `Backend.server_info`."""
        yield from ()
        return ServerInfo(engine=ENGINE, version=self.version, location=self.location, details=self.details)

    def create_index(self, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.create_index`."""
        yield from self._deployer("create an index").created(spec)
        made = layout_of(spec).schema
        self.memory.configured, self.memory.profiled[made] = True, True
        return self._managed(spec, query_profile=True)

    def describe_index(self, name: str, vector: str | None) -> Steps[IndexInfo]:
        """See `Backend.describe_index`."""
        info = yield from self._described(name)
        if vector not in {None, VECTORS}:
            raise errors.SchemaMismatch(
                f"index {name!r} has no multi-vector {vector!r}.", hint=f"Its only one is {VECTORS!r}."
            )
        return info

    def list_indexes(self) -> Steps[list[str]]:
        """See `Backend.list_indexes`."""
        return (yield from self._deployer("list indexes").listed())

    def update_index(self, index: IndexInfo, spec: IndexSpec) -> Steps[IndexInfo]:
        """See `Backend.update_index`."""
        if not index.managed:
            raise errors.UnsupportedFeature(
                f"index {index.name!r} was opened without a description in its schema, where a change would be kept.",
                backend=self.backend,
                feature="update",
                alternative="Declare fields in open(…, fields=…).",
            )
        yield from self._deployer("change an index").updated(spec)
        return self._managed(spec, query_profile=access(index).query_profile)

    def drop_index(self, name: str) -> Steps[None]:
        """See `Backend.drop_index`."""
        yield from self._deployer("drop an index").dropped(name)

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Steps[Failures]:
        """See `Backend.write`."""
        speak = layout(index)
        for document in documents:
            self._check(document.vectors, index, document.id)
        puts = (
            calls.put(
                speak,
                document.id,
                rows=document.vectors,
                properties=stored(document.id, dict(document.payload), speak.fields),
                timeout_s=self.timeout_s,
            )
            for document in documents
        )
        replies = yield Together(puts)
        names = [document.id for document in documents]
        return self._failures("write", index, zip(names, replies, strict=True))

    def update_payload(self, index: IndexInfo, ids: Sequence[str], changes: Mapping[str, Any]) -> Steps[Failures]:
        """See `Backend.update_payload`: all fields that a payload decides are made of the new one.

        They are set on the condition that the document still has the payload that was read. Where somebody else was
        faster, it is read again: neither their change is lost nor this one.
        """
        deadline = self.clock() + self.timeout_s
        refused: list[WriteFailure] = []
        left = ids
        while True:
            found = yield from self._records(index, left, with_vectors=False, with_digest=True)
            records = {record.id: record for record in found}
            refused += [WriteFailure(name, _MISSING) for name in left if name not in records]
            replies = yield Together(self._update(index, record, changes) for record in found)
            answered = list(zip(records, replies, strict=True))
            refused += self._failures("update_payload", index, (each for each in answered if not _is_too_late(each[1])))
            left = [name for name, reply in answered if _is_too_late(reply)]
            if not left:
                return tuple(refused)
            if self.clock() >= deadline:
                reason = (
                    f"for {self.timeout_s:g} s, somebody else changed it whenever it had been read. Update it again."
                )
                return (*refused, *(WriteFailure(name, reason, retryable=True) for name in left))
            # As long for who came first as for who came last: none of many is left behind.
            yield Pause(random.uniform(0, _APART_S))  # noqa: S311 - so that those who met do not meet again

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> Steps[None]:
        """See `Backend.delete`."""
        if isinstance(target, Filter):
            yield from self._delete(index, lowered(target, index.spec.fields))
            return
        yield from self._remove(index, target)
        yield from self._check_reach(index)  # a remove in a schema that is not there goes well

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> Steps[list[Document]]:
        """See `Backend.get`."""
        records = yield from self._records(index, ids, with_vectors=with_vectors)
        return [_document(record, index) for record in records]

    def count(self, index: IndexInfo, condition: Filter | None) -> Steps[int]:
        """See `Backend.count`."""
        answer = yield self._passing(index, lowered(condition, index.spec.fields), limit=0)
        return (yield from self._read(index, partial(answers.counted, answer, layout(index))))

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> Steps[list[SearchResult]]:
        """See `Backend.search`."""
        speak = layout(index)
        for request in requests:
            self._check(request.query, index, None)
        asked = [
            calls.search(
                speak,
                query=request.query,
                limit=request.k,
                condition=lowered(request.filter, speak.fields),
                with_payload=request.payload is not False,
                with_vectors=request.with_vectors,
                query_profile=access(index).query_profile,
                timeout_s=request.timeout_s or self.timeout_s,
            )
            for request in requests
        ]
        replies = yield Together(asked)
        results = []
        for request, reply in zip(requests, replies, strict=True):
            read = partial(
                answers.ranked,
                _here(reply),
                speak,
                limit=request.k,
                with_vectors=request.with_vectors,
                with_payload=request.payload is not False,
            )
            records = yield from self._read(index, read)
            hits = tuple(
                Hit(each.id, each.score, selected(each.payload, request.payload), each.rows) for each in records
            )
            results.append(SearchResult(hits, exact=True, warnings=index.warnings))
        return results

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
        """See `Backend.scan`: whether a document passes is decided here, since visits of Vespa cannot tell."""
        speak, start = layout(index), Place.of(cursor)
        # Where documents will be skipped, they are many, and read without their vectors.
        skips = condition is not None or bool(start.given)
        whole = with_vectors and not skips

        def wanted(record: Record) -> bool:
            return condition is None or matches(condition, document=record.id, payload=record.payload)

        visiting = partial(
            calls.visit, speak, cluster=self.cluster, token=start.token, timeout_s=self.timeout_s, part=part
        )
        call = visiting(limit=max(limit, LISTED) if skips else limit, with_vectors=whole)
        page = Reading(speak, start, limit, whole, wanted)
        try:
            yield Stream(call, page.read)
        except errors.Timeout as error:
            if error.status is not None:
                raise
            # Among many documents of other schemas, a stream may have nothing to say; this says where it has come.
            whole = False
            answer = yield visiting(limit=1, with_vectors=False, stream=False)
            page.take(*answers.visited(answer, speak))
        records = page.kept
        if with_vectors and not whole:
            found = yield from self._records(index, [record.id for record in records], with_vectors=True)
            records = [record for record in found if wanted(record)]
        if page.end is None:
            yield from self._check_reach(index)  # documents out of reach are passed by
        end = None if page.end is None else str(page.end)
        return Page(tuple(_document(record, index) for record in records), end)

    def _described(self, name: str) -> Steps[IndexInfo]:
        """By what its schema says of it; by the container where that says nothing, or never could be asked."""
        if self.deployer is not None and self.memory.configured is not False:
            try:
                spec = yield from self.deployer.spec_of(name)
            except _UNREACHABLE:
                # What is not known of an index that was opened so must not be forgotten of one that was not.
                if self.memory.configured:
                    raise
                self.memory.configured = False
            else:
                self.memory.configured = True
                if spec is not None:
                    schema = layout_of(spec).schema
                    if schema not in self.memory.profiled:
                        has_profile = yield from probing.has_query_profile(schema, timeout_s=self.timeout_s)
                        self.memory.profiled[schema] = has_profile
                    has_profile = self.memory.profiled[schema]
                    found = self._managed(spec, query_profile=has_profile)
                    return found if has_profile else replace(found, warnings=(probing.UNPROFILED,))
        return (yield from probing.probed(name, timeout_s=self.timeout_s))

    def _managed(self, spec: IndexSpec, *, query_profile: bool) -> IndexInfo:
        return IndexInfo(
            spec=spec,
            capabilities=probing.capabilities(query_profile=query_profile),
            id_mode=IdMode.TEXT,
            native={"access": Access(layout=layout_of(spec), query_profile=query_profile)},
        )

    def _deployer(self, what: str) -> Deployer:
        if self.deployer is None:
            raise errors.UnsupportedFeature(
                f"{self.location} was given without its config server, which alone can {what}.",
                backend=self.backend,
                feature=what,
                alternative="Name its port in the URL, config_port=….",
            )
        return self.deployer

    def _update(self, index: IndexInfo, record: Record, changes: Mapping[str, Any]) -> Call:
        speak = layout(index)
        return calls.update(
            speak,
            record.id,
            properties=stored(record.id, {**record.payload, **changes}, speak.fields),
            digest=record.digest,
            timeout_s=self.timeout_s,
        )

    def _records(
        self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool, with_digest: bool = False
    ) -> Steps[list[Record]]:
        """Documents by id, missing ones left out."""
        speak = layout(index)
        gets = (
            calls.get(speak, name, with_vectors=with_vectors, with_digest=with_digest, timeout_s=self.timeout_s)
            for name in ids
        )
        replies = yield Together(gets)
        found = [
            answers.found(_here(reply), speak, name, with_vectors=with_vectors)
            for name, reply in zip(ids, replies, strict=True)
        ]
        records = [record for record in found if record is not None]
        if len(records) < len(ids):
            yield from self._check_reach(index)  # so that they are not there, and not only out of reach
        return records

    def _remove(self, index: IndexInfo, ids: Iterable[str]) -> Steps[None]:
        speak, names = layout(index), list(ids)
        replies = yield Together(calls.remove(speak, name, timeout_s=self.timeout_s) for name in names)
        for name, reply in zip(names, replies, strict=True):
            answers.acknowledged(_here(reply), speak, name)

    def _delete(self, index: IndexInfo, condition: Condition) -> Steps[None]:
        """Remove what passes, a search's portion at a time, until nothing does."""
        limit = min(index.capabilities.max_k, _REMOVED)
        before: set[str] = set()
        while True:
            answer = yield self._passing(index, condition, limit=limit)
            read = partial(answers.passing, answer, layout(index), limit=limit)
            found = set((yield from self._read(index, read)))
            if not found and not answers.counted(answer, layout(index)):
                return
            if found <= before:
                raise errors.UnexpectedResponse(
                    f"documents that were removed are still found, {min(found, default='unnamed')!r} among them.",
                    hint="Does somebody else write them? Delete again.",
                    retryable=True,
                )
            yield from self._remove(index, found)
            before = found

    def _read(self, index: IndexInfo, read: Callable[[], T]) -> Steps[T]:
        """What an answer to a query says.

        Raises:
            IndexNotFound: its schema is gone; a query with a filter is told so as that its fields do not exist.
        """
        try:
            return read()
        except Refused as error:
            if error.status == 400:
                yield from self._check_reach(index)
            raise

    def _check_reach(self, index: IndexInfo) -> Steps[None]:
        """Make sure that the schema is deployed, and that all nodes answer: reads by id and visits do not tell.

        Raises:
            IndexNotFound: it is not.
            PartialResult: some documents are out of reach.
        """
        answers.counted((yield self._passing(index, NOTHING, limit=0)), layout(index))

    def _passing(self, index: IndexInfo, condition: Condition, *, limit: int) -> Call:
        return calls.passing(
            layout(index),
            condition=condition,
            limit=limit,
            query_profile=access(index).query_profile,
            timeout_s=self.timeout_s,
        )

    def _failures(
        self, operation: str, index: IndexInfo, replies: Iterable[tuple[str, Answer | Exception]]
    ) -> Failures:
        """Documents that were refused for what they are.

        Raises:
            BackendError: one of them was refused for another reason, the gravest one. Of a write, with a report: those
                that were acknowledged are not sent again.
        """
        refused: list[WriteFailure] = []
        failed: list[WriteFailure] = []
        graver: list[errors.BackendError] = []
        written = 0
        for name, reply in replies:
            try:
                with translated(operation, index.name, backend=self.backend):
                    answers.acknowledged(_here(reply), layout(index), name)
            except errors.BackendError as error:
                if error.status in OF_ONE_DOCUMENT and type(error) is errors.UnexpectedResponse:
                    refused.append(WriteFailure(name, str(error)))
                else:
                    graver.append(error)
                    failed.append(WriteFailure(name, str(error), error.retryable))
            else:
                written += 1
        if graver:
            gravest = min(graver, key=lambda error: error.retryable)
            if operation == "write":
                gravest.report = WriteReport(written=written, failed=(*refused, *failed))
            raise gravest
        return tuple(refused)

    def _check(self, vectors: Any, index: IndexInfo, document: str | None) -> None:  # noqa: ANN401
        guard.check(vectors, index.spec, engine="Vespa", document=document, max_values=index.capabilities.max_values)


_MISSING = "no such document."

_APART_S = 0.05
"""Most seconds until a document that somebody else changed meanwhile is read again."""

_REMOVED = 1000
"""Documents that are removed between two looks at what is left."""

_UNREACHABLE = (errors.ConnectionFailed, errors.Timeout, errors.AuthenticationFailed, errors.PermissionDenied)
"""What a config server says that is not for this client; most are behind a wall."""


def _here(reply: Answer | Exception) -> Answer:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _is_too_late(reply: Answer | Exception) -> bool:
    """Whether a document had another payload by then, or was gone."""
    return isinstance(reply, Answer) and reply.status == 412


def _document(record: Record, index: IndexInfo) -> Document:
    return Document(record.id, record.rows, record.payload, normalized=index.spec.normalize)
