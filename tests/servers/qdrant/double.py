"""Start, kill and restart the double, and order faults from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from tests.servers.ports import free_ports

_REPOSITORY = Path(__file__).parents[3]
_DEADLINE_S = 60.0


class Double:
    """One process that speaks Qdrant's wire format on free ports of the loopback.

    Attributes:
        folder: where its collections are; they outlive it.
        rest_port: its REST interface.
        grpc_port: its gRPC interface.
    """

    def __init__(
        self,
        folder: Path,
        *,
        version: str = "1.18.3",
        api_key: str | None = None,
        read_only_api_key: str | None = None,
        flattened: bool = False,
    ) -> None:
        self.folder = folder
        self.rest_port, self.grpc_port, self._control_port = free_ports(3)
        self._options = ["--until-eof", "--version", version]
        if api_key is not None:
            self._options += ["--api-key", api_key]
        if read_only_api_key is not None:
            self._options += ["--read-only-api-key", read_only_api_key]
        if flattened:
            self._options.append("--flattened")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def rest_url(self) -> str:
        """`http://…` of the REST interface."""
        return f"http://127.0.0.1:{self.rest_port}"

    def start(self) -> Self:
        """Start the process and wait until it is ready.

        Raises:
            RuntimeError: it ended, or is not ready in a minute; with the end of its log.
        """
        ports = ["--rest-port", self.rest_port, "--grpc-port", self.grpc_port, "--control-port", self._control_port]
        command = [sys.executable, "-m", "tests.servers.qdrant", self.folder, *ports, *self._options]
        path = os.pathsep.join([str(_REPOSITORY), os.environ.get("PYTHONPATH", "")])
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "double.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=_REPOSITORY,
                env=os.environ | {"PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + _DEADLINE_S
        while not (_answers(f"{self.rest_url}/readyz") and _answers(self._order_url("report"))):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the double did not start:\n{log.read_text()[-4000:]}")
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

    def wait_until_dead(self) -> None:
        """Wait for a death that a fault was to bring."""
        if self._process is not None:
            with self._process:
                self._process.wait(_DEADLINE_S)

    def fault(self, effect: str, method: str = "*", **details: Any) -> None:
        """Order what goes wrong with the next calls; see `tests.servers.qdrant.faults.Fault`."""
        self._order("POST", "faults", {"effect": effect, "method": method, **details})

    def clear(self) -> None:
        """Forget all faults and counts."""
        self._order("DELETE", "faults")

    def calls(self) -> dict[str, int]:
        """How often each method was called, by `grpc Points/Upsert` and the like, refused calls included."""
        calls: dict[str, int] = self._order("GET", "report")["calls"]
        return calls

    def faults_left(self) -> int:
        """How many calls are still to be hit."""
        return int(self._order("GET", "report")["faults"])

    def open_grpc(self, *, opened: bool) -> None:
        """Close or open the gRPC port; REST goes on."""
        self._order("POST", "grpc", {"opened": opened})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _order_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._control_port}/{path}"

    def _order(self, verb: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with _HTTP.open(Request(self._order_url(path), data, method=verb), timeout=_DEADLINE_S) as response:
            return json.loads(response.read())

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with self._process:
                self._process.send_signal(how)
                self._process.wait(_DEADLINE_S)
            self._process = None


_HTTP = build_opener(ProxyHandler({}))
"""Never through a proxy: this is the loopback."""


def _answers(url: str) -> bool:
    try:
        with _HTTP.open(url, timeout=1):
            return True
    except (URLError, OSError):
        return False
