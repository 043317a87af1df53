"""Why a host is not found, or a port of a server does not answer: for the doctors of engines that are servers.

An engine's own client is what is tried first; bare sockets, and the environment, only explain why it failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

from lateint import errors
from lateint.engine import ports
from lateint.engine.findings import Finding
from lateint.engine.ports import Speech

_ROOTS = {Speech.HTTP: "SSL_CERT_FILE", Speech.HTTP2: "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}
"""Variable of the environment with the file of authorities to trust."""

_UNTRUSTED = re.compile(r"(?:CERTIFICATE_VERIFY_FAILED|UNAUTHENTICATED(?=: Hostname))[]:]* (?P<why>.*?)(?:: OK)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A port of a server.

    Attributes:
        product: what should be behind it, as people write it.
        scheme: of its URLs without TLS.
        host: name or address.
        port: its number.
        speech: what it speaks without TLS: HTTP for REST, HTTP2 for gRPC.
        tls: it should speak TLS.
        within_s: seconds in which it should have answered.
        open_it: what to do if it is closed.
        proxied: the client goes through the proxies of the environment.
    """

    product: str
    scheme: str
    host: str
    port: int
    speech: Speech
    tls: bool
    within_s: float
    open_it: str
    proxied: bool = True

    @property
    def part(self) -> str:
        """What to call it in a finding."""
        return f"{'gRPC' if self.speech is Speech.HTTP2 else 'REST'} port {self.port}"


def named(host: str, *, backend: str, timeout_s: float) -> Iterator[Finding]:
    """The addresses of a host, unless it is one.

    Raises:
        ConnectionFailed: it has none.
    """
    try:
        found = ports.addresses(host, timeout_s=timeout_s)
    except OSError as error:
        raise errors.ConnectionFailed(
            f"the host {host!r} has no address: {error.strerror or error}.",
            hint="Look for a typing error; in a container, a server is reached by its service name, not localhost.",
            backend=backend,
            operation="doctor",
        ) from error
    if found != [host]:
        yield Finding(part="host", seen=f"{host} is {', '.join(found)}")


def explained(door: Door, error: errors.LateintError) -> tuple[str, str]:
    """Why a port is dead, and what to do.

    Args:
        door: the port.
        error: what came of asking there.
    """
    speech = ports.spoken(door.host, door.port, timeout_s=door.within_s / 2)
    other = Speech.HTTP if door.speech is Speech.HTTP2 else Speech.HTTP2
    match speech:
        case Speech.CLOSED:
            seen, remedy = "is closed", door.open_it
        case Speech.UNREACHABLE:
            seen, remedy = "cannot be reached", "Look at the address, and at firewalls on the way."
        case Speech.TLS if not door.tls:
            seen, remedy = "speaks TLS", f"Write {door.scheme}+https://… if both ports do."
        case Speech.HTTP | Speech.HTTP2 if door.tls:
            seen, remedy = "does not speak TLS", f"Write {door.scheme}://… if neither port does."
        case _ if speech is other:
            seen = f"speaks {speech}, not {door.speech}"
            remedy = "REST has its port after the host, gRPC has grpc_port=…; look whether they are swapped."
        case _ if isinstance(error, errors.Timeout) or speech is Speech.SILENT:
            seen = f"takes connections, and does not answer within {door.within_s:g} s"
            remedy = f"Look whether the server hangs or is overloaded, and whether it is {door.product}."
        case _ if untrusted := _UNTRUSTED.search(said(error)):
            seen = f"has a certificate that is not trusted: {untrusted['why']}"
            roots = _ROOTS[door.speech]
            remedy = f"Use a name that it is valid for, or put the certificate of its authority into {roots}."
        case _:
            seen = said(error)
            remedy = error.hint or f"Look whether {door.product} is behind this port, and what its log says."
    return seen, f"{remedy} {_around(door)}".strip()


def said(error: errors.LateintError) -> str:
    """Its message, without what to do, and who was asked what."""
    message = str(error).removesuffix(error.hint).rstrip(" .")
    if not isinstance(error, errors.BackendError):
        return message
    return re.sub(rf"^{re.escape(error.operation)} on (index '[^']*'|\S+): ", "", message)


def _around(door: Door) -> str:
    """How to go around the proxies that the environment names."""
    proxies = sorted(getproxies().keys() & {"all", "grpc", "http", "https"})
    if not door.proxied or not proxies or proxy_bypass(door.host):
        return ""
    names = ", ".join(f"{name.upper()}_PROXY" for name in proxies)
    return f"A proxy is set in the environment ({names}); NO_PROXY={door.host} goes around it."
