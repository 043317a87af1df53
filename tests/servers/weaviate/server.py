"""Start, stop, kill and restart the server."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.servers.ports import free_ports
from tests.servers.weaviate import build

ADMIN, READER = "admin", "reader"
_DEADLINE_S = 60.0


class Server:
    """One Weaviate server on free ports of the loopback.

    Attributes:
        folder: where its data and its log are; they outlive it.
        port: its REST interface.
        grpc_port: its gRPC interface.
        api_key: of a user who may do everything; without one, everybody may.
        read_only_api_key: of a user who may only read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        api_key: str | None = None,
        read_only_api_key: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are environment variables of the server that are not its defaults."""
        self.folder = folder
        self.port, self.grpc_port, *self._inner_ports = free_ports(6)
        self.api_key = api_key
        self.read_only_api_key = read_only_api_key
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As lateint takes it."""
        return f"weaviate://127.0.0.1:{self.port}?grpc_port={self.grpc_port}"

    @property
    def rest_url(self) -> str:
        """`http://…` of the REST interface."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it said, since its first start."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """Of its process, which must be running."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Build it if need be, start it, and wait until it is ready.

        Raises:
            CannotBuild: see `build.server`.
            RuntimeError: it ended, or is not ready in a minute; with the end of its log.
        """
        executable = build.server()
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(executable), "--scheme=http", "--host=127.0.0.1", f"--port={self.port}"]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*command, "--read-timeout=600s", "--write-timeout=600s"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._watch = _watch(self._process)
        deadline = time.monotonic() + _DEADLINE_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
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

    def _environment(self) -> dict[str, str]:
        """Nothing of ours reaches it: no proxy, and no variable of another Weaviate."""
        gossip, data, raft, raft_rpc = self._inner_ports
        settings = {
            "PERSISTENCE_DATA_PATH": str(self.folder / "data"),
            "GRPC_PORT": str(self.grpc_port),
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
            "CLUSTER_DATA_BIND_PORT": str(data),
            "RAFT_PORT": str(raft),
            "RAFT_INTERNAL_RPC_PORT": str(raft_rpc),
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "RAFT_TIMEOUTS_MULTIPLIER": "1",  # ready in 2 s, not 6
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",
            "API_BASED_MODULES_DISABLED": "true",
            "DISK_USE_WARNING_PERCENTAGE": "98",
            "DISK_USE_READONLY_PERCENTAGE": "99",  # the disk of whoever runs tests may be full
            "LOG_LEVEL": "warning",
        }
        keys = {ADMIN: self.api_key, READER: self.read_only_api_key}
        users = {name: key for name, key in keys.items() if key is not None}
        if users:
            settings |= {
                "AUTHENTICATION_APIKEY_ENABLED": "true",
                "AUTHENTICATION_APIKEY_USERS": ",".join(users),
                "AUTHENTICATION_APIKEY_ALLOWED_KEYS": ",".join(users.values()),
                "AUTHORIZATION_ADMINLIST_ENABLED": "true",
                "AUTHORIZATION_ADMINLIST_USERS": ADMIN,
                "AUTHORIZATION_ADMINLIST_READONLY_USERS": READER,
            }
        else:
            settings["AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED"] = "true"
        return settings | self._settings

    def _ready(self) -> bool:
        try:
            with _HTTP.open(f"{self.rest_url}/v1/.well-known/ready", timeout=1):
                pass
            socket.create_connection(("127.0.0.1", self.grpc_port), timeout=1).close()
        except (URLError, OSError):
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with self._process:
                self._process.send_signal(how)
                self._process.wait(_DEADLINE_S)
            self._process = None
        if self._watch is not None:
            with self._watch:
                self._watch.kill()
            self._watch = None


_HTTP = build_opener(ProxyHandler({}))
"""Never through a proxy: this is the loopback."""


def _watch(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Kill it when we die, however we do: that closes the input of the shell."""
    script = 'read -r _; kill -9 "$0"'
    return subprocess.Popen(["sh", "-c", script, str(process.pid)], stdin=subprocess.PIPE)
