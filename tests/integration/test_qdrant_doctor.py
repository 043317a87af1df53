"""`lateint doctor` on a Qdrant server: whatever is wrong is named, with what to do, and nothing is written.

Runs against the double, the only server that misbehaves on order.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")
pytest.importorskip("qdrant_edge", reason="the double runs on the engine of lateint[edge]")
pytest.importorskip("click", reason="the command comes with lateint[cli]")

from click.testing import CliRunner
from qdrant_client import models as m

import lateint
from lateint import Document, IndexSpec
from lateint.cli.app import app
from lateint.engine import ports
from lateint.engine.ports import Speech
from lateint_qdrant import connection
from tests.servers import tls
from tests.servers.ports import free_ports
from tests.servers.qdrant.asking import client as plain
from tests.servers.qdrant.asking import multivector, url_of
from tests.servers.qdrant.double import Double

multi = partial(multivector, size=8)
CLIENT = metadata.version("qdrant-client")
DIM = 8
READS = {
    "Qdrant/HealthCheck",
    "Collections/List",
    "Collections/Get",
    "Points/Count",
    "Points/Scroll",
    "Profiler/SlowRequests",
}


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    with Double(tmp_path_factory.mktemp("doctor"), version=CLIENT) as server:
        yield server


@pytest.fixture
def server(double: Double) -> Iterator[Double]:
    """The double, empty and in order, before and after."""
    yield double
    double.clear()
    double.open_grpc(opened=True)
    client = plain(double)
    for entry in client.get_collections().collections:
        client.delete_collection(entry.name)
    client.close()


@pytest.fixture(autouse=True)
def _no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(connection.KEY_VARIABLE, raising=False)


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
    return found


def checks(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By what was looked at, without the number of a port."""
    return {check["part"].partition(" port ")[0]: check for check in found["checks"]}


def severities(found: dict[str, Any]) -> dict[str, str]:
    return {part: check["severity"] for part, check in checks(found).items() if check["index"] is None}


class TestHealthy:
    def test_empty(self, server: Double) -> None:
        found = findings(url_of(server), code=0)
        assert severities(found) == {"REST": "ok", "gRPC": "ok", "version": "ok", "key": "ok"}
        assert (found["reachable"], found["version"], found["problems"]) == (True, CLIENT, [])
        assert printed(url_of(server))[2] == "Nothing is wrong.\n"

    @pytest.mark.parametrize("transport", ["grpc", "rest"])
    def test_every_kind_of_collection(self, server: Double, transport: str) -> None:
        """Ours are opened, counted and read; what others made is described, and none of it is a problem."""
        with lateint.connect(url_of(server)) as client:
            client.create_index(IndexSpec("ours", DIM)).write([Document("d", np.ones((2, DIM)))])
        other = plain(server)
        dense = m.VectorParams(size=4, distance=m.Distance.DOT)
        strict = m.StrictModeConfig(enabled=True, max_query_limit=7)
        other.create_collection("cosine", vectors_config={"colbert": multi(m.Distance.COSINE)})
        other.create_collection("dense", vectors_config=dense)
        other.create_collection("several", vectors_config={"a": multi(), "b": multi(size=4), "dense": dense})
        other.create_collection("strict", vectors_config={"colbert": multi()}, strict_mode_config=strict)
        other.close()
        found = findings(url_of(server, transport=transport), code=0)
        assert found["problems"] == []
        seen = checks(found)
        assert seen["collection 'ours'"]["severity"] == "ok"
        assert seen["collection 'cosine'"]["severity"] == "warning"
        assert seen["collection 'dense'"]["seen"].startswith("nothing to open")
        assert seen["strict mode of 'strict'"]["seen"] == "k up to 7"
        opened = {(index["name"], index["vector"]): index for index in found["indexes"]}
        assert set(opened) == {
            *(("ours", None), ("cosine", None), ("dense", None), ("strict", None)),
            *(("several", "a"), ("several", "b")),
        }
        assert [name for (name, _), index in opened.items() if not index["opened"]] == ["dense"]
        assert (opened["ours", None]["managed"], opened["ours", None]["count"]) == (True, 1)
        assert all(index["error"] is None for index in found["indexes"])
        code, out, err = printed(url_of(server, transport=transport))
        assert code == 0
        assert "several, vector 'b'\t0\tnot made by lateint" in out
        assert "Warning: collection 'cosine': " in err
        assert "Nothing is wrong; 1 warning." in err

    def test_nothing_is_written(self, server: Double) -> None:
        """No call but those that read: also none that a server would merely refuse."""
        with lateint.connect(url_of(server)) as client:
            client.create_index(IndexSpec("ours", DIM)).write([Document("d", np.ones((2, DIM)))])
        server.clear()
        findings(url_of(server), code=0)
        called = server.calls()
        assert {name.split()[1] for name in called} <= READS
        assert called["grpc Points/Count"] == 1

    def test_searches_that_will_be_refused(self, server: Double) -> None:
        """Opening and counting work on it, searching does not."""
        with lateint.connect(url_of(server)) as client:
            client.create_index(IndexSpec("ours", DIM))
        other = plain(server)
        other.update_collection("ours", strict_mode_config=m.StrictModeConfig(enabled=True, search_allow_exact=False))
        other.close()
        found = findings(url_of(server), code=1)
        (problem,) = found["problems"]
        assert "Nothing can be searched" in problem["problem"]
        assert "search_allow_exact" in problem["remedy"]
        assert found["indexes"][0]["count"] == 0

    def test_one_that_cannot_be_described(self, server: Double) -> None:
        """The others are looked at all the same."""
        with lateint.connect(url_of(server)) as client:
            client.create_index(IndexSpec("a", DIM))
            client.create_index(IndexSpec("b", DIM))
        server.fault("internal", "Collections/Get")
        found = findings(url_of(server), code=1)
        (problem,) = found["problems"]
        assert problem["problem"].startswith("collection 'a': Service internal error")
        assert [(index["name"], index["count"]) for index in found["indexes"]] == [("a", None), ("b", 0)]


class TestPorts:
    @pytest.mark.parametrize(
        ("transport", "severity", "code"), [("auto", "warning", 0), ("grpc", "problem", 1), ("rest", "ok", 0)]
    )
    def test_grpc_closed(self, server: Double, transport: str, severity: str, code: int) -> None:
        """As bad as the URL makes it: slow, nothing at all, or of no concern."""
        server.open_grpc(opened=False)
        found = findings(url_of(server, transport=transport), code=code)
        assert severities(found)["REST"] == "ok"
        assert severities(found)["gRPC"] == severity
        assert "is closed" in checks(found)["gRPC"]["seen"]
        assert found["reachable"] is (code == 0)
        assert len(found["problems"]) == code

    @pytest.mark.parametrize(
        ("transport", "severity", "code"), [("auto", "warning", 0), ("rest", "problem", 1), ("grpc", "ok", 0)]
    )
    def test_rest_closed(self, server: Double, transport: str, severity: str, code: int) -> None:
        (free,) = free_ports(1)
        url = f"qdrant://127.0.0.1:{free}?grpc_port={server.grpc_port}&transport={transport}"
        found = findings(url, code=code)
        assert severities(found)["REST"] == severity
        assert severities(found)["gRPC"] == "ok"
        assert found["reachable"] is (code == 0)

    def test_both_closed(self) -> None:
        """Each is named once, and the error of connecting does not repeat them."""
        rest, grpc = free_ports(2)
        found = findings(f"qdrant://127.0.0.1:{rest}?grpc_port={grpc}", code=1)
        assert found["reachable"] is False
        assert [problem["problem"] for problem in found["problems"]] == [
            f"REST port {rest}: is closed.",
            f"gRPC port {grpc}: is closed.",
        ]
        assert all(problem["remedy"] for problem in found["problems"])

    def test_swapped(self, server: Double) -> None:
        """The port that a tutorial for gRPC names, after the host."""
        found = findings(f"qdrant://127.0.0.1:{server.grpc_port}?grpc_port={server.rest_port}", code=1)
        assert checks(found)["REST"]["seen"] == "speaks HTTP/2, not HTTP/1"
        assert checks(found)["gRPC"]["seen"] == "speaks HTTP/1, not HTTP/2"
        assert "swapped" in found["problems"][0]["remedy"]

    def test_deaf(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ports that take connections and never answer; the command comes back."""
        monkeypatch.setattr(connection, "PROBE_S", 0.5)
        monkeypatch.setattr("lateint.cli.doctor.TIMEOUT_S", 1.0)
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            url = f"qdrant://127.0.0.1:{one.getsockname()[1]}?grpc_port={two.getsockname()[1]}"
            found = findings(url, code=1)
        assert "does not answer within 0.5 s" in checks(found)["REST"]["seen"]
        assert "does not answer within 0.5 s" in checks(found)["gRPC"]["seen"]
        assert len(found["problems"]) == 2

    def test_slow(self, server: Double, monkeypatch: pytest.MonkeyPatch) -> None:
        """It answers, too late to be worked with: no collection is opened, one after the other, to hear that again."""
        with lateint.connect(url_of(server)) as client:
            client.create_index(IndexSpec("ours", DIM))
        monkeypatch.setattr(connection, "PROBE_S", 0.5)
        server.fault("delay", "Qdrant/HealthCheck", delay_s=3.0, times=1000)
        found = findings(url_of(server), code=1)
        assert "does not answer within 0.5 s" in checks(found)["gRPC"]["seen"]
        assert found["indexes"] == []
        assert len(found["problems"]) == 2

    @pytest.mark.parametrize("effect", ["unavailable", "cut", "internal"])
    def test_refusing(self, server: Double, effect: str) -> None:
        server.fault(effect, times=1000)
        found = findings(url_of(server), code=1)
        assert severities(found) == {"REST": "problem", "gRPC": "problem"}
        assert len(found["problems"]) == 2

    def test_two_servers(self, server: Double, tmp_path: Path) -> None:
        """Each port is forwarded from another server: what is written over one is not found over the other."""
        with Double(tmp_path, version=CLIENT) as other:
            client = plain(other)
            client.create_collection("only-here", vectors_config={"colbert": multi()})
            client.close()
            found = findings(f"qdrant://127.0.0.1:{server.rest_port}?grpc_port={other.grpc_port}", code=0)
        assert severities(found)["ports"] == "warning"

    def test_host_without_address(self) -> None:
        found = findings("qdrant://no-such-host.invalid", code=1)
        assert found["checks"] == []
        (problem,) = found["problems"]
        assert "'no-such-host.invalid' has no address" in problem["problem"]
        assert problem["remedy"]

    def test_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The clients obey the environment: "connection refused" is then about another host than the one in the URL."""
        (free,) = free_ports(1)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://me:s3cret@127.0.0.1:{free}")
        monkeypatch.setattr(ports, "spoken", lambda *_, **__: Speech.HTTP)
        found = findings("qdrant://192.0.2.1", code=1)
        assert "NO_PROXY=192.0.2.1" in checks(found)["REST"]["remedy"]
        assert "s3cret" not in json.dumps(found)


FULL, READ = "full-s3cret", "read-s3cret"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    folder = tmp_path_factory.mktemp("locked")
    with Double(folder, version=CLIENT, api_key=FULL, read_only_api_key=READ) as server:
        with lateint.connect(url_of(server), api_key=FULL) as client:
            client.create_index(IndexSpec("ours", DIM)).write([Document("d", np.ones((2, DIM)))])
        yield server


class TestKey:
    @pytest.mark.parametrize("transport", ["auto", "rest"])
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
        self,
        locked: Double,
        monkeypatch: pytest.MonkeyPatch,
        transport: str,
        key: str | None,
        severity: str,
        seen: str,
    ) -> None:
        """What it opens, found without writing; it is shown nowhere."""
        if key is not None:
            monkeypatch.setenv(connection.KEY_VARIABLE, key)
        bad = severity == "problem"
        found = findings(url_of(locked, transport=transport), code=int(bad))
        assert checks(found)["key"]["severity"] == severity
        assert checks(found)["key"]["seen"].startswith(seen)
        assert found["reachable"] is True
        assert len(found["problems"]) == int(bad)
        assert [index["count"] for index in found["indexes"]] == ([] if bad else [1])
        assert "s3cret" not in json.dumps(found) + "".join(printed(url_of(locked, transport=transport))[1:])

    def test_what_it_may_do_is_not_known(self, locked: Double, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without REST nobody tells, and nothing is written to find out."""
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        (free,) = free_ports(1)
        locked.clear()
        found = findings(f"qdrant://127.0.0.1:{free}?grpc_port={locked.grpc_port}", code=0)
        assert "cannot be told" in checks(found)["key"]["seen"]
        assert {name.split()[1] for name in locked.calls()} <= READS

    def test_wanted_by_nobody(self, server: Double, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever sets a key believes that the server asks for it."""
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        found = findings(url_of(server), code=0)
        assert checks(found)["key"]["severity"] == "warning"
        assert "answers without one" in checks(found)["key"]["seen"]

    @pytest.mark.parametrize("key", ["s3cret\n", " s3cret", "s3cr\tet", "s3cret’"])
    @pytest.mark.parametrize("transport", ["grpc", "rest"])
    def test_that_cannot_be_sent(
        self, locked: Double, monkeypatch: pytest.MonkeyPatch, transport: str, key: str
    ) -> None:
        """Clients repeat it in their messages, escaped, where no search for it finds it."""
        monkeypatch.setenv(connection.KEY_VARIABLE, key)
        url = url_of(locked, transport=transport)
        found = findings(url, code=1)
        (problem,) = found["problems"]
        assert "cannot be sent" in problem["problem"]
        with pytest.raises(lateint.errors.ConfigurationError) as caught:
            lateint.connect(url, api_key=key)
        for text in (json.dumps(found), str(caught.value), *printed(url)[1:]):
            assert "s3cr" not in text

    def test_that_must_not_be_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(connection.KEY_VARIABLE, FULL)
        (problem,) = findings("qdrant://192.0.2.1", code=1)["problems"]
        assert "unencrypted" in problem["problem"]


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "severity"), [("1.9.7", "problem"), ("1.13.2", "warning"), ("9.0.0", "warning")]
    )
    def test_apart(self, tmp_path: Path, version: str, severity: str) -> None:
        with Double(tmp_path, version=version) as server:
            found = findings(url_of(server), code=int(severity == "problem"))
        assert checks(found)["version"]["severity"] == severity
        assert len(found["problems"]) == int(severity == "problem")
        assert f"server {version}, qdrant-client {CLIENT}" in checks(found)["version"]["seen"]
        assert checks(found)["version"]["remedy"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tls.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def behind_tls(certificate: Path, server: Double) -> Iterator[tuple[int, int]]:
    """Both ports of the double behind TLS."""
    with tls.Front(server.rest_port, certificate) as rest, tls.Front(server.grpc_port, certificate) as grpc:
        yield rest.port, grpc.port


class TestTls:
    def test_wanted_where_there_is_none(self, server: Double) -> None:
        found = findings(url_of(server).replace("qdrant:", "qdrant+https:"), code=1)
        for part in ("REST", "gRPC"):
            assert checks(found)[part]["seen"] == "does not speak TLS"
            assert "qdrant://" in checks(found)[part]["remedy"]

    def test_there_where_none_is_wanted(self, behind_tls: tuple[int, int]) -> None:
        found = findings("qdrant://localhost:{}?grpc_port={}".format(*behind_tls), code=1)
        for part in ("REST", "gRPC"):
            assert checks(found)[part]["seen"] == "speaks TLS"
            assert "qdrant+https://" in checks(found)[part]["remedy"]

    def test_not_trusted(self, behind_tls: tuple[int, int]) -> None:
        """Each transport has a variable of its own for the authority."""
        found = findings("qdrant+https://localhost:{}?grpc_port={}".format(*behind_tls), code=1)
        for part, variable in {"REST": "SSL_CERT_FILE", "gRPC": "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}.items():
            assert "a certificate that is not trusted" in checks(found)[part]["seen"]
            assert variable in checks(found)[part]["remedy"]

    def test_trusted(self, behind_tls: tuple[int, int], certificate: Path) -> None:
        """What the remedy says works, over both."""
        trusted = str(certificate)
        environment = {"SSL_CERT_FILE": trusted, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": trusted}
        command = [sys.executable, "-m", "lateint", "doctor", "--json"]
        done = subprocess.run(
            [*command, "qdrant+https://localhost:{}?grpc_port={}".format(*behind_tls)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert severities(found) == {"host": "ok", "REST": "ok", "gRPC": "ok", "version": "ok", "key": "ok"}
        assert found["location"].startswith("qdrant+https://localhost:")
