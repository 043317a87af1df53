"""What `lateint doctor` looks at on a Qdrant server: its name, both ports, versions, the key, and every collection.

The ports are tried with Qdrant's own client, as lateint will use them; bare sockets only explain why one is dead.
Nothing is written, and each step ends within seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata

from qdrant_client import QdrantClient

from lateint import errors
from lateint.engine import doors
from lateint.engine.doors import Door, said
from lateint.engine.findings import Finding, Severity
from lateint.engine.ports import Speech
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL
from lateint_qdrant import connection, diagnosis, schema
from lateint_qdrant.connection import KEY_VARIABLE, Endpoint, Reach
from lateint_qdrant.errors import translated

_FOR_MANAGERS = "/profiler/slow_requests"
"""Is read with a key that may manage the server, and with no other; servers have it from 1.16 on."""

_PROTOCOL = {Reach.REST: Speech.HTTP, Reach.GRPC: Speech.HTTP2}
_CLOSED = {
    Reach.REST: "Start the server, or put the port of its REST interface into the URL.",
    Reach.GRPC: "Publish that port too (docker run -p 6334:6334), or name another one with grpc_port=… in the URL.",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of asking at a port: a version, or an error."""

    version: str = ""
    error: errors.LateintError | None = None


def examine(url: EngineURL, settings: Settings) -> Iterator[Finding]:
    """Look at a server, one thing after the other.

    Raises:
        InvalidURL: it names no server.
        ConfigurationError: a key that cannot or must not be sent.
        ConnectionFailed: the host has no address.
    """
    endpoint = connection.endpoint(url, settings)
    yield from doors.named(endpoint.host, backend=endpoint.scheme, timeout_s=endpoint.probe_s)
    answers = {reach: _answer(endpoint, reach) for reach in _PROTOCOL}
    alive = [reach for reach, answer in answers.items() if answer.error is None]
    for reach in answers:
        yield _port(endpoint, reach, answers)
    used = next(
        (reach for reach in (Reach.GRPC, Reach.REST) if reach in alive and endpoint.reach in {reach, Reach.AUTO}), None
    )
    if used is None:
        return
    version = diagnosis.of_versions(answers[used].version, metadata.version("qdrant-client"))
    yield version
    if version.severity is Severity.PROBLEM:
        return
    names = yield from _key(endpoint, used, alive)
    if len(alive) == len(answers):
        yield from _one_server(endpoint, answers)
    yield from _collections(endpoint, used, names)


def _answer(endpoint: Endpoint, reach: Reach) -> _Answer:
    try:
        with _client(endpoint, reach, timeout_s=endpoint.probe_s) as client:
            return _Answer(version=client.info().version)
    except (errors.AuthenticationFailed, errors.PermissionDenied):
        return _Answer()  # somebody is there
    except errors.LateintError as error:
        return _Answer(error=error)


def _port(endpoint: Endpoint, reach: Reach, answers: Mapping[Reach, _Answer]) -> Finding:
    door, answer = _door(endpoint, reach), answers[reach]
    if answer.error is None:
        return Finding(part=door.part, seen=f"answers, Qdrant {answer.version or 'of unknown version'}")
    seen, remedy = doors.explained(door, answer.error)
    severity = Severity.PROBLEM
    if endpoint.reach not in {reach, Reach.AUTO}:
        severity, remedy, seen = Severity.OK, "", f"{seen}; not used, as the URL says transport={endpoint.reach}"
    elif endpoint.reach is Reach.AUTO and any(other.error is None for other in answers.values()):
        severity = Severity.WARNING
        seen += "; lateint works over " + (
            "gRPC, other programs may not" if reach is Reach.REST else "REST, at many times the processor time"
        )
    return Finding(part=door.part, seen=seen, severity=severity, remedy=remedy)


def _door(endpoint: Endpoint, reach: Reach) -> Door:
    return Door(
        product="Qdrant",
        scheme=schema.ENGINE,
        host=endpoint.host,
        port=endpoint.port if reach is Reach.REST else endpoint.grpc_port,
        speech=_PROTOCOL[reach],
        tls=endpoint.tls,
        within_s=endpoint.probe_s,
        open_it=_CLOSED[reach],
        proxied=bool(endpoint.client_options(grpc=False, timeout_s=endpoint.probe_s).get("trust_env", True)),
    )


def _key(endpoint: Endpoint, used: Reach, alive: list[Reach]) -> Generator[Finding, None, list[str]]:
    """Whether the key opens the door; the names of the collections behind it."""
    try:
        names = _names(endpoint, used)
    except (errors.AuthenticationFailed, errors.PermissionDenied) as error:
        given = "none is given" if endpoint.api_key is None else "refused"
        remedy = f"Set {KEY_VARIABLE} to a key that the server knows; in Python, pass connect(url, api_key=…)."
        yield Finding(part="key", seen=f"{given}: {said(error)}", severity=Severity.PROBLEM, remedy=remedy)
        return []
    except errors.LateintError as error:
        yield Finding(part="collections", seen=said(error), severity=Severity.PROBLEM, remedy=error.hint)
        return []
    yield _rights(endpoint, used, alive)
    return names


def _rights(endpoint: Endpoint, used: Reach, alive: list[Reach]) -> Finding:
    """What the key may do."""
    if endpoint.api_key is None:
        return Finding(part="key", seen="none is given, none is wanted")
    try:
        _names(replace(endpoint, api_key=None), used)
    except errors.LateintError:
        pass
    else:
        return Finding(
            part="key",
            seen="given, but the server answers without one",
            severity=Severity.WARNING,
            remedy="Anybody who reaches the server can read what is in it: set service.api_key in its configuration.",
        )
    try:
        if Reach.REST not in alive:
            raise errors.ConnectionFailed("only REST tells")
        with _client(endpoint, Reach.REST, timeout_s=endpoint.probe_s) as client:
            client.http.client.request(type_=object, method="GET", url=_FOR_MANAGERS)
    except errors.PermissionDenied:
        return Finding(
            part="key",
            seen="accepted, for reading only or for some collections only",
            severity=Severity.WARNING,
            remedy="It is enough for searching; creating, writing and dropping may take another one.",
        )
    except errors.LateintError:
        return Finding(part="key", seen="accepted; whether it may write cannot be told without writing")
    return Finding(part="key", seen="accepted, for reading and writing")


def _one_server(endpoint: Endpoint, answers: Mapping[Reach, _Answer]) -> Iterator[Finding]:
    """Two ports may be forwarded from two servers."""
    try:
        names = {reach: set(_names(endpoint, reach)) for reach in answers}
    except errors.LateintError:
        return
    if names[Reach.REST] != names[Reach.GRPC] or len({answer.version for answer in answers.values()}) > 1:
        yield Finding(
            part="ports",
            seen="REST and gRPC tell different versions or collections: they may belong to two servers",
            severity=Severity.WARNING,
            remedy="Look where each port is forwarded to. A cluster that is being upgraded looks like this, too.",
        )


def _collections(endpoint: Endpoint, used: Reach, names: list[str]) -> Iterator[Finding]:
    if not names:
        return
    with _client(endpoint, used, timeout_s=endpoint.timeout_s) as client:
        for name in names:
            try:
                with translated("doctor", name, backend=endpoint.scheme, secret=endpoint.api_key):
                    found = client.get_collection(name)
            except errors.IndexNotFound:
                continue  # dropped since
            except errors.LateintError as error:
                yield Finding(
                    part=f"collection {name!r}",
                    seen=said(error),
                    severity=Severity.PROBLEM,
                    remedy=error.hint,
                    index=name,
                    vectors=(),
                )
            else:
                yield from diagnosis.of_collection(name, found, schema.GRPC_CAPABILITIES)


def _names(endpoint: Endpoint, reach: Reach) -> list[str]:
    with _client(endpoint, reach, timeout_s=endpoint.probe_s) as client:
        return sorted(entry.name for entry in client.get_collections().collections)


@contextmanager
def _client(endpoint: Endpoint, reach: Reach, *, timeout_s: float) -> Iterator[QdrantClient]:
    """Qdrant's client over one transport; what goes wrong inside comes out in the words of lateint."""
    with warnings.catch_warnings():  # of a key without TLS, which has been decided on
        warnings.simplefilter("ignore", UserWarning)
        client = QdrantClient(**endpoint.client_options(grpc=reach is Reach.GRPC, timeout_s=timeout_s))
    try:
        with translated("doctor", backend=endpoint.scheme, secret=endpoint.api_key):
            yield client
    finally:
        client.close()
