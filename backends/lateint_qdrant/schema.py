"""What an index of lateint is in Qdrant: names, ids, indexes over payload, and what can be asked of it.

An index is a collection with one named multi-vector. Its distance is Dot, which stores rows as they come; Cosine would
rewrite them. It has no HNSW graph: building one compares whole multi-vectors with each other, takes hours and saves
little, so every search scores every document that passes the filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from lateint import errors
from lateint.engine.capabilities import Accumulator, Capabilities, Feature
from lateint.engine.payload import WORDS_FIELD
from lateint.spec import DType, FieldType, IndexSpec, suggestion

ENGINE = "qdrant"
EDGE = "qdrant+edge"

VECTOR = "lateint"
"""Name of the multi-vector. Always a named one: Qdrant takes an unnamed matrix of one row for a plain vector."""

MAX_VALUES = 2**20 - 1
"""Qdrant's servers refuse larger multi-vectors; the in-process engine does not, but its data should fit a server."""


class Memory(StrEnum):
    """Where stored vectors live, the value of the engine option `memory`."""

    CACHED = "cached"
    """Read into memory when the index is opened."""
    COLD = "cold"
    """On disk until a search needs them."""


class PayloadIndex(StrEnum):
    """Kinds of payload index that lateint uses."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a collection is laid out.

    Attributes:
        dim: values per row.
        dtype: float32 or float16.
        memory: where the vectors live.
    """

    dim: int
    dtype: DType
    memory: Memory


EDGE_CAPABILITIES = Capabilities(
    features=frozenset(Feature) - {Feature.APPROXIMATE_SEARCH},
    dtypes=frozenset({DType.FLOAT32, DType.FLOAT16}),
    max_values=MAX_VALUES,
    max_in_flight=2,
    max_exact_integer=2**53,
    rounds_queries=True,
    accumulator=Accumulator.FLOAT32,
    engine_options=frozenset({"memory"}),
)
"""The engine as lateint runs it in-process."""


def point_id(document: str) -> UUID:
    """Id of the point that holds a document: the UUIDv5 of its id, which other Qdrant tools derive in the same way."""
    return uuid5(NAMESPACE_URL, document)


def layout(spec: IndexSpec) -> Layout:
    """Layout of a collection.

    Raises:
        UnsupportedFeature: a storage format that Qdrant lacks.
        InvalidInput: an engine option, or a value of one, that is not known.
    """
    if spec.dtype not in EDGE_CAPABILITIES.dtypes:
        raise errors.UnsupportedFeature(
            f"index {spec.name!r}: Qdrant does not store {spec.dtype.value}.",
            backend=EDGE,
            feature=f"dtype {spec.dtype.value}",
            alternative="Use dtype='float32' or 'float16'.",
        )
    options = spec.engine_options.get(ENGINE, {})
    for name in options:
        if name not in EDGE_CAPABILITIES.engine_options:
            raise errors.InvalidInput(
                f"index {spec.name!r}: engine option {name!r} of {ENGINE} is not known.",
                hint=suggestion(name, EDGE_CAPABILITIES.engine_options),
            )
    return Layout(dim=spec.dim, dtype=spec.dtype, memory=_memory(options.get("memory", Memory.CACHED), spec.name))


def payload_indexes(fields: Mapping[str, FieldType]) -> dict[str, PayloadIndex]:
    """Payload indexes by field: for the words, and for each declared field that profits from one.

    Booleans are looked up by their words. Text has no index: it compares whole, and an index would keep a second copy
    of every text in memory (measured: 20,000 texts of 2,000 characters take 44 MB more and load three times slower;
    without, an equality costs 1 to 3 microseconds per document, a small part of scoring it).
    """
    if not fields:
        return {}
    kinds = {name: _INDEX.get(kind.element) for name, kind in fields.items()}
    return {WORDS_FIELD: PayloadIndex.KEYWORD} | {name: kind for name, kind in kinds.items() if kind is not None}


_INDEX = {
    FieldType.KEYWORD: PayloadIndex.KEYWORD,
    FieldType.INTEGER: PayloadIndex.INTEGER,
    FieldType.FLOAT: PayloadIndex.FLOAT,
    FieldType.DATETIME: PayloadIndex.DATETIME,
}


def _memory(value: object, index: str) -> Memory:
    try:
        return Memory(value)  # type: ignore[arg-type]
    except ValueError:
        raise errors.InvalidInput(
            f"index {index!r}: engine option memory={value!r} of {ENGINE} is not known.",
            hint=suggestion(str(value), [member.value for member in Memory]),
        ) from None
