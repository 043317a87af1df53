"""Where a server is and how it is reached: from a URL and settings to what its client takes. No I/O."""

from __future__ import annotations

import math
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from qdrant_client import models

from lateint import errors
from lateint.engine.capabilities import Capabilities, Feature
from lateint.engine.keys import check_sealed, check_sendable, is_local
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL, integer_option, require_host
from lateint.spec import suggestion
from lateint_qdrant import schema
from lateint_qdrant.over_client import OverClient
from lateint_qdrant.over_grpc import OverGrpc
from lateint_qdrant.place import Place, Speech
from lateint_qdrant.transport import Transport
from lateint_qdrant.verbs import LONGEST_S, Verbs

REST_PORT = 6333
KEY_VARIABLE = "QDRANT_API_KEY"

PROBE_S = 3.0
"""Seconds that the gRPC port has for its first answer before REST is taken."""

_GRPC_OPTIONS = {
    # A server that restarts is found again within the time that retries are given.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2000,
    # A new connection does not wait because another one in this process has failed.
    "grpc.use_local_subchannel_pool": 1,
}


class Reach(StrEnum):
    """Value of the URL option `transport`."""

    AUTO = "auto"
    """gRPC where its port answers, REST elsewhere."""
    GRPC = "grpc"
    REST = "rest"


_SPEECH: Mapping[Speech, tuple[Transport, Capabilities]] = {
    Speech.GRPC: (OverGrpc(), schema.GRPC_CAPABILITIES),
    Speech.REST: (OverClient(), schema.REST_CAPABILITIES),
    Speech.LOCAL: (OverClient(), schema.MEMORY_CAPABILITIES),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server.

    Attributes:
        scheme: of its URL.
        host: its name or address.
        port: of REST.
        grpc_port: of gRPC.
        tls: both ports speak TLS.
        reach: how to reach it.
        timeout_s: seconds for one call.
        api_key: a key, never shown.
    """

    scheme: str
    host: str
    port: int
    grpc_port: int
    tls: bool
    reach: Reach
    timeout_s: float
    api_key: str | None = field(default=None, repr=False)

    @property
    def location(self) -> str:
        """What to show of it."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def probe_s(self) -> float:
        """Seconds to wait for the gRPC port."""
        return min(PROBE_S, self.timeout_s)

    def place(self, speech: Speech) -> Place:
        """It, spoken to in one way."""
        return Place(
            backend=self.scheme,
            location=self.location,
            speech=speech,
            timeout_s=self.timeout_s,
            secret=self.api_key,
        )

    def client_options(self, *, grpc: bool, timeout_s: float) -> dict[str, Any]:
        """What the client takes. Its own check of versions and its retries are not used."""
        options = {
            "url": f"{'https' if self.tls else 'http'}://{self._bracketed}:{self.port}",
            "grpc_port": self.grpc_port,
            "prefer_grpc": grpc,
            "api_key": self.api_key,
            "timeout": math.ceil(timeout_s),
            "check_compatibility": False,
            "pool_size": None if not grpc else 1,
            "grpc_options": self._grpc_options,
        }
        if self.tls:  # for which the environment names certificates
            return options
        # One that trusts nobody, and is not asked: to read all certificates of this system takes 30 ms.
        options["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return options | {"trust_env": False} if is_local(self.host) else options

    def channel_options(self) -> dict[str, Any]:
        """What a gRPC channel of our own takes."""
        return {
            "host": self._bracketed,
            "port": self.grpc_port,
            "ssl": self.tls,
            "metadata": [] if self.api_key is None else [("api-key", self.api_key)],
            "options": self._grpc_options,
        }

    @property
    def _grpc_options(self) -> dict[str, int]:
        """A server on this machine is reached directly: no proxy of the environment could, or should see the key."""
        return _GRPC_OPTIONS | ({"grpc.enable_http_proxy": 0} if is_local(self.host) else {})

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def endpoint(url: EngineURL, settings: Settings) -> Endpoint:
    """The server that a URL names, with the key from the settings or else from the environment.

    Raises:
        InvalidURL: no host, a path, or an option that makes no sense.
        ConfigurationError: a key that cannot be sent, or that would travel unencrypted to another machine.
    """
    host, port = require_host(url)
    try:
        reach = Reach(url.options.get("transport", Reach.AUTO))
    except ValueError:
        raise errors.InvalidURL(
            f"{url.scheme} option transport={url.options['transport']!r} is not known.",
            hint=suggestion(url.options["transport"], list(Reach)),
        ) from None
    found = Endpoint(
        scheme=url.scheme,
        host=host,
        port=port or REST_PORT,
        grpc_port=_grpc_port(url, port or REST_PORT),
        tls=url.variant == "https",
        reach=reach,
        timeout_s=min(settings.timeout_s, LONGEST_S),
        api_key=settings.api_key or os.environ.get(KEY_VARIABLE) or None,
    )
    insecure = integer_option(url, name="insecure", default=0)
    if found.api_key is not None:
        check_sendable(found.api_key, variable=KEY_VARIABLE)
        remedy = f"Use {schema.ENGINE}+https://…; in a network that you trust, add insecure=1 to the URL."
        check_sealed(host, tls=found.tls or bool(insecure), variable=KEY_VARIABLE, remedy=remedy)
    return found


def memory(settings: Settings) -> Place:
    """The client's local mode."""
    return Place(
        backend=schema.MEMORY,
        location=f"{schema.MEMORY}://",
        speech=Speech.LOCAL,
        timeout_s=min(settings.timeout_s, LONGEST_S),
    )


def borrowed(options: Mapping[str, Any], settings: Settings) -> Place:
    """Where a client goes that somebody else made.

    Args:
        options: what it was made with.
        settings: what it is to be used with.
    """
    if options.get("location") == ":memory:" or options.get("path") is not None:
        return memory(settings)
    address = options.get("url") or options.get("location") or options.get("host") or "localhost"
    parts = urlsplit(address if "://" in address else f"//{address}")
    tls = parts.scheme == "https" or (not parts.scheme and bool(options.get("https") or options.get("api_key")))
    scheme = f"{schema.ENGINE}+https" if tls else schema.ENGINE
    port = parts.port or options.get("port") or REST_PORT
    return Place(
        backend=scheme,
        location=f"{scheme}://{parts.hostname or 'localhost'}:{port}",
        speech=Speech.GRPC if options.get("prefer_grpc") else Speech.REST,
        timeout_s=min(settings.timeout_s, LONGEST_S),
        secret=options.get("api_key"),
    )


def verbs(place: Place, version: str) -> Verbs:
    """How to speak to a store that has answered.

    Args:
        place: the store.
        version: of it, as it says.

    Raises:
        UnsupportedFeature: the server is older than multi-vectors.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if place.speech is not Speech.LOCAL and numbers < schema.MULTIVECTORS_SINCE:
        since = schema.dotted(schema.MULTIVECTORS_SINCE)
        raise errors.UnsupportedFeature(
            f"Qdrant {version or 'of unknown version'} at {place.location} has no multi-vectors.",
            backend=place.backend,
            feature="multi-vectors",
            since=since,
            alternative=f"Upgrade it to {since} or later.",
        )
    transport, capabilities = _SPEECH[place.speech]
    return Verbs(place=place, version=numbers, transport=transport, capabilities=_in_version(capabilities, numbers))


def _in_version(able: Capabilities, version: tuple[int, ...]) -> Capabilities:
    """Less what this version of the server, or of its client, is too old for."""
    since = schema.dotted(schema.SLICES_SINCE)
    if version >= schema.SLICES_SINCE:
        if hasattr(models, "SliceCondition"):
            return able
        since = f"qdrant-client {since}"
    return replace(able, features=able.features - {Feature.SCAN_SLICES}, since={Feature.SCAN_SLICES: since})


def _grpc_port(url: EngineURL, port: int) -> int:
    """By default the one after that of REST: the usual one could be that of another server on the same machine."""
    found = integer_option(url, name="grpc_port", default=port + 1)
    if not 1 <= found <= 65_535:
        raise errors.InvalidURL(f"{url.scheme} option grpc_port={found} is not a port.", hint="Give one up to 65535.")
    return found
