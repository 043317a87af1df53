"""Qdrant's in-process engine: what lies in its folder, what survives a crash, and who may open it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qdrant_edge", reason="the in-process engine comes with lateint[edge]")


from lateint import Client, IndexSpec, errors
from lateint.engine.backend import IndexInfo
from lateint.engine.registry import Settings
from lateint.engine.url import parse
from lateint.types import Document
from lateint_qdrant import plugin
from lateint_qdrant.edge import EdgeBackend, connect
from lateint_qdrant.schema import point_id

ROW = np.ones((1, 4), np.float32)
SPEC = IndexSpec("pages", 4, fields={"year": "integer", "lang": "keyword"})


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EdgeBackend]:
    backend = EdgeBackend(tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def index(backend: EdgeBackend) -> IndexInfo:
    return backend.create_index(SPEC)


def scanned(backend: EdgeBackend, index: IndexInfo, *, with_vectors: bool = False) -> list[Document]:
    cursor: str | None = None
    found: list[Document] = []
    while True:
        page = backend.scan(index, cursor=cursor, limit=7, condition=None, with_vectors=with_vectors)
        found += page.documents
        cursor = page.cursor
        if cursor is None:
            return found


def disk_blocks(folder: Path) -> int:
    return sum(file.stat().st_blocks for file in folder.rglob("*"))


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python process, its standard streams in our hands."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


class TestDurability:
    WRITER = """
        import sys
        from pathlib import Path
        import numpy as np
        from lateint.types import Document
        from lateint_qdrant.edge import EdgeBackend

        backend = EdgeBackend(Path(sys.argv[1]))
        index = backend.describe_index("pages")
        for generation in range(1000):
            for batch in range(5):
                rng = np.random.default_rng([generation, batch])
                rows = rng.standard_normal((int(rng.integers(1, 90)), 4), dtype=np.float32)
                payload = {"year": generation, "note": "x" * int(rng.integers(500))}
                backend.write(index, [Document(f"{batch}-{n}", rows + np.float32(n), payload) for n in range(8)])
                print(generation, batch, flush=True)
    """

    @pytest.mark.parametrize("acknowledged", [1, 4, 23, 61])
    def test_kill_in_the_middle_of_a_write(self, tmp_path: Path, acknowledged: int) -> None:
        """What `write` has returned for must survive the death of the process, whole; what it has not may be old or new.

        Every document is rewritten again and again with other sizes, so a torn or half-replayed write shows.
        """
        backend = EdgeBackend(tmp_path)
        index = backend.create_index(SPEC)
        backend.close()
        process = start(self.WRITER, tmp_path)
        latest = {}
        for _ in range(acknowledged):
            generation, batch = map(int, line_of(process).split())
            latest[batch] = generation
        process.kill()
        for line in process.stdout or ():
            generation, batch = map(int, line.split())
            latest[batch] = generation
        process.communicate()

        backend = EdgeBackend(tmp_path)
        found = {document.id: document for document in scanned(backend, index, with_vectors=True)}
        assert set(found) >= {f"{batch}-{n}" for batch in latest for n in range(8)}
        for name, document in found.items():
            batch, number = map(int, name.split("-"))
            generation = document.payload["year"]
            assert generation - latest.get(batch, -1) in {0, 1}
            rng = np.random.default_rng([generation, batch])
            rows = rng.standard_normal((int(rng.integers(1, 90)), 4), dtype=np.float32)
            assert np.array_equal(document.vectors, rows + np.float32(number))
            assert document.payload["note"] == "x" * int(rng.integers(500))
        backend.close()

    def test_scan_goes_on_in_another_process(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """A copy that was cut short resumes at its cursor, in a process that knows nothing of the first."""
        backend.write(index, [Document(str(n), ROW) for n in range(40)])
        first = backend.scan(index, cursor=None, limit=15, condition=None, with_vectors=False)
        backend.close()
        program = """
            import sys
            from pathlib import Path
            from lateint_qdrant.edge import EdgeBackend

            backend = EdgeBackend(Path(sys.argv[1]))
            page = backend.scan(
                backend.describe_index("pages"), cursor=sys.argv[2], limit=100, condition=None, with_vectors=False
            )
            print(page.cursor, *(document.id for document in page.documents))
        """
        output, _ = start(program, tmp_path, first.cursor).communicate()
        following, *rest = output.split()
        names = [document.id for document in first.documents] + rest
        assert following == "None"
        assert sorted(names) == sorted(map(str, range(40)))
        assert names == sorted(names, key=point_id)
        with pytest.raises(errors.InvalidInput, match="cursor 'nonsense'"):
            EdgeBackend(tmp_path).scan(index, cursor="nonsense", limit=1, condition=None, with_vectors=False)

    def test_space_of_deleted_documents_comes_back(
        self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path
    ) -> None:
        """The engine frees nothing by itself: an index that is rewritten daily would fill the disk."""
        backend.write(
            index, [Document(str(n), np.ones((200, 4), np.float32), {"text": "x" * 300}) for n in range(1500)]
        )
        backend.delete(index, [str(n) for n in range(1400)])
        before = disk_blocks(tmp_path)
        backend.close()
        assert disk_blocks(tmp_path) < 0.7 * before
        backend = EdgeBackend(tmp_path)
        assert len(scanned(backend, index)) == 100
        backend.close()


class TestFolder:
    def test_another_process_holds_the_index(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """The engine's own words for it are `Can't init WAL: Kind(WouldBlock)`."""
        program = """
            import sys
            from pathlib import Path
            from lateint_qdrant.edge import EdgeBackend

            backend = EdgeBackend(Path(sys.argv[1]))
            print(backend.count(backend.describe_index("pages"), None), flush=True)
            sys.stdin.readline()
        """
        process = start(program, tmp_path)
        assert line_of(process) == "0\n"
        with pytest.raises(errors.ConnectionFailed, match=r"count on index 'pages': another process.*Close") as caught:
            backend.count(index, None)
        assert not caught.value.retryable
        assert (caught.value.backend, caught.value.operation, caught.value.index) == ("qdrant+edge", "count", "pages")
        assert caught.value.__cause__ is not None
        with pytest.raises(errors.ConnectionFailed):
            backend.drop_index("pages")
        assert backend.list_indexes() == ["pages"]
        assert backend.describe_index("pages").spec == SPEC
        process.communicate("\n")
        assert backend.count(index, None) == 0

    def test_crash_while_creating_and_dropping(self, backend: EdgeBackend, tmp_path: Path) -> None:
        """A half-made index must not be found, and must not be in the way of the next attempt."""
        program = """
            import os, shutil, sys
            from pathlib import Path
            from lateint import IndexSpec
            from lateint_qdrant import edge_folder
            from lateint_qdrant.edge import EdgeBackend

            backend = EdgeBackend(Path(sys.argv[1]))
            if sys.argv[2] == "create":
                edge_folder._write_spec = lambda *_: os._exit(0)
                backend.create_index(IndexSpec("pages", 4))
            shutil.rmtree = lambda *_, **__: os._exit(0)
            backend.drop_index("pages")
        """
        start(program, tmp_path, "create").communicate()
        assert [path.name[:11] for path in tmp_path.iterdir()] == [".pages.new."]
        assert backend.list_indexes() == []
        with pytest.raises(errors.IndexNotFound):
            backend.describe_index("pages")
        index = backend.create_index(SPEC)
        assert [path.name for path in tmp_path.iterdir()] == ["pages"]
        backend.write(index, [Document("a", ROW)])
        backend.close()

        start(program, tmp_path, "drop").communicate()
        assert [path.name[:11] for path in tmp_path.iterdir()] == [".pages.old."]
        backend = EdgeBackend(tmp_path)
        assert backend.list_indexes() == []
        index = backend.create_index(SPEC)
        assert [path.name for path in tmp_path.iterdir()] == ["pages"]
        assert backend.count(index, None) == 0
        backend.close()

    def test_several_indexes(self, backend: EdgeBackend, tmp_path: Path) -> None:
        """One folder is a server of several indexes; the same ids in them are different documents."""
        specs = [IndexSpec(name, dim, dtype=dtype) for name, dim, dtype in [("b", 2, "float16"), ("A", 3, "float32")]]
        indexes = [backend.create_index(spec) for spec in specs]
        for index in indexes:
            backend.write(index, [Document("x", np.full((1, index.spec.dim), index.spec.dim, np.float32))])
        (tmp_path / "notes").mkdir()
        (tmp_path / "readme.txt").write_text("not an index")
        (tmp_path / ".hidden").mkdir()
        assert backend.list_indexes() == ["A", "b"]
        with pytest.raises(errors.IndexExists):
            backend.create_index(IndexSpec("A", 9))
        with pytest.raises(errors.SchemaMismatch, match="is no index"):
            backend.create_index(IndexSpec("notes", 9))

        backend.drop_index("A")
        assert backend.list_indexes() == ["b"]
        with pytest.raises(errors.IndexNotFound):
            backend.drop_index("A")
        with pytest.raises(errors.IndexNotFound, match="list_indexes"):
            backend.count(indexes[1], None)
        again = backend.create_index(IndexSpec("A", 5))
        assert backend.count(again, None) == 0
        assert backend.get(indexes[0], ["x"], with_vectors=True)[0].vectors.tolist() == [[2.0, 2.0]]

    def test_opening_creates_nothing(self, tmp_path: Path) -> None:
        """A typing mistake in a path must not leave folders behind, nor a file be taken for a folder."""
        backend = connect(parse(f"qdrant+edge://{tmp_path}/new/folder"), Settings())
        assert backend.list_indexes() == []
        assert not (tmp_path / "new").exists()
        backend.create_index(SPEC)
        assert (tmp_path / "new" / "folder" / "pages" / "lateint.json").is_file()
        (tmp_path / "file").touch()
        with pytest.raises(errors.InvalidURL, match="a file"):
            connect(parse(f"qdrant+edge://{tmp_path}/file"), Settings())
        with pytest.raises(errors.InvalidURL):
            connect(parse("qdrant+edge://folder"), Settings())

    def test_spec_that_cannot_be_read(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """A damaged description must be named, not guessed around; and dropping must still be possible."""
        file = tmp_path / "pages" / "lateint.json"
        good = json.loads(file.read_text())
        for text in (
            "",
            "{",
            "[]",
            "null",
            json.dumps({**good, "version": 99}),
            json.dumps({**good, "dim": 0}),
            "\x00",
            "[" * 100_000,
        ):
            file.write_text(text)
            with pytest.raises(errors.SchemaMismatch, match=r"lateint\.json") as caught:
                backend.describe_index("pages")
            assert caught.value.index == "pages"
        file.write_text(json.dumps({**good, "name": "Pages"}))
        with pytest.raises(errors.SchemaMismatch, match="describes index 'Pages'"):
            backend.describe_index("pages")
        file.unlink()
        with pytest.raises(errors.SchemaMismatch, match="lateint did not create it"):
            backend.describe_index("pages")
        with pytest.raises(errors.SchemaMismatch, match="lateint did not create it"):
            backend.drop_index("pages")
        file.write_text("{")
        backend.drop_index("pages")
        assert list(tmp_path.iterdir()) == []

    def test_missing_and_damaged_shard(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """Whoever deletes files below an index should read what to do, and be able to start over."""
        shutil.rmtree(tmp_path / "pages" / "shard")
        with pytest.raises(errors.SchemaMismatch, match="restore its folder"):
            backend.count(index, None)
        backend.drop_index("pages")
        assert backend.list_indexes() == []

    def test_names_that_are_not_there(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """Names differ in case on every engine, and no name leads out of the folder."""
        for name in ("other", "PAGES"):
            with pytest.raises(errors.IndexNotFound):
                backend.describe_index(name)
        with pytest.raises(errors.InvalidInput):
            backend.describe_index("../pages")
        with pytest.raises(errors.SchemaMismatch, match="'colbert'"):
            backend.describe_index("pages", vector="colbert")
        assert backend.describe_index("pages", vector="lateint") == index

    def test_full_disk(self, backend: EdgeBackend, index: IndexInfo, monkeypatch: pytest.MonkeyPatch) -> None:
        """The engine writes through memory maps: on a full disk it would kill the process instead of raising."""
        assert backend.count(index, None) == 0
        usage = shutil.disk_usage("/")._replace(free=40 * 2**20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        backend.write(index, [Document("a", ROW)])
        with pytest.raises(errors.StorageFull, match="40 MiB free"):
            backend.write(index, [Document("b", np.ones((200_000, 4), np.float32))])
        assert backend.count(index, None) == 1
        usage = usage._replace(free=2**20)
        for verb in (
            lambda: backend.create_index(IndexSpec("other", 4)),
            lambda: backend.update_payload(index, ["a"], changes={"year": 1}),
            lambda: backend.delete(index, ["a"]),
            lambda: backend.update_index(index, spec=SPEC),
        ):
            with pytest.raises(errors.StorageFull):
                verb()
        assert backend.list_indexes() == ["pages"]

    def test_close(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """Closing twice happens at every exit of nested context managers; use after it should be told."""
        backend.write(index, [Document("a", ROW)])
        backend.close()
        backend.close()
        for verb in (backend.list_indexes, lambda: backend.count(index, None), lambda: backend.describe_index("pages")):
            with pytest.raises(errors.ConnectionFailed, match="closed"):
                verb()

    def test_options(self, backend: EdgeBackend) -> None:
        """A misspelt option that is passed over in silence costs somebody a day."""
        for memory in ("cached", "cold"):
            index = backend.create_index(
                IndexSpec(memory, 4, engine_options={"qdrant": {"memory": memory}, "other": {"x": 1}})
            )
            backend.write(index, [Document("a", ROW)])
            assert backend.describe_index(memory).spec.engine_options["qdrant"] == {"memory": memory}
        client = Client(backend)
        with pytest.raises(errors.InvalidInput, match="Did you mean 'memory'"):
            client.create_index(IndexSpec("x", 4, engine_options={"qdrant": {"memroy": "cold"}}))
        with pytest.raises(errors.InvalidInput, match="Did you mean 'cold'"):
            client.create_index(IndexSpec("x", 4, engine_options={"qdrant": {"memory": "colt"}}))
        with pytest.raises(errors.UnsupportedFeature, match="bfloat16"):
            client.create_index(IndexSpec("x", 4, dtype="bfloat16"))
        assert backend.list_indexes() == ["cached", "cold"]


def test_plugin_is_light() -> None:
    """`lateint backends` imports every adapter; none may pull in 36 MB of engine, or fail where it is not installed."""
    program = "import sys, lateint_qdrant, lateint_qdrant.schema, lateint_qdrant.translate; print('qdrant_edge' in sys.modules)"
    output, _ = start(program).communicate()
    assert output == "False\n"
    assert connect.__module__ + ":connect" == plugin.variants["edge"].connect
    info = connect(parse(plugin.variants["edge"].example), Settings()).server_info()
    assert (info.engine, info.version, info.location) == ("qdrant", "0.9.0", "/path/of/a/folder")
