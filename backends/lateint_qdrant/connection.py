"""Where a server is and how it is reached: from a URL and settings to what its client takes. No I/O."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from lateint import errors
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL, integer_option, require_host
from lateint.spec import suggestion
from lateint_qdrant import schema
from lateint_qdrant.over_client import OverClient
from lateint_qdrant.over_grpc import OverGrpc
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
        # Not so with TLS, for which the environment names certificates too.
        return options | {"trust_env": False} if _is_local(self.host) and not self.tls else options

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
        return _GRPC_OPTIONS | ({"grpc.enable_http_proxy": 0} if _is_local(self.host) else {})

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A connection that answers.

    Attributes:
        backend: its name.
        location: server, without secrets.
        version: of the server, as it says.
        details: what else is worth showing.
        verbs: how to speak to it.
        timeout_s: seconds for one call.
        secret: a key that must not be shown.
    """

    backend: str
    location: str
    version: str
    details: Mapping[str, str]
    verbs: Verbs
    timeout_s: float
    secret: str | None = field(default=None, repr=False)


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
    place = Endpoint(
        scheme=url.scheme,
        host=host,
        port=port or REST_PORT,
        grpc_port=_grpc_port(url, port or REST_PORT),
        tls=url.variant == "https",
        reach=reach,
        timeout_s=min(settings.timeout_s, LONGEST_S),
        api_key=_checked_key(settings.api_key or os.environ.get(KEY_VARIABLE) or None),
    )
    insecure = integer_option(url, name="insecure", default=0)
    if place.api_key is not None and not (place.tls or insecure or _is_local(host)):
        raise errors.ConfigurationError(
            f"an API key (from api_key=… or {KEY_VARIABLE}) would travel unencrypted to {host}.",
            hint=f"Use {schema.ENGINE}+https://…; in a network that you trust, add insecure=1 to the URL.",
        )
    return place


def session(
    *,
    backend: str,
    location: str,
    version: str,
    timeout_s: float,
    grpc: bool = False,
    local: bool = False,
    secret: str | None = None,
) -> Session:
    """What is known once somebody has answered.

    Raises:
        UnsupportedFeature: the server is older than multi-vectors.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if not local and numbers < schema.MULTIVECTORS_SINCE:
        since = schema.dotted(schema.MULTIVECTORS_SINCE)
        raise errors.UnsupportedFeature(
            f"Qdrant {version or 'of unknown version'} at {location} has no multi-vectors.",
            backend=backend,
            feature="multi-vectors",
            since=since,
            alternative=f"Upgrade it to {since} or later.",
        )
    timeout_s = min(timeout_s, LONGEST_S)
    able = schema.GRPC_CAPABILITIES if grpc else schema.REST_CAPABILITIES
    verbs = Verbs(
        backend=backend,
        capabilities=schema.MEMORY_CAPABILITIES if local else able,
        transport=OverGrpc() if grpc else OverClient(),
        version=numbers,
        timeout_s=timeout_s,
        local=local,
    )
    return Session(
        backend=backend,
        location=location,
        version=version,
        details={"transport": "none" if local else "gRPC" if grpc else "REST"},
        verbs=verbs,
        timeout_s=timeout_s,
        secret=secret,
    )


def borrowed(options: Mapping[str, Any]) -> tuple[str, str, bool, bool]:
    """Backend, location, whether over gRPC, and whether local, of a client that somebody else made.

    Args:
        options: what it was made with.
    """
    if options.get("location") == ":memory:" or options.get("path") is not None:
        return schema.MEMORY, f"{schema.MEMORY}://", False, True
    address = options.get("url") or options.get("location") or options.get("host") or "localhost"
    parts = urlsplit(address if "://" in address else f"//{address}")
    tls = parts.scheme == "https" or (not parts.scheme and bool(options.get("https") or options.get("api_key")))
    scheme = f"{schema.ENGINE}+https" if tls else schema.ENGINE
    port = parts.port or options.get("port") or REST_PORT
    return scheme, f"{scheme}://{parts.hostname or 'localhost'}:{port}", bool(options.get("prefer_grpc")), False


def _checked_key(key: str | None) -> str | None:
    """Refuse a key that no header can carry: the clients would repeat it, whole, in what they say of it."""
    if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise errors.ConfigurationError(
            f"the API key (from api_key=… or {KEY_VARIABLE}) cannot be sent: it has a line break or another control "
            "character, a blank at an end, or a letter outside ASCII.",
            hint="Take it from its source again; a file that it is read from often ends with a line break.",
        )
    return key


def _grpc_port(url: EngineURL, port: int) -> int:
    """By default the one after that of REST: the usual one could be that of another server on the same machine."""
    found = integer_option(url, name="grpc_port", default=port + 1)
    if not 1 <= found <= 65_535:
        raise errors.InvalidURL(f"{url.scheme} option grpc_port={found} is not a port.", hint="Give one up to 65535.")
    return found


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
