"""The two clients and the retriever: one surface, told apart by `await` alone."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.encoders import HashingEncoder
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.memory import CAPABILITIES, MemoryBackend
from lateint.types import Document


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("blocking", "asynchronous"), [(lateint.Client, lateint.AsyncClient), (lateint.Index, lateint.AsyncIndex)]
)
def test_same_names_and_parameters(blocking: type, asynchronous: type) -> None:
    """Whoever knows one client knows the other; a drift between them is found by users otherwise."""
    assert public(blocking).keys() == public(asynchronous).keys()
    for name, method in public(blocking).items():
        if inspect.isfunction(method):
            mine, other = (inspect.signature(public(kind)[name]) for kind in (blocking, asynchronous))
            assert list(mine.parameters) == list(other.parameters), name
            for parameter in mine.parameters.values():
                twin = other.parameters[parameter.name]
                assert (parameter.kind, parameter.default) == (twin.kind, twin.default), (name, parameter.name)


class TestReadOnly:
    """Production credentials in the hands of a verification job."""

    @pytest.mark.parametrize(
        "verb",
        [
            lambda client, index: client.create_index(lateint.IndexSpec("other", 4)),
            lambda client, index: client.drop_index("pages"),
            lambda client, index: index.write([Document("a", np.ones((1, 4)))]),
            lambda client, index: index.update_payload(["a"], {"x": 1}),
            lambda client, index: index.delete(["a"]),
            lambda client, index: index.update(metadata={"x": 1}),
        ],
        ids=["create_index", "drop_index", "write", "update_payload", "delete", "update"],
    )
    def test_refuses_before_anything_is_sent(self, verb: Any) -> None:
        """Nothing reaches the engine: not even a call that the engine would refuse itself."""
        backend = MemoryBackend()
        lateint.Client(backend).create_index(lateint.IndexSpec("pages", 4))
        client = lateint.Client(backend, read_only=True)
        index = client.open("pages")
        with pytest.raises(errors.PermissionDenied, match="read_only=True"):
            verb(client, index)
        assert client.list_indexes() == ["pages"]
        assert index.count() == 0


class Adopted(MemoryBackend):
    """As an index that another tool created would be described."""

    writable = True

    def describe_index(self, name: str, *, vector: str | None = None) -> IndexInfo:
        spec = super().describe_index(name, vector=vector).spec
        return IndexInfo(
            spec=spec,
            capabilities=CAPABILITIES,
            id_mode=IdMode.NATIVE,
            managed=False,
            writable=self.writable,
            not_carried=("vector 'dense'", "field 'geo'"),
        )


class TestAdopted:
    """What lateint did not create is not written to by accident."""

    @staticmethod
    def client(backend: Adopted) -> lateint.Client:
        lateint.Client(backend).create_index(lateint.IndexSpec("pages", 4))
        return lateint.Client(backend)

    def test_is_read_only_unless_asked(self) -> None:
        """Opening somebody's collection to look at it must not be enough to change it."""
        client = self.client(Adopted())
        with pytest.raises(errors.PermissionDenied, match="write=True"):
            client.open("pages").write([Document("1", np.ones((1, 4)))])
        assert client.open("pages", write=True).write([Document("1", np.ones((1, 4)))]).written == 1

    def test_writing_that_would_lose_something_is_refused_by_name(self) -> None:
        """A full replace would delete the other vectors of every point that it touches."""
        backend = Adopted()
        backend.writable = False
        with pytest.raises(errors.UnsupportedFeature, match=r"'dense'.*'geo'"):
            self.client(backend).open("pages", write=True)

    def test_fields_are_declared_for_the_handle(self) -> None:
        """Filterable fields of a foreign index are what its owner says they are."""
        index = self.client(Adopted()).open("pages", fields={"year": "integer"})
        assert index.spec.fields == {"year": "integer"}
        assert index.count(lateint.field("year") > 3) == 0

    def test_fields_of_a_managed_index_are_its_own(self) -> None:
        """Declaring a field for one handle would make filters miss the documents that others wrote."""
        client = lateint.connect("memory://")
        client.create_index(lateint.IndexSpec("pages", 4, fields={"year": "integer"}))
        assert client.open("pages", fields={"year": "integer"}).name == "pages"
        with pytest.raises(errors.InvalidInput, match=r"does not declare \['lang'\]"):
            client.open("pages", fields={"lang": "keyword"})


class TestUpdate:
    """Declaring a field on an index that has documents."""

    def test_finds_documents_written_before(self) -> None:
        """A field declared late must not silently find only what came later."""
        index = lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 4))
        index.write(Document(f"d{year}", np.ones((1, 4)), {"year": year}) for year in range(2000, 2030))
        index.update(fields={"year": "integer"})
        assert index.count(lateint.field("year") >= 2020) == 10

    def test_refuses_what_does_not_fit_and_changes_nothing(self) -> None:
        """One document of a million with text in the field: found before, not after."""
        index = lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 4))
        index.write([Document("a", np.ones((1, 4)), {"year": 1}), Document("b", np.ones((1, 4)), {"year": "MMXX"})])
        with pytest.raises(errors.PayloadTypeError, match="document 'b'"):
            index.update(fields={"year": "integer"})
        assert index.spec.fields == {}

    def test_cut_short_refuses_filters_and_is_finished_by_the_same_call(self) -> None:
        """Between the two steps a filter would miss documents; it has to say so instead."""

        class Cut(MemoryBackend):
            broken = True

            def update_payload(self, *arguments: Any, **options: Any) -> Any:
                if self.broken:
                    raise errors.ConnectionFailed("cut", retryable=False)
                return super().update_payload(*arguments, **options)

        backend = Cut()
        lateint.Client(backend).create_index(lateint.IndexSpec("pages", 4)).write(
            [Document("a", np.ones((1, 4)), {"year": 1})]
        )
        with pytest.raises(errors.ConnectionFailed):
            lateint.Client(backend).open("pages").update(fields={"year": "integer"})
        index = lateint.Client(backend).open("pages")
        with pytest.raises(errors.InvalidInput, match="is being declared"):
            index.count(lateint.field("year") == 1)
        backend.broken = False
        index.update(fields={"year": "integer"})
        assert index.count(lateint.field("year") == 1) == 1

    def test_another_encoder_is_not_bound_over_the_first(self) -> None:
        """Vectors of two models in one index compare as noise."""
        index = lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 4, encoder={"model": "a"}))
        with pytest.raises(errors.EncoderMismatch, match="bound to encoder"):
            index.update(encoder={"model": "b"})


class TestRetriever:
    """Text in, hits out."""

    @staticmethod
    def made(**options: Any) -> tuple[lateint.Index, HashingEncoder]:
        encoder = HashingEncoder(dim=32)
        options.setdefault("encoder", encoder.fingerprint)
        return lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 32, **options)), encoder

    def test_adds_and_finds(self) -> None:
        """The ten-line start."""
        index, encoder = self.made()
        retriever = lateint.Retriever(index, encoder)
        report = retriever.add({"a": "one vector per token", "b": "a cat on a mat"})
        assert report.written == 2
        assert [hit.id for hit in retriever.search("vectors and tokens", k=1)] == ["a"]

    def test_names_the_document_that_cannot_be_encoded(self) -> None:
        """A position in a chunk is of no use to whoever has to find the text."""
        index, encoder = self.made()
        texts = {f"d{number}": "word" for number in range(70)} | {"empty": "…"}
        with pytest.raises(errors.InvalidInput, match="document 'empty'") as raised:
            lateint.Retriever(index, encoder).add(texts)
        assert raised.value.document == "empty"
        report = lateint.Retriever(index, encoder).add(texts, on_error="report")
        assert (report.written, [failure.id for failure in report.failed]) == (70, ["empty"])

    def test_reports_items_that_are_none(self) -> None:
        """With on_error="report" a hole in the data costs that document only."""
        index, encoder = self.made()
        items: Any = [("a", "x y"), ("b", 5), "c", ("d", "z")]
        report = lateint.Retriever(index, encoder).add(items, on_error="report")
        assert (report.written, [failure.id for failure in report.failed]) == (2, ["b", "(no id)"])

    def test_progress_knows_the_total(self) -> None:
        """A bar without an end is no bar."""
        index, encoder = self.made()
        seen: list[lateint.Progress] = []
        lateint.Retriever(index, encoder).add({"a": "one", "b": "two"}, progress=seen.append)
        assert seen[-1] == lateint.Progress(operation="write", done=2, total=2)

    def test_other_encoder_is_refused_by_its_parts(self) -> None:
        """Searching with another model than wrote gives plausible nonsense."""
        index, encoder = self.made(encoder={**HashingEncoder(dim=32).fingerprint, "version": 99})
        with pytest.raises(errors.EncoderMismatch, match="version is 1 here and 99 in the index"):
            lateint.Retriever(index, encoder)

    def test_other_dimension_is_refused(self) -> None:
        """Said before the first text is encoded."""
        index, _ = self.made()
        with pytest.raises(errors.EncoderMismatch, match="rows of 64"):
            lateint.Retriever(index, HashingEncoder(dim=64))

    def test_index_without_encoder_warns_until_bound(self) -> None:
        """Nobody can know whether they match; the user can say so, once."""
        index, encoder = self.made(encoder=None)
        with pytest.warns(UserWarning, match="does not say which encoder"):
            lateint.Retriever(index, encoder)
        index.update(encoder=encoder.fingerprint)
        lateint.Retriever(index, encoder)

    @pytest.mark.parametrize("item", ["text", ("a",), ("a", "b", {}, "c")])
    def test_items_of_another_shape(self, item: Any) -> None:
        """A list of texts without ids is the most likely mistake."""
        index, encoder = self.made()
        with pytest.raises(errors.InvalidInput, match="not an id with a text"):
            lateint.Retriever(index, encoder).add([item])

    def test_documents_of_another_kind(self) -> None:
        """What a document may be is for the encoder to say; which one it was, for us."""
        index, encoder = self.made()
        with pytest.raises(errors.InvalidInput, match="document 'a': text 0 is a int, not text"):
            lateint.Retriever(index, encoder).add([("a", 5)])


@pytest.mark.parametrize(
    "mistake",
    [
        lambda index: index.write(Document("a", np.ones((1, 4)))),
        lambda index: index.write(None),
        lambda index: index.write("documents.jsonl"),
        lambda index: index.get(None),
        lambda index: index.get("a"),
        lambda index: index.update_payload(["a"], [1]),
        lambda index: index.search(np.ones((1, 4)), timeout_s="soon"),
    ],
)
def test_arguments_of_another_kind(mistake: Any) -> None:
    """The slips of a first day get a sentence, not a traceback from the inside."""
    index = lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 4))
    with pytest.raises(errors.InvalidInput):
        mistake(index)


def test_name_instead_of_a_spec() -> None:
    """`create_index("pages")` is what every other client takes."""
    with pytest.raises(errors.InvalidInput, match="IndexSpec"):
        lateint.connect("memory://").create_index("pages")  # type: ignore[arg-type]


def test_field_declared_while_a_write_is_under_way(tmp_path: Path) -> None:
    """A night's ingest must not be invisible to a filter on a field that was declared meanwhile."""
    pytest.importorskip("qdrant_edge")
    with lateint.connect(f"qdrant+edge://{tmp_path}") as client:
        index = client.create_index(lateint.IndexSpec("pages", 4))

        def documents() -> Any:
            yield Document("before", np.ones((1, 4)), {"year": 1})
            client.open("pages").update(fields={"year": "integer"})
            yield Document("text", np.ones((1, 4)), {"year": "MMXX"})
            yield Document("after", np.ones((1, 4)), {"year": 2})

        report = index.write(documents(), on_error="report")
        assert (report.written, [failure.id for failure in report.failed]) == (2, ["text"])
        assert client.open("pages").count(lateint.field("year").exists()) == 2


@pytest.mark.parametrize("spec", [{"normalize": True}, {"normalize": False, "dim": 8}])
def test_handle_of_an_index_that_was_replaced(spec: dict[str, Any]) -> None:
    """Dropped and created again under the same name by somebody else: old rules must not write into the new index."""
    client = lateint.connect("memory://")
    old = client.create_index(lateint.IndexSpec("pages", 4, normalize=False))
    client.drop_index("pages")
    new = client.create_index(lateint.IndexSpec("pages", **{"dim": 4, **spec}))
    with pytest.raises(errors.SchemaMismatch, match="dropped and created again"):
        old.write([Document("x", np.full((1, 4), 100.0))])
    assert new.count() == 0


@pytest.mark.parametrize("url", ["memory://", "qdrant+edge://{}"])
def test_rows_that_would_overflow_scores_are_refused(url: str, tmp_path: Path) -> None:
    """Finite rows whose products are not: an engine drops such documents from its answers without a word."""
    pytest.importorskip("qdrant_edge")
    with lateint.connect(url.format(tmp_path)) as client:
        index = client.create_index(lateint.IndexSpec("pages", 4, normalize=False))
        with pytest.raises(errors.NonFiniteVector, match="document 'long', row 1"):
            index.write([Document("long", [[1, 1, 1, 1], [-1e20, 0, 0, 0]])])
        with pytest.raises(errors.NonFiniteVector, match="query, row 0"):
            index.search([[1e19, 0, 0, 0]])
        index.write([Document("most", np.full((9, 4), 2.0**52))])
        assert np.isfinite(index.search(np.full((99, 4), 2.0**52))[0].score)


def test_field_declared_while_documents_are_deleted() -> None:
    """A document that is gone needs no field."""

    class Deleting(MemoryBackend):
        def update_payload(self, index: IndexInfo, ids: Sequence[str], **options: Any) -> Any:
            super().delete(index, ["d1"])
            return super().update_payload(index, ids, **options)

    index = lateint.Client(Deleting()).create_index(lateint.IndexSpec("pages", 4))
    index.write(Document(f"d{number}", np.ones((1, 4)), {"n": number}) for number in range(3))
    index.update(fields={"n": "integer"})
    assert index.spec.pending == ()
    assert index.count(lateint.field("n") >= 0) == 2


def test_cursor_of_a_resumed_scan_before_its_first_document() -> None:
    """A job that stores its place at once must not start over; and a cursor is taken as it was given, or not at all."""
    index = lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 4))
    index.write(Document(f"d{number:03}", np.ones((1, 4))) for number in range(100))
    scan = index.scan()
    for _ in range(50):
        next(scan)
    cursor = scan.cursor
    assert index.scan(cursor=cursor).cursor == cursor
    for bent in (cursor + "=", cursor + cursor, cursor[:-3], ""):
        with pytest.raises(errors.InvalidInput, match="is not one"):
            index.scan(cursor=bent)


def test_repr_shows_the_place_and_no_more(tmp_path: Path) -> None:
    """Handles end up in logs."""
    client = lateint.connect("memory://")
    index = client.create_index(lateint.IndexSpec("pages", 4))
    assert repr(index) == "<lateint.Index 'pages' of <lateint.Client memory://>>"


def test_search_many_keeps_the_order_of_queries() -> None:
    """Results are matched to queries by position, across the calls that the batch is cut into."""
    index = lateint.connect("memory://").create_index(lateint.IndexSpec("pages", 64))
    rows = np.eye(64)
    index.write(Document(f"d{position}", rows[position : position + 1]) for position in range(64))
    results = index.search_many([rows[position : position + 1] for position in range(64)], 1)
    assert [result[0].id for result in results] == [f"d{position}" for position in range(64)]
