"""The blocking shell over a server or the client's local mode. `aio.py` is the same with `await`."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

from qdrant_client import QdrantClient
from qdrant_client.connection import get_channel

from lateint import errors
from lateint.engine.backend import Backend, Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.registry import Settings
from lateint.engine.steps import carried_out
from lateint.engine.url import EngineURL, require_nothing
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice
from lateint_qdrant import connection
from lateint_qdrant.calls import Ask, Call, Post, Steps
from lateint_qdrant.connection import Endpoint, Reach
from lateint_qdrant.errors import translated
from lateint_qdrant.place import Place, Speech
from lateint_qdrant.verbs import Verbs

T = TypeVar("T")


def connect(url: EngineURL, settings: Settings) -> QdrantBackend:
    """Open the server that a URL names.

    Raises:
        InvalidURL: it does not name one.
        ConfigurationError: a key would travel unencrypted to another machine.
        ConnectionFailed: nothing answers there.
    """
    endpoint = connection.endpoint(url, settings)
    grpc = endpoint.reach is Reach.GRPC or (endpoint.reach is Reach.AUTO and _answers_grpc(endpoint))
    client = _client(endpoint, grpc=grpc, timeout_s=endpoint.timeout_s)
    try:
        verbs = _verbs(client, endpoint.place(Speech.GRPC if grpc else Speech.REST))
    except BaseException:
        client.close()
        raise
    channel = get_channel(**endpoint.channel_options()) if grpc else None
    return QdrantBackend(client, verbs, channel=channel)


def connect_memory(url: EngineURL, settings: Settings) -> QdrantBackend:
    """A new, empty store in the client's local mode."""
    require_nothing(url)
    client = QdrantClient(":memory:")
    return QdrantBackend(client, _verbs(client, connection.memory(settings)))


def borrow(client: QdrantClient, settings: Settings) -> QdrantBackend:
    """Speak through a client that somebody else made, and will close."""
    verbs = _verbs(client, connection.borrowed(client.init_options, settings))
    return QdrantBackend(client, verbs, owned=False)


class QdrantBackend(Backend):
    """Indexes of a server; see `lateint.engine.backend.Backend` for what each verb means."""

    def __init__(self, client: QdrantClient, verbs: Verbs, *, channel: Any = None, owned: bool = True) -> None:  # noqa: ANN401
        self.name = verbs.place.backend
        self.location = verbs.place.location
        self._client = client
        self._verbs = verbs
        self._channel = channel
        self._owned = owned
        # Payload is read, changed and written: another change in between would be lost.
        self._one_update = threading.Lock()
        # The client's local mode is for one thread.
        self._turn: AbstractContextManager[Any] = threading.RLock() if verbs.local else nullcontext()

    def server_info(self) -> ServerInfo:
        return self._run("server_info", None, self._verbs.server_info())

    def capabilities(self) -> Capabilities:
        return self._verbs.capabilities

    def create_index(self, spec: IndexSpec) -> IndexInfo:
        return self._run("create_index", spec.name, self._verbs.create_index(spec))

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        return self._run("describe_index", name, self._verbs.describe_index(name, vector))

    def list_indexes(self) -> list[str]:
        return self._run("list_indexes", None, self._verbs.list_indexes())

    def update_index(self, index: IndexInfo, *, spec: IndexSpec) -> IndexInfo:
        return self._run("update_index", index.name, self._verbs.update_index(index, spec))

    def drop_index(self, name: str) -> None:
        self._run("drop_index", name, self._verbs.drop_index(name))

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        return self._run("write", index.name, self._verbs.write(index, documents))

    def update_payload(self, index: IndexInfo, ids: Sequence[str], *, changes: Mapping[str, Any]) -> Failures:
        with self._one_update:
            return self._run("update_payload", index.name, self._verbs.update_payload(index, ids, changes))

    def delete(self, index: IndexInfo, target: Sequence[str] | Filter) -> None:
        self._run("delete", index.name, self._verbs.delete(index, target))

    def get(self, index: IndexInfo, ids: Sequence[str], *, with_vectors: bool) -> list[Document]:
        return self._run("get", index.name, self._verbs.get(index, ids, with_vectors=with_vectors))

    def count(self, index: IndexInfo, condition: Filter | None) -> int:
        return self._run("count", index.name, self._verbs.count(index, condition))

    def search(self, index: IndexInfo, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        return self._run("search", index.name, self._verbs.search(index, requests))

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
        steps = self._verbs.scan(
            index, cursor=cursor, limit=limit, condition=condition, with_vectors=with_vectors, part=part
        )
        return self._run("scan", index.name, steps)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._owned:
            self._client.close()

    def _run(self, operation: str, index: str | None, steps: Steps[T]) -> T:
        translating = partial(translated, operation, index, backend=self.name, secret=self._verbs.place.secret)
        return carried_out(steps, self._sent, translating)

    def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Ask(method, arguments):
                with self._turn:
                    return call.read(getattr(self._client, method)(**arguments))
            case Post():
                return call.read(self._posted(call, call.timeout_s or self._verbs.place.timeout_s))

    def _posted(self, call: Post, timeout_s: float) -> Any:  # noqa: ANN401
        if self._channel is None:  # the stub of a borrowed client takes a message, and serialises it once more
            return getattr(self._client.grpc_points, call.method)(
                call.request.FromString(call.message), timeout=timeout_s
            )
        send = self._channel.unary_unary(f"/qdrant.Points/{call.method}", None, call.reply.FromString)
        return send(call.message, timeout=timeout_s)


def _verbs(client: QdrantClient, place: Place) -> Verbs:
    with translated("connect", backend=place.backend, secret=place.secret, location=place.location):
        version = client.info().version
    return connection.verbs(place, version)


def _client(endpoint: Endpoint, *, grpc: bool, timeout_s: float) -> QdrantClient:
    with translated("connect", backend=endpoint.scheme, secret=endpoint.api_key), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a key without TLS, which has been decided on
        return QdrantClient(**endpoint.client_options(grpc=grpc, timeout_s=timeout_s))


def _answers_grpc(endpoint: Endpoint) -> bool:
    client = _client(endpoint, grpc=True, timeout_s=endpoint.probe_s)
    try:
        with translated("connect", backend=endpoint.scheme, secret=endpoint.api_key):
            client.info()
    except (errors.AuthenticationFailed, errors.PermissionDenied):
        return True
    except errors.BackendError:
        return False
    finally:
        client.close()
    return True
