"""What is behind a host name and a port, found out with bare sockets: for explaining why a client got no answer.

Everything ends within the time that it is given, and nothing but a greeting is sent.
"""

from __future__ import annotations

import socket
import ssl
import threading
from enum import StrEnum

_GREETING = b"GET / HTTP/1.1\r\nHost: lateint\r\nConnection: close\r\n\r\n"
_SETTINGS = b"\x04"
"""Type of the frame that a server of HTTP/2 begins with, the fourth byte that it sends."""


class Speech(StrEnum):
    """What listens at a port."""

    CLOSED = "closed"
    """Connections are refused."""
    UNREACHABLE = "unreachable"
    """There is no answer to the attempt to connect, or no way there."""
    SILENT = "silent"
    """It takes a connection and says nothing."""
    TLS = "TLS"
    HTTP = "HTTP/1"
    HTTP2 = "HTTP/2"
    """Without TLS: what gRPC speaks."""
    OTHER = "something else"


def addresses(host: str, *, timeout_s: float) -> list[str]:
    """Addresses of a host.

    Raises:
        OSError: it has none, or nobody says so in time.
    """
    found: list[str] = []
    failure: list[OSError] = []

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # a label that is empty or too long
            failure.append(OSError(str(error)))
        except OSError as error:
            failure.append(error)
        else:
            found.extend(dict.fromkeys(str(entry[4][0]) for entry in entries))

    # The system's own patience cannot be set: a thread that is left behind is the only bound.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout_s)
    if failure:
        raise failure[0]
    if not found:
        raise TimeoutError(f"no answer from the name service within {timeout_s:g} s")
    return found


def spoken(host: str, port: int, *, timeout_s: float) -> Speech:
    """What listens at a port.

    Args:
        host: name or address.
        port: its number.
        timeout_s: seconds for each of two connections.
    """
    try:
        connection = socket.create_connection((host, port), timeout=timeout_s)
    except ConnectionRefusedError:
        return Speech.CLOSED
    except OSError:
        return Speech.UNREACHABLE
    with connection:
        # TLS first: a server that speaks it may answer a plain greeting in plain words.
        if _shakes_hands(connection, host):
            return Speech.TLS
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.sendall(_GREETING)
            reply = connection.recv(16)
    except TimeoutError:
        return Speech.SILENT
    except OSError:
        return Speech.OTHER
    if reply.startswith(b"HTTP/1"):
        return Speech.HTTP
    return Speech.HTTP2 if reply[3:4] == _SETTINGS else Speech.OTHER


def _shakes_hands(connection: socket.socket, host: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only asked whether it speaks TLS; nothing is sent
    try:
        with context.wrap_socket(connection, server_hostname=host):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it refuses this client, in TLS
    except OSError:
        return False
