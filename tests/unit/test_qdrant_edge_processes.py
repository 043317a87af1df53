"""Qdrant's in-process engine between processes: forks, second clients, and two that create and drop one index."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qdrant_edge", reason="the in-process engine comes with lateint[edge]")

from lateint import IndexSpec, errors
from lateint.engine.backend import IndexInfo
from lateint.types import Document, SearchRequest
from lateint_qdrant.edge import EdgeBackend

ROW = np.ones((1, 4), np.float32)
SPEC = IndexSpec("pages", 4)
DEADLINE_S = 60

needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EdgeBackend]:
    backend = EdgeBackend(tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def index(backend: EdgeBackend) -> IndexInfo:
    return backend.create_index(SPEC)


def ids(backend: EdgeBackend, index: IndexInfo) -> set[str]:
    page = backend.scan(index, cursor=None, limit=1000, condition=None, with_vectors=True)
    return {document.id for document in page.documents}


def raised(verb: Callable[[], object]) -> str:
    try:
        verb()
    except errors.ConnectionFailed as error:
        return f"{error.retryable} {error}"
    return "nothing"


@needs_fork
class TestFork:
    def test_child_is_told_to_connect_again(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """A forked child inherits the engine's lock: what it wrote was acknowledged and lost, and the folder with it.

        Neither its refused verbs nor its `close` may harm what the parent writes meanwhile. A client of its own is one
        client too many until the parent closes the index, and no longer.
        """

        def child(pipe: Connection) -> None:
            document = Document("of the child", ROW)
            verbs: list[Callable[[], object]] = [
                lambda: backend.write(index, [document]),
                lambda: backend.search(index, [SearchRequest(query=ROW)]),
                backend.list_indexes,
            ]
            pipe.send([raised(verb) for verb in verbs])
            backend.close()
            pipe.send(raised(lambda: EdgeBackend(tmp_path).write(index, [document])))
            pipe.recv()
            own = EdgeBackend(tmp_path)
            own.write(index, [document])
            own.close()

        backend.write(index, [Document("before", ROW)])
        pipe, other = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=child, args=(other,))
        process.start()
        try:
            assert pipe.poll(DEADLINE_S)
            refusals = pipe.recv()
            assert len(refusals) == 3
            assert all("False" in text and "Connect again in this process" in text for text in refusals)
            assert pipe.poll(DEADLINE_S)
            assert "another process" in pipe.recv()
            backend.write(index, [Document("meanwhile", ROW)])
            assert ids(backend, index) == {"before", "meanwhile"}
            backend.close()
            pipe.send("your turn")
            process.join(DEADLINE_S)
            assert process.exitcode == 0
        finally:
            process.kill()
            process.join(DEADLINE_S)
        again = EdgeBackend(tmp_path)
        assert ids(again, index) == {"before", "meanwhile", "of the child"}
        again.close()

    def test_child_that_ends_leaves_the_index_alone(self, tmp_path: Path) -> None:
        """The engine flushes a shard that Python forgets, at exit too: over what the parent has written since the fork.

        An update that is not flushed yet stands for a thread that was in the middle of a write.
        """
        program = """
            import os, sys
            from pathlib import Path
            import numpy as np
            from lateint import IndexSpec
            from lateint.types import Document
            from lateint_qdrant import edge_wire
            from lateint_qdrant.edge import EdgeBackend

            rows = np.ones((1, 4), np.float32)
            backend = EdgeBackend(Path(sys.argv[1]))
            index = backend.create_index(IndexSpec("pages", 4))
            operation, _ = edge_wire.upsert([Document(f"early {n}", rows) for n in range(50)], index.spec)
            with backend._shard("write", index) as shard:
                shard.update(operation)
            del shard
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.read(reader, 1)
                sys.exit(0)
            backend.write(index, [Document(f"late {n}", rows, {"x": "y" * 100}) for n in range(100)])
            os.write(writer, b"x")
            os.waitpid(child, 0)
            backend.write(index, [Document("last", rows)])
            backend.close()
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        backend = EdgeBackend(tmp_path)
        assert backend.count(backend.describe_index("pages"), None) == 151
        backend.close()

    def test_client_that_has_nothing_open_may_be_inherited(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """Connecting before the fork and working after it is common; there is nothing to share yet."""

        def child() -> None:
            backend.write(index, [Document("a", ROW)])
            backend.close()

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(DEADLINE_S)
        assert process.exitcode == 0
        assert ids(backend, index) == {"a"}


def test_refused_client_harms_nobody(backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
    """The engine's own refusal came after it had changed files: the first client could not write any more."""
    backend.write(index, [Document("a", ROW, {"x": 1})])
    second = EdgeBackend(tmp_path)
    for _ in range(2):
        with pytest.raises(errors.ConnectionFailed, match="another client in this one") as caught:
            second.count(index, None)
        assert caught.value.__cause__ is not None
        backend.write(index, [Document("b", ROW, {"x": 2})])
    with pytest.raises(errors.ConnectionFailed):
        second.drop_index("pages")
    backend.close()
    assert ids(second, index) == {"a", "b"}
    second.close()


def test_two_create_and_drop_the_same_index(tmp_path: Path) -> None:
    """Each saw the other's half-made folders and swept them, or renamed onto them: errors of files, WAL and rmtree.

    Of two that create, one makes the index and the other reads IndexExists; of two that drop, the same.
    """
    program = """
        import sys
        from pathlib import Path
        from lateint import IndexSpec
        from lateint_qdrant.edge import EdgeBackend

        backend = EdgeBackend(Path(sys.argv[1]))
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(30):
            for verb in (lambda: backend.create_index(IndexSpec("pages", 4)), lambda: backend.drop_index("pages")):
                try:
                    print(type(verb()).__name__)
                except Exception as error:
                    print(type(error).__name__, str(error)[:200])
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    lines = [line for process in processes for line in process.communicate(timeout=DEADLINE_S)[0].splitlines()]
    outcomes = Counter(line.split()[0] for line in lines)
    assert set(outcomes) <= {"IndexInfo", "NoneType", "IndexExists", "IndexNotFound"}, lines
    assert outcomes["IndexInfo"] + outcomes["IndexExists"] == outcomes["NoneType"] + outcomes["IndexNotFound"] == 60
    left = EdgeBackend(tmp_path).list_indexes()
    assert outcomes["IndexInfo"] - outcomes["NoneType"] == len(left)
    assert [path.name for path in tmp_path.iterdir()] == left
