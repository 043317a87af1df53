"""Indexes beside each other, in an application of lateint's and in somebody else's; and names that mean to be syntax."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, errors, field
from lateint.client import Index
from lateint.types import check_id
from lateint.vectors import normalized
from lateint_vespa import connection, package
from lateint_vespa.names import schema_name
from tests.servers.ports import free_ports
from tests.servers.vespa.asking import Client, blocks, edited
from tests.servers.vespa.control import Control

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

DIM = 16
FIELDS = {"word": "keyword", "words": "keyword[]", "prose": "text", "n": "integer"}
QUERY = normalized(np.random.default_rng(0).standard_normal((3, DIM)).astype(np.float32))


def documents(number: int = 40, seed: int = 1) -> list[Document]:
    rng = np.random.default_rng(seed)
    return [
        Document(f"d{n}", normalized(rng.standard_normal((3, DIM)).astype(np.float32)), {"n": n}) for n in range(number)
    ]


def found(index: Index) -> dict[str, float]:
    return {hit.id: hit.score for hit in index.search(QUERY, 300)}


@pytest.fixture(scope="module")
def started(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        yield server


@pytest.fixture
def server(started: Server) -> Server:
    """That nothing was deployed to."""
    control: Control = started.control
    control.clear()
    control.drop_application()
    control.drop_documents()
    return started


def without_config(server: Server) -> str:
    """The URL of a server whose config server cannot be reached, as behind a wall."""
    (closed,) = free_ports(1)
    return f"vespa://127.0.0.1:{server.port}?config_port={closed}"


class TestSideBySide:
    def test_one_is_dropped(self, server: Server) -> None:
        """The other keeps its documents, scores and fields, for a handle from before as for a new one."""
        with lateint.connect(server.url) as client:
            kept = client.create_index(IndexSpec("kept", DIM, fields=FIELDS))
            dropped = client.create_index(IndexSpec("Kept", DIM, dtype="bfloat16", fields={"n": "text"}))
            kept.write(documents())
            dropped.write(Document(each.id, each.vectors, {"n": "text"}) for each in documents(60, seed=2))
            before, spec = found(kept), kept.spec
            assert (len(before), len(found(dropped))) == (40, 60)
            assert before.items().isdisjoint(found(dropped).items())
            client.drop_index("Kept")
            for each in (kept, client.open("kept")):
                assert found(each) == before
                assert each.count(field("n") < 10) == 10
                assert each.spec == spec
                lateint.verify(each, against=documents()).raise_if_failed()
            with pytest.raises(errors.IndexNotFound):
                dropped.search(QUERY)
            again = client.create_index(IndexSpec("Kept", DIM))
            assert (again.count(), kept.count()) == (0, 40)

    def test_one_is_dropped_by_another(self, server: Server) -> None:
        """Writing never makes an index anew, and a document of one that is gone is not just missing."""
        with lateint.connect(server.url) as client, lateint.connect(server.url) as other:
            index = client.create_index(IndexSpec("passing", DIM, fields=FIELDS))
            index.write(documents())
            other.drop_index("passing")
            for attempt in (
                lambda: index.write(documents()),
                lambda: index.search(QUERY),
                index.count,
                lambda: index.get(["d1"]),
                lambda: index.delete(["d1"]),
                lambda: index.update_payload(["d1"], {"n": 1}),
                lambda: list(index.scan()),
                # Of these Vespa says that the field does not exist.
                lambda: index.search(QUERY, filter=field("n") > 0),
                lambda: index.search_many([QUERY, QUERY], filter=field("n") > 0),
                lambda: index.count(field("n") > 0),
                lambda: index.delete(filter=field("n") > 0),
            ):
                with pytest.raises(errors.IndexNotFound):
                    attempt()
            assert client.list_indexes() == []


SPEC = IndexSpec("Our-Pages", DIM, fields=FIELDS)
PAGE = '<document type="page" mode="index"/>'


class TestInAForeignApplication:
    @pytest.fixture
    def foreign(self, server: Server) -> Client:
        """Somebody's application with documents, into which the files of an index were merged."""
        client = Client(server.http_url, server.config_url)
        client.deployed(edited("services.xml", PAGE, PAGE))
        for n in range(20):
            client.put(f"p{n}", year=n, d=blocks(np.eye(2, 128, dtype=np.float32)))
        merged = edited("services.xml", PAGE, f'{PAGE}<document type="{schema_name(SPEC.name)}" mode="index"/>')
        client.deployed(merged | package.additions(SPEC))
        return client

    def check_foreign(self, foreign: Client) -> None:
        """Their documents are there, and are found."""
        assert foreign.found("true") == {f"p{n}" for n in range(20)}
        assert foreign.fields("p3")["year"] == 3

    def test_opened_by_probe(self, server: Server, foreign: Client) -> None:
        """With no config server in reach it is read like any other, and all that is not known of it is refused."""
        with lateint.connect(server.url) as client:
            client.open(SPEC.name).write(documents())
        with lateint.connect(without_config(server)) as client:
            index = client.open(SPEC.name, fields=FIELDS)
            assert (index.spec.dim, index.spec.dtype, index.info.managed) == (DIM, SPEC.dtype, False)
            assert index.info.warnings
            assert index.count(field("n") < 10) == 10
            assert {hit.id for hit in index.search(QUERY, filter=field("n") == 7)} == {"d7"}
            lateint.verify(index, against=documents()).raise_if_failed()
            with pytest.raises(errors.PermissionDenied):
                index.write(documents())
            with pytest.raises(errors.UnsupportedFeature, match="declared fields"):
                client.open(SPEC.name, fields=FIELDS, write=True)
            for attempt in (
                client.list_indexes,
                lambda: client.create_index(IndexSpec("another", DIM)),
                lambda: client.drop_index(SPEC.name),
            ):
                with pytest.raises(errors.ConnectionFailed, match="config_port"):
                    attempt()
            with pytest.raises(errors.IndexNotFound):
                client.open("another")
            with pytest.raises(errors.SchemaMismatch):
                client.open("page")
        self.check_foreign(foreign)

    def test_opened_with_the_config_server(self, server: Server, foreign: Client) -> None:
        """The spec is read from the schema's file; the application stays theirs."""
        with lateint.connect(server.url) as client:
            assert client.list_indexes() == [SPEC.name]
            index = client.open(SPEC.name)
            assert index.spec == SPEC
            index.write(documents())
            for attempt in (
                lambda: client.create_index(IndexSpec("another", DIM)),
                lambda: client.drop_index(SPEC.name),
                lambda: index.update(fields={"more": "integer"}),
            ):
                with pytest.raises(errors.UnsupportedFeature):
                    attempt()
            assert index.count() == 40
        self.check_foreign(foreign)


HOSTILE = (
    '"',
    "'",
    "\\",
    '\\"',
    '" or true or word contains "',
    "') or true --",
    "}; select * from sources * where true",
    '"}}, {"id": "x"',
    "{}",
    "{{word}}",
    "@p0",
    "@word",
    "%",
    "%2F",
    "%00",
    "%s %(word)s",
    "a/b",
    "a/../d1",
    "..",
    ".",
    "?selection=true&x=",
    "#",
    "a+b c",
    " ",
    " a ",
    "id:lateint:small::d1",
    "::",
    "null",
    "true",
    "*",
    "<script>",
    "\u202etxt",
    "\u00e9",
    "e\u0301",
    "\u8a9e" * 170 + "ab",
    "\U0001f9ea" * 128,
    "\u0f3a\u2028\u2029",
    "lateint-canary-0",
)
"""Texts that mean something to YQL, JSON, URLs, templates, selections, or to those who read badly."""

WORDS = ("select", "where", "and", "or", "true", "contains", "range", "document", "field", "id", "in", "order")
"""Names of fields that are words of Vespa's languages."""


@pytest.fixture(scope="class")
def index(started: Server) -> Iterator[Index]:
    started.control.drop_application()
    started.control.drop_documents()
    with lateint.connect(started.url) as client:
        yield client.create_index(IndexSpec("select", DIM, fields={**FIELDS, **dict.fromkeys(WORDS, "keyword")}))


class TestInjection:
    @pytest.fixture
    def filled(self, index: Index) -> list[Document]:
        """With one document for each text, which is its id and in all of its payload."""
        vectors = [each.vectors for each in documents(len(HOSTILE))]
        given = [
            Document(
                name, rows, {"word": name, "words": [name, "x"], "prose": name, "n": n, f"-{name}": {name: [name]}}
            )
            for n, (name, rows) in enumerate(zip(HOSTILE, vectors, strict=True))
        ]
        index.delete(filter=field("n") > -1)
        report = index.write(given)
        assert (report.written, report.failed) == (len(HOSTILE), ())
        return given

    def test_is_data(self, index: Index, filled: list[Document]) -> None:
        """Each text is the id of one document and the value of one filter, and no more than that."""
        lateint.verify(index, against=filled).raise_if_failed()
        assert {each.id: dict(each.payload) for each in index.get(HOSTILE)} == {
            each.id: dict(each.payload) for each in filled
        }
        assert {each.id for each in index.scan()} == set(HOSTILE)
        for text in HOSTILE:
            for condition in (
                field("word") == text,
                field("words").contains(text),
                field("word").is_in([text, "none"]),
            ):
                assert [hit.id for hit in index.search(QUERY, 100, filter=condition)] == [text]
                assert index.count(condition) == 1
            assert index.count(~(field("word") == text)) == len(HOSTILE) - 1
            assert [each.id for each in index.scan(filter=field("word") == text)] == [text]

    def test_one_changes_and_goes(self, index: Index, filled: list[Document]) -> None:
        """And no other one with it."""
        left = dict.fromkeys(HOSTILE)
        for text in HOSTILE[::3]:
            assert index.update_payload([text], {"word": f"{text}\n{text}", "n": 1000}).written == 1
            assert [each.id for each in index.scan(filter=field("n") == 1000)] == [text]
            assert index.count(field("word") == f"{text}\n{text}") == 1
            index.delete([text])
            del left[text]
            assert {each.id for each in index.scan()} == set(left)
        for text in HOSTILE[1::3]:
            index.delete(filter=field("word") == text)
            del left[text]
            assert {hit.id for hit in index.search(QUERY, 300)} == set(left)

    def test_values_that_are_no_ids(self, index: Index) -> None:
        """Line ends and control characters, in values and in fields whose names are words of the query language."""
        index.delete(filter=field("n") > -1)
        texts = ["a\nb", "a\r\nb", "\t", "\0", "\x1b[31m", "\x7f", "\ufffe", "x" * 40_000, 'a"\n}or true', "\n"]
        given = [
            Document(f"v{n}", each.vectors, {"n": n, "prose": texts[n], **dict.fromkeys(WORDS, texts[n])})
            for n, each in enumerate(documents(len(texts)))
        ]
        assert index.write(given).written == len(texts)
        assert [dict(each.payload) for each in index.get([each.id for each in given])] == [
            dict(each.payload) for each in given
        ]
        for each, text in zip(given, texts, strict=True):
            for word in WORDS:
                assert {hit.id for hit in index.search(QUERY, 300, filter=field(word) == text)} == {each.id}

    @pytest.mark.parametrize("name", ["a\nb", "\0", "a\x7f", "", "\ud800", "\u8a9e" * 171])
    def test_ids_that_are_none(self, index: Index, name: str) -> None:
        """Refused before anything is sent, by every verb that takes ids."""
        with pytest.raises(errors.InvalidInput):
            check_id(name)
        for attempt in (
            lambda: index.write([Document(name, QUERY)]),
            lambda: index.get([name]),
            lambda: index.delete([name]),
            lambda: index.update_payload([name], {"n": 1}),
        ):
            with pytest.raises(errors.InvalidInput):
                attempt()

    @pytest.mark.parametrize("name", ['a"', "a b", "a/b", "a%", "..", "a{", "a}\nb", "\u00e9", "x" * 65, "lateint.a"])
    @pytest.mark.usefixtures("index")
    def test_names_of_indexes(self, started: Server, name: str) -> None:
        with lateint.connect(started.url) as client:
            with pytest.raises(errors.InvalidInput):
                client.create_index(IndexSpec(name, DIM))
            for attempt in (lambda: client.open(name), lambda: client.drop_index(name)):
                with pytest.raises((errors.InvalidInput, errors.IndexNotFound)):
                    attempt()
            assert client.list_indexes() == ["select"]

    def test_undeclared_names_of_fields(self, index: Index) -> None:
        """A filter names declared fields only; nothing else gets into a query."""
        for name in ('word" or true', "a b", "word) or (true", "", "@word", "sddocname", "documentid"):
            with pytest.raises(errors.InvalidInput):
                index.search(QUERY, filter=field(name) == "x")


class TestBorrowed:
    @pytest.fixture
    def own(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A client of pyvespa, which knows nothing of config servers: that is where Vespa has it."""
        application = pytest.importorskip("vespa.application", reason="the client comes with lateint[vespa]")
        monkeypatch.setattr(connection, "CONFIG_PORT", server.config_port)
        return application.Vespa(url="http://127.0.0.1", port=server.port)

    def test_blocking(self, own: Any) -> None:
        """All verbs work, and the client works afterwards."""
        with lateint.connect(own) as client:
            index = client.create_index(IndexSpec("lent", DIM, fields=FIELDS))
            index.write(documents())
            index.update_payload(["d3"], {"n": 300})
            index.delete(["d4"])
            assert index.count(field("n") >= 10) == 31
            assert len({each.id for each in index.scan(with_vectors=True)}) == 39
            lateint.verify(index).raise_if_failed()
        assert own.get_data(schema="lent", namespace="lateint", data_id="d3").status_code == 200
        assert own.query({"yql": "select * from lent where true", "hits": 0}).number_documents_retrieved == 39

    def test_asynchronous(self, own: Any) -> None:
        async def steps() -> None:
            async with await lateint.aconnect(own) as client:
                index = await client.create_index(IndexSpec("lent", DIM, fields=FIELDS))
                await index.write(documents())
                assert await index.count(field("n") < 7) == 7
                assert len(await index.search(QUERY)) == 10
                (await lateint.averify(index)).raise_if_failed()
            async with own.asyncio() as session:
                assert (await session.get_data(schema="lent", namespace="lateint", data_id="d3")).status_code == 200

        asyncio.run(steps())

    def test_without_a_config_server(self, server: Server, own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """As it mostly is for those who have such a client: indexes are opened by probe."""
        with lateint.connect(own) as client:
            client.create_index(IndexSpec("lent", DIM, fields=FIELDS)).write(documents())
        (closed,) = free_ports(1)
        monkeypatch.setattr(connection, "CONFIG_PORT", closed)
        with lateint.connect(own) as client:
            index = client.open("lent", fields=FIELDS)
            assert index.count(field("n") < 7) == 7
            lateint.verify(index, against=documents()).raise_if_failed()
