"""Qdrant's in-process engine when something else went wrong: other hands in the folder, lost vectors, a full disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

pytest.importorskip("qdrant_edge", reason="the in-process engine comes with lateint[edge]")

import qdrant_edge as edge

from lateint import IndexSpec, errors, field
from lateint.engine.backend import IndexInfo
from lateint.types import Document, SearchRequest
from lateint_qdrant.edge import EdgeBackend
from lateint_qdrant.schema import VECTOR, point_id

ROW = np.ones((1, 4), np.float32)
SPEC = IndexSpec("pages", 4, fields={"year": "integer"})
MIB = 2**20


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EdgeBackend]:
    backend = EdgeBackend(tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def index(backend: EdgeBackend) -> IndexInfo:
    return backend.create_index(SPEC)


def free(monkeypatch: pytest.MonkeyPatch, mebibytes: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=mebibytes * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


class TestOtherHands:
    def test_only_leftovers_of_lateint_are_swept(self, backend: EdgeBackend, tmp_path: Path) -> None:
        """The folder may be a home directory: whatever was called `.something.old.something` in it was deleted."""
        mark = uuid4().hex
        for name in (
            ".vim.old.2023",
            ".ssh.old.bak",
            f".pages.older.{mark}",
            f".pages.old.{mark}x",
            f"pages.old.{mark}",
        ):
            (tmp_path / name).mkdir()
        (tmp_path / f".1.old.{mark}").mkdir()  # no index can have this name
        (tmp_path / f".kept.old.{mark}").mkdir()
        (tmp_path / f".kept.old.{mark}" / "thesis.tex").touch()
        (tmp_path / f".file.old.{mark}").touch()
        (tmp_path / f".link.old.{mark}").symlink_to(tmp_path / ".vim.old.2023")
        kept = {path.name for path in tmp_path.iterdir()}
        for name in (f".pages.old.{mark}", f".pages.new.{mark}", f".other.new.{mark}"):
            (tmp_path / name / "shard").mkdir(parents=True)
            (tmp_path / name / "lateint.json").touch()
        (tmp_path / f".empty.new.{mark}").mkdir()
        backend.create_index(SPEC)
        assert {path.name for path in tmp_path.iterdir()} == {*kept, "pages"}
        backend.drop_index("pages")
        assert {path.name for path in tmp_path.iterdir()} == kept

    def test_index_removed_while_open(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """The engine goes on reading files that are gone; an index created anew under that name was written into them."""
        backend.write(index, [Document("a", ROW)])
        shutil.rmtree(tmp_path / "pages")
        for verb in (
            lambda: backend.count(index, None),
            lambda: backend.write(index, [Document("b", ROW)]),
            lambda: backend.search(index, [SearchRequest(query=ROW)]),
            lambda: backend.drop_index("pages"),
        ):
            with pytest.raises(errors.IndexNotFound, match="no index 'pages'"):
                verb()
        again = backend.create_index(SPEC)
        backend.write(again, [Document("b", ROW)])
        shutil.rmtree(tmp_path / "pages")
        again = backend.create_index(SPEC)
        assert backend.count(again, None) == 0
        backend.write(again, [Document("c", ROW)])
        backend.close()
        backend = EdgeBackend(tmp_path)
        assert [document.id for document in backend.get(again, ["a", "b", "c"], with_vectors=True)] == ["c"]
        shutil.rmtree(tmp_path / "pages" / "shard")
        with pytest.raises(errors.SchemaMismatch, match="restore its folder"):
            backend.write(again, [Document("d", ROW)])
        shutil.rmtree(tmp_path / "pages")
        backend.close()

    def test_index_replaced_while_open(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """Someone moves a copy into place: it is what should be read, and written, from then on."""
        backend.close()
        shutil.copytree(tmp_path / "pages", tmp_path / "copy" / "pages")
        backend = EdgeBackend(tmp_path)
        backend.write(index, [Document("a", ROW)])
        (tmp_path / "pages").rename(tmp_path / "aside")
        (tmp_path / "copy" / "pages").rename(tmp_path / "pages")
        backend.write(index, [Document("b", ROW)])
        backend.close()
        backend = EdgeBackend(tmp_path)
        assert [document.id for document in backend.get(index, ["a", "b"], with_vectors=False)] == ["b"]
        backend.close()


class TestAnswers:
    def test_document_without_vectors(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """No search finds such a document; whoever reads vectors gets all the others, and can tell which one it is."""
        backend.write(index, [Document("whole", ROW), Document("damaged", ROW)])
        backend.close()
        shard = edge.EdgeShard.load(str(tmp_path / "pages" / "shard"))
        shard.update(edge.UpdateOperation.delete_vectors([point_id("damaged")], [VECTOR]))
        shard.close()
        backend = EdgeBackend(tmp_path)
        page = backend.scan(index, cursor=None, limit=9, condition=None, with_vectors=True)
        for documents in (backend.get(index, ["damaged", "whole"], with_vectors=True), page.documents):
            assert {document.id: document.vectors is None for document in documents} == {
                "damaged": True,
                "whole": False,
            }
        assert len(backend.get(index, ["damaged", "whole"], with_vectors=False)) == 2
        (result,) = backend.search(index, [SearchRequest(query=ROW, with_vectors=True)])
        assert [hit.id for hit in result] == ["whole"]
        backend.write(index, [Document("damaged", ROW)])
        assert len(backend.scan(index, cursor=None, limit=9, condition=None, with_vectors=True).documents) == 2
        backend.close()

    def test_score_that_is_no_number(self, backend: EdgeBackend) -> None:
        """Rows that are too long overflow in the engine: infinity would be a perfect match, whatever the document."""
        index = backend.create_index(SPEC.replace(normalize=False))
        backend.write(index, [Document("long", ROW * np.float32(1e30)), Document("short", ROW)])
        with pytest.raises(errors.UnexpectedResponse, match=r"document 'long' has the score inf\."):
            backend.search(index, [SearchRequest(query=ROW * np.float32(1e30))])
        (result,) = backend.search(index, [SearchRequest(query=ROW)])
        assert [hit.id for hit in result] == ["long", "short"]

    @pytest.mark.parametrize(
        "cursor", ["", "7", "x" * 9999, "1" * 32, "１" * 32, f"{{{point_id('a')}}}", 5, b"x", ("a",)]
    )
    def test_malformed_cursor(self, backend: EdgeBackend, index: IndexInfo, cursor: Any) -> None:
        """A cursor from another engine or a torn checkpoint: some raised AttributeError, some started the scan anywhere."""
        with pytest.raises(errors.InvalidInput, match=r"none of this engine.*Start the scan anew") as caught:
            backend.scan(index, cursor=cursor, limit=1, condition=None, with_vectors=False)
        assert len(str(caught.value)) < 200


class TestFullDisk:
    def test_opening_takes_space_too(
        self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Merely reading an index killed the process: at its opening the engine fills 64 MiB of log on some systems."""
        free(monkeypatch, 90)
        for verb in (
            lambda: backend.count(index, None),
            lambda: backend.search(index, [SearchRequest(query=ROW)]),
            lambda: backend.delete(index, ["a"]),
        ):
            with pytest.raises(errors.StorageFull, match="90 MiB free"):
                verb()
        assert EdgeBackend(tmp_path).describe_index("pages") == index
        backend.drop_index("pages")  # the way out must not need space
        with pytest.raises(errors.StorageFull):
            backend.create_index(SPEC.replace(fields={f"f{n}": "keyword" for n in range(20)}))
        assert list(tmp_path.iterdir()) == []

    def test_payload_takes_space_too(
        self, backend: EdgeBackend, index: IndexInfo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only vectors were counted: pages with their text have far more payload than vectors."""
        backend.write(index, [Document("a", ROW, {"year": 1})])
        free(monkeypatch, 40)
        backend.write(index, [Document("b", ROW, {"text": "x" * 100_000})])
        assert backend.update_payload(index, ["a"], changes={"text": "x" * 100_000}) == ()
        text = "x" * 2_000_000
        for verb in (
            lambda: backend.write(index, [Document("a", ROW, {"year": 2, "text": text})]),
            lambda: backend.update_payload(index, ["a", "b"], changes={"year": 2, "text": text}),
            lambda: backend.delete(index, [str(n) for n in range(200_000)]),
        ):
            with pytest.raises(errors.StorageFull, match="nothing was written"):
                verb()
        assert backend.count(index, field("year") == 1) == 1
        backend.delete(index, field("year") == 1)
        assert backend.count(index, None) == 1
