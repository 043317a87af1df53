"""Names of indexes, fields and documents as Vespa takes them, and back. Pure.

Vespa's names have letters, digits and underscores, tell fields apart by more than case only, and reserve some words. A
name that this leaves alone stays as it is: index `pages` is schema `pages`, field `year` is field `year`. Any other
keeps its look and ends in a hexadecimal mask of the letters that count as changed (capitals, and dashes, which become
underscores): index `LateOn-Pages` is schema `LateOn_Pages__d1`. What begins with an underscore gets a letter before it,
and a `u` before its mask.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from lateint import errors

NAMESPACE = "lateint"
"""Of the ids of documents; Vespa makes nothing of it."""

_INDEX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARKED = re.compile(r"(?P<stem>.+)__(?P<lettered>u?)(?P<mask>[0-9a-f]+)", re.DOTALL)

_RESERVED_SCHEMAS = frozenset(
    {"and", "document", "expression", "false", "id", "lateint", "not", "null", "or", "position", "true"}
)
"""Types that an application has already, and words of the languages for schemas and selections."""

_RESERVED_FIELDS = frozenset(
    {
        "all",
        "and",
        "as",
        "asc",
        "attribute",
        "body",
        "case",
        "contains",
        "context",
        "desc",
        "documentid",
        "each",
        "else",
        "false",
        "from",
        "header",
        "hit",
        "host",
        "if",
        "in",
        "index",
        "matchfeatures",
        "not",
        "null",
        "or",
        "position",
        "rankfeatures",
        "reference",
        "relevance",
        "relevancy",
        "sddocname",
        "summary",
        "summaryfeatures",
        "switch",
        "timeout",
        "tokenize",
        "true",
    }
)
"""Fields that Vespa has itself or refuses, and words of its query language that stand for no field."""

_LETTER = "f"
_ESCAPE = "lateint:"


def schema_name(index: str) -> str:
    """The schema, and type of documents, of an index. No two indexes share one, not even by case.

    Raises:
        InvalidInput: no schema can have that name.
    """
    if not _INDEX.fullmatch(index):
        raise errors.InvalidInput(
            f"index name {index!r:.80} is not allowed.",
            hint="Use a letter, then letters, digits, '_' or '-', at most 64 characters.",
        )
    return _marked(index, reserved=index.lower() in _RESERVED_SCHEMAS)


def index_name(schema: str) -> str:
    """The index of a schema; the schema's own name where `schema_name` makes no such schema."""
    for name in _originals(schema):
        if _INDEX.fullmatch(name) and schema_name(name) == schema:
            return name
    return schema


def schemas(index: str) -> tuple[str, ...]:
    """Schemas that a user may mean by the name of an index: the one of lateint's form, then one that is named so."""
    made = (schema_name(index),) if _INDEX.fullmatch(index) else ()
    return tuple(dict.fromkeys((*made, *((index,) if _SCHEMA.fullmatch(index) else ()))))


def attribute_name(field: str) -> str:
    """The field of a schema that holds a declared field. No two fields share one, not even by case."""
    return _marked(field, reserved=field.lower() in _RESERVED_FIELDS)


def document_name(document: str) -> str:
    """The last part of a document's id in Vespa: its own id, unless a proxy that tidies up paths would change it.

    Without this, writing `a/../b` would replace `b`, before the answer says so.
    """
    if document.startswith(_ESCAPE) or not {"", ".", ".."}.isdisjoint(document.split("/")):
        return f"{_ESCAPE}{document.replace('%', '%25').replace('/', '%2F')}"
    return document


def document_id(full: str, schema: str) -> str:
    """The document that an id of Vespa's, such as `id:lateint:pages::a-1`, names.

    Raises:
        UnexpectedResponse: lateint wrote no document of that id into that schema.
    """
    start = f"id:{NAMESPACE}:{schema}::"
    name = full.removeprefix(start)
    document = unquote(name.removeprefix(_ESCAPE)) if name.startswith(_ESCAPE) else name
    if not full.startswith(start) or document_name(document) != name:
        raise errors.UnexpectedResponse(
            f"a document has the id {full!r:.200}, which lateint gives to none.",
            hint="Something else wrote to this schema.",
        )
    return document


def document_path(schema: str, document: str) -> str:
    """Where a document is, for all methods of HTTP."""
    return f"{visit_path(schema)}{quote(document_name(document), safe='')}"


def visit_path(schema: str) -> str:
    """Where all documents of a schema are."""
    return f"/document/v1/{NAMESPACE}/{schema}/docid/"


def _marked(name: str, *, reserved: bool) -> str:
    """The name without dashes, ending in its mask if it needs one."""
    mask = sum(1 << place for place, letter in enumerate(name) if letter.isupper() or letter == "-")
    stem = name.replace("-", "_")
    if stem.startswith("_"):
        return f"{_LETTER}{stem}__u{mask:x}"
    return f"{stem}__{mask:x}" if mask or reserved or _MARKED.fullmatch(stem) else stem


def _originals(stored: str) -> list[str]:
    """Names that may have become this one."""
    found = [stored]
    parts = _MARKED.fullmatch(stored)
    if parts is not None:
        mask = int(parts["mask"], 16)
        stem = parts["stem"].removeprefix(_LETTER) if parts["lettered"] else parts["stem"]
        letters = ["-" if mask >> place & 1 and letter == "_" else letter for place, letter in enumerate(stem)]
        found.append("".join(letters))
    return found
