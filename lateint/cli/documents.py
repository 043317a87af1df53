"""From files to documents and queries; every error names the file and the line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from lateint import errors
from lateint.cli import arrays
from lateint.cli.parsing import parsed
from lateint.encoders import DocumentKind, Encoder
from lateint.encoders.images import list_images
from lateint.encoders.stream import encoded
from lateint.spec import FieldType, IndexSpec
from lateint.types import Document, check_id
from lateint.vectors import MultiVector, as_multivector

STDIN = Path("-")
ARRAY_SUFFIXES = (".npz", ".safetensors")
LINE_SUFFIXES = (".jsonl", ".ndjson")

_ARTICLE: Mapping[DocumentKind, str] = {"text": "a text", "image": "an image"}
_KEYS = {"id", "text", "image", "payload"}


@dataclass(frozen=True, slots=True)
class _Line:
    place: str
    id: str
    kind: DocumentKind
    item: str | Path
    payload: Mapping[str, Any]


_Item: TypeAlias = Document | errors.InvalidInput


@dataclass
class Reader:
    """Reads files into documents for one index, in bounded memory.

    Attributes:
        spec: of the index.
        make_encoder: gives the encoder; called when the first text comes.
    """

    spec: IndexSpec
    make_encoder: Callable[[], Encoder]

    @cached_property
    def _encoder(self) -> Encoder:
        return self.make_encoder()

    def documents(self, paths: Iterable[Path]) -> Iterator[_Item]:
        """Documents of all files, in order; an error, with its place as `document`, stands for one that is wrong.

        Raises:
            InvalidInput: a whole file cannot be read.
        """
        for path in paths:
            if path.is_dir():
                pages = ((page, page.relative_to(path).as_posix()) for page in list_images(path))
                yield from self._encoded(_Line(str(page), name, "image", page, {}) for page, name in pages)
            elif path.suffix in ARRAY_SUFFIXES:
                yield from self._from_arrays(path)
            else:
                yield from self._encoded(_read_lines(path))

    def _from_arrays(self, path: Path) -> Iterator[_Item]:
        for name, vectors, payload in arrays.read(path):
            try:
                yield Document(name, vectors, _payload(_object(payload), self.spec.fields))
            except errors.InvalidInput as error:
                yield _placed(f"{path}, document {name!r}", error)

    def _encoded(self, lines: Iterable[_Line | errors.InvalidInput]) -> Iterator[_Item]:
        first = next(lines := iter(lines), None)  # no model is loaded for an empty file
        if first is None:
            return
        for line, vectors in encoded(self._encoder, ((line, self._item(line)) for line in chain([first], lines))):
            if isinstance(line, errors.InvalidInput):
                yield line
            elif isinstance(vectors, errors.InvalidInput):
                yield _placed(line.place, vectors)
            else:
                yield Document(line.id, vectors, _payload(line.payload, self.spec.fields))

    def _item(self, line: _Line | errors.InvalidInput) -> str | Path | errors.InvalidInput:
        if isinstance(line, errors.InvalidInput) or line.kind == self._encoder.document_kind:
            return line if isinstance(line, errors.InvalidInput) else line.item
        return errors.InvalidInput(
            f"this is {_ARTICLE[line.kind]}, and the encoder takes {self._encoder.document_kind}s.",
            hint="Choose another with --encoder.",
        )


def read_queries(path: Path, make_encoder: Callable[[], Encoder]) -> Iterator[MultiVector]:
    """Queries from JSON lines with "text" or "vectors".

    Raises:
        InvalidInput: names the line.
    """
    for place, raw in _lines(path):
        try:
            yield _query(_object(raw), make_encoder)
        except errors.InvalidInput as error:
            raise _placed(place, error) from error


def _query(value: Mapping[str, Any], make_encoder: Callable[[], Encoder]) -> MultiVector:
    match value:
        case {"text": str(text), **rest} if not rest:
            return as_multivector(make_encoder().encode_queries([text])[0])
        case {"vectors": list(vectors), **rest} if not rest:
            return as_multivector(vectors)
    raise errors.InvalidInput("not a query.", hint='Write {"text": "…"} or {"vectors": [[…], …]} on each line.')


def _placed(place: str, error: errors.InvalidInput) -> errors.InvalidInput:
    """The same error, saying where."""
    told = str(error).removesuffix(error.hint).rstrip()
    message = told if repr(place) in told else f"{place}: {told}"  # a page in a folder is named by its path already
    return errors.InvalidInput(message, hint=error.hint, document=place)


def _read_lines(path: Path) -> Iterator[_Line | errors.InvalidInput]:
    for place, raw in _lines(path):
        try:
            yield _line(place, _object(raw))
        except errors.InvalidInput as error:
            yield _placed(place, error)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Lines that are not blank, each with its place."""
    name = "stdin" if path == STDIN else str(path)
    opened = nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb")
    with opened as file:
        for number, raw in enumerate(file, start=1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if line.strip():
                yield f"{name}:{number}", line


def _object(raw: bytes | str) -> dict[str, Any]:
    value = parsed(raw)
    if not isinstance(value, dict):
        raise errors.InvalidInput(f"a JSON {type(value).__name__}, not an object.")
    return value


def _line(place: str, value: Mapping[str, Any]) -> _Line:
    kinds: list[DocumentKind] = [kind for kind in _ARTICLE if kind in value]
    wrong = [f"{name!r} is not known." for name in sorted(value.keys() - _KEYS)]
    if not kinds:
        wrong.insert(0, "no 'text'.")
    if "id" not in value:
        wrong.insert(0, "no 'id'.")
    if wrong or len(kinds) > 1:
        raise errors.InvalidInput(
            wrong[0] if wrong else "both a text and an image.",
            hint='Write {"id": "…", "text": "…", "payload": {…}} on each line, or "image" and a path for "text"; all '
            "else goes into the payload.",
        )
    item = value[kinds[0]]
    if not isinstance(item, str):
        raise errors.InvalidInput(f"the {kinds[0]} is not text.")
    return _Line(place, check_id(value["id"]), kinds[0], item, value.get("payload", {}))


def _payload(payload: Mapping[str, Any], fields: Mapping[str, FieldType]) -> Mapping[str, Any]:
    """JSON has no datetimes: in a field declared as one, ISO 8601 text is read as one."""
    if not isinstance(payload, dict):
        return payload  # refused with its document's id when it is written
    return {
        name: _datetime(value) if fields.get(name) is FieldType.DATETIME else value for name, value in payload.items()
    }


def _datetime(value: object) -> object:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
