"""The blocking shell over a server. `aio.py` is the same with `await`."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
import httpx

from lateint import errors
from lateint.engine.backend import Backend, Failures, IndexInfo
from lateint.engine.capabilities import Capabilities
from lateint.engine.registry import Settings
from lateint.engine.steps import carried_out
from lateint.engine.url import EngineURL
from lateint.filters import Filter
from lateint.spec import IndexSpec
from lateint.types import Document, Page, SearchRequest, SearchResult, ServerInfo, Slice
from lateint_weaviate import connection, schema, wire
from lateint_weaviate.calls import Call, Http, Pause, Rpc, Steps
from lateint_weaviate.connection import Endpoint, Session
from lateint_weaviate.errors import translated
from lateint_weaviate.protocol import health_weaviate_pb2

T = TypeVar("T")


def connect(url: EngineURL, settings: Settings) -> WeaviateBackend:
    """Open the server that a URL names.

    Raises:
        InvalidURL: it does not name one.
        ConfigurationError: a key that cannot be sent, or that would travel unencrypted to another machine.
        AuthenticationFailed: the server wants a key, or another one.
        ConnectionFailed: nothing answers there, or not over gRPC.
    """
    wire.probe()
    place = connection.endpoint(url, settings)
    own = Own(place)
    try:
        with translated("connect", backend=place.scheme, secret=place.api_key):
            meta = own.http(connection.META)
        session = connection.session(
            backend=place.scheme,
            location=place.location,
            meta=meta,
            timeout_s=place.timeout_s,
            key="none" if place.api_key is None else "yes",
            secret=place.api_key,
        )
        own.open_grpc(connection.message_bytes(meta))
    except BaseException:
        own.close()
        raise
    return WeaviateBackend(own, session)


def borrow(client: Any, settings: Settings) -> WeaviateBackend:  # noqa: ANN401
    """Speak through a client that somebody else made, and will close."""
    wire.probe()
    lent = Lent(client._connection)  # noqa: SLF001 - it offers no other way to its interfaces
    backend, location = connection.borrowed(lent.connection)
    with translated("connect", backend=backend):
        meta = lent.http(connection.META)
    session = connection.session(
        backend=backend, location=location, meta=meta, timeout_s=settings.timeout_s, key="the client's own"
    )
    return WeaviateBackend(lent, session)


class Way(ABC):
    """How calls reach a server."""

    @abstractmethod
    def http(self, call: Http) -> Any:  # noqa: ANN401
        """Make a request of the REST interface."""

    @abstractmethod
    def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        """Make a call of the gRPC service."""

    @abstractmethod
    def close(self) -> None:
        """Close what is its own."""


class Own(Way):
    """Over connections of our own."""

    def __init__(self, place: Endpoint) -> None:
        self._place = place
        self._http = httpx.Client(**place.http_options())
        self._channel: grpc.Channel | None = None

    def open_grpc(self, most_bytes: int) -> None:
        """Open the channel and see whether anybody answers.

        Raises:
            ConnectionFailed: nobody does.
        """
        options = self._place.channel_options(most_bytes)
        if self._place.tls:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(self._place.grpc_target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(self._place.grpc_target, options)
        health = self._channel.unary_unary(
            connection.HEALTH, connection.serialised, health_weaviate_pb2.WeaviateHealthCheckResponse.FromString
        )
        request = health_weaviate_pb2.WeaviateHealthCheckRequest()
        for last in (False, True):  # a server that has just started may close the first connection
            try:
                with translated("connect", backend=self._place.scheme, secret=self._place.api_key):
                    reply = health(request, timeout=self._place.probe_s)
                break
            except errors.BackendError as error:  # a proxy on the way may give any answer
                if last or isinstance(error, errors.Timeout):
                    raise connection.unreachable_grpc(error, self._place) from error
        connection.check_serving(reply, self._place.grpc_target)

    def http(self, call: Http) -> Any:  # noqa: ANN401
        reply = self._http.request(**connection.arguments(call))
        return connection.answer(reply.status_code, reply.content, reply.json)

    def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        assert self._channel is not None
        send = self._channel.unary_unary(
            f"{connection.SERVICE}/{call.method}", connection.serialised, call.reply.FromString
        )
        return send(call.message, timeout=timeout_s, metadata=self._place.metadata)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._http.close()


class Lent(Way):
    """Over those of a client that somebody else made."""

    def __init__(self, connection_: Any) -> None:  # noqa: ANN401
        self.connection = connection_

    def http(self, call: Http) -> Any:  # noqa: ANN401
        reply = getattr(self.connection, call.method.lower())(**connection.lent_arguments(call))
        return connection.answer(reply.status_code, reply.content, reply.json)

    def rpc(self, call: Rpc, timeout_s: float) -> Any:  # noqa: ANN401
        send = getattr(self.connection.grpc_stub, call.method)
        return send(connection.parsed(call), timeout=timeout_s, metadata=self.connection.grpc_headers())

    def close(self) -> None:
        """It is not ours."""


class WeaviateBackend(Backend):
    """Indexes of a server; see `lateint.engine.backend.Backend` for what each verb means."""

    def __init__(self, way: Way, session: Session) -> None:
        self.name = session.backend
        self.location = session.location
        self._way = way
        self._session = session
        self._verbs = session.verbs
        self._one_update = threading.Lock()

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
        self._way.close()

    def _run(self, operation: str, index: str | None, steps: Steps[T]) -> T:
        translating = partial(translated, operation, index, backend=self.name, secret=self._session.secret)
        return carried_out(steps, self._sent, translating)

    def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Http():
                return self._way.http(call)
            case Pause(seconds):
                return time.sleep(seconds)
            case Rpc():
                return call.read(self._way.rpc(call, call.timeout_s or self._session.timeout_s))
