"""What `lateint doctor` looks at on Vespa: host, both ports, version, the active application and its schemas.

The ports are tried as lateint will use them; bare sockets only explain why one is dead. Nothing is written, and each
step ends within seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from lateint import errors
from lateint.engine import doors
from lateint.engine.doors import said
from lateint.engine.findings import Finding, Severity
from lateint.engine.ports import Speech
from lateint.engine.registry import Settings
from lateint.engine.steps import carried_out
from lateint.engine.url import EngineURL
from lateint_vespa import connection, diagnosis, package
from lateint_vespa.answers import Answer
from lateint_vespa.application import Application
from lateint_vespa.calls import Call, Door, Steps, T
from lateint_vespa.config_server import ConfigServer
from lateint_vespa.connection import KEY_VARIABLES, TLS_VARIABLE, Endpoint
from lateint_vespa.errors import Refused, translated
from lateint_vespa.schema import ENGINE
from lateint_vespa.sync import made
from lateint_vespa.transport import Transport

_PROBE_S = 5.0

_OPEN = {
    Door.CONTAINER: "Start Vespa, or put the port of its container into the URL.",
    Door.CONFIG: "Publish that port too (docker run -p 19071:19071), or name another one with config_port=… in the "
    "URL. Without it, indexes that are there can be opened by name, and none can be created, listed or dropped.",
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of asking at a port: a version, or an error."""

    version: str = ""
    error: errors.LateintError | None = None


def examine(url: EngineURL, settings: Settings) -> Iterator[Finding]:
    """Look at an application, one thing after the other.

    Raises:
        InvalidURL: it names no server.
        ConfigurationError: a token that must not be sent, or a certificate that cannot be used.
        ConnectionFailed: the host has no address.
    """
    place = connection.endpoint(url, settings)
    yield from doors.named(place.host, backend=place.scheme, timeout_s=_probe_s(place))
    with closing(Transport(connection.sites(place))) as transport:
        yield from _Examination(place, transport).findings()


class _Examination:
    """Of one application."""

    def __init__(self, place: Endpoint, transport: Transport) -> None:
        self.place = place
        self.transport = transport
        self.server = ConfigServer(place=place.config_place, timeout_s=_probe_s(place))

    def findings(self) -> Iterator[Finding]:
        active: Application | None = None
        config: _Seen | None = None
        if self.place.config_port is None:
            seen = (
                "not asked, as the URL has no config_port: indexes are opened by name, and none are created or listed"
            )
            yield Finding(part="config server", seen=seen)
        else:
            config = self._asked(Door.CONFIG)
            if config.error is None:
                try:
                    active = self._run(self.server.application())
                except errors.LateintError as error:
                    config = _Seen(error=error)
            yield self._port(Door.CONFIG, config)
        fresh = config is not None and config.error is None and active is None
        container = self._asked(Door.CONTAINER)
        if fresh and isinstance(container.error, errors.ConnectionFailed):
            port = Finding(part=self._part(Door.CONTAINER), seen="is closed, as it is until something was deployed")
        else:
            port = self._port(Door.CONTAINER, container)
        yield port
        if port.severity is not Severity.PROBLEM:
            yield diagnosis.of_version(container.version or (config.version if config else ""))
        if config is not None and config.error is None:
            yield from self._application(active)

    def _application(self, active: Application | None) -> Iterator[Finding]:
        if active is None:
            yield diagnosis.of_application(None, [])
            return
        yield diagnosis.of_application(active, self._run(self.server.late(active.generation)))
        has_profile = self._run(self.server.file(package.PROFILE_FILE)) is not None
        yield from diagnosis.of_schemas(active, has_profile=has_profile)

    def _asked(self, door: Door) -> _Seen:
        try:
            return _Seen(version=self._run(_version(door, timeout_s=_probe_s(self.place))))
        except errors.LateintError as error:
            return _Seen(error=error)

    def _port(self, door: Door, seen: _Seen) -> Finding:
        part = self._part(door)
        match seen.error:
            case None:
                return Finding(part=part, seen="answers")
            case errors.AuthenticationFailed() | errors.PermissionDenied():
                return Finding(
                    part=part,
                    seen=f"answers, and not to this client, which shows {self.place.shows}: {said(seen.error)}",
                    severity=Severity.PROBLEM,
                    remedy=f"Set {KEY_VARIABLES[0]} to a token, or {TLS_VARIABLE}CERT_FILE and {TLS_VARIABLE}KEY_FILE "
                    "to a certificate and its key, that the application knows.",
                )
        port = self.place.port if door is Door.CONTAINER else self.place.config_port
        found, remedy = doors.explained(
            doors.Door(
                product="Vespa",
                scheme=ENGINE,
                host=self.place.host,
                port=port or 0,
                speech=Speech.HTTP,
                tls=self.place.tls,
                within_s=_probe_s(self.place),
                open_it=_OPEN[door],
                proxied=False,
            ),
            seen.error,
        )
        return Finding(part=part, seen=found, severity=Severity.PROBLEM, remedy=remedy)

    def _part(self, door: Door) -> str:
        return f"{door} port {self.place.port if door is Door.CONTAINER else self.place.config_port}"

    def _run(self, steps: Steps[T]) -> T:
        translating = partial(translated, "doctor", backend=self.place.scheme, secret=self.place.token)
        return carried_out(steps, partial(made, self.transport), translating)


def _version(door: Door, *, timeout_s: float) -> Steps[str]:
    """Of the server behind a door; empty where what is in front of it does not say.

    Raises:
        UnexpectedResponse: it is not Vespa.
    """
    answer: Answer = yield Call("GET", "/state/v1/version", timeout_s=timeout_s, door=door)
    if answer.status == 404 and door is Door.CONTAINER:
        return ""
    if answer.status != 200:
        raise Refused(answer.status, answer.body, headers=answer.headers)
    try:
        return str(json.loads(answer.body)["version"])
    except (ValueError, LookupError, TypeError) as error:
        raise errors.UnexpectedResponse(
            "answers, and not as Vespa does.", hint=f"Look whether it is the port of a {door} of Vespa."
        ) from error


def _probe_s(place: Endpoint) -> float:
    return min(_PROBE_S, place.timeout_s)
