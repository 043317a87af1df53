"""Something to search that every Python brings along: the docstrings of its own standard library."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SKIPPED = {
    *("site-packages", "dist-packages"),
    *("test", "tests"),
    *("distutils", "idlelib", "lib2to3", "tkinter", "turtledemo"),  # not in every Python
    "encodings",  # a hundred times the same
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One docstring.

    Attributes:
        id: qualified name, such as `json.decoder.JSONDecoder.decode`.
        text: the name and the docstring.
        payload: module, kind (module, class or function), first line, line number.
    """

    id: str
    text: str
    payload: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Corpus:
    """All docstrings found.

    Attributes:
        entries: in order of file and line.
        broken: files that could not be parsed, each with the reason.
    """

    entries: tuple[Entry, ...]
    broken: dict[str, str]


def read(root: Path) -> Corpus:
    """Collect the docstrings of public modules, classes and functions below a folder.

    Files are parsed and never imported, since importing may do things: `antigravity` opens a browser. Tests are left
    out, as is what has a leading underscore, and the second of two things with the same name or the same docstring.

    Args:
        root: the folder that `import` would look in.
    """
    entries: dict[str, Entry] = {}
    broken: dict[str, str] = {}
    seen: set[str] = set()
    for path, module in _modules(root, "") if root.is_dir() else ():
        try:
            tree = _parsed(path)
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            broken[str(path)] = str(error)
            continue
        for entry in _entries(tree, module):
            docstring = entry.text.removeprefix(entry.id)
            if entry.id not in entries and docstring not in seen:
                entries[entry.id] = entry
                seen.add(docstring)
    return Corpus(tuple(entries.values()), broken)


def _modules(folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    """Every public module below a folder with its dotted name, in the order of names."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        name = path.name.removesuffix(".py")
        if path.is_dir() and _is_public(name) and name not in _SKIPPED:
            yield from _modules(path, f"{prefix}{name}.")
        elif path.suffix == ".py" and name == "__init__" and prefix:
            yield path, prefix.rstrip(".")
        elif path.suffix == ".py" and _is_public(name):
            yield path, f"{prefix}{name}"


def _parsed(path: Path) -> ast.Module:
    with warnings.catch_warnings():  # odd escapes in old files are not our concern
        warnings.simplefilter("ignore")
        return ast.parse(path.read_bytes(), filename=str(path))


def _entries(tree: ast.Module, module: str) -> Iterator[Entry]:
    yield from _entry(tree, module, name=module, kind="module", line=1)
    yield from _members(tree, module, module)


def _members(parent: ast.Module | ast.ClassDef, module: str, prefix: str) -> Iterator[Entry]:
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not _is_public(node.name):
            continue
        name = f"{prefix}.{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _entry(node, module, name=name, kind="class", line=node.lineno)
            yield from _members(node, module, name)
        else:
            yield from _entry(node, module, name=name, kind="function", line=node.lineno)


def _entry(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    module: str,
    *,
    name: str,
    kind: str,
    line: int,
) -> Iterator[Entry]:
    docstring = ast.get_docstring(node)
    if docstring:
        summary = docstring.split("\n", 1)[0].strip()
        payload: dict[str, str | int] = {"module": module, "kind": kind, "summary": summary, "line": line}
        yield Entry(name, f"{name}\n{docstring}", payload)


def _is_public(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_")
