"""The blocking client: `connect(url)` gives a `Client`, which gives `Index`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, Self, TypeVar

from lateint import errors
from lateint.engine import indexes, pipelines, registry, scan
from lateint.engine.backend import Backend, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.drive import Call, Steps, run
from lateint.engine.pipelines import Handle, ProgressCallback
from lateint.engine.prepare import prepared_searches
from lateint.engine.retry import RetryPolicy
from lateint.filters import Filter
from lateint.spec import FieldType, IndexSpec
from lateint.types import Document, SearchResult, ServerInfo, Slice, WriteReport

T = TypeVar("T")

READ_ONLY = "the client was opened with read_only=True"
ADOPTED = "lateint did not create it and it was opened without write=True"


def connect(
    target: str | object,
    *,
    api_key: str | None = None,
    timeout_s: float = 60.0,
    read_only: bool = False,
    retry: RetryPolicy | None = None,
) -> Client:
    """Open the engine that a URL names, or use a client of it.

    Args:
        target: `engine[+variant]://host[:port][?option=value]` or `engine[+variant]:///folder`, never with a key in it;
            or a client of the engine that exists already, which is used and never closed.
        api_key: a key, where the engine takes one.
        timeout_s: seconds for one call.
        read_only: refuse every verb that writes, before anything is sent.
        retry: when to try again; the default policy if left out.

    Returns:
        A client; use it as a context manager, or close it.

    Raises:
        InvalidURL: the URL or an option in it is wrong.
        UnknownBackend: no installed plugin answers to its scheme.
        ConfigurationError: an object that is no client which a plugin knows.
        MissingDependency: the engine's client is not installed.
        ConnectionFailed: nothing answers there.
    """
    settings = registry.Settings(timeout_s=checked_timeout(timeout_s), api_key=api_key)
    return Client(registry.connect(target, settings), read_only=read_only, retry=retry or RetryPolicy())


class Client:
    """A connection to one engine. Made by `connect`."""

    def __init__(self, backend: Backend, *, read_only: bool = False, retry: RetryPolicy | None = None) -> None:
        self._backend = backend
        self._read_only = READ_ONLY if read_only else ""
        self._retry = retry or RetryPolicy()
        self._closed = False

    def __repr__(self) -> str:
        return f"<lateint.Client {self._backend.location}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def server_info(self) -> ServerInfo:
        """Engine, version and location."""
        info: ServerInfo = self._called("server_info")
        return info

    def capabilities(self) -> Capabilities:
        """What an index created here could do; `Index.capabilities` tells for one that exists."""
        capabilities: Capabilities = self._called("capabilities")
        return capabilities

    def create_index(self, spec: IndexSpec) -> Index:
        """Create an index and return its handle.

        Raises:
            IndexExists: there is one of that name.
            UnsupportedFeature: the engine cannot hold it.
            PermissionDenied: the client is read-only.
        """
        steps = indexes.create(spec, backend=self._backend.name, read_only=self._read_only)
        return self._index(self._run(steps), write=True)

    def open(
        self,
        name: str,
        *,
        vector: str | None = None,
        fields: Mapping[str, FieldType | str] | None = None,
        write: bool = False,
    ) -> Index:
        """Open an index that exists.

        Args:
            name: its name.
            vector: which multi-vector, where an index that lateint did not create has several.
            fields: filterable fields to declare for this handle on an index that lateint did not create.
            write: allow writing to an index that lateint did not create.

        Raises:
            IndexNotFound: there is none of that name.
            SchemaMismatch: it holds no multi-vector, or several and none was chosen.
        """
        steps = indexes.describe(name, vector=vector, fields=fields, retry=self._retry)
        return self._index(self._run(steps), write=write)

    def list_indexes(self) -> list[str]:
        """Names of all indexes, sorted."""
        names: list[str] = self._called("list_indexes")
        return names

    def drop_index(self, name: str) -> None:
        """Delete an index and everything in it.

        Raises:
            IndexNotFound: there is none of that name.
            PermissionDenied: the client is read-only.
        """
        pipelines.check_writable(self._read_only, operation="drop_index", backend=self._backend.name, index=name)
        self._run(indexes.drop(name))

    def close(self) -> None:
        """Release connections, files and locks. A second call does nothing."""
        self._closed = True
        self._backend.close()

    def _called(self, verb: str) -> Any:  # noqa: ANN401
        return self._run(pipelines.retried(Call(verb), self._retry))[0]

    def _run(self, steps: Steps[T], *, source: Iterable[Any] = (), workers: int = 1) -> T:
        check_open(closed=self._closed, location=self._backend.location)
        return run(steps, self._backend, source=source, workers=workers)

    def _index(self, info: IndexInfo, *, write: bool) -> Index:
        read_only = self._read_only or check_adopted(info, write=write)
        return Index(self, Handle(backend=self._backend.name, info=info, retry=self._retry, read_only=read_only))


class Index:
    """One index of a client. Made by `Client.create_index` and `Client.open`; may be used from several threads."""

    def __init__(self, client: Client, handle: Handle) -> None:
        self._client = client
        self._handle = handle

    def __repr__(self) -> str:
        return f"<lateint.Index {self.name!r} of {self._client!r}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._handle.info.name

    @property
    def spec(self) -> IndexSpec:
        """What it is, in neutral words."""
        return self._handle.info.spec

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked of it."""
        return self._handle.info.capabilities

    @property
    def info(self) -> IndexInfo:
        """All that was found out about it on opening."""
        return self._handle.info

    def write(
        self,
        documents: Iterable[Document],
        *,
        on_error: str = "raise",
        progress: ProgressCallback | None = None,
    ) -> WriteReport:
        """Write documents, replacing those of the same id; streams in bounded memory.

        Each document is checked before its batch is sent. An id that comes twice: the last one wins.

        Args:
            documents: any iterable; it is consumed once, while earlier batches are on their way.
            on_error: "raise" stops at the first bad document; "report" leaves it out and goes on.
            progress: called after every batch.

        Returns:
            What was acknowledged and what was refused. Acknowledged documents are durable and found by the next search.

        Raises:
            InvalidInput: a bad document; nothing of its batch was sent, and `.report` says what had been written.
            BackendError: the engine failed for good; `.report` says what had been written.
        """
        total = len(documents) if isinstance(documents, Sized) else None
        return self._write(documents, on_error=on_error, progress=progress, total=total)

    def _write(
        self,
        documents: Iterable[Document | errors.InvalidInput],
        *,
        on_error: str,
        progress: ProgressCallback | None,
        total: int | None,
    ) -> WriteReport:
        """As `write`; an error stands for a document that could not be made."""
        steps = pipelines.write(self._handle, on_error=on_error, progress=progress, total=total)
        return self._run(steps, source=pipelines.document_source(documents), workers=self.capabilities.max_in_flight)

    def update_payload(self, ids: Iterable[str], changes: Mapping[str, Any]) -> WriteReport:
        """Set top-level payload fields of documents, leaving vectors and other fields alone.

        Args:
            ids: which documents.
            changes: fields and their new values; None stores null.

        Returns:
            How many were updated; those that do not exist are among `failed`.

        Raises:
            PayloadTypeError: a value that cannot be kept, or not of its field's type.
        """
        return self._run(pipelines.update_payload(self._handle, ids, changes))

    def delete(self, ids: Iterable[str] | None = None, *, filter: Filter | None = None) -> None:  # noqa: A002
        """Delete documents by id or by filter; ids that are not there are no error.

        Raises:
            InvalidInput: neither or both were given.
        """
        self._run(pipelines.delete(self._handle, ids, filter))

    def get(self, ids: Iterable[str], *, with_vectors: bool = False) -> list[Document]:
        """Documents by id, in the order asked for; missing ones are left out."""
        return self._run(pipelines.get(self._handle, ids, with_vectors=with_vectors))

    def count(self, filter: Filter | None = None) -> int:  # noqa: A002
        """How many documents there are, or pass a filter; exact."""
        return self._run(pipelines.count_documents(self._handle, filter))

    def search(
        self,
        query: Any,  # noqa: ANN401 - whatever as_multivector takes
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002
        exact: bool | None = None,
        payload: bool | Iterable[str] = True,
        with_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> SearchResult:
        """The `k` documents with the highest MaxSim, scored by the engine itself.

        Args:
            query: shape (rows, dim); normalised as documents are.
            k: how many hits, from 1 to `capabilities.max_k`.
            filter: only documents that pass.
            exact: True for a full scan, False for the engine's approximation; None for exact where it can be had.
            payload: True for all, False for none, or the top-level fields wanted.
            with_vectors: return the stored rows of each hit.
            timeout_s: seconds for this search.

        Returns:
            Hits, best first; whether the search was exact; what to know about the scores.

        Raises:
            InvalidInput: a bad query, `k`, filter or field.
            UnsupportedFeature: the index cannot answer this.
            PartialResult: the engine answered for a part of the index only.
        """
        return self.search_many(
            [query], k, filter=filter, exact=exact, payload=payload, with_vectors=with_vectors, timeout_s=timeout_s
        )[0]

    def search_many(
        self,
        queries: Iterable[Any],
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002
        exact: bool | None = None,
        payload: bool | Iterable[str] = True,
        with_vectors: bool = False,
        timeout_s: float | None = None,
    ) -> list[SearchResult]:
        """As `search`, for several queries, in the engine's own batch where it has one; results in their order."""
        requests = prepared_searches(
            queries,
            self._handle.info,
            backend=self._handle.backend,
            k=k,
            condition=filter,
            exact=exact,
            payload=payload,
            with_vectors=with_vectors,
            timeout_s=timeout_s,
        )
        return self._run(pipelines.search(self._handle, requests))

    def scan(
        self,
        *,
        with_vectors: bool = False,
        filter: Filter | None = None,  # noqa: A002
        part: Slice | None = None,
        cursor: str | None = None,
    ) -> Scan:
        """Every document, in the engine's own stable order, page by page.

        Args:
            with_vectors: read the stored rows too.
            filter: only documents that pass.
            part: only this slice of the index, so that several workers can read it side by side, each a slice of its
                own. Where an engine has them: `Feature.SCAN_SLICES in index.capabilities.features`.
            cursor: go on from the `.cursor` of an earlier scan, also in another process.

        Returns:
            An iterator with a `.cursor`. Each document that is there throughout comes at least once; it is no snapshot.

        Raises:
            InvalidInput: a cursor of another index, slice or filter.
            UnsupportedFeature: the index cannot be scanned like that.
        """
        state = scan.start(self._handle, condition=filter, with_vectors=with_vectors, cursor=cursor, part=part)
        return Scan(self, state)

    def update(
        self,
        *,
        fields: Mapping[str, FieldType | str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        encoder: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare more filterable fields, replace the metadata, or bind the encoder of an index that has none.

        Declaring a field reads every document's payload once to check it and once to make it ready; filters on the
        field are refused until that is done. A call that was cut short is finished by calling again. Declare between
        ingests: a batch of another process that is on its way meanwhile may be missed.

        Raises:
            PayloadTypeError: a document holds a value of another type under that name; nothing was changed.
            EncoderMismatch: another encoder is bound.
        """
        info = self._run(indexes.update(self._handle, fields=fields, metadata=metadata, encoder=encoder))
        self._handle = indexes.with_info(self._handle, info)

    def _run(self, steps: Steps[T], *, source: Iterable[Any] = (), workers: int = 1) -> T:
        return self._client._run(steps, source=source, workers=workers)  # noqa: SLF001 - the two are one unit


class Scan(Iterator[Document]):
    """Documents of an index, one after the other. Made by `Index.scan`."""

    def __init__(self, index: Index, state: scan.ScanState) -> None:
        self._index = index
        self._state = state

    @property
    def cursor(self) -> str:
        """Where another scan goes on: at the start of the page of the document yielded last."""
        return self._state.cursor

    def __next__(self) -> Document:
        state = self._state
        if not state.buffer:
            self._index._run(state.fetch())  # noqa: SLF001 - the two are one unit
        if not state.buffer:
            raise StopIteration
        return state.buffer.popleft()


def checked_timeout(timeout_s: float) -> float:
    """Return it if it is a time.

    Raises:
        ConfigurationError: zero, negative or NaN.
    """
    if not isinstance(timeout_s, (int, float)) or not timeout_s > 0:
        raise errors.ConfigurationError(f"timeout_s={timeout_s!r} is not a time.", hint="Pass seconds above 0.")
    return timeout_s


def check_open(*, closed: bool, location: str) -> None:
    """Refuse a verb of a closed client.

    Raises:
        ConfigurationError: it is closed.
    """
    if closed:
        raise errors.ConfigurationError(f"the client of {location} is closed.", hint="Connect again.")


def check_adopted(info: IndexInfo, *, write: bool) -> str:
    """Why an index that lateint did not create may not be written to; empty if it may.

    Raises:
        UnsupportedFeature: writing was asked for and would lose something.
    """
    if info.managed:
        return ""
    if write and not info.writable:
        raise errors.UnsupportedFeature(
            f"writing to index {info.name!r} would lose {', '.join(info.not_carried)}.",
            hint="Copy it into an index of its own, or write with the engine's own client.",
        )
    return "" if write else ADOPTED
