"""Qdrant's engine inside the process: `qdrant+edge:///folder`.

Four things to know of it:

- It holds the interpreter lock during a call: threads gain nothing, and an event loop stands still while it searches or
  writes. Many queries are therefore sent a few at a time.
- It lets in one client per index at a time, across processes; describing and listing indexes work regardless. A forked
  child has to connect anew.
- Its log alone survives the death of the process, not of the machine. Every change therefore ends with a flush, which
  on a slow disk takes longer than the rest: large batches pay.
- It reclaims the space of deleted documents only when told. `close` tells it, if there is room to do so.

`timeout_s` has no effect: a call cannot be broken off.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

import qdrant_edge as edge

from lateint import errors
from lateint.engine import guard
from lateint.engine.backend import Backend, Failures, IdMode, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL, require_folder
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice, WriteFailure
from lateint.vectors import MultiVector
from lateint_qdrant import edge_wire as wire
from lateint_qdrant import schema, translate
from lateint_qdrant.edge_folder import Folder, Lock
from lateint_qdrant.errors import translated

_QUERIES_AT_ONCE = 8
"""Queries that share one pass over the vectors, which saves up to a tenth, before other threads get a turn."""

_PER_DELETION = 8
"""Bytes of payload that a deletion counts for (measured: 55 bytes of disk)."""


def connect(url: EngineURL, settings: Settings) -> EdgeBackend:  # noqa: ARG001 - none of them concern a folder
    """Open the folder that a URL names, which need not exist yet.

    Raises:
        InvalidURL: it names no folder, or a file.
    """
    folder = require_folder(url)
    if folder.exists() and not folder.is_dir():
        raise errors.InvalidURL(f"{url} names a file.", hint="Name a folder; the first index creates it.")
    return EdgeBackend(folder)


class _Opened(NamedTuple):
    """An open index."""

    shard: edge.EdgeShard
    lock: Lock

    def close(self) -> None:
        try:
            self.shard.close()
        finally:
            self.lock.close()


class EdgeBackend(Backend):
    """Indexes of the in-process engine in one folder; see `lateint.engine.backend.Backend` for what each verb means."""

    name = schema.EDGE

    def __init__(self, folder: Path) -> None:
        self.location = str(folder)
        self._folder = Folder(folder)
        self._open: dict[str, _Opened] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._forked = False
        _BACKENDS.add(self)

    def server_info(self) -> ServerInfo:
        return ServerInfo(engine=schema.ENGINE, version=metadata.version("qdrant-edge-py"), location=self.location)

    def capabilities(self) -> Capabilities:
        return schema.EDGE_CAPABILITIES

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        config = wire.config(spec)
        with self._verb("create_index", spec.name):
            self._folder.require_space(fields=_indexed(spec))
            with self._folder.creating(spec) as path:
                self._forget(spec.name)  # one that somebody has removed underneath
                shard = edge.EdgeShard.create(str(path), config)
                try:
                    _add_payload_indexes(shard, spec)
                finally:
                    shard.close()
        return _info(spec)

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        with self._verb("describe_index", name):
            spec = self._folder.read(name)
            if vector not in {None, schema.VECTOR}:
                raise errors.SchemaMismatch(
                    f"index {name!r} has no multi-vector {vector!r}.", hint=f"Its only one is {schema.VECTOR!r}."
                )
        return _info(spec)

    def list_indexes(self) -> list[str]:
        with self._verb("list_indexes"):
            return self._folder.names()

    def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        with self._shard("update_index", index) as shard:
            self._folder.require_space(fields=_indexed(spec) - _indexed(index.spec))
            _add_payload_indexes(shard, spec)
            self._folder.write(spec)
        return _info(spec)

    def drop_index(self, name: str) -> None:
        with self._verb("drop_index", name):
            self._folder.require(name)
            self._forget(name)
            self._folder.drop(name)

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        for document in documents:
            _check(document.vectors, index, document.id)
        operation, payload = wire.upsert(documents, index.spec)
        vectors = sum(document.vectors.nbytes for document in documents)
        with self._shard("write", index) as shard:
            self._folder.require_space(vectors=vectors, payload=payload)
            shard.update(operation)
            shard.flush()
        return ()

    def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        missing = {schema.point_id(document): document for document in ids}
        updated = {}
        with self._shard("update_payload", index) as shard:
            for record in shard.retrieve(list(missing), True, False):  # noqa: FBT003 - the engine's own signature
                document, payload = translate.restored(record.payload, index.spec.fields)
                updated[record.id] = translate.stored(document, {**payload, **changes}, index.spec.fields)
                missing.pop(schema.point_id(document))
            self._folder.require_space(payload=sum(map(wire.size, updated.values())))
            for point, stored in updated.items():
                shard.update(edge.UpdateOperation.overwrite_payload([point], stored))
            shard.flush()
        return tuple(WriteFailure(document, "no document has this id.") for document in missing.values())

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        operation = wire.delete(target, index.spec)
        with self._shard("delete", index) as shard:
            points = shard.info().points_count if isinstance(target, Filter) else len(target)
            self._folder.require_space(payload=points * _PER_DELETION)
            shard.update(operation)
            shard.flush()

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        points = [schema.point_id(document) for document in ids]
        with self._shard("get", index) as shard:
            records = shard.retrieve(list(points), True, with_vectors)  # noqa: FBT003 - the engine's own signature
        return [wire.document(record, index.spec) for record in records]

    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        request = edge.CountRequest(exact=True, filter=wire.condition(condition, index.spec))
        with self._shard("count", index) as shard:
            return shard.count(request)

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        for request in requests:
            _check(request.query, index, None)
        queries = [wire.query(request, index.spec) for request in requests]
        answers: list[list[edge.ScoredPoint]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            batch = edge.QueryBatchRequest(queries[start : start + _QUERIES_AT_ONCE])
            with self._shard("search", index) as shard:
                answers += shard.query_batch(batch)
        return [
            SearchResult(tuple(wire.hit(point, request, index.spec) for point in points), exact=True)
            for request, points in zip(requests, answers, strict=True)
        ]

    def scan(
        self,
        index: IndexInfo,
        *,
        cursor: str | None,
        limit: int,
        condition: Filter | None,
        with_vectors: bool,
        part: Slice | None = None,
    ) -> Page:
        request = edge.ScrollRequest(
            offset=None if cursor is None else wire.point(cursor),
            limit=limit,
            filter=wire.condition(condition, index.spec, part),
            with_payload=True,
            with_vector=with_vectors,
        )
        with self._shard("scan", index) as shard:
            records, following = shard.scroll(request)
        documents = tuple(wire.document(record, index.spec) for record in records)
        return Page(documents, None if following is None else str(following))

    def close(self) -> None:
        with self._lock, ExitStack() as stack:
            self._closed = True
            for name in list(self._open):
                stack.callback(self._shut, name)

    @contextmanager
    def _verb(self, operation: str, index: str | None = None) -> Iterator[None]:
        """One verb at a time: the engine would hold the interpreter lock anyway."""
        with self._lock, translated(operation, index):
            if self._forked:
                raise errors.ConnectionFailed(
                    "this client had an index open when the process forked; the engine cannot be shared.",
                    hint="Connect again in this process.",
                    retryable=False,
                )
            if self._closed:
                raise errors.ConnectionFailed("this client has been closed.", hint="Connect again.", retryable=False)
            yield

    @contextmanager
    def _shard(self, operation: str, index: IndexInfo) -> Iterator[edge.EdgeShard]:
        """The shard of an index, opened at its first use and whenever its folder has been replaced."""
        with self._verb(operation, index.name):
            if not self._holds(index.name):
                self._forget(index.name)
                self._open[index.name] = self._opened(index)
            yield self._open[index.name].shard

    def _opened(self, index: IndexInfo) -> _Opened:
        with ExitStack() as undo:
            lock = self._folder.lock(index.name)
            undo.callback(lock.close)
            self._folder.require_space(fields=_indexed(index.spec), log=True)
            opened = _Opened(edge.EdgeShard.load(str(self._folder.shard(index.name))), lock)
            undo.pop_all()
        return opened

    def _holds(self, name: str) -> bool:
        return name in self._open and self._open[name].lock.holds()

    def _forget(self, name: str) -> None:
        """Close an index that is gone or going: nothing that goes wrong matters any more."""
        with suppress(errors.BackendError), translated("close", name):
            if name in self._open:
                self._open.pop(name).close()

    def _shut(self, name: str) -> None:
        if self._holds(name):
            with translated("close", name), closing(self._open.pop(name)) as opened:
                if self._folder.has_space_to_rewrite(name):
                    opened.shard.optimize()
                opened.shard.flush()
        self._forget(name)

    def _disinherit(self) -> None:
        """In a forked child, leave to its parent what is open.

        The engine flushes shards that are forgotten, over what the parent has written since: keep them.
        """
        self._lock = threading.RLock()  # a thread that is no more may have held it
        opened, self._open, self._forked = self._open, {}, self._forked or bool(self._open)
        for name, (shard, _lock) in opened.items():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(shard))
            with suppress(OSError):  # its folder is gone
                self._folder.disown(name)


_BACKENDS: WeakSet[EdgeBackend] = WeakSet()


def _disinherit() -> None:
    for backend in list(_BACKENDS):
        backend._disinherit()  # noqa: SLF001 - its own module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disinherit)


def _check(vectors: MultiVector, index: IndexInfo, document: str | None) -> None:
    """One ragged matrix would make the engine crash at every later opening of the folder."""
    guard.check(vectors, index.spec, engine="Qdrant", document=document, max_values=schema.MAX_VALUES)


def _info(spec: IndexSpec) -> IndexInfo:
    return IndexInfo(spec=spec, capabilities=schema.EDGE_CAPABILITIES, id_mode=IdMode.MAPPED)


def _add_payload_indexes(shard: edge.EdgeShard, spec: IndexSpec) -> None:
    known = shard.info().payload_schema
    for name, kind in schema.payload_indexes(spec.fields).items():
        if name not in known:
            shard.update(wire.create_payload_index(name, kind))
    shard.flush()


def _indexed(spec: IndexSpec) -> int:
    return len(schema.payload_indexes(spec.fields))
