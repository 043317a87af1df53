"""From files to documents and queries; every error names the file and the line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from lateint import errors
from lateint.cli import arrays
from lateint.cli.parsing import parsed
from lateint.encoders import Encoder
from lateint.spec import FieldType, IndexSpec
from lateint.types import Document, check_id
from lateint.vectors import MultiVector, as_multivector

STDIN = Path("-")
ARRAY_SUFFIXES = (".npz", ".safetensors")
LINE_SUFFIXES = (".jsonl", ".ndjson")

_TEXTS_AT_ONCE = 64
_KEYS = {"id", "text", "payload"}


@dataclass(frozen=True, slots=True)
class _Line:
    place: str
    id: str
    text: str
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
            yield from self._from_arrays(path) if path.suffix in ARRAY_SUFFIXES else self._from_lines(path)

    def _from_arrays(self, path: Path) -> Iterator[_Item]:
        for name, vectors, payload in arrays.read(path):
            try:
                yield Document(name, vectors, _payload(_object(payload), self.spec.fields))
            except errors.InvalidInput as error:
                yield _placed(f"{path}, document {name!r}", error)

    def _from_lines(self, path: Path) -> Iterator[_Item]:
        read = _read_lines(path)
        while chunk := list(islice(read, _TEXTS_AT_ONCE)):
            encoded = iter(self._encoded([line for line in chunk if isinstance(line, _Line)]))
            for line in chunk:
                yield line if isinstance(line, errors.InvalidInput) else next(encoded)

    def _encoded(self, lines: list[_Line]) -> list[_Item]:
        if not lines:
            return []
        try:
            encoded = self._encoder.encode_documents([line.text for line in lines])
        except errors.InvalidInput as error:
            if len(lines) == 1:
                return [_placed(lines[0].place, error)]
            return [item for line in lines for item in self._encoded([line])]  # one is to blame, the others are not
        return [
            Document(line.id, vectors, _payload(line.payload, self.spec.fields))
            for line, vectors in zip(lines, encoded, strict=True)
        ]


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
    message = f"{place}: {str(error).removesuffix(error.hint)}".rstrip()
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
    missing, unknown = sorted({"id", "text"} - value.keys()), sorted(value.keys() - _KEYS)
    if missing or unknown:
        raise errors.InvalidInput(
            f"no {missing[0]!r}." if missing else f"{unknown[0]!r} is not known.",
            hint='Write {"id": "…", "text": "…", "payload": {…}} on each line; all else goes into the payload.',
        )
    if not isinstance(value["text"], str):
        raise errors.InvalidInput("the text is not text.")
    return _Line(place, check_id(value["id"]), value["text"], value.get("payload", {}))


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
