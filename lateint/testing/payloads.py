"""Payloads made to break adapters: values of every field type at their edges, and documents for filters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import numpy as np

from lateint.engine.capabilities import Capabilities
from lateint.spec import FieldType
from lateint.testing.data import DIM
from lateint.types import Document

FIELDS: Final[Mapping[str, FieldType]] = {
    "word": FieldType.KEYWORD,
    "prose": FieldType.TEXT,
    "number": FieldType.INTEGER,
    "ratio": FieldType.FLOAT,
    "flag": FieldType.BOOLEAN,
    "moment": FieldType.DATETIME,
    "words": FieldType.KEYWORDS,
    "numbers": FieldType.INTEGERS,
    "ratios": FieldType.FLOATS,
}
"""One field of each type."""

NAMES: Final[Mapping[FieldType, str]] = {kind: name for name, kind in FIELDS.items()}

INDIA = timezone(timedelta(hours=5, minutes=30))
PACIFIC = timezone(timedelta(hours=-8))

_TEXTS = (
    "",
    "a",
    "A",
    " a",
    "a ",
    "e\u0301",
    "\u00e9",
    "日本語",
    "true",
    "1",
    "null",
    "two words",
    'quote " \\ back',
    "\n",
    "x" * 40_000,
)

VALUES: Final[Mapping[FieldType, tuple[Any, ...]]] = {
    FieldType.KEYWORD: _TEXTS,
    FieldType.TEXT: (*_TEXTS, "Two Words", "words two"),
    FieldType.INTEGER: (0, 1, -1, 42, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1),
    FieldType.FLOAT: (0.0, -0.0, 0.1, 0.30000000000000004, 1.0, -2.5, 5e-324, 1.7976931348623157e308, -1e-7, 1e16),
    FieldType.BOOLEAN: (True, False),
    FieldType.DATETIME: (
        datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 30, 15, 123457, tzinfo=UTC),
        datetime(2024, 2, 29, 18, 0, 15, 123456, tzinfo=INDIA),
        datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 30, 15, tzinfo=PACIFIC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ),
    FieldType.KEYWORDS: ([], [""], ["a"], ["a", "b"], ["b", "a", "b"], ["A"], ["日本語", "e\u0301"], ["\u00e9"]),
    FieldType.INTEGERS: ([], [0], [1, 100], [100, 1], [50], [2**63 - 1], [-(2**63), 2**53 + 1], [2**53], [7, 7]),
    FieldType.FLOATS: ([], [0.0], [0.5, 9.5], [5.0], [-1e300, 1e300], [0.1, 0.2], [1.0, 1.0]),
}
"""Values of each type: those that an engine may fold together lie side by side."""

ABSENT: Final[Mapping[FieldType, Any]] = {
    FieldType.KEYWORD: "nowhere",
    FieldType.TEXT: "nowhere",
    FieldType.INTEGER: 1234567,
    FieldType.FLOAT: 1234.5,
    FieldType.BOOLEAN: True,
    FieldType.DATETIME: datetime(2000, 1, 1, tzinfo=UTC),
}
"""A value of each scalar type that (truth values aside) no document has."""

MISSING: Final = object()


def fields_for(capabilities: Capabilities) -> dict[str, FieldType]:
    """The fields of `FIELDS` whose types an engine can index."""
    return {name: kind for name, kind in FIELDS.items() if kind in capabilities.field_types}


def filterable(fields: Mapping[str, FieldType], *, count: int = 64) -> list[Document]:
    """Documents in which each field goes through every value of its type, null and missing, in an order of its own."""
    random = np.random.default_rng(5)
    columns: dict[str, list[Any]] = {}
    for name, kind in fields.items():
        pool = [MISSING, None, *VALUES[kind]]
        order = [position for _ in range(count // len(pool) + 1) for position in random.permutation(len(pool))]
        columns[name] = [pool[position] for position in order[:count]]
    vectors = random.standard_normal((count, 1, DIM)).astype(np.float32)
    return [
        Document(
            f"row-{number:02d}",
            vectors[number],
            {name: column[number] for name, column in columns.items() if column[number] is not MISSING},
        )
        for number in range(count)
    ]


def elements(kind: FieldType) -> list[Any]:
    """Scalars to compare a field of type `kind` with: every value that occurs, and one that does not."""
    values = [element for value in VALUES[kind] for element in value] if kind.is_list else list(VALUES[kind])
    distinct = {repr(value): value for value in [*values, ABSENT[kind.element]]}
    return list(distinct.values())


SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "empty": {},
    "nulls": {"nothing": None, "among": [None, 1, None], "inside": {"deeper": None}},
    "empties": {"text": "", "list": [], "object": {}, "nested": [[], {}, ""]},
    "truth-values": {"yes": True, "no": False, "one": 1, "zero": 0, "float": 1.0, "list": [True, 1, 1.0]},
    "integers": {"edges": [-(2**63), 2**63 - 1], "past-doubles": [2**53 + 1, -(2**53) - 1], "plain": 7},
    "floats": {"values": [0.1, 5e-324, 1.7976931348623157e308, -0.0, 0.0, 1e16, 1e22, 123456789.0]},
    "text": {"accents": "naïve café", "composed": "\u00e9", "combining": "e\u0301", "emoji": "👩‍👩‍👧", "cjk": "日本語"},
    "text-edges": {"spaces": "  a  ", "newline": "a\r\nb\tc", "nul": "a\x00b", "quotes": "\"'\\/", "html": "</script>"},
    "lookalikes": {"number": "1", "null": "null", "date": "2024-02-29", "json": '{"a": 1}', "uuid": "0" * 32},
    "keys": {"a.b": 1, "with space": 2, 'quo"te': 3, "ünïcode": 4, "a[0]": 5, "$ref": 6, "": 7, "UPPER": 8, "upper": 9},
    "tags": {"stamp": {"$datetime": "2024-01-01"}, "object": {"$object": {"a": 1}}, "both": {"$datetime": 1, "b": 2}},
    "nested": {"list": [1, [2, [3, [4, {"deep": [5]}]]]], "object": {"a": {"b": {"c": {"d": "e"}}}}},
    "datetimes": {"values": list(VALUES[FieldType.DATETIME]), "inside": {"at": datetime(2024, 5, 1, tzinfo=PACIFIC)}},
    "edge-years": {"first": datetime(1, 1, 1, tzinfo=INDIA), "last": datetime(9999, 12, 31, 23, tzinfo=PACIFIC)},
    "long": {"text": "long " * 20_000},
    "many": {f"key-{number}": number for number in range(300)},
}
"""Payloads of undeclared fields that come back as they went in, or an adapter is lossy."""
