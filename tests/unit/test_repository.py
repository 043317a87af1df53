"""The repository itself: public names, the direction of imports, and what must not be in it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import lateint
from lateint import errors

ROOT = Path(__file__).parents[2]
BACKENDS = sorted(path.name for path in (ROOT / "backends").glob("lateint_*"))
SHIPPED = sorted([*(ROOT / "lateint").rglob("*.py"), *(ROOT / "backends").rglob("*.py")])

# A room imports from its own row and from those above it. `lateint` is the package itself: its public names.
ROWS = (
    ("errors", "types", "spec", "filters", "vectors"),
    ("scoring", "encoders"),
    ("engine",),
    ("client", "aclient"),
    ("retriever", "store", "jobs"),
    ("lateint",),
    ("testing",),
    ("cli",),
    ("__main__",),
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
OPEN_TO_BACKENDS = {*ROWS[0], "scoring", "engine"}

ENGINES = re.compile(r"qdrant|weaviate|vespa|milvus", re.IGNORECASE)
HEAVY = {
    "PIL",
    "click",
    "grpc",
    "httpx",
    "huggingface_hub",
    "pyarrow",
    "pydantic",
    "qdrant_client",
    "qdrant_edge",
    "rich",
    "safetensors",
    "sentence_transformers",
    "tokenizers",
    "torch",
    "transformers",
    "vespa",
    "weaviate",
}
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "factory", "misc", "base_utils"}

# Errors that nothing raises yet, and what will. Raising one turns the test red until its line is gone.
NOT_RAISED_YET = {
    "CheckpointMismatch": "no copying between indexes yet",
    "CorruptPart": "no multi-vectors on disk yet",
    "SourceChanged": "no copying between indexes yet",
    "UnsupportedStoreVersion": "no multi-vectors on disk yet",
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def place(path: Path, node: ast.AST) -> str:
    """`file:line`, as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def report(findings: list[str]) -> None:
    """Fail with one finding to a line."""
    assert not findings, "\n" + "\n".join(findings)


class TestPublicNames:
    """`lateint.__all__` is the promise."""

    def test_all_is_sorted_and_exists(self) -> None:
        """What is promised can be imported."""
        assert lateint.__all__ == sorted(set(lateint.__all__))
        assert [name for name in lateint.__all__ if not hasattr(lateint, name)] == []

    def test_nothing_else_is_public(self) -> None:
        """What can be reached as `lateint.x` will be used, and could never be moved again."""
        reachable = {
            name
            for name, value in vars(lateint).items()
            if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
        }
        assert reachable == {
            name for name in lateint.__all__ if not isinstance(getattr(lateint, name), types.ModuleType)
        }


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every import with the full name of what it imports, those for the type checker left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child):
            for other in child.orelse:
                yield from imports(other)
        elif isinstance(child, ast.Import):
            yield from ((child, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = f"{'.' * child.level}{child.module or ''}"
            yield from ((child, f"{module}.{alias.name}") for alias in child.names)
        else:
            yield from imports(child)


def room(name: str) -> str | None:
    """The room of lateint that a full name is in; `lateint` for a public name; None for other packages."""
    package, _, rest = name.partition(".")
    if package != "lateint":
        return None
    first = rest.partition(".")[0]
    return first if first in ROW else "lateint"


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT / "lateint").parts[0].removesuffix(".py")
    return "lateint" if first == "__init__" else first


class TestImports:
    """They go one way."""

    def test_every_room_has_a_row(self) -> None:
        """A new room decides where it stands before it imports anything."""
        rooms = {room_of(path) for path in (ROOT / "lateint").rglob("*.py")}
        assert rooms <= set(ROW)

    def test_within_lateint(self) -> None:
        """The core can be read, tested and replaced without what is built on it."""
        findings = []
        for path in (ROOT / "lateint").rglob("*.py"):
            here = room_of(path)
            for node, name in imports(tree(path)):
                there = room(name)
                if there is not None and ROW[there] > ROW[here]:
                    findings.append(f"{place(path, node)}: {here} imports {name}")
        report(findings)

    def test_backends(self) -> None:
        """An adapter sees the contract and the vocabulary; another adapter, a client or a job is none of its business."""
        findings = []
        for path in (ROOT / "backends").rglob("*.py"):
            own = path.relative_to(ROOT / "backends").parts[0]
            for node, name in imports(tree(path)):
                package = name.partition(".")[0]
                foreign = package in BACKENDS and package != own
                if foreign or (package == "lateint" and room(name) not in OPEN_TO_BACKENDS):
                    findings.append(f"{place(path, node)}: {own} imports {name}")
        report(findings)

    def test_lateint_imports_no_adapter(self) -> None:
        """Adapters are found by entry point, or else one of them is special."""
        findings = [
            f"{place(path, node)}: imports {name}"
            for path in (ROOT / "lateint").rglob("*.py")
            for node, name in imports(tree(path))
            if name.startswith("lateint_")
        ]
        report(findings)

    def test_imports_are_absolute(self) -> None:
        """The checks above read full names, and so do people."""
        findings = [
            f"{place(path, node)}: {name}" for path in SHIPPED for node, name in imports(tree(path)) if name[0] == "."
        ]
        report(findings)

    @pytest.mark.parametrize("package", ["lateint", "lateint.encoders", "lateint.testing", *BACKENDS])
    def test_light(self, package: str) -> None:
        """Seconds of import time and packages that are not installed: nothing heavy is loaded before it is needed."""
        code = f"import sys, {package}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert HEAVY.isdisjoint(done.stdout.split())


def names_and_texts(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Identifiers and string constants of a module, without docstrings and other bare strings."""
    bare = {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(module):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in bare:
                yield node, text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.keyword(arg=str(text)):
                yield node, text
            case ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text) | ast.ClassDef(name=text):
                yield node, text
            case ast.alias(name=text, asname=other):
                yield node, f"{text} {other or ''}"


class TestNeutrality:
    """No engine is special."""

    def test_no_engine_is_named(self) -> None:
        """`if backend == "…"` is a defect: a capability is asked instead. Docstrings may give examples."""
        findings = [
            f"{place(path, node)}: {text}"
            for path in (ROOT / "lateint").rglob("*.py")
            for node, text in names_and_texts(tree(path))
            if ENGINES.search(text)
        ]
        report(findings)

    def test_files_of_lateint_are_not_named_after_one(self) -> None:
        """A new engine is a new folder under backends/ and nothing else."""
        assert [str(path) for path in (ROOT / "lateint").rglob("*") if ENGINES.search(path.name)] == []


def raised_names(module: ast.Module) -> set[str]:
    """Names of classes that are used other than to catch or recognise: called, listed in a table, or subclassed."""
    skipped: set[int] = set()
    for node in ast.walk(module):
        match node:
            case ast.ExceptHandler(type=ast.AST() as part) | ast.MatchClass(cls=part):
                skipped.update(map(id, ast.walk(part)))
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass")):
                skipped.update(map(id, ast.walk(node)))
    used = (node for node in ast.walk(module) if id(node) not in skipped)
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in used
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)
    }


class TestErrors:
    """Every class earns its place."""

    def test_each_is_raised_or_subclassed(self) -> None:
        """An error that nothing raises is a promise that `except` clauses are written for in vain."""
        known = {name for name, value in vars(errors).items() if isinstance(value, type)} - {"Any", "ClassVar"}
        code = [path for path in SHIPPED if ROOT / "lateint" / "testing" not in path.parents]  # it only expects them
        used = set().union(*(raised_names(tree(path)) for path in code))
        assert sorted(known - used) == sorted(NOT_RAISED_YET)

    def test_none_is_swallowed(self) -> None:
        """`except Exception: pass` hides the one error that would have explained the night."""
        findings = []
        for path in SHIPPED:
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ExceptHandler) and all(
                    isinstance(statement, (ast.Pass, ast.Continue))
                    or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
                    for statement in node.body
                ):
                    caught = ast.unparse(node.type) if node.type is not None else ""
                    if caught in {"", "Exception", "BaseException"}:
                        findings.append(f"{place(path, node)}: except {caught}: pass")
        report(findings)


class TestFiles:
    """A room holds what its name says, and a file fits into a head."""

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
    def test_size(self, path: Path) -> None:
        """600 lines is where files stop being read."""
        assert len(path.read_text("utf-8").splitlines()) <= 600

    def test_names(self) -> None:
        """`utils.py` is where code goes that nobody thought about."""
        paths = [*(ROOT / "lateint").rglob("*"), *(ROOT / "backends").rglob("*")]
        assert [str(path) for path in paths if path.stem in VAGUE_NAMES] == []

    @pytest.mark.parametrize("package", [ROOT / "lateint", *(ROOT / "backends" / name for name in BACKENDS)])
    def test_type_marker(self, package: Path) -> None:
        """Without py.typed a type checker sees Any everywhere."""
        assert (package / "py.typed").is_file()

    def test_no_pickle(self) -> None:
        """Reading a store or a checkpoint must never run code."""
        findings = [
            f"{place(path, node)}: imports {name}"
            for path in SHIPPED
            for node, name in imports(tree(path))
            if re.match(r"_?(pickle|dill|cloudpickle|shelve|joblib)\b", name)
        ]
        report(findings)

    def test_no_notes_to_ourselves(self) -> None:
        """What is to be done stands in an issue, where it can be found and closed."""
        word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
        findings = [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for path in SHIPPED
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
            if word.search(line)
        ]
        report(findings)


def committed() -> list[Path]:
    """Text files that are, or on the next commit would be, in the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


MACHINE = re.compile(r"(?<![\w./])/(work|home|root|Users|tmp)/[\w.-]+")
DOWNLOAD = re.compile(
    r"https?://\S+\.(whl|zip|tgz|tar\.\w+|jar|deb|rpm)\b|files\.pythonhosted|--(extra-)?index-url|--find[-]links"
)


class TestText:
    """What is written down travels to other machines."""

    @pytest.mark.parametrize(
        ("pattern", "what"),
        [(MACHINE, "a path of one machine"), (DOWNLOAD, "a download address")],
        ids=["path", "address"],
    )
    def test_nothing_of_one_machine(self, pattern: re.Pattern[str], what: str) -> None:
        """A path of the author's machine works nowhere else; where packages come from is for the reader to decide."""
        findings = []
        for path in committed():
            text = path.read_bytes().decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                if match := pattern.search(line):
                    findings.append(f"{path.relative_to(ROOT)}:{number}: {what}: {match[0]}")
        report(findings)

    def test_changelog(self) -> None:
        """A change that is not told did not happen for those who upgrade."""
        text = (ROOT / "CHANGELOG.md").read_text("utf-8")
        assert re.search(r"^## \[?Unreleased\]?", text, re.MULTILINE)

    def test_readme_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first thing that anybody tries is what stands there; blocks build on each other, as they are read."""
        path = ROOT / "README.md"
        text = path.read_text("utf-8")
        blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        if not blocks:
            pytest.skip("README.md has no Python blocks")
        monkeypatch.chdir(tmp_path)
        namespace: dict[str, object] = {"__name__": "readme"}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for block in blocks:
                line = text.count("\n", 0, block.start(1))
                code = "\n" * line + block[1].replace(":///tmp/", f"://{tmp_path}/")  # lines as in the file
                exec(compile(code, str(path), "exec"), namespace)
