"""The blocking shell over a server or the client's local mode. `aio.py` is the same with `await`."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from qdrant_client import QdrantClient
from qdrant_client.connection import get_channel

from lateint import errors
from lateint.engine.backend import Backend, Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL, require_nothing
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo
from lateint_qdrant import connection, schema
from lateint_qdrant.calls import Ask, Call, Post, Steps
from lateint_qdrant.connection import Endpoint, Reach, Session
from lateint_qdrant.errors import translated

T = TypeVar("T")


def connect(url: EngineURL, settings: Settings) -> QdrantBackend:
    """Open the server that a URL names.

    Raises:
        InvalidURL: it does not name one.
        ConfigurationError: a key would travel unencrypted to another machine.
        ConnectionFailed: nothing answers there.
    """
    place = connection.endpoint(url, settings)
    grpc = place.reach is Reach.GRPC or (place.reach is Reach.AUTO and _answers_grpc(place))
    client = _client(place, grpc=grpc, timeout_s=place.timeout_s)
    try:
        with translated("connect", backend=place.scheme, secret=place.api_key, location=place.location):
            version = client.info().version
        session = connection.session(
            backend=place.scheme,
            location=place.location,
            version=version,
            timeout_s=place.timeout_s,
            grpc=grpc,
            secret=place.api_key,
        )
    except BaseException:
        client.close()
        raise
    return QdrantBackend(client, session, channel=get_channel(**place.channel_options()) if grpc else None)


def connect_memory(url: EngineURL, settings: Settings) -> QdrantBackend:
    """A new, empty store in the client's local mode."""
    require_nothing(url)
    client = QdrantClient(":memory:")
    session = connection.session(
        backend=schema.MEMORY,
        location=f"{schema.MEMORY}://",
        version=client.info().version,
        timeout_s=settings.timeout_s,
        local=True,
    )
    return QdrantBackend(client, session)


def borrow(client: QdrantClient, settings: Settings) -> QdrantBackend:
    """Speak through a client that somebody else made, and will close."""
    backend, location, grpc, local = connection.borrowed(client.init_options)
    secret = client.init_options.get("api_key")
    with translated("connect", backend=backend, secret=secret, location=location):
        version = client.info().version
    session = connection.session(
        backend=backend,
        location=location,
        version=version,
        timeout_s=settings.timeout_s,
        grpc=grpc,
        local=local,
        secret=secret,
    )
    return QdrantBackend(client, session, owned=False)


class QdrantBackend(Backend):
    """Indexes of a server; see `lateint.engine.backend.Backend` for what each verb means."""

    def __init__(self, client: QdrantClient, session: Session, *, channel: Any = None, owned: bool = True) -> None:  # noqa: ANN401
        self.name = session.backend
        self.location = session.location
        self._client = client
        self._session = session
        self._verbs = session.verbs
        self._channel = channel
        self._owned = owned
        self._one_update = threading.Lock()
        # The client's local mode is for one thread.
        self._turn: AbstractContextManager[Any] = threading.RLock() if session.verbs.local else nullcontext()

    def server_info(self) -> ServerInfo:
        version = self._run("server_info", None, self._verbs.server_version())
        return ServerInfo(engine=schema.ENGINE, version=version, location=self.location, details=self._session.details)

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
        self, index: IndexInfo, *, cursor: str | None, limit: int, condition: Filter | None, with_vectors: bool
    ) -> Page:
        steps = self._verbs.scan(index, cursor=cursor, limit=limit, condition=condition, with_vectors=with_vectors)
        return self._run("scan", index.name, steps)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._owned:
            self._client.close()

    def _run(self, operation: str, index: str | None, steps: Steps[T]) -> T:
        """Carry out a verb; it learns of errors in the words of lateint."""
        with translated(operation, index, backend=self.name, secret=self._session.secret):
            try:
                call = next(steps)
                while True:
                    try:
                        with translated(operation, index, backend=self.name, secret=self._session.secret):
                            reply = call.read(self._sent(call))
                    except errors.LateintError as error:
                        call = steps.throw(error)
                    else:
                        call = steps.send(reply)
            except StopIteration as stop:
                result: T = stop.value
                return result

    def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Ask(method, arguments):
                with self._turn:
                    return getattr(self._client, method)(**arguments)
            case Post():
                return self._posted(call, call.timeout_s or self._session.timeout_s)

    def _posted(self, call: Post, timeout_s: float) -> Any:  # noqa: ANN401
        if self._channel is None:  # the stub of a borrowed client takes a message, and serialises it once more
            return getattr(self._client.grpc_points, call.method)(
                call.request.FromString(call.message), timeout=timeout_s
            )
        send = self._channel.unary_unary(f"/qdrant.Points/{call.method}", None, call.reply.FromString)
        return send(call.message, timeout=timeout_s)


def _client(place: Endpoint, *, grpc: bool, timeout_s: float) -> QdrantClient:
    with translated("connect", backend=place.scheme, secret=place.api_key), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a key without TLS, which has been decided on
        return QdrantClient(**place.client_options(grpc=grpc, timeout_s=timeout_s))


def _answers_grpc(place: Endpoint) -> bool:
    client = _client(place, grpc=True, timeout_s=place.probe_s)
    try:
        with translated("connect", backend=place.scheme, secret=place.api_key):
            client.info()
    except (errors.AuthenticationFailed, errors.PermissionDenied):
        return True
    except errors.BackendError:
        return False
    finally:
        client.close()
    return True
