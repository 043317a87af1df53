"""Names of indexes and fields as Weaviate takes them, and of indexes back. Pure.

Weaviate capitalises classes, puts properties in lower case at their first letter, keeps both apart by more than case
only, and reserves some names. A name that this leaves alone stays as it is: index `pages` is class `Pages`, field
`year` is property `year`. Any other keeps its look and ends in a hexadecimal mask of the letters that count as changed
(capitals, and dashes, which become underscores): index `LateOn-Pages` is class `LateOn_Pages__d1`.
"""

from __future__ import annotations

import re

from lateint import errors

MAX_CLASS = 255

_INDEX = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_CLASS = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")
_MARKED = re.compile(r"(?P<stem>.+)__(?P<mask>[0-9a-f]+)", re.DOTALL)

_RESERVED_CLASSES = frozenset({"raft", "lateint_journal"})
"""The server keeps a folder per class, and `raft` for itself; `journal` keeps another."""

_RESERVED_PROPERTIES = frozenset({"id", "vector", "_id", "_additional"})
_RESERVED_ENDS = re.compile(r".*(_searchable|_rangeable|_temp|__meta_count|_propertylength|_nullstate|__gen[0-9]+)")
"""Names of this form are those of files beside another property's."""


def class_name(index: str) -> str:
    """The class that holds an index. No two indexes share one, not even by case.

    Raises:
        InvalidInput: no class can have that name.
    """
    if not _INDEX.fullmatch(index):
        raise errors.InvalidInput(
            f"index name {index!r} is not allowed.", hint="Use a letter, then letters, digits, '_' or '-'."
        )
    name = _marked(index, reserved=index.lower() in _RESERVED_CLASSES)
    if len(name) > MAX_CLASS:
        raise errors.InvalidInput(f"index name {index!r:.80} is too long for Weaviate.", hint="Use up to 64 letters.")
    return name[0].upper() + name[1:]


def index_name(cls: str) -> str:
    """The index that a class holds; the class's own name where `class_name` makes no such class."""
    for name in _originals(cls):
        if _INDEX.fullmatch(name) and class_name(name) == cls:
            return name
    return cls


def classes(index: str) -> tuple[str, ...]:
    """Classes that a user may mean by the name of an index: the one of lateint's form, then one that is named so."""
    made = (class_name(index),) if _INDEX.fullmatch(index) and len(index) < MAX_CLASS // 2 else ()
    return tuple(dict.fromkeys((*made, *((index,) if _CLASS.fullmatch(index) else ()))))


def property_name(field: str) -> str:
    """The property that holds a declared field. No two fields share one, not even by case."""
    lower = field.lower()
    name = _marked(field, reserved=lower in _RESERVED_PROPERTIES or _RESERVED_ENDS.fullmatch(lower) is not None)
    return name[0].lower() + name[1:]


def _marked(name: str, *, reserved: bool) -> str:
    """The name without dashes, ending in its mask if it needs one."""
    mask = sum(1 << place for place, letter in enumerate(name) if letter.isupper() or letter == "-")
    stem = name.replace("-", "_")
    return f"{stem}__{mask:x}" if mask or reserved or _MARKED.fullmatch(stem) else stem


def _originals(stored: str) -> list[str]:
    """Names that may have become this one."""
    found = [stored[:1].lower() + stored[1:]]
    parts = _MARKED.fullmatch(stored)
    if parts is not None:
        stem, mask = parts["stem"].lower(), int(parts["mask"], 16)
        letters = [_changed(letter) if mask >> place & 1 else letter for place, letter in enumerate(stem)]
        found.insert(0, "".join(letters))
    return found


def _changed(letter: str) -> str:
    return "-" if letter == "_" else letter.upper()
