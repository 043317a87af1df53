"""`lateint doctor` on a Weaviate server: whatever is wrong is named, with what to do, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")
pytest.importorskip("click", reason="the command comes with lateint[cli]")

import weaviate
from click.testing import CliRunner
from weaviate.classes.config import Configure, VectorDistances
from weaviate.classes.data import DataObject

import lateint
from lateint import Document, IndexSpec
from lateint.cli.app import app
from lateint_weaviate import connection, sync
from lateint_weaviate.calls import Http, Rpc
from tests.servers import tls
from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

DIM = 8
FULL, READ = "full-s3cret", "read-s3cret"
PARTS = {"REST", "gRPC", "version", "key", "largest message", "nodes", "auto-schema"}
"""What is looked at where nothing is wrong."""


@pytest.fixture(scope="module")
def one(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_weaviate(tmp_path_factory.mktemp("doctor")) as server:
        yield server


@pytest.fixture
def server(one: Server) -> Iterator[Server]:
    """A server without a key, empty before and after."""
    yield one
    with plain(one) as client:
        client.collections.delete_all()


@pytest.fixture(scope="module")
def locked(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with keys, and an index."""
    with own_weaviate(tmp_path_factory.mktemp("locked"), api_key=FULL, read_only_api_key=READ) as server:
        with lateint.connect(server.url, api_key=FULL) as client:
            client.create_index(IndexSpec("ours", DIM)).write([Document("d", np.ones((2, DIM)))])
        yield server


@pytest.fixture(autouse=True)
def _no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(connection.KEY_VARIABLE, raising=False)


@contextmanager
def plain(server: Server) -> Iterator[Any]:
    """A client of Weaviate's own."""
    with weaviate.connect_to_local(
        host="127.0.0.1", port=server.port, grpc_port=server.grpc_port, skip_init_checks=True
    ) as client:
        yield client


def printed(url: str, *more: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["doctor", url, *more])
    assert "Traceback" not in result.stderr
    return result.exit_code, result.stdout, result.stderr


def findings(url: str, *, code: int) -> dict[str, Any]:
    """What `--json` prints; every warning and problem says what to do."""
    got, out, err = printed(url, "--json")
    assert got == code, out + err
    found: dict[str, Any] = json.loads(out)
    assert found["ok"] is (code == 0)
    assert all(check["remedy"] for check in found["checks"] if check["severity"] != "ok")
    return found


def checks(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By what was looked at, without the number of a port."""
    return {check["part"].partition(" port ")[0]: check for check in found["checks"]}


def severities(found: dict[str, Any]) -> dict[str, str]:
    return {part: check["severity"] for part, check in checks(found).items() if check["index"] is None}


def multi(name: str = "colbert", *, metric: VectorDistances = VectorDistances.DOT, **more: Any) -> Any:
    index = Configure.VectorIndex.hnsw(distance_metric=metric, flat_search_cutoff=more.pop("cutoff", None))
    return Configure.MultiVectors.self_provided(name=name, vector_index_config=index, **more)


def fill(client: Any, name: str, *vectors: str, dim: int = DIM) -> None:
    """Two objects with rows of length 1 under each name."""
    rows = np.eye(2, dim).tolist()
    objects: list[DataObject[Any, Any]] = [
        DataObject(properties={}, uuid=str(uuid.UUID(int=number)), vector=dict.fromkeys(vectors, rows))
        for number in (1, 2)
    ]
    assert not client.collections.use(name).data.insert_many(objects).has_errors


class TestHealthy:
    def test_empty(self, server: Server) -> None:
        found = findings(server.url, code=0)
        assert severities(found) == dict.fromkeys(PARTS, "ok")
        assert (found["reachable"], found["version"], found["problems"]) == (True, "1.39.0", [])
        assert "104,858,000 bytes" in checks(found)["largest message"]["seen"]
        assert printed(server.url)[2] == "Nothing is wrong.\n"

    def test_every_kind_of_collection(self, server: Server) -> None:
        """Ours are opened, counted and read; what others made is described, and none of it is a problem."""
        muvera = Configure.VectorIndex.MultiVector.Encoding.muvera()
        warned = {
            "Cosine": multi(metric=VectorDistances.COSINE),
            "Dist": multi(metric=VectorDistances.L2_SQUARED),
            "Muvera": multi(encoding=muvera),
            "Quantized": multi(quantizer=Configure.VectorIndex.Quantizer.rq()),
            "Small": multi(cutoff=2),
        }
        with lateint.connect(server.url) as client:
            client.create_index(IndexSpec("ours", DIM)).write([Document("d", np.ones((2, DIM)))])
        with plain(server) as other:
            dense = Configure.Vectors.self_provided(name="dense")
            flat = Configure.MultiVectors.self_provided(name="a", vector_index_config=Configure.VectorIndex.flat())
            for name, vector in warned.items():
                other.collections.create(name, vector_config=[vector])
                fill(other, name, "colbert")
            other.collections.create("Several", vector_config=[multi("a"), multi("b"), multi("empty"), dense])
            fill(other, "Several", "a", "b")
            other.collections.create("Plain", vector_config=[multi(quantizer=Configure.VectorIndex.Quantizer.none())])
            fill(other, "Plain", "colbert")
            other.collections.create("Dense", vector_config=[dense])
            other.collections.create("Flat", vector_config=[flat])
            other.collections.create("Empty", vector_config=[multi()])
            tenants = Configure.multi_tenancy(enabled=True)
            other.collections.create("Tenants", vector_config=[multi()], multi_tenancy_config=tenants)
        found = findings(server.url, code=0)
        assert found["problems"] == []
        seen = checks(found)
        assert seen["collection 'ours'"]["severity"] == "ok"
        assert seen["collection 'ours'"]["seen"].startswith("made by lateint, dimension 8, float32, dot")
        for name in (*warned, "Empty", "Tenants"):
            assert seen[f"collection {name!r}"]["severity"] == "warning", name
        for name, words in {
            "Cosine": "Metric cosine",
            "Dist": "l2-squared",
            "Muvera": "MUVERA",
            "Quantized": "quantized (rq)",
            "Small": "2 documents, and flatSearchCutoff is 2",
            "Empty": "dimension is unknown",
            "Tenants": "tenants",
            "Plain": "exact below 40,000 documents",
            "Dense": "nothing to open: no multi-vector, but vector 'dense' (hnsw)",
            "Flat": "an index of type flat keeps no multi-vectors",
        }.items():
            assert words in seen[f"collection {name!r}"]["seen"]
        several = [check for check in found["checks"] if check["index"] == "Several"]
        assert [check["vectors"] for check in several] == [["a"], ["b"], []]
        assert "open('Several', vector='a')" in several[0]["seen"]
        opened = {(index["name"], index["vector"]): index for index in found["indexes"]}
        assert {key for key, index in opened.items() if index["opened"]} == {
            *((name, None) for name in ("ours", "Plain", *warned)),
            *(("Several", "a"), ("Several", "b")),
        }
        assert (opened["ours", None]["managed"], opened["ours", None]["count"]) == (True, 1)
        assert all(index["error"] is None for index in found["indexes"])
        code, out, err = printed(server.url)
        assert code == 0
        assert "Several, vector 'b'\t2\tnot made by lateint" in out
        assert "Warning: collection 'Muvera': " in err
        assert "Nothing is wrong; 8 warnings." in err

    def test_made_by_auto_schema(self, server: Server) -> None:
        """The setting cannot be read; that it has been at work can, and in an index of lateint it means a stranger."""
        with lateint.connect(server.url) as client:
            client.create_index(IndexSpec("ours", DIM)).write([Document("d", np.ones((2, DIM)))])
        assert "does not tell" in checks(findings(server.url, code=0))["auto-schema"]["seen"]
        body = {"class": "Ours", "properties": {"surprise": 1}, "vectors": {"lateint": [[1.0] * DIM]}}
        request = Request(f"{server.rest_url}/v1/objects", json.dumps(body).encode())
        request.add_header("content-type", "application/json")
        urlopen(request, timeout=30).close()
        found = checks(findings(server.url, code=1))
        assert "'Ours'" in found["auto-schema"]["seen"]
        assert "'surprise'" in found["collection 'ours'"]["seen"]
        assert found["collection 'ours'"]["severity"] == "warning"


class TestNothingIsWritten:
    def test_by_its_calls(self, locked: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """No call but those that read, and a deletion that the server is told only to try, of nobody, nowhere."""
        http, rpc = sync.Own.http, sync.Own.rpc
        calls: list[Any] = []

        def noted(send: Any) -> Any:
            def noting(self: sync.Own, call: Any, *arguments: Any) -> Any:
                calls.append(call)
                return send(self, call, *arguments)

            return noting

        monkeypatch.setattr(sync.Own, "http", noted(http))
        monkeypatch.setattr(sync.Own, "rpc", noted(rpc))
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        findings(locked.url, code=0)
        assert {call.method for call in calls if isinstance(call, Http)} == {"GET"}
        rpcs = [call for call in calls if isinstance(call, Rpc)]
        assert {call.method for call in rpcs} == {"Search", "Aggregate", "BatchDelete"}
        (trial,) = [call.message for call in rpcs if call.method == "BatchDelete"]
        assert trial.dry_run
        assert trial.collection == "Lateint_doctor"

    def test_by_what_is_there(self, locked: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cluster has agreed on nothing new, and objects are as they were."""

        def asked(path: str) -> Any:
            request = Request(f"{locked.rest_url}/v1/{path}", headers={"authorization": f"Bearer {FULL}"})
            with urlopen(request, timeout=30) as reply:
                return json.load(reply)

        def there() -> list[Any]:
            nodes = asked("cluster/statistics")["statistics"]
            return [
                sorted(asked("schema")["classes"], key=lambda each: each["class"]),
                sorted(asked("objects?include=vector")["objects"], key=lambda each: each["id"]),
                [node["raft"]["appliedIndex"] for node in nodes],
            ]

        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        before = there()
        findings(locked.url, code=0)
        assert there() == before


class TestPorts:
    def test_grpc_closed(self, server: Server) -> None:
        """The mistake that costs most: REST answers, and nothing works."""
        (free,) = free_ports(1)
        found = findings(f"weaviate://127.0.0.1:{server.port}?grpc_port={free}", code=1)
        assert severities(found) == {"REST": "ok", "gRPC": "problem", "version": "ok"}
        assert checks(found)["gRPC"]["seen"] == "is closed"
        assert "50051" in checks(found)["gRPC"]["remedy"]
        assert (found["reachable"], len(found["problems"])) == (False, 1)

    def test_rest_closed(self, server: Server) -> None:
        (free,) = free_ports(1)
        found = findings(f"weaviate://127.0.0.1:{free}?grpc_port={server.grpc_port}", code=1)
        assert severities(found) == {"REST": "problem", "gRPC": "ok"}
        assert len(found["problems"]) == 1

    def test_both_closed(self) -> None:
        """Each is named once, and the error of connecting does not repeat them."""
        rest, grpc = free_ports(2)
        found = findings(f"weaviate://127.0.0.1:{rest}?grpc_port={grpc}", code=1)
        assert [problem["problem"] for problem in found["problems"]] == [
            f"REST port {rest}: is closed.",
            f"gRPC port {grpc}: is closed.",
        ]

    def test_swapped(self, server: Server) -> None:
        found = findings(f"weaviate://127.0.0.1:{server.grpc_port}?grpc_port={server.port}", code=1)
        assert checks(found)["REST"]["seen"] == "speaks HTTP/2, not HTTP/1"
        assert checks(found)["gRPC"]["seen"] == "speaks HTTP/1, not HTTP/2"
        assert "swapped" in found["problems"][0]["remedy"]

    @pytest.mark.parametrize("deaf", ["REST", "gRPC"])
    def test_deaf(self, server: Server, monkeypatch: pytest.MonkeyPatch, deaf: str) -> None:
        """A port that takes connections and never answers; the command comes back, and the other is well."""
        monkeypatch.setattr(connection, "PROBE_S", 0.5)
        with Proxy(server.port) as rest, Proxy(server.grpc_port) as grpc:
            (rest if deaf == "REST" else grpc).hold()
            found = findings(f"weaviate://127.0.0.1:{rest.port}?grpc_port={grpc.port}", code=1)
        assert "does not answer within 0.5 s" in checks(found)[deaf]["seen"]
        assert severities(found)["gRPC" if deaf == "REST" else "REST"] == "ok"
        assert len(found["problems"]) == 1

    def test_cut(self, server: Server) -> None:
        """A port forwarder with nobody behind it."""
        (free,) = free_ports(1)
        with Proxy(free) as rest, Proxy(free) as grpc:
            found = findings(f"weaviate://127.0.0.1:{rest.port}?grpc_port={grpc.port}", code=1)
        assert severities(found) == {"REST": "problem", "gRPC": "problem"}
        assert len(found["problems"]) == 2

    @pytest.mark.parametrize(
        ("status", "body"), [(200, "<html>hello</html>"), (200, '{"title": "another engine"}'), (404, "not found")]
    )
    def test_another_service(self, server: Server, status: int, body: str) -> None:
        with service(status, body) as port:
            found = findings(f"weaviate://127.0.0.1:{port}?grpc_port={server.grpc_port}", code=1)
        assert checks(found)["REST"]["seen"] == "answers, and not as Weaviate does"
        assert len(found["problems"]) == 1

    def test_too_old(self, server: Server) -> None:
        with service(200, '{"version": "1.30.2"}') as port:
            found = findings(f"weaviate://127.0.0.1:{port}?grpc_port={server.grpc_port}", code=1)
        assert severities(found) == {"REST": "ok", "gRPC": "ok", "version": "problem"}
        assert len(found["problems"]) == 1

    def test_two_servers(self, own_weaviate: type[Server], server: Server, tmp_path: Path) -> None:
        """Each port is forwarded from another server: what REST shows is not found over gRPC."""
        with lateint.connect(server.url) as client:
            client.create_index(IndexSpec("ours", DIM))
        with own_weaviate(tmp_path) as other:
            found = findings(f"weaviate://127.0.0.1:{server.port}?grpc_port={other.grpc_port}", code=1)
        assert severities(found)["ports"] == "problem"
        assert "'Ours'" in checks(found)["ports"]["seen"]
        assert len(found["problems"]) == 1

    def test_host_without_address(self) -> None:
        for url in ("weaviate://no-such-host.invalid", "weaviate://127.0.0.1:1?grpc_host=no-such-host.invalid"):
            (problem,) = findings(url, code=1)["problems"]
            assert "'no-such-host.invalid' has no address" in problem["problem"]


@contextmanager
def service(status: int, body: str) -> Iterator[int]:
    """Something at a port that speaks HTTP, and says the same to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Service(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever only looked who is there is gone before it is answered."""

    with Service(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http.server_port
        http.shutdown()


class TestKey:
    @pytest.mark.parametrize(
        ("key", "severity", "seen"),
        [
            (None, "problem", "none is given"),
            ("wr0ng-s3cret", "problem", "refused"),
            (READ, "warning", "accepted, for reading only"),
            (FULL, "ok", "accepted, for reading and writing"),
        ],
    )
    def test_key(
        self, locked: Server, monkeypatch: pytest.MonkeyPatch, key: str | None, severity: str, seen: str
    ) -> None:
        """What it opens, found without writing; it is shown nowhere. A key for reading is enough to look at all."""
        if key is not None:
            monkeypatch.setenv(connection.KEY_VARIABLE, key)
        bad = severity == "problem"
        found = findings(locked.url, code=int(bad))
        assert checks(found)["key"]["severity"] == severity
        assert checks(found)["key"]["seen"].startswith(seen)
        assert severities(found).keys() == ({"REST", "gRPC", "key"} if bad else PARTS)
        assert len(found["problems"]) == int(bad)
        assert [index["count"] for index in found["indexes"]] == ([] if bad else [1])
        assert "s3cret" not in json.dumps(found) + "".join(printed(locked.url)[1:])

    def test_of_a_server_without_keys(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """Such a server refuses whoever has one."""
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        found = findings(server.url, code=1)
        assert checks(found)["key"]["seen"].startswith("one is given, and the server has none")
        assert "Unset WEAVIATE_API_KEY" in checks(found)["key"]["remedy"]

    def test_not_asked_for(self, own_weaviate: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever sets a key believes that nobody gets in without one."""
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        settings = {
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "AUTHORIZATION_ADMINLIST_READONLY_USERS": "anonymous",
        }
        with own_weaviate(tmp_path, api_key=FULL, settings=settings) as server:
            found = findings(server.url, code=0)
        assert severities(found)["key"] == "warning"
        assert "ANONYMOUS_ACCESS" in checks(found)["key"]["remedy"]

    def test_over_grpc_alone(self, locked: Server, server: Server) -> None:
        """One server wants a key, the other does not."""
        found = findings(f"weaviate://127.0.0.1:{server.port}?grpc_port={locked.grpc_port}", code=1)
        assert "refused over gRPC" in checks(found)["key"]["seen"]
        assert len(found["problems"]) == 1

    def test_that_must_not_be_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        (problem,) = findings("weaviate://192.0.2.1", code=1)["problems"]
        assert "unencrypted" in problem["problem"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tls.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def behind_tls(certificate: Path, server: Server) -> Iterator[str]:
    """Host and ports of the server behind TLS, as in a URL."""
    with tls.Front(server.port, certificate) as rest, tls.Front(server.grpc_port, certificate) as grpc:
        yield f"localhost:{rest.port}?grpc_port={grpc.port}"


class TestTls:
    def test_wanted_where_there_is_none(self, server: Server) -> None:
        found = findings(server.url.replace("weaviate:", "weaviate+https:"), code=1)
        for part in ("REST", "gRPC"):
            assert checks(found)[part]["seen"] == "does not speak TLS"
            assert "weaviate://" in checks(found)[part]["remedy"]

    def test_there_where_none_is_wanted(self, behind_tls: str) -> None:
        found = findings(f"weaviate://{behind_tls}", code=1)
        for part in ("REST", "gRPC"):
            assert checks(found)[part]["seen"] == "speaks TLS"
            assert "weaviate+https://" in checks(found)[part]["remedy"]

    def test_not_trusted(self, behind_tls: str) -> None:
        """Each interface has a variable of its own for the authority."""
        found = findings(f"weaviate+https://{behind_tls}", code=1)
        for part, variable in {"REST": "SSL_CERT_FILE", "gRPC": "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}.items():
            assert "a certificate that is not trusted" in checks(found)[part]["seen"]
            assert variable in checks(found)[part]["remedy"]

    def test_trusted(self, behind_tls: str, certificate: Path) -> None:
        """What the remedy says works, over both."""
        trusted = str(certificate)
        environment = {"SSL_CERT_FILE": trusted, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": trusted}
        done = subprocess.run(
            [sys.executable, "-m", "lateint", "doctor", "--json", f"weaviate+https://{behind_tls}"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert severities(json.loads(done.stdout)) == dict.fromkeys({*PARTS, "host"}, "ok")
