"""Reaching an application: with and without its config server, behind TLS, with a token, through a client of pyvespa."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, errors, field
from lateint_vespa import package
from lateint_vespa.schema import MAX_HITS, USUAL_HITS
from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy
from tests.servers.tls import Front, certificate
from tests.servers.vespa.asking import Client, edited, example

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

FIELDS = {"n": "integer", "Lang": "keyword"}
DOCUMENTS = [
    Document(str(n), np.eye(16, dtype=np.float32)[: 1 + n], {"n": n, "Lang": "en" if n % 2 else "de"}) for n in range(6)
]
QUERY = np.linspace(-1, 1, 32, dtype=np.float32).reshape(2, 16)
VARIABLES = ("VESPA_CLOUD_SECRET_TOKEN", "VESPA_API_KEY", "VESPA_CLI_DATA_PLANE_CA_CERT_FILE")


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With an index of each format, all of the same documents."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server, lateint.connect(server.url) as client:
        for dtype in ("float32", "bfloat16", "binary"):
            index = client.create_index(IndexSpec(f"Pages-{dtype}", 16, dtype=dtype, fields=FIELDS, normalize=False))
            index.write(DOCUMENTS)
        yield server


def merged(*, left_out: str = "") -> Mapping[str, str]:
    """The example application with an index of lateint merged into it."""
    theirs = edited(
        "services.xml",
        '<document type="page" mode="index"/>',
        '<document type="page" mode="index"/><document type="merged" mode="index"/>',
    )
    made = {**example(), **theirs, **package.additions(IndexSpec("merged", 16, fields=FIELDS))}
    return {path: text for path, text in made.items() if path != left_out}


@pytest.fixture(scope="module")
def foreign(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_vespa(tmp_path_factory.mktemp("foreign")) as server:
        Client(server.http_url, server.config_url).deployed(merged())
        yield server


@pytest.fixture(scope="module")
def front(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, Path]]:
    """TLS in front of the container, and its certificate."""
    cert = certificate(tmp_path_factory.mktemp("tls"))
    with Front(server.port, cert) as front:
        yield front, cert


def alone(server: Server, **options: Any) -> lateint.Client:
    """A client that is told of no config server."""
    return lateint.connect(f"vespa://127.0.0.1:{server.port}?config_port=0", **options)


class TestWithoutConfigServer:
    """What an application shows of itself is enough to read it, and not enough to change it."""

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "binary"])
    def test_dimension_and_format_are_found_out(self, server: Server, dtype: str) -> None:
        """Breaks when: a query of a wrong size is padded in silence, or two formats look alike."""
        with alone(server) as client, lateint.connect(server.url) as known:
            name = f"Pages-{dtype}"
            opened = client.open(name, fields=FIELDS)
            managed = known.open(name)
            assert (opened.spec.dim, opened.spec.dtype.value) == (16, dtype)
            assert opened.capabilities.max_k == MAX_HITS
            assert not opened.info.managed
            expected = [(hit.id, hit.score, hit.payload) for hit in managed.search(QUERY, 6)]
            found = opened.search(QUERY, 6)
            assert [(hit.id, hit.score, hit.payload) for hit in found] == expected
            assert any("config server" in warning for warning in found.warnings)
            assert opened.count(field("n") < 3) == 3
            assert {document.id for document in opened.scan(filter=field("Lang") == "en")} == {"1", "3", "5"}
            assert [document.id for document in opened.get(["0", "none", "5"])] == ["0", "5"]

    def test_also_by_the_name_of_its_schema(self, server: Server) -> None:
        with alone(server) as client:
            assert client.open("Pages_float32__21").count() == 6

    def test_what_is_not_there(self, server: Server) -> None:
        with alone(server) as client, pytest.raises(errors.IndexNotFound):
            client.open("nothing")

    def test_nothing_can_be_changed(self, server: Server) -> None:
        """Breaks when: documents are written without the attributes that the schema's other fields need."""
        with alone(server) as client:
            index = client.open("Pages-float32", fields=FIELDS)
            with pytest.raises(errors.PermissionDenied):
                index.write(DOCUMENTS)
            with pytest.raises(errors.UnsupportedFeature, match="config server"):
                client.open("Pages-float32", write=True)
            for verb in (
                client.list_indexes,
                lambda: client.drop_index("Pages-float32"),
                lambda: client.create_index(IndexSpec("new", 8)),
            ):
                with pytest.raises(errors.UnsupportedFeature, match="config_port"):
                    verb()

    def test_a_field_that_is_not_there(self, server: Server) -> None:
        """Breaks when: a filter on it finds nothing, as if no document had it."""
        with alone(server) as client:
            index = client.open("Pages-float32", fields={"nobody": "keyword"})
            with pytest.raises(errors.SchemaMismatch, match="nobody"):
                index.count(field("nobody") == "x")

    def test_a_config_server_that_cannot_be_reached(self, server: Server) -> None:
        """A port that is closed, or that of something else, is no reason not to read."""
        (closed,) = free_ports(1)
        with lateint.connect(f"vespa://127.0.0.1:{server.port}?config_port={closed}") as client:
            assert client.open("Pages-float32").count() == 6
            with pytest.raises(errors.ConnectionFailed, match="config"):
                client.list_indexes()

    def test_one_that_goes_away_is_missed(self, server: Server) -> None:
        """Breaks when: an index that was known whole is taken for one of which little is known, and written to so."""
        with (
            Proxy(server.config_port) as way,
            lateint.connect(
                f"vespa://127.0.0.1:{server.port}?config_port={way.port}", retry=lateint.RetryPolicy(attempts=1)
            ) as client,
        ):
            index = client.open("Pages-float32")
            way.close()
            with pytest.raises(errors.ConnectionFailed):
                index.write(DOCUMENTS)
            with pytest.raises(errors.ConnectionFailed):
                client.open("Pages-float32")
            assert index.count() == 6


class TestForeignApplication:
    """Somebody else's application, with an index of lateint merged into it."""

    def test_both_ways(self, foreign: Server) -> None:
        """Written with the config server, read without; the other schema is none of ours."""
        with lateint.connect(foreign.url) as client:
            index = client.open("merged")
            assert index.spec == IndexSpec("merged", 16, fields=FIELDS)
            index.write(DOCUMENTS)
            assert index.count(field("n") >= 2) == 4
            best = index.search(QUERY, 1)[0]
            with pytest.raises(errors.SchemaMismatch, match="page"):
                client.open("page")
        with alone(foreign) as client:
            found = client.open("merged").search(QUERY, 1)
            assert (found[0].id, found[0].score) == (best.id, best.score)
            with pytest.raises(errors.SchemaMismatch, match="rank profiles"):
                client.open("page")

    def test_without_the_query_profile(self, foreign: Server) -> None:
        """Breaks when: a search asks for more hits than that application allows, instead of saying so before."""
        served = Client(foreign.http_url, foreign.config_url)
        served.deployed(merged(left_out=package.PROFILE_FILE))
        with lateint.connect(foreign.url) as client, alone(foreign) as reader:
            client.open("merged").write(DOCUMENTS)
            for index in (client.open("merged"), reader.open("merged")):
                assert index.capabilities.max_k == USUAL_HITS
                assert len(index.search(QUERY, USUAL_HITS)) == 6
                with pytest.raises(errors.InvalidInput, match=str(USUAL_HITS)):
                    index.search(QUERY, USUAL_HITS + 1)


class TestSecrets:
    """A token travels encrypted, or stays here."""

    def test_tls(self, front: tuple[Front, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """With a certificate that nobody vouches for: refused, then trusted by name."""
        url = f"vespa+https://localhost:{front[0].port}"
        with pytest.raises(errors.ConnectionFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
            lateint.connect(url)
        assert not caught.value.retryable
        monkeypatch.setenv("VESPA_CLI_DATA_PLANE_CA_CERT_FILE", str(front[1]))
        with lateint.connect(url, api_key="a-token") as client:
            assert "a token" in client.server_info().details["identified by"]
            assert client.open("Pages-float32").count() == 6
            assert "a-token" not in repr(client)

    def test_a_certificate_of_ones_own(self, front: tuple[Front, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """From files, and as text; a wrong one is told before anything is sent."""
        url = f"vespa+https://localhost:{front[0].port}"
        cert, key = front[1], front[1].with_name("key.pem")
        monkeypatch.setenv("VESPA_CLI_DATA_PLANE_CA_CERT_FILE", str(cert))
        for name, value in (("CERT_FILE", str(cert)), ("KEY_FILE", str(key))):
            monkeypatch.setenv(f"VESPA_CLI_DATA_PLANE_{name}", value)
        with lateint.connect(url) as client:
            assert "a certificate" in client.server_info().details["identified by"]
        monkeypatch.delenv("VESPA_CLI_DATA_PLANE_KEY_FILE")
        monkeypatch.setenv("VESPA_CLI_DATA_PLANE_KEY", key.read_text())
        with lateint.connect(url) as client:
            assert client.open("Pages-float32").count() == 6
        monkeypatch.setenv("VESPA_CLI_DATA_PLANE_KEY", "nonsense")
        with pytest.raises(errors.ConfigurationError, match="VESPA_CLI_DATA_PLANE"):
            lateint.connect(url)

    def test_plain_where_tls_is_spoken(self, front: tuple[Front, Path]) -> None:
        with pytest.raises(errors.ConnectionFailed):
            lateint.connect(f"vespa://localhost:{front[0].port}?config_port=0", timeout_s=3)

    def test_tls_where_it_is_not_spoken(self, server: Server) -> None:
        with pytest.raises(errors.ConnectionFailed, match="vespa://"):
            lateint.connect(f"vespa+https://localhost:{server.port}")

    def test_a_token_in_the_clear(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when: the token is sent to another machine without TLS."""
        monkeypatch.setenv("VESPA_CLOUD_SECRET_TOKEN", "a-token")
        with pytest.raises(errors.ConfigurationError, match="VESPA_CLOUD_SECRET_TOKEN") as caught:
            lateint.connect("vespa://vespa.example.com")
        assert "a-token" not in str(caught.value)

    def test_nobody_there(self) -> None:
        (closed,) = free_ports(1)
        with pytest.raises(errors.ConnectionFailed):
            lateint.connect(f"vespa://127.0.0.1:{closed}?config_port={closed}")

    def test_something_else_there(self, server: Server) -> None:
        """A config server is no container, and says so when it is asked for documents."""
        with (
            pytest.raises(errors.LateintError),
            lateint.connect(f"vespa://127.0.0.1:{server.config_port}?config_port=0") as client,
        ):
            client.open("Pages-float32")


class TestLent:
    """A client of pyvespa says where to go and who one is; it is not spoken through, and not closed."""

    def test_sync(self, server: Server) -> None:
        vespa = pytest.importorskip("vespa.application")
        lent = vespa.Vespa(url="http://127.0.0.1", port=server.port)
        with lateint.connect(lent) as client:
            assert client.open("Pages-float32").search(QUERY, 3)[0].id == "5"

    def test_async(self, server: Server) -> None:
        vespa = pytest.importorskip("vespa.application")
        lent = vespa.Vespa(url=f"http://127.0.0.1:{server.port}")

        async def steps() -> int:
            async with await lateint.aconnect(lent) as client:
                return await (await client.open("Pages-float32")).count()

        assert asyncio.run(steps()) == 6

    def test_its_token_is_kept_from_others(self) -> None:
        vespa = pytest.importorskip("vespa.application")
        lent = vespa.Vespa(url="http://vespa.example.com", port=8080, vespa_cloud_secret_token="a-token")
        with pytest.raises(errors.ConfigurationError, match="unencrypted"):
            lateint.connect(lent)
