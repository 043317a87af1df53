"""A key travels encrypted, stays on this machine, or is not sent."""

from __future__ import annotations

import ipaddress

from lateint import errors


def check_sendable(key: str, *, variable: str) -> None:
    """Refuse a key that no header can carry: clients would repeat it, whole, in what they say of it.

    Args:
        key: the key.
        variable: the environment variable that it may have come from, to name in the error.

    Raises:
        ConfigurationError: it cannot be sent.
    """
    if key.isascii() and key.isprintable() and key == key.strip():
        return
    raise errors.ConfigurationError(
        f"the API key (from api_key=… or {variable}) cannot be sent: it has a line break or another control character, "
        "a blank at an end, or a letter outside ASCII.",
        hint="Take it from its source again; a file that it is read from often ends with a line break.",
    )


def check_sealed(host: str, *, tls: bool, variable: str, remedy: str) -> None:
    """Refuse to send a key in the clear to another machine.

    Args:
        host: where it would go.
        tls: the connection is encrypted.
        variable: the environment variable that a key may have come from, to name in the error.
        remedy: what to do instead.

    Raises:
        ConfigurationError: it would travel in the clear.
    """
    if tls or is_local(host):
        return
    raise errors.ConfigurationError(
        f"an API key (from api_key=… or {variable}) would travel unencrypted to {host}.", hint=remedy
    )


def is_local(host: str) -> bool:
    """Whether a host is this machine by its very name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
