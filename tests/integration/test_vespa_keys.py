"""TLS, certificates and tokens: each works, each that is wrong is told from the others, and no secret is ever shown."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors
from tests.servers.tls import certificate

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

TOKEN = "vespa_cloud_s3cret_0123456789"
PREFIX = "VESPA_CLI_DATA_PLANE_"
ONCE = RetryPolicy(attempts=1)
DOCUMENTS = [Document(str(n), np.eye(8, dtype=np.float32)[: 1 + n], {"n": n}) for n in range(3)]


class Gate:
    """Speaks TLS, looks at who comes, and passes on to a port what is let in.

    Attributes:
        port: where it listens.
        token: the one that is let in; None for all.
        tokens: what came in `Authorization`, call by call.
        certificates: what showed itself, call by call.
    """

    def __init__(self, target_port: int, cert: Path, *, clients: Path | None = None, token: str | None = None) -> None:
        gate = self
        self.token = token
        self.tokens: list[str | None] = []
        self.certificates: list[bool] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                shown = self.headers.get("Authorization")
                gate.tokens.append(shown)
                gate.certificates.append(bool(self.connection.getpeercert()))
                if gate.token is not None and shown != f"Bearer {gate.token}":
                    self.reply(401, f'{{"message": "no entry with {shown}"}}'.encode())
                    return
                connection = HTTPConnection("127.0.0.1", target_port, timeout=60)
                sent = {name: text for name, text in self.headers.items() if name not in {"Host", "Authorization"}}
                connection.request(self.command, self.path, body or None, sent)
                answer = connection.getresponse()
                self.reply(answer.status, answer.read())
                connection.close()

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - of the library

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Handshakes fail here, on purpose."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, cert.with_name("key.pem"))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Of the container alone."""
        return f"vespa+https://localhost:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With an index that has documents."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        with lateint.connect(server.url) as client:
            client.create_index(IndexSpec("locked", 8, fields={"n": "integer"})).write(DOCUMENTS)
        yield server


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the gates, which no system trusts."""
    return certificate(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the client; its key lies beside it."""
    return certificate(tmp_path_factory.mktemp("mine"))


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it comes from where the tests run."""
    for name in (
        "VESPA_CLOUD_SECRET_TOKEN",
        "VESPA_API_KEY",
        *(f"{PREFIX}{n}{f}" for n in ("CERT", "KEY", "CA_CERT") for f in ("", "_FILE")),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch, theirs: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}CA_CERT_FILE", str(theirs))


@pytest.fixture
def hidden(mine: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[object], None]]:
    """Checks that something shows no secret; at the end, that nothing was logged of one."""
    caplog.set_level(logging.DEBUG)
    secrets = [TOKEN, *mine.with_name("key.pem").read_text().splitlines()[1:-1]]

    def check(thing: object) -> None:
        shown = [repr(thing), str(thing)]
        if isinstance(thing, BaseException):
            shown += traceback.format_exception(thing)
        for text in shown:
            assert not [secret for secret in secrets if secret in text]

    yield check
    for record in caplog.records:
        check(record.getMessage())


def opened(target: object, **options: Any) -> lateint.Client:
    return lateint.connect(target, timeout_s=20.0, retry=ONCE, **options)


def check_reads(client: lateint.Client) -> None:
    """By everything that goes over a line: single calls, many at once, and streams."""
    index = client.open("locked")
    assert len(index.search(DOCUMENTS[2].vectors)) == 3
    assert [each.id for each in index.get(["0", "1", "2"])] == ["0", "1", "2"]
    assert len(list(index.scan(with_vectors=True))) == 3


class TestTrust:
    def test_of_a_certificate_that_nobody_knows(self, server: Server, theirs: Path) -> None:
        with Gate(server.port, theirs) as gate, pytest.raises(errors.ConnectionFailed) as caught:
            opened(gate.url)
        assert not caught.value.retryable
        assert not gate.tokens

    @pytest.mark.parametrize("form", ["CA_CERT_FILE", "CA_CERT"])
    def test_of_a_file(self, server: Server, theirs: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(f"{PREFIX}{form}", str(theirs) if form.endswith("FILE") else theirs.read_text())
        with Gate(server.port, theirs) as gate, opened(gate.url) as client:
            check_reads(client)

    @pytest.mark.usefixtures("trusting")
    def test_of_another_name(self, server: Server, theirs: Path) -> None:
        """A certificate that is trusted, of another host."""
        with Gate(server.port, theirs) as gate, pytest.raises(errors.ConnectionFailed) as caught:
            opened(gate.url.replace("localhost", "ip6-localhost.localhost"))
        assert "s3cret" not in str(caught.value)

    def test_of_a_file_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(f"{PREFIX}CA_CERT_FILE", "/none/ca.pem")
        with pytest.raises(errors.ConfigurationError, match=PREFIX):
            opened("vespa+https://localhost:1")

    def test_plain_where_tls_is(self, server: Server, theirs: Path) -> None:
        with Gate(server.port, theirs) as gate, pytest.raises(errors.BackendError):
            opened(f"vespa://localhost:{gate.port}?config_port=0")

    def test_tls_where_it_is_not(self, server: Server) -> None:
        with pytest.raises(errors.ConnectionFailed, match=r"vespa\+https"):
            opened(f"vespa+https://localhost:{server.port}")


@pytest.mark.usefixtures("trusting")
class TestCertificate:
    @pytest.mark.parametrize("form", ["_FILE", ""])
    def test_is_shown(
        self, server: Server, theirs: Path, mine: Path, form: str, monkeypatch: pytest.MonkeyPatch, hidden: Any
    ) -> None:
        """Both doors ask for it: an index is created through one and written through the other."""
        for name, file in (("CERT", mine), ("KEY", mine.with_name("key.pem"))):
            monkeypatch.setenv(f"{PREFIX}{name}{form}", str(file) if form else file.read_text())
        with (
            Gate(server.port, theirs, clients=mine) as gate,
            Gate(server.config_port, theirs, clients=mine) as config,
            opened(f"{gate.url}?config_port={config.port}") as client,
        ):
            check_reads(client)
            index = client.create_index(IndexSpec("sealed", 8))
            assert index.write(DOCUMENTS).written == 3
            client.drop_index("sealed")
            assert client.list_indexes() == ["locked"]
            for shown in (client, client._backend, client.server_info(), index):
                hidden(shown)
        assert all(gate.certificates)
        assert all(config.certificates)

    def test_is_missing(self, server: Server, theirs: Path, mine: Path) -> None:
        """What to set is said, also where the server closes the connection before it is heard."""
        with (
            Gate(server.port, theirs, clients=mine) as gate,
            pytest.raises((errors.AuthenticationFailed, errors.ConnectionFailed), match=f"{PREFIX}CERT_FILE"),
        ):
            opened(gate.url)

    def test_is_of_somebody_else(
        self, server: Server, theirs: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(f"{PREFIX}CERT_FILE", str(theirs))
        monkeypatch.setenv(f"{PREFIX}KEY_FILE", str(theirs.with_name("key.pem")))
        with (
            Gate(server.port, theirs, clients=mine) as gate,
            pytest.raises((errors.AuthenticationFailed, errors.ConnectionFailed), match=f"{PREFIX}CERT_FILE"),
        ):
            opened(gate.url)

    def test_does_not_fit_its_key(self, theirs: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, hidden: Any) -> None:
        monkeypatch.setenv(f"{PREFIX}CERT", theirs.read_text())
        monkeypatch.setenv(f"{PREFIX}KEY", mine.with_name("key.pem").read_text())
        with pytest.raises(errors.ConfigurationError, match=PREFIX) as caught:
            opened("vespa+https://localhost:1")
        hidden(caught.value)

    def test_of_a_client_of_pyvespa(
        self, server: Server, theirs: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, hidden: Any
    ) -> None:
        application = pytest.importorskip("vespa.application", reason="the client comes with lateint[vespa]")
        monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
        key = mine.with_name("key.pem")
        with Gate(server.port, theirs, clients=mine) as gate:
            for own in (
                application.Vespa("https://localhost", gate.port, cert=str(mine), key=str(key)),
                application.Vespa(
                    "https://localhost", gate.port, cert_content=mine.read_text(), key_content=key.read_text()
                ),
            ):
                with opened(own) as client:
                    check_reads(client)
                    hidden(client)
                    hidden(client._backend)


@pytest.mark.usefixtures("trusting")
class TestToken:
    @pytest.mark.parametrize("variable", ["VESPA_CLOUD_SECRET_TOKEN", None])
    def test_is_sent(
        self, server: Server, theirs: Path, variable: str | None, monkeypatch: pytest.MonkeyPatch, hidden: Any
    ) -> None:
        """With every call to the container, and none to the config server."""
        if variable:
            monkeypatch.setenv(variable, TOKEN)
        options = {} if variable else {"api_key": TOKEN}
        with Gate(server.port, theirs, token=TOKEN) as gate, Gate(server.config_port, theirs) as config:
            with opened(f"{gate.url}?config_port={config.port}", **options) as client:
                check_reads(client)
                assert client.list_indexes() == ["locked"]
                for shown in (client, client._backend, client.server_info(), client.server_info().details):
                    hidden(shown)
            assert set(gate.tokens) == {f"Bearer {TOKEN}"}
            assert set(config.tokens) == {None}

    @pytest.mark.parametrize("given", [None, TOKEN])
    def test_is_wrong(self, server: Server, theirs: Path, given: str | None, hidden: Any) -> None:
        """Refused at once; the gate repeats what it was sent, and the error does not."""
        with Gate(server.port, theirs, token="another") as gate:
            for opening in (
                lambda: opened(gate.url, api_key=given),
                lambda: asyncio.run(lateint.aconnect(gate.url, api_key=given, retry=ONCE)),
            ):
                with pytest.raises(errors.AuthenticationFailed, match="VESPA_CLOUD_SECRET_TOKEN") as caught:
                    opening()
                assert not caught.value.retryable
                hidden(caught.value)

    def test_is_taken_back(self, server: Server, theirs: Path, hidden: Any) -> None:
        """Every verb says so, and none shows it."""
        with Gate(server.port, theirs, token=TOKEN) as gate, opened(gate.url, api_key=TOKEN) as client:
            index = client.open("locked")
            gate.token = "another"
            for attempt in (
                lambda: index.search(DOCUMENTS[0].vectors),
                index.count,
                lambda: index.get(["1"]),
                lambda: list(index.scan(with_vectors=True)),
            ):
                with pytest.raises(errors.AuthenticationFailed) as caught:
                    attempt()
                hidden(caught.value)

    def test_in_the_clear(self, server: Server, hidden: Any) -> None:
        """It does not leave the machine unencrypted, and within it it may."""
        for target in ("vespa://vespa.example:8080", "vespa://10.1.2.3"):
            with pytest.raises(errors.ConfigurationError, match="unencrypted") as caught:
                opened(target, api_key=TOKEN)
            hidden(caught.value)
        with opened(server.url, api_key=TOKEN) as client:
            check_reads(client)

    @pytest.mark.parametrize("key", [f"{TOKEN}\n", f"{TOKEN}\u00e9", f"{TOKEN}\0"])
    def test_that_cannot_be_sent(self, key: str, hidden: Any) -> None:
        with pytest.raises(errors.ConfigurationError) as caught:
            opened("vespa+https://localhost:1", api_key=key)
        hidden(caught.value)

    def test_of_a_client_of_pyvespa(
        self, server: Server, theirs: Path, monkeypatch: pytest.MonkeyPatch, hidden: Any
    ) -> None:
        application = pytest.importorskip("vespa.application", reason="the client comes with lateint[vespa]")
        monkeypatch.setenv("SSL_CERT_FILE", str(theirs))

        async def steps(own: Any) -> None:
            async with await lateint.aconnect(own, retry=ONCE) as client:
                index = await client.open("locked")
                assert len(await index.search(DOCUMENTS[2].vectors)) == 3
                hidden(client)

        with Gate(server.port, theirs, token=TOKEN) as gate:
            own = application.Vespa("https://localhost", gate.port, vespa_cloud_secret_token=TOKEN)
            with opened(own) as client:
                check_reads(client)
                hidden(client)
            asyncio.run(steps(own))
            assert set(gate.tokens) == {f"Bearer {TOKEN}"}
            with Gate(server.port, theirs, token="another") as other:
                own = application.Vespa("https://localhost", other.port, vespa_cloud_secret_token=TOKEN)
                with pytest.raises(errors.AuthenticationFailed) as caught:
                    opened(own)
                hidden(caught.value)
        own = application.Vespa("http://vespa.example", 8080, vespa_cloud_secret_token=TOKEN)
        with pytest.raises(errors.ConfigurationError, match="unencrypted") as refused:
            opened(own)
        hidden(refused.value)
