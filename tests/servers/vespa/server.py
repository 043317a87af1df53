"""Start, stop, kill and restart the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.servers.ports import free_ports
from tests.servers.vespa import build
from tests.servers.vespa.control import Control

_DEADLINE_S = 60.0
_OPTIONS = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dsun.net.httpserver.nodelay=true",
]
"""Made to start soon: half the time is the compilation of what runs once."""
_APPLICATION = "application/v2/tenant/default/application/default/environment/prod/region/default/instance/default"


class Server:
    """One Vespa server on free ports of the loopback.

    Attributes:
        folder: where its application, documents and log are; they outlive it.
        port: of its container: /search/ and /document/v1. Closed until there is an application.
        config_port: of its config server.
        control: orders what goes wrong.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.config_port, self._control_port = free_ports(3)
        self.control = Control(self._control_port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As lateint takes it."""
        return f"vespa://127.0.0.1:{self.port}?config_port={self.config_port}"

    @property
    def http_url(self) -> str:
        """`http://…` of the container."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_url(self) -> str:
        """`http://…` of the config server."""
        return f"http://127.0.0.1:{self.config_port}"

    @property
    def log(self) -> Path:
        """What it said, since its first start."""
        return self.folder / "server.log"

    def start(self) -> Self:
        """Build it if need be, start it, and wait until it serves the application it had, if it had one.

        Raises:
            CannotBuild: see `build.server`.
            RuntimeError: it ended, or is not ready in a minute; with the end of its log.
        """
        built = build.server()
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        ports = [str(port) for port in (self.port, self.config_port, self._control_port)]
        options = [*_OPTIONS, f"-Djava.io.tmpdir={scratch}", "-cp", built.classpath]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [built.java, *options, "lateint.vespa.Main", str(self.folder), *ports],
                cwd=scratch,  # access logs go to the working directory
                env=os.environ | {"VESPA_HOME": str(scratch)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + _DEADLINE_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what it acknowledged is still there after a start."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again, on the same ports, over the same data."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _ready(self) -> bool:
        if _asked(f"{self.config_url}/state/v1/health") is None:
            return False
        convergence = _asked(f"{self.config_url}/{_APPLICATION}/serviceconverge")
        return convergence is None or bool(convergence["converged"])

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with self._process:
                self._process.send_signal(how)
                self._process.wait(_DEADLINE_S)
            self._process = None


_HTTP = build_opener(ProxyHandler({}))
"""Never through a proxy: this is the loopback."""


def _asked(url: str) -> Any:
    """What it answers, None if it refuses or does not."""
    try:
        with _HTTP.open(url, timeout=5) as response:
            return json.loads(response.read())
    except (URLError, OSError):
        return None
