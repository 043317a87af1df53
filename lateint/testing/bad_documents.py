"""Documents that no engine should see: what is wrong, which error it is, and words that its message must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import numpy as np

from lateint import errors
from lateint.spec import DType
from lateint.types import Document

DIM: Final = 4
ROWS: Final = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Bad:
    """One thing that is refused.

    Attributes:
        item: makes it.
        error: what is raised.
        words: what the message must say: the document, the row, the value, the remedy.
        spec: what the index is like, beside its dimension of 4.
    """

    item: Callable[[], Any]
    error: type[errors.LateintError]
    words: tuple[str, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)


def _rows(make: Callable[[], Any], error: type[errors.LateintError], *words: str, **spec: Any) -> Bad:  # noqa: ANN401
    return Bad(lambda: Document("bad-one", make()), error, ("bad-one", *words), spec)


def _with(row: int, value: float) -> Any:  # noqa: ANN401
    vectors = np.array(ROWS)
    vectors[row, 2] = value
    return vectors


VECTORS: Final[Mapping[str, Bad]] = {
    "wrong-dim": _rows(lambda: np.ones((2, 5)), errors.DimensionMismatch, "5", "4"),
    "ragged": _rows(lambda: [[1, 0, 0, 0], [1, 0, 0]], errors.MalformedMultiVector, "row 1", "3", "4"),
    "ragged-arrays": _rows(lambda: [np.ones(4), np.ones(3)], errors.MalformedMultiVector, "row 1"),
    "one-dimensional": _rows(lambda: np.ones(4), errors.MalformedMultiVector, "(4,)", "[None, :]"),
    "three-dimensional": _rows(lambda: np.ones((1, 2, 4)), errors.MalformedMultiVector, "(1, 2, 4)"),
    "number": _rows(lambda: 1.0, errors.MalformedMultiVector),
    "complex": _rows(lambda: np.ones((1, 4)) * 1j, errors.MalformedMultiVector, "complex"),
    "text": _rows(lambda: "abcd", errors.MalformedMultiVector),
    "rows-of-text": _rows(lambda: [["1", "2", "3", "4"]], errors.MalformedMultiVector),
    "truth-values": _rows(lambda: np.ones((1, 4), dtype=bool), errors.MalformedMultiVector, "bool"),
    "objects": _rows(lambda: np.array([[None, 1, 2, 3]]), errors.MalformedMultiVector),
    "mapping": _rows(lambda: {"rows": ROWS}, errors.MalformedMultiVector, "dict"),
    "generator": _rows(lambda: (row for row in ROWS), errors.MalformedMultiVector, "generator"),
    "empty-list": _rows(list, errors.EmptyMultiVector),
    "no-rows": _rows(lambda: np.empty((0, 4)), errors.EmptyMultiVector, "(0, 4)"),
    "no-columns": _rows(lambda: np.empty((2, 0)), errors.EmptyMultiVector, "(2, 0)"),
    "no-vectors": _rows(lambda: None, errors.EmptyMultiVector, "with_vectors"),
    "nan": _rows(lambda: _with(1, np.nan), errors.NonFiniteVector, "row 1", "column 2"),
    "infinity": _rows(lambda: _with(0, np.inf), errors.NonFiniteVector, "row 0", "inf"),
    "minus-infinity": _rows(lambda: _with(1, -np.inf), errors.NonFiniteVector, "row 1", "-inf"),
    "float32-overflow": _rows(lambda: _with(1, 1e39), errors.NonFiniteVector, "row 1", "float32"),
    "float16-overflow": _rows(
        lambda: _with(1, 70_000.0), errors.NonFiniteVector, "row 1", "float16", dtype=DType.FLOAT16, normalize=False
    ),
    "zero-row": _rows(lambda: [ROWS[0], (0, 0, 0, 0)], errors.ZeroVector, "row 1", "normalize=False"),
    "underflow-to-zero": _rows(lambda: np.full((1, 4), 1e-60), errors.ZeroVector, "row 0"),
    "not-normalised-after-all": Bad(
        lambda: Document("bad-one", np.ones((1, 4)), normalized=True), errors.InvalidInput, ("bad-one", "row 0", "2")
    ),
}


def _named(name: Any, *words: str) -> Bad:  # noqa: ANN401
    return Bad(lambda: Document(name, ROWS), errors.InvalidInput, ("id", *words))


IDS: Final[Mapping[str, Bad]] = {
    "empty-id": _named("", "512"),
    "too-long-id": _named("x" * 513, "513", "512"),
    "too-long-in-bytes": _named("é" * 257, "514"),
    "newline-in-id": _named("a\nb", "U+000A", "position 1"),
    "nul-in-id": _named("a\x00", "U+0000"),
    "delete-in-id": _named("\x7f", "U+007F"),
    "c1-control-in-id": _named("ab\x85", "U+0085", "position 2"),
    "surrogate-in-id": _named("a\ud800", "surrogate", "position 1"),
    "noncharacter-in-id": _named("\uffff", "U+FFFF"),
    "astral-noncharacter-in-id": _named("\U0001fffe", "U+1FFFE"),
    "integer-id": _named(7, "int", "str"),
    "bytes-id": _named(b"a", "bytes"),
    "none-id": _named(None, "NoneType"),
}

FIELDS: Final[Mapping[str, str]] = {
    "word": "keyword",
    "number": "integer",
    "ratio": "float",
    "flag": "boolean",
    "moment": "datetime",
    "words": "keyword[]",
    "numbers": "integer[]",
}


def _holding(payload: Any, *words: str) -> Bad:  # noqa: ANN401
    return Bad(lambda: Document("bad-one", ROWS, payload), errors.PayloadTypeError, ("bad-one", *words))


def _declared(name: str, value: Any, words: tuple[str, ...]) -> Bad:  # noqa: ANN401
    bad = Document("bad-one", ROWS, {name: value})
    return Bad(lambda: bad, errors.PayloadTypeError, ("bad-one", name, *words), {"fields": {name: FIELDS[name]}})


def _deep() -> dict[str, Any]:
    value: Any = "bottom"
    for _ in range(70):
        value = [value]
    return {"tower": value}


def _endless() -> dict[str, Any]:
    value: list[Any] = []
    value.append(value)
    return {"ring": value}


_ODD = timezone(timedelta(hours=1, seconds=30))

PAYLOADS: Final[Mapping[str, Bad]] = {
    "payload-nan": _holding({"x": float("nan")}, "'x'"),
    "payload-infinity": _holding({"x": float("inf")}, "'x'", "inf"),
    "payload-nested-nan": _holding({"x": {"y": [1.0, float("nan")]}}, "'x'"),
    "payload-set": _holding({"x": {1, 2}}, "'x'", "set"),
    "payload-bytes": _holding({"x": b"abc"}, "'x'", "bytes"),
    "payload-decimal": _holding({"x": Decimal("1.1")}, "'x'", "Decimal"),
    "payload-date": _holding({"x": date(2024, 1, 1)}, "'x'", "date"),
    "payload-array": _holding({"x": np.ones(3)}, "'x'", "ndarray"),
    "payload-object": _holding({"x": object()}, "'x'", "object"),
    "payload-naive-datetime": _holding({"x": datetime(2024, 1, 1)}, "'x'", "time zone"),  # noqa: DTZ001 - the point
    "payload-odd-offset": _holding({"x": datetime(2024, 1, 1, tzinfo=_ODD)}, "'x'", "minutes"),
    "payload-beyond-64-bits": _holding({"x": 2**63}, "'x'", "64 bits"),
    "payload-below-64-bits": _holding({"x": [-(2**63) - 1]}, "'x'", "64 bits"),
    "payload-number-as-name": _holding({1: "x"}, "1", "text"),
    "payload-nested-number-as-name": _holding({"x": {1: "y"}}, "'x'", "text"),
    "payload-reserved-name": _holding({"lateint_id": 1}, "lateint_id", "reserved"),
    "payload-surrogate": _holding({"x": "a\ud800"}, "'x'", "surrogate"),
    "payload-surrogate-in-name": _holding({"\udfff": 1}, "surrogate"),
    "payload-too-deep": _holding(_deep(), "tower", "64"),
    "payload-endless": _holding(_endless(), "ring", "64"),
    "payload-list": _holding([("x", 1)], "list", "mapping"),
    "payload-none": _holding(None, "NoneType", "mapping"),
    "text-for-integer": _declared("number", "7", ("'7'", "integer")),
    "float-for-integer": _declared("number", 7.0, ("7.0",)),
    "truth-value-for-integer": _declared("number", value=True, words=("True",)),
    "integer-for-text": _declared("word", 7, ("text",)),
    "truth-value-for-float": _declared("ratio", value=True, words=("True",)),
    "integer-that-no-float-holds": _declared("ratio", 2**53 + 1, (str(2**53 + 1),)),
    "integer-for-truth-value": _declared("flag", 1, ("True or False",)),
    "text-for-datetime": _declared("moment", "2024-01-01", ("datetime",)),
    "list-for-scalar": _declared("word", ["a"], ("single value",)),
    "scalar-for-list": _declared("words", "a", ("list",)),
    "null-in-list": _declared("words", ["a", None], ("element 1",)),
    "mixed-list": _declared("numbers", [1, "2"], ("element 1",)),
}

NO_DOCUMENTS: Final[Mapping[str, Bad]] = {
    "dict": Bad(lambda: {"id": "bad-one", "vectors": ROWS}, errors.InvalidInput, ("dict", "Document")),
    "tuple": Bad(lambda: ("bad-one", ROWS), errors.InvalidInput, ("tuple", "Document")),
    "none": Bad(lambda: None, errors.InvalidInput, ("NoneType", "Document")),
    "array": Bad(lambda: np.ones((2, 4)), errors.InvalidInput, ("ndarray", "Document")),
}

ALL: Final[Mapping[str, Bad]] = {**VECTORS, **IDS, **PAYLOADS, **NO_DOCUMENTS}
