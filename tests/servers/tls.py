"""TLS in front of a port, with a certificate that nobody trusts."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest


def certificate(folder: Path) -> Path:
    """Make a certificate of localhost in a folder; its file. The key lies beside it."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl makes the certificate")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = [tool, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-addext", names, *files], check=True, capture_output=True)
    return folder / "cert.pem"


class Front:
    """Speaks TLS and passes on what comes, in the clear.

    Attributes:
        port: where it listens.
    """

    def __init__(self, target_port: int, cert: Path) -> None:
        self._target_port = target_port
        self._with_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._with_tls.load_cert_chain(cert, cert.with_name("key.pem"))
        self._with_tls.set_alpn_protocols(["h2", "http/1.1"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with suppress(OSError), raw:
            outside = self._with_tls.wrap_socket(raw, server_side=True)
            with outside, socket.create_connection(("127.0.0.1", self._target_port)) as inside:
                back = threading.Thread(target=_pump, args=(inside, outside), daemon=True)
                back.start()
                _pump(outside, inside)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
