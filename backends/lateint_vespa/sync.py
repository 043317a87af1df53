"""The shell: how the steps of the verbs are carried out, over connections of our own."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from lateint.engine.registry import Settings
from lateint.engine.shells import Shell
from lateint.engine.steps import carried_out
from lateint.engine.url import EngineURL
from lateint_vespa import connection
from lateint_vespa.calls import Call, Pause, Request, Stream, Together
from lateint_vespa.connection import Endpoint
from lateint_vespa.errors import translated
from lateint_vespa.transport import Transport
from lateint_vespa.verbs import Verbs


def connect(url: EngineURL, settings: Settings) -> VespaBackend:
    """Open the application that a URL names.

    Raises:
        InvalidURL: it does not name one.
        ConfigurationError: a token or certificate that cannot be used, or that would travel unencrypted.
        AuthenticationFailed: it wants a token or certificate, or another one.
        ConnectionFailed: nothing answers there.
        UnsupportedFeature: it is too old.
    """
    return _opened(connection.endpoint(url, settings))


def borrow(client: Any, settings: Settings) -> VespaBackend:  # noqa: ANN401 - of a package that may be absent
    """Open the application that a client of pyvespa speaks to, with its token and certificates.

    Raises:
        ConfigurationError, AuthenticationFailed, ConnectionFailed, UnsupportedFeature: see `connect`.
    """
    return _opened(connection.lent(client, settings))


class VespaBackend(Shell):
    """Indexes of an application; see `lateint.engine.backend.Backend` for what each verb means."""

    def __init__(self, verbs: Verbs, transport: Transport, *, secret: str | None = None) -> None:
        super().__init__(verbs, translated=translated, secret=secret)
        self._transport = transport

    def close(self) -> None:
        self._transport.close()

    def _sent(self, call: Request) -> Any:  # noqa: ANN401
        return made(self._transport, call)


def _opened(place: Endpoint) -> VespaBackend:
    transport = Transport(connection.sites(place))
    translating = partial(translated, "connect", backend=place.scheme, secret=place.token)
    try:
        verbs = carried_out(connection.opened(place), partial(made, transport), translating)
    except BaseException:
        transport.close()
        raise
    return VespaBackend(verbs, transport, secret=place.token)


def made(transport: Transport, call: Request) -> Any:  # noqa: ANN401
    """What comes of one step."""
    match call:
        case Call():
            return transport.sent(call)
        case Together(calls):
            return transport.together(calls)
        case Stream():
            return transport.streamed(call)
        case Pause(seconds):
            return time.sleep(seconds)
