"""The demo's documents: docstrings of the standard library, parsed and never imported."""

import sys
import sysconfig
from pathlib import Path

import pytest

from lateint.cli.corpus import Corpus, read
from lateint.types import check_id

STDLIB = Path(sysconfig.get_paths()["stdlib"])


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def ids(corpus: Corpus) -> list[str]:
    return [entry.id for entry in corpus.entries]


@pytest.fixture(scope="module")
def stdlib() -> Corpus:
    return read(STDLIB)


def test_qualified_names_text_and_payload(tmp_path: Path) -> None:
    put(
        tmp_path,
        "shapes/round.py",
        '"""Round things.\n\nMore."""\n\nclass Ball:\n    """A ball."""\n    async def roll(self):\n        """Roll it."""\n',
    )
    module, ball, roll = read(tmp_path).entries
    assert (module.id, ball.id, roll.id) == ("shapes.round", "shapes.round.Ball", "shapes.round.Ball.roll")
    assert module.text == "shapes.round\nRound things.\n\nMore."
    assert module.payload == {"module": "shapes.round", "kind": "module", "summary": "Round things.", "line": 1}
    assert ball.payload == {"module": "shapes.round", "kind": "class", "summary": "A ball.", "line": 5}
    assert roll.payload == {"module": "shapes.round", "kind": "function", "summary": "Roll it.", "line": 7}


def test_package_is_named_without_init(tmp_path: Path) -> None:
    put(tmp_path, "box/__init__.py", '"""A box."""')
    put(tmp_path, "box/__main__.py", '"""Not public."""')
    assert ids(read(tmp_path)) == ["box"]


def test_what_is_left_out(tmp_path: Path) -> None:
    put(
        tmp_path,
        "kept.py",
        'def f():\n    """One."""\n    def inner():\n        """Inner."""\ndef _g():\n    """Two."""\n',
    )
    put(tmp_path, "bare.py", "def f():\n    return 1\nx = 1\n")
    put(tmp_path, "empty.py", '"""   """')
    for name in (
        "_private.py",
        "test/a.py",
        "x/tests/b.py",
        "idlelib/c.py",
        "lib2to3/d.py",
        "site-packages/e.py",
        "1st.py",
    ):
        put(tmp_path, name, f'"""Documented {name}."""')
    put(tmp_path, "data.txt", '"""No Python."""')
    assert ids(read(tmp_path)) == ["kept.f"]


def test_duplicates_are_left_out(tmp_path: Path) -> None:
    """The second definition of a name, and the second use of a docstring."""
    put(
        tmp_path,
        "m.py",
        'class P:\n    def x(self):\n        """Get."""\n    def x(self, v):\n        """Set."""\n    def y(self):\n        """Get."""\n',
    )
    (entry,) = read(tmp_path).entries
    assert entry.id == "m.P.x"
    assert entry.text.endswith("Get.")


def test_broken_files_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "good.py", '"""Good."""')
    put(tmp_path, "syntax.py", "def (:\n")
    put(tmp_path, "null.py", "x = 1\0")
    put(tmp_path, "coding.py", "# -*- coding: no-such-codec -*-\n")
    put(tmp_path, "bytes.py", '"""\udcff"""')
    put(tmp_path, "escape.py", '"""Odd \\d escape."""')
    corpus = read(tmp_path)
    assert ids(corpus) == ["escape", "good"]
    assert sorted(Path(path).name for path in corpus.broken) == ["bytes.py", "coding.py", "null.py", "syntax.py"]
    assert all(corpus.broken.values())


def test_old_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes('# -*- coding: latin-1 -*-\n"""Caf\u00e9."""'.encode("latin-1"))
    assert read(tmp_path).entries[0].text == "latin\nCafé."


def test_order_is_that_of_names(tmp_path: Path) -> None:
    for name in ("b.py", "a/z.py", "a/__init__.py", "c.py"):
        put(tmp_path, name, f'"""Documented {name}."""')
    assert ids(read(tmp_path)) == ["a", "a.z", "b", "c"]


def test_standard_library(stdlib: Corpus) -> None:
    """A few thousand documents that any engine takes, and the same ones every time."""
    assert 3_000 <= len(stdlib.entries) <= 6_000
    assert stdlib.broken == {}
    names = ids(stdlib)
    assert len(set(names)) == len(names)
    assert {"json", "json.decoder.JSONDecoder.decode", "shutil.copytree", "heapq.nsmallest"} <= set(names)
    assert all(check_id(name) for name in names)
    assert names == ids(read(STDLIB))


def test_nothing_is_imported(stdlib: Corpus) -> None:
    """`antigravity` opens a browser."""
    assert stdlib.entries
    assert "antigravity" not in sys.modules
    assert "this" not in sys.modules
