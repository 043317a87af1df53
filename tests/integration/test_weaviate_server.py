"""The Weaviate server that tests start: it is ready, keeps what it has, lets in whom it should, and goes when told.

Every other test on Weaviate stands on this; the builder is tried with a Go that is not one, since the real one takes minutes.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fcntl", reason="servers are built and started on POSIX systems only")

from tests.servers import container, discovery
from tests.servers.discovery import WeaviateServer
from tests.servers.proxy import Proxy
from tests.servers.weaviate import build
from tests.servers.weaviate.server import Server

ROWS = [[0.1, -0.7, 3.0e-5], [1.0, 0.0, -2.5]]
ID = "00000000-0000-0000-0000-000000000001"
SCHEMA = {
    "class": "Pages",
    "vectorConfig": {
        "colbert": {
            "vectorizer": {"none": {}},
            "vectorIndexType": "hnsw",
            "vectorIndexConfig": {"distance": "dot", "multivector": {"enabled": True}},
        }
    },
}


@pytest.fixture(scope="module")
def server(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_weaviate(tmp_path_factory.mktemp("own")) as server:
        yield server


@pytest.fixture(scope="module")
def locked(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_weaviate(tmp_path_factory.mktemp("locked"), api_key="all", read_only_api_key="some") as server:
        yield server


class TestRunning:
    def test_the_one_for_all_tests(self, weaviate_server: WeaviateServer) -> None:
        assert call(weaviate_server.port, "GET", "/v1/.well-known/ready", key=weaviate_server.api_key)[0] == 200
        socket.create_connection((weaviate_server.host, weaviate_server.grpc_port), timeout=10).close()

    def test_version(self, server: Server) -> None:
        assert call(server.port, "GET", "/v1/meta")[1]["version"] == build.version()

    def test_data_outlive_it(self, server: Server) -> None:
        """Tests of crashes compare what was acknowledged before with what is there after."""
        assert call(server.port, "POST", "/v1/schema", SCHEMA)[0] == 200
        page = {"class": "Pages", "id": ID, "vectors": {"colbert": ROWS}}
        assert call(server.port, "POST", "/v1/objects", page)[0] == 200
        ports = server.port, server.grpc_port
        for end in (server.kill, server.stop):
            end()
            server.start()
            assert (server.port, server.grpc_port) == ports
            status, found = call(server.port, "GET", f"/v1/objects/Pages/{ID}?include=vector")
            assert (status, found["vectors"]["colbert"]) == (200, [pytest.approx(row, rel=1e-7) for row in ROWS])

    @pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads /proc")
    def test_only_the_loopback_is_listened_on(self, server: Server) -> None:
        """It asks for no key."""
        addresses = listening(server.pid)
        assert len(addresses) >= 6  # REST, gRPC, gossip (TCP and UDP), data, raft and its RPC
        assert set(addresses) == {"127.0.0.1"}

    def test_settings(self, own_weaviate: type[Server], tmp_path: Path) -> None:
        with own_weaviate(tmp_path, settings={"AUTOSCHEMA_ENABLED": "false"}) as strict:
            page = {"class": "Unknown", "properties": {"title": "x"}}
            assert call(strict.port, "POST", "/v1/objects", page)[0] == 422


class TestGone:
    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_nothing_is_left(self, own_weaviate: type[Server], tmp_path: Path, how: str) -> None:
        started = own_weaviate(tmp_path).start()
        pid = started.pid
        getattr(started, how)()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        for port in (started.port, started.grpc_port):
            socket.create_server(("127.0.0.1", port)).close()
        assert {path.name for path in tmp_path.iterdir()} == {"data", "server.log"}

    def test_it_dies_with_who_started_it(self, own_weaviate: type[Server], tmp_path: Path) -> None:
        """A test run that is killed must leave no server behind."""
        command = [sys.executable, "-m", "tests.servers.weaviate", str(tmp_path)]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            port = int(parent.stdout.readline().split("?")[0].rpartition(":")[2])
            assert call(port, "GET", "/v1/.well-known/ready")[0] == 200
            parent.kill()
        until(lambda: not answers(port))

    def test_interrupted(self, own_weaviate: type[Server], tmp_path: Path) -> None:
        """By hand it ends in good order."""
        command = [sys.executable, "-m", "tests.servers.weaviate", str(tmp_path)]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            port = int(parent.stdout.readline().split("?")[0].rpartition(":")[2])
            parent.send_signal(signal.SIGINT)
            assert parent.wait(60) == 0
        assert not answers(port)

    def test_one_that_does_not_start(self, own_weaviate: type[Server], tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="GRPC_PORT"):
            own_weaviate(tmp_path, settings={"GRPC_PORT": "many"}).start()


class TestKeys:
    @pytest.mark.parametrize("key", [None, "wrong"])
    def test_nobody_else(self, locked: Server, key: str | None) -> None:
        assert call(locked.port, "GET", "/v1/schema", key=key)[0] == 401

    def test_reader_may_only_read(self, locked: Server) -> None:
        assert call(locked.port, "POST", "/v1/schema", SCHEMA, key="some")[0] == 403
        assert call(locked.port, "POST", "/v1/schema", SCHEMA, key="all")[0] == 200
        status, found = call(locked.port, "GET", "/v1/schema", key="some")
        assert (status, [one["class"] for one in found["classes"]]) == (200, ["Pages"])


class TestProxy:
    """The faults that the tests of kills and time-outs order."""

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[Proxy]:
        with Proxy(server.port) as proxy:
            yield proxy

    def test_forwards(self, proxy: Proxy, server: Server) -> None:
        assert call(proxy.port, "GET", "/v1/meta")[1]["version"] == build.version()
        assert proxy.passed["requests"] > 0
        assert proxy.passed["replies"] > 0

    def test_slow(self, proxy: Proxy) -> None:
        proxy.delay_s = 2.0
        with pytest.raises(TimeoutError):
            call(proxy.port, "GET", "/v1/meta", timeout_s=0.2)
        proxy.delay_s = 0.01
        assert call(proxy.port, "GET", "/v1/meta")[0] == 200

    def test_applied_and_not_heard(self, proxy: Proxy, server: Server) -> None:
        proxy.hold("replies")
        named = {"class": "Unheard"}
        with pytest.raises(TimeoutError):
            call(proxy.port, "POST", "/v1/schema", named, timeout_s=0.2)
        until(lambda: call(server.port, "GET", "/v1/schema/Unheard")[0] == 200)
        proxy.release()
        assert call(proxy.port, "GET", "/v1/schema/Unheard")[0] == 200

    def test_held_then_cut(self, proxy: Proxy) -> None:
        proxy.hold()
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(call, proxy.port, "GET", "/v1/meta")
            until(lambda: proxy.connections == 1)
            proxy.cut()
            with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                asking.result(60)
        proxy.release()
        assert call(proxy.port, "GET", "/v1/meta")[0] == 200

    def test_cut_in_the_middle_of_a_request(self, proxy: Proxy, server: Server) -> None:
        proxy.cut_after(200)
        with pytest.raises(ConnectionError):
            call(proxy.port, "POST", "/v1/schema", {"class": "Half", "description": "x" * 100_000})
        assert proxy.passed["requests"] == 200
        assert call(server.port, "GET", "/v1/schema/Half")[0] == 404
        assert call(proxy.port, "GET", "/v1/meta")[0] == 200

    def test_closed_and_opened(self, proxy: Proxy) -> None:
        proxy.close()
        with pytest.raises(ConnectionRefusedError):
            call(proxy.port, "GET", "/v1/meta")
        proxy.open()
        assert call(proxy.port, "GET", "/v1/meta")[0] == 200


class TestBuild:
    """With a command in Go's place."""

    def test_once(self, tmp_path: Path) -> None:
        """The second one is found, however many ask at once."""
        settings = pretended(tmp_path)
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda _: build.server(settings), range(8)))
        assert len(found) == 1
        (executable,) = found
        assert executable.is_relative_to(tmp_path / "cache" / "lateint")
        assert (tmp_path / "built").read_text().splitlines() == ["build"]
        assert {path.name for path in executable.parent.iterdir()} == {"lock", "weaviate-server"}

    def test_the_real_one_is_kept(self, own_weaviate: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "_build", None)
        assert build.server() == build.server()

    def test_another_go_another_server(self, tmp_path: Path) -> None:
        first = build.server(pretended(tmp_path))
        second = build.server(pretended(tmp_path, go="go1.27.1"))
        assert first != second
        assert first.exists()
        assert second.exists()

    def test_what_is_built_listens_on_the_loopback_only(self, tmp_path: Path) -> None:
        source = json.loads(build.server(pretended(tmp_path)).read_text())
        assert source == dict.fromkeys(build._LISTENERS, 'listen(fmt.Sprintf("127.0.0.1:%d", port))')

    def test_a_source_that_has_changed(self, tmp_path: Path) -> None:
        """A newer version that listens elsewhere must not be built as if it were known."""
        settings = pretended(tmp_path, listen="listenAnywhere(port)")
        with pytest.raises(build.CannotBuild, match="does not listen where it did"):
            build.server(settings)

    def test_a_build_that_fails(self, tmp_path: Path) -> None:
        settings = pretended(tmp_path)
        with pytest.raises(build.CannotBuild, match="no space left"):
            build.server(settings | {"FAILS": "no space left"})
        assert build.server(settings).exists()

    def test_a_go_that_is_too_old(self, tmp_path: Path) -> None:
        settings = pretended(tmp_path, go="go1.25.9")
        assert build.why_not(settings) == "Go 1.26 or newer is needed, here is go1.25.9"
        with pytest.raises(build.CannotBuild):
            build.server(settings)

    def test_no_go(self, tmp_path: Path) -> None:
        assert build.why_not({"PATH": str(tmp_path)}) == "Go is not installed"


class TestDiscovery:
    def test_order(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        named = {"LATEINT_TEST_WEAVIATE_URL": server.url, "LATEINT_TEST_WEAVIATE_API_KEY": "k"}
        with discovery.weaviate(tmp_path, named) as found:
            assert (found.kind, found.url, found.rest_url, found.api_key) == ("given", server.url, server.rest_url, "k")
        with discovery.weaviate(tmp_path, {"LATEINT_TEST_WEAVIATE_KIND": "built"}) as found:
            assert found.kind == "built"
            assert answers(found.port)
        assert not answers(found.port)

    def test_nothing_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(container, "why_not", lambda: "docker is not installed")
        monkeypatch.setenv("PATH", str(tmp_path))
        expected = (
            "LATEINT_TEST_WEAVIATE_URL is not set; container: docker is not installed; built: Go is not installed"
        )
        with pytest.raises(discovery.ServerNotFound, match=expected), discovery.weaviate(tmp_path, {}):
            pass
        with pytest.raises(discovery.ServerNotFound, match="Go is not installed"):
            discovery.own_weaviate()


class TestCompose:
    def test_one_version(self) -> None:
        """Containers and the built server are the same."""
        pinned = f"WEAVIATE_VERSION={build.version()}"
        assert pinned in (container.COMPOSE / "versions.env").read_text().splitlines()
        image = f"weaviate:${{WEAVIATE_VERSION:-{build.version()}}}\n"
        assert image in (container.COMPOSE / "weaviate.yaml").read_text()


def call(
    port: int, verb: str, path: str, body: Any = None, *, key: str | None = None, timeout_s: float = 60
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        headers = {"Content-Type": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        connection.request(verb, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, json.loads(content) if content else None
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return call(port, "GET", "/v1/.well-known/live")[0] == 200
    except OSError:
        return False


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listening(pid: int) -> list[str]:
    """Addresses on which a process takes connections or datagrams."""
    own = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(str(fd.readlink()))
        except FileNotFoundError:
            continue
    found = []
    for kind, waiting in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == waiting and f"socket:[{fields[9]}]" in own:
                address = bytes.fromhex(fields[1].partition(":")[0])
                words = [address[at : at + 4][::-1] for at in range(0, len(address), 4)]  # little-endian words
                family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
                found.append(socket.inet_ntop(family, b"".join(words)))
    return found


def pretended(
    folder: Path, *, go: str = "go1.26.8", listen: str = 'listen(fmt.Sprintf(":%d", port))'
) -> dict[str, str]:
    """An environment whose `go` says what it is told, and "compiles" into a JSON object of the listeners' sources."""
    source = folder / "published"
    for name in build._LISTENERS:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(listen)
    command = folder / "bin" / "go"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"""#!{sys.executable}
import json, os, sys, pathlib
verb, *rest = sys.argv[1:]
if verb == "env":
    print({go!r}, "linux", "amd64", sep="\\n")
elif rest[0] == "download":
    print(json.dumps({{"Dir": {str(source)!r}}}))
elif verb == "mod":
    pathlib.Path(rest[-1]).write_text(rest[1].rpartition("=")[2])
elif "FAILS" in os.environ:
    sys.exit(os.environ["FAILS"])
else:
    with open({str(folder / "built")!r}, "a") as log:
        print(verb, file=log)
    replaced = pathlib.Path(rest[0].partition("=")[2]).read_text()
    sources = {{name: (pathlib.Path(replaced) / name).read_text() for name in {build._LISTENERS!r}}}
    pathlib.Path(rest[rest.index("-o") + 1]).write_text(json.dumps(sources))
""")
    command.chmod(0o755)
    return {"PATH": str(command.parent), "XDG_CACHE_HOME": str(folder / "cache")}
