"""Around every backend call, as generators without I/O: checking, batching, in-flight writes, retries.

Each pipeline yields the effects of `drive` and returns a result; `drive.run` and `drive.arun` carry it out.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeAlias, TypeVar

from lateint import errors
from lateint.engine import prepare
from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Feature
from lateint.engine.drive import END, Call, Now, Pull, Settle, Settled, Sleep, Spawn, Steps
from lateint.engine.payload import checked
from lateint.engine.retry import RetryPolicy
from lateint.filters import Filter
from lateint.spec import DType
from lateint.types import Document, SearchRequest, SearchResult, WriteFailure, WriteReport, check_id

T = TypeVar("T")

IDS_PER_CALL = 1000
"""Ids in one call that moves no vectors: a megabyte at most."""

DOCUMENTS_PER_CALL = 64
"""Documents with vectors fetched by one call of `get`."""

QUERIES_PER_CALL = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far long work has come.

    Attributes:
        operation: the verb at work.
        done: documents dealt with.
        total: documents in all, where known.
    """

    operation: str
    done: int
    total: int | None = None


ProgressCallback: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """What a pipeline knows about where it works.

    Attributes:
        backend: name of the backend, for errors.
        info: the index.
        retry: when to try again.
        read_only: why writing is refused; empty if it is not.
    """

    backend: str
    info: IndexInfo
    retry: RetryPolicy
    read_only: str = ""

    def require_writable(self, operation: str) -> None:
        """Refuse before anything is sent.

        Raises:
            PermissionDenied: the handle is read-only.
        """
        check_writable(self.read_only, operation=operation, backend=self.backend, index=self.info.name)

    def filter(self, condition: Filter | None) -> Filter | None:
        """The filter, checked against the index."""
        return prepare.prepared_filter(condition, self.info, backend=self.backend)


def check_writable(read_only: str, *, operation: str, backend: str, index: str) -> None:
    """Refuse a writing verb on a read-only client or handle.

    Raises:
        PermissionDenied: `read_only` says why.
    """
    if read_only:
        raise errors.PermissionDenied(
            f"{operation} on index {index!r} refused: {read_only}.",
            hint="Nothing was sent.",
            backend=backend,
            operation=operation,
            index=index,
        )


def retried(call: Call, policy: RetryPolicy) -> Steps[tuple[Any, int]]:
    """Call, again where that can help; returns the outcome and how many retries it took."""
    began = yield Now()
    for attempt in count(1):
        try:
            return (yield call), attempt - 1
        except errors.BackendError as error:
            now = yield Now()
            wait = policy.wait_s(error, attempt=attempt, elapsed_s=now - began)
            if wait is None:
                if attempt > 1:
                    error.add_note(f"lateint tried {attempt} times in {now - began:.1f} s.")
                raise
            call = _rest(call, error)
        yield Sleep(wait)
    raise AssertionError


def _rest(call: Call, error: errors.BackendError) -> Call:
    """What is left of a write that says what it has done; otherwise the same call."""
    if error.report is None:
        return call
    index, documents = call.arguments
    failed = {failure.id for failure in error.report.failed}
    return replace(call, arguments=(index, tuple(document for document in documents if document.id in failed)))


def called(handle: Handle, verb: str, *arguments: Any, **options: Any) -> Steps[Any]:  # noqa: ANN401
    """One verb on the index, with retries."""
    outcome, _ = yield from retried(Call(verb, (handle.info, *arguments), options), handle.retry)
    return outcome


@dataclass(slots=True)
class _Batch:
    """Documents that travel together, by id: a later one replaces an earlier one."""

    documents: dict[str, Document] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    bytes: int = 0

    def put(self, document: Document, size: int) -> None:
        self.bytes += size - self.sizes.get(document.id, 0)
        self.documents[document.id] = document
        self.sizes[document.id] = size
        self.inputs[document.id] = self.inputs.get(document.id, 0) + 1

    def drop(self, name: str) -> None:
        del self.documents[name], self.inputs[name]
        self.bytes -= self.sizes.pop(name)


@dataclass(slots=True)
class _Write:
    """State of one write."""

    handle: Handle
    on_error: str
    progress: ProgressCallback | None
    total: int | None
    pending: _Batch = field(default_factory=_Batch)
    in_flight: dict[int, _Batch] = field(default_factory=dict)
    sent: int = 0
    written: int = 0
    retries: int = 0
    failed: list[WriteFailure] = field(default_factory=list)

    def report(self) -> WriteReport:
        return WriteReport(written=self.written, failed=tuple(self.failed), retries=self.retries)

    def refuse(self, name: str, error: errors.InvalidInput) -> None:
        """Note a bad document, and stop at it if that was asked for."""
        self.failed.append(WriteFailure(name, str(error)))
        if self.on_error == "raise":
            raise error

    def add(self, document: Document, size: int) -> Steps[None]:
        capabilities = self.handle.info.capabilities
        grown = self.pending.bytes + size - self.pending.sizes.get(document.id, 0)
        try:
            if self.pending.documents and grown > capabilities.max_batch_bytes:
                yield from self.flush()
        finally:  # it has been drawn, so it is named whatever happens
            self.pending.put(document, size)

    def flush(self) -> Steps[None]:
        """Send the pending batch, once there is room and none of its ids is in flight: order decides who wins."""
        ids = self.pending.documents.keys()
        if not ids:
            return
        limit = self.handle.info.capabilities.max_in_flight
        while len(self.in_flight) >= limit or any(ids & batch.documents.keys() for batch in self.in_flight.values()):
            yield from self.settle_or_raise()
        yield from self.refresh()
        if not ids:
            return
        batch, self.pending = self.pending, _Batch()
        call = Call("write", (self.handle.info, tuple(batch.documents.values())))
        self.sent += 1
        self.in_flight[self.sent] = batch
        yield Spawn(retried(call, self.handle.retry), self.sent)

    def refresh(self) -> Steps[None]:
        """Go by what the index declares now: a field declared elsewhere since must not miss these documents."""
        declared = self.handle.info.spec.fields
        self.handle = yield from current(self.handle)
        fields = self.handle.info.spec.fields
        if fields == declared:
            return
        for name, document in list(self.pending.documents.items()):
            try:
                checked(document.payload, fields, document=name)
            except errors.InvalidInput as error:
                self.pending.drop(name)
                self.refuse(name, error)

    def settle(self) -> Steps[BaseException | None]:
        """Wait for one batch and note what became of it; returns the error if it failed as a whole."""
        outcome: Settled = yield Settle()
        batch = self.in_flight.pop(outcome.key)
        if outcome.error is not None:
            self._fail(batch, outcome.error)
            return outcome.error
        failures, retries = outcome.value
        self.retries += retries
        self._note(batch, failures)
        if self.progress is not None:
            self.progress(Progress(operation="write", done=self.written + len(self.failed), total=self.total))
        return None

    def settle_or_raise(self) -> Steps[None]:
        error = yield from self.settle()
        if error is not None:
            raise error

    def abandon(self) -> Steps[None]:
        """Wait for what is in flight and note what will not be sent; the first error is the one to raise, not these."""
        while self.in_flight:
            yield from self.settle()
        self.failed.extend(
            WriteFailure(name, "not sent: the write ended before its batch was sent", retryable=True)
            for name in self.pending.documents
        )

    def _fail(self, batch: _Batch, error: BaseException) -> None:
        """Note a batch that failed: only those of its documents that the error names, if it names them."""
        if isinstance(error, errors.BackendError) and error.report is not None:
            self._note(batch, error.report.failed)
            return
        retryable = isinstance(error, errors.BackendError) and error.retryable
        self._note(batch, [WriteFailure(name, str(error), retryable=retryable) for name in batch.documents])

    def _note(self, batch: _Batch, failures: Iterable[WriteFailure]) -> None:
        """Count the documents of a batch that are not among its failures."""
        failures = list(failures)
        refused = {failure.id for failure in failures}
        self.failed.extend(failures)
        self.written += sum(inputs for name, inputs in batch.inputs.items() if name not in refused)


def current(handle: Handle) -> Steps[Handle]:
    """The handle with what the index declares now: another handle may have declared fields since.

    Raises:
        SchemaMismatch: it is another index by now, dropped and created again under the same name.
    """
    if not handle.info.managed:
        return handle
    info, _ = yield from retried(Call("describe_index", (handle.info.name,)), handle.retry)
    old, new = handle.info.spec, info.spec
    if (old.dim, old.dtype, old.normalize) != (new.dim, new.dtype, new.normalize):
        raise errors.SchemaMismatch(
            f"index {new.name!r} was dropped and created again, with dim={new.dim}, {new.dtype.value}, "
            f"normalize={new.normalize}.",
            hint="Open it again.",
            backend=handle.backend,
            index=new.name,
        )
    return replace(handle, info=info)


def write(
    handle: Handle, *, on_error: str = "raise", progress: ProgressCallback | None = None, total: int | None = None
) -> Steps[WriteReport]:
    """Write every document that `Pull` brings.

    Memory is bounded by `max_batch_bytes` times `max_in_flight` plus two. An id is never in two batches at once.

    An `InvalidInput` instead of a document stands for one that could not be made, and counts as a bad document.

    Args:
        handle: where to.
        on_error: "raise" stops at the first bad document; "report" goes on without it.
        progress: called after every batch.
        total: documents in all, where known, for `progress`.

    Raises:
        InvalidInput: a bad document, with "raise"; its batch was not sent, `.report` says what was.
        BackendError: the engine failed for good; `.report` says what was written.
    """
    if on_error not in {"raise", "report"}:
        raise errors.InvalidInput(f"on_error={on_error!r} is not known.", hint='Pass "raise" or "report".')
    handle.require_writable("write")
    state = _Write(handle, on_error, progress, total)
    try:
        while (item := (yield Pull())) is not END:
            try:
                document, size = prepare.prepared_document(item, handle.info)
            except errors.InvalidInput as error:
                state.refuse(_name(item), error)
                continue
            yield from state.add(document, size)
        yield from state.flush()
        while state.in_flight:
            yield from state.settle_or_raise()
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from state.abandon()
        vars(error)["report"] = state.report()  # also on Ctrl-C and on what the caller's own iterable raised
        error.add_note(f"lateint: {state.written} documents had been written.")
        raise
    return state.report()


def document_source(documents: object) -> Any:  # noqa: ANN401
    """What `write` was given, if documents can be drawn from it.

    Raises:
        InvalidInput: a single document, or nothing iterable.
    """
    if isinstance(documents, (Iterable, AsyncIterable)) and not isinstance(documents, (str, bytes, Mapping)):
        return documents
    raise errors.InvalidInput(
        f"write takes an iterable of documents, not a {type(documents).__name__}.",
        hint="Pass a list: write([document]).",
    )


def update_payload(handle: Handle, ids: Iterable[str], changes: Mapping[str, Any]) -> Steps[WriteReport]:
    """Set top-level payload fields of documents without resending their vectors."""
    handle.require_writable("update_payload")
    handle = yield from current(handle)
    handle.info.capabilities.require(Feature.UPDATE_PAYLOAD, backend=handle.backend)
    plain, _ = checked(changes, handle.info.spec.fields, document="(changes)")
    written = 0
    failed: list[WriteFailure] = []
    for chunk in _chunks(checked_ids(ids), IDS_PER_CALL):
        failures = yield from called(handle, "update_payload", chunk, changes=plain)
        failed.extend(failures)
        written += len(chunk) - len(failures)
    return WriteReport(written=written, failed=tuple(failed))


def delete(handle: Handle, ids: Iterable[str] | None, condition: Filter | None) -> Steps[None]:
    """Delete by ids, or by filter."""
    handle.require_writable("delete")
    if (ids is None) == (condition is None):
        raise errors.InvalidInput(
            "delete takes ids or a filter, one of the two.", hint="delete([…]) or delete(filter=…)."
        )
    if condition is not None:
        handle.info.capabilities.require(Feature.DELETE_BY_FILTER, backend=handle.backend)
        yield from called(handle, "delete", handle.filter(condition))
        return
    for chunk in _chunks(checked_ids(ids or ()), IDS_PER_CALL):
        yield from called(handle, "delete", chunk)


def get(handle: Handle, ids: Iterable[str], *, with_vectors: bool) -> Steps[list[Document]]:
    """Documents in the order asked for, missing ones left out."""
    wanted = checked_ids(ids)
    found: dict[str, Document] = {}
    for chunk in _chunks(wanted, DOCUMENTS_PER_CALL if with_vectors else IDS_PER_CALL):
        documents = yield from called(handle, "get", chunk, with_vectors=with_vectors)
        found.update((document.id, document) for document in documents)
    return [as_read(found[name], handle.info) for name in wanted if name in found]


def count_documents(handle: Handle, condition: Filter | None) -> Steps[int]:
    """How many documents pass."""
    number: int = yield from called(handle, "count", handle.filter(condition))
    return number


def search(handle: Handle, requests: Sequence[SearchRequest]) -> Steps[list[SearchResult]]:
    """Answer checked requests, in their order; hits of equal score come in order of id."""
    results: list[SearchResult] = []
    for chunk in _chunks(requests, QUERIES_PER_CALL):
        answers = yield from called(handle, "search", chunk)
        results.extend(map(_ordered, answers))
    return results


def checked_ids(ids: Iterable[str]) -> list[str]:
    """Distinct ids in the order given.

    Raises:
        InvalidInput: one text instead of several ids, or a bad id.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise errors.InvalidInput(f"ids={ids!r} are not several ids.", hint=f"Pass a list: [{ids!r}].")
    return list(dict.fromkeys(map(check_id, ids)))


def _name(item: object) -> str:
    """What to call a document that was refused, whatever it is."""
    name = item.document if isinstance(item, errors.InvalidInput) else getattr(item, "id", item)
    return "(no id)" if name is None else str(name)[:520]


def as_read(document: Document, index: IndexInfo) -> Document:
    """Mark the rows of an index that normalises, or keeps bits, so that another one does not normalise them again."""
    if not index.spec.normalize and index.spec.dtype is not DType.BINARY:
        return document
    return Document(document.id, document.vectors, document.payload, normalized=True)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _ordered(result: SearchResult) -> SearchResult:
    hits = tuple(sorted(result.hits, key=lambda hit: (-hit.score, hit.id)))
    return SearchResult(hits, exact=result.exact, candidates=result.candidates, warnings=result.warnings)
