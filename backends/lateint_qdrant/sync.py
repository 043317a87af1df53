"""The blocking shell over a server or the client's local mode. `aio.py` is the same with `await`."""

from __future__ import annotations

import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from qdrant_client import QdrantClient
from qdrant_client.connection import get_channel

from lateint import errors
from lateint.engine.registry import Settings
from lateint.engine.shells import Shell
from lateint.engine.url import EngineURL, require_nothing
from lateint_qdrant import connection
from lateint_qdrant.calls import Ask, Call, Post
from lateint_qdrant.connection import Endpoint, Reach
from lateint_qdrant.errors import translated
from lateint_qdrant.place import Place, Speech
from lateint_qdrant.verbs import Verbs


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


class QdrantBackend(Shell):
    """Indexes of a server; see `lateint.engine.backend.Backend` for what each verb means."""

    def __init__(self, client: QdrantClient, verbs: Verbs, *, channel: Any = None, owned: bool = True) -> None:  # noqa: ANN401
        super().__init__(verbs, translated=translated, secret=verbs.place.secret)
        self._client = client
        self._timeout_s = verbs.place.timeout_s
        self._channel = channel
        self._owned = owned
        # The client's local mode is for one thread.
        self._turn: AbstractContextManager[Any] = threading.RLock() if verbs.local else nullcontext()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._owned:
            self._client.close()

    def _sent(self, call: Call) -> Any:  # noqa: ANN401
        match call:
            case Ask(method, arguments):
                with self._turn:
                    return call.read(getattr(self._client, method)(**arguments))
            case Post():
                return call.read(self._posted(call, call.timeout_s or self._timeout_s))

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
