"""What `lateint doctor` looks at on a Weaviate server: its name, both ports, version, key, settings, and collections.

The ports are tried as lateint will use them; bare sockets only explain why one is dead. Nothing is written, and each
step ends within seconds.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from importlib import metadata
from typing import Any

from lateint import errors
from lateint.engine import doors
from lateint.engine.doors import Door, said
from lateint.engine.findings import Finding, Severity
from lateint.engine.ports import Speech
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL
from lateint_weaviate import asking, collection, connection, diagnosis, schema, wire
from lateint_weaviate.calls import Http
from lateint_weaviate.collection import Access
from lateint_weaviate.connection import KEY_VARIABLE, Endpoint
from lateint_weaviate.diagnosis import Opened, State
from lateint_weaviate.errors import translated
from lateint_weaviate.keeping import NOBODY, with_ids
from lateint_weaviate.sync import Own, WeaviateBackend

_NOWHERE = Access(cls="Lateint_doctor", vector="")
"""A class that is most likely not there; where it is, nothing happens to it either."""

_NO_SCHEME = "no authentication scheme"
"""What a server says to a key if it has no keys."""

_OPEN_GRPC = (
    "Publish that port too (docker run -p 50051:50051), or name another one with grpc_port=… in the URL, "
    "and grpc_host=… if it is at another host."
)


def examine(url: EngineURL, settings: Settings) -> Iterator[Finding]:
    """Look at a server, one thing after the other.

    Raises:
        InvalidURL: it names no server.
        ConfigurationError: a key that must not be sent.
        MissingDependency: a client of Weaviate with other messages.
        ConnectionFailed: a host has no address.
    """
    wire.probe()
    place = connection.endpoint(url, settings)
    for host in dict.fromkeys((place.host, place.grpc_host)):
        yield from doors.named(host, backend=place.scheme, timeout_s=place.probe_s)
    with closing(Own(replace(place, timeout_s=place.probe_s))) as own:
        meta = yield from _ports(place, own)
        if meta is not None:
            yield from _server(place, own, meta)


def _ports(place: Endpoint, own: Own) -> Generator[Finding, None, Mapping[str, Any] | None]:
    """Both ports, and the key if it opens nothing; what the server says of itself, None if it cannot be worked with."""
    meta: Mapping[str, Any] | None = None
    rest: errors.LateintError | None = None
    locked: errors.LateintError | None = None
    try:
        meta = _meta(place, own)
    except (errors.AuthenticationFailed, errors.PermissionDenied) as error:
        locked = error  # somebody is there
    except errors.LateintError as error:
        rest = error
    yield _port(_door(place, Speech.HTTP), rest)
    dead: errors.LateintError | None = None
    try:
        own.open_grpc(connection.message_bytes(meta or {}))
    except errors.ConnectionFailed as error:
        cause = error.__cause__
        dead = cause if isinstance(cause, errors.LateintError) else error
    yield _port(_door(place, Speech.HTTP2), dead)
    if locked is not None:
        yield _locked(place, locked)
    if meta is None:
        return None
    version = diagnosis.of_version(str(meta.get("version", "")), metadata.version("weaviate-client"))
    yield version
    return None if dead is not None or version.severity is Severity.PROBLEM else meta


def _meta(place: Endpoint, own: Own) -> Mapping[str, Any]:
    meta = None
    try:
        with translated("doctor", backend=place.scheme, secret=place.api_key), suppress(ValueError):  # no JSON
            meta = own.http(connection.META)
    except errors.IndexNotFound:  # no such page
        pass
    if not isinstance(meta, dict) or "version" not in meta:
        raise errors.UnexpectedResponse(
            "answers, and not as Weaviate does.", hint="Look whether it is the REST port of Weaviate."
        )
    return meta


def _door(place: Endpoint, speech: Speech) -> Door:
    rest = speech is Speech.HTTP
    return Door(
        product="Weaviate",
        scheme=schema.ENGINE,
        host=place.host if rest else place.grpc_host,
        port=place.port if rest else place.grpc_port,
        speech=speech,
        tls=place.tls,
        within_s=place.probe_s,
        open_it="Start the server, or put the port of its REST interface into the URL." if rest else _OPEN_GRPC,
    )


def _port(door: Door, error: errors.LateintError | None) -> Finding:
    if error is None:
        return Finding(part=door.part, seen="answers")
    seen, remedy = doors.explained(door, error)
    return Finding(part=door.part, seen=seen, severity=Severity.PROBLEM, remedy=remedy)


def _server(place: Endpoint, own: Own, meta: Mapping[str, Any]) -> Iterator[Finding]:
    """A server of which both ports answer."""
    size = connection.message_bytes(meta)
    message = diagnosis.of_message(size)
    try:
        definitions = _definitions(place, own)
    except errors.LateintError as error:
        yield _locked(place, error)
        return
    key = _key(place, own)
    yield key
    yield message
    yield from _one_server(place, own, definitions)
    if Severity.PROBLEM in {key.severity, message.severity}:
        return
    nodes = _nodes(place, own)
    if nodes:
        yield diagnosis.of_nodes(nodes)
    yield diagnosis.of_auto_schema(definitions)
    yield from _collections(place, meta, definitions, diagnosis.states(nodes))


def _locked(place: Endpoint, error: errors.LateintError) -> Finding:
    """The key opens nothing."""
    given = "none is given" if place.api_key is None else "refused"
    remedy = f"Set {KEY_VARIABLE} to a key that the server knows; in Python, pass connect(url, api_key=…)."
    if _NO_SCHEME in said(error):
        given, remedy = "one is given, and the server has none", f"Unset {KEY_VARIABLE}, or give the server keys."
    return Finding(part="key", seen=f"{given}: {said(error)}", severity=Severity.PROBLEM, remedy=remedy)


def _key(place: Endpoint, own: Own) -> Finding:
    """What the key may do."""
    if place.api_key is not None and _is_open(place):
        return Finding(
            part="key",
            seen="given, but the server answers without one",
            severity=Severity.WARNING,
            remedy="Anybody who reaches the server can read what is in it: set "
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=false there.",
        )
    accepted = "none is given, none is wanted" if place.api_key is None else "accepted"
    trial = asking.deleting(_NOWHERE, with_ids(None, [NOBODY]))
    trial.message.dry_run = True
    try:
        with translated("doctor", backend=place.scheme, secret=place.api_key):
            own.rpc(trial, place.probe_s)
    except errors.PermissionDenied:
        return Finding(
            part="key",
            seen=f"{accepted}, for reading only or for some collections only",
            severity=Severity.WARNING,
            remedy="It is enough for searching; creating, writing and dropping may take another one.",
        )
    except errors.AuthenticationFailed as error:
        return Finding(
            part="key",
            seen=f"accepted over REST, refused over gRPC: {said(error)}",
            severity=Severity.PROBLEM,
            remedy="Look where each port is forwarded to: they may belong to two servers.",
        )
    except errors.IndexNotFound:
        pass
    except errors.LateintError:
        return Finding(part="key", seen=f"{accepted}; whether it may write cannot be told")
    return Finding(part="key", seen=f"{accepted}, for reading and writing" if place.api_key else accepted)


def _is_open(place: Endpoint) -> bool:
    """Whether the server answers without a key."""
    with closing(Own(replace(place, api_key=None, timeout_s=place.probe_s))) as own:
        try:
            _definitions(place, own)
        except errors.LateintError:
            return False
    return True


def _definitions(place: Endpoint, own: Own) -> list[Mapping[str, Any]]:
    with translated("doctor", backend=place.scheme, secret=place.api_key):
        found = own.http(Http("GET", "/schema"))["classes"] or ()
    return sorted((each for each in found if each["class"] != schema.JOURNAL), key=collection.listed)


def _one_server(place: Endpoint, own: Own, definitions: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Two ports may be forwarded from two servers: then what one has the other has not."""
    for definition in definitions[:1]:
        try:
            with translated("doctor", backend=place.scheme, secret=place.api_key):
                own.rpc(asking.counting(Access(cls=definition["class"], vector=""), None), place.probe_s)
        except errors.IndexNotFound:
            yield Finding(
                part="ports",
                seen=f"REST shows a collection {definition['class']!r} that gRPC does not have: two servers",
                severity=Severity.PROBLEM,
                remedy="Look where each port is forwarded to.",
            )
        except errors.LateintError:  # such as one with tenants: it is there
            return


def _nodes(place: Endpoint, own: Own) -> list[Mapping[str, Any]]:
    """What the nodes say of themselves; nothing where that may not be read."""
    try:
        with translated("doctor", backend=place.scheme, secret=place.api_key):
            return list(own.http(Http("GET", "/nodes", query={"output": "verbose"}))["nodes"] or ())
    except errors.LateintError:
        return []


def _collections(
    place: Endpoint, meta: Mapping[str, Any], definitions: Sequence[Mapping[str, Any]], states: Mapping[str, State]
) -> Iterator[Finding]:
    own = Own(place)
    verbs = connection.verbs(
        backend=place.scheme, location=place.location, meta=meta, timeout_s=place.timeout_s, key=""
    )
    with closing(WeaviateBackend(own, verbs, secret=place.api_key)) as backend:
        own.open_grpc(connection.message_bytes(meta))
        for definition in definitions:
            name = collection.listed(definition)
            opened = _opened(backend, name, definition)
            state = states.get(definition["class"], State())
            yield from diagnosis.of_collection(name, definition, opened=opened, state=state)


def _opened(
    backend: WeaviateBackend, name: str, definition: Mapping[str, Any]
) -> dict[str, Opened | errors.LateintError]:
    """What comes of opening each multi-vector."""
    ours = schema.is_described(definition.get("description"))
    found: dict[str, Opened | errors.LateintError] = {}
    for vector in [schema.VECTOR] if ours else collection.multivectors(definition):
        try:
            info = backend.describe_index(name, vector=vector)
            found[vector] = Opened(info, backend.count(info, None))
        except errors.LateintError as error:
            found[vector] = error
    return found
